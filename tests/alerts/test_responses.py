"""The response table: complete, short, and nowhere a word that sends somebody to the load."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import product

import pytest

from alerts.response_rules import broken_rules
from alerts.responses import ResponsesError, parse_responses, shipped_responses
from registry.response_kinds import Cell, Language, Situation, Stage

SHIPPED = (files("alerts") / "responses.toml").read_text()
CELLS = list(product(Stage, Situation, Language))


def said(language: Language) -> list[str]:
    return [
        f"{cell.sentence} {cell.action}" for cell in shipped_responses().cells.values() if cell.language is language
    ]


def test_every_cell_has_a_sentence_and_an_action_in_every_language():
    table = shipped_responses()
    assert set(table.cells) == set(CELLS)
    assert len(CELLS) == 8 * 6 * 3
    for stage, situation, language in CELLS:
        cell = table.cell(stage, situation, language)
        assert re.fullmatch(r".*\w.*\.", cell.sentence), cell
        assert re.fullmatch(r".*\w.*\.", cell.action), cell
    for stage, situation in product(Stage, Situation):
        texts = {language: table.cell(stage, situation, language) for language in Language}
        assert len({(cell.sentence, cell.action) for cell in texts.values()}) == 3, "a text was not translated"


# Stated apart from the table's own rules: whole words, as a reader would look for them.
NEVER = {
    Language.EN: r"safe|safely|safety|clear|open|inspect|cool|unload|enter|re-enter|extinguish|return|back",
    Language.ES: r"segur\w+|salvo|abr[aei]\w*|inspeccion\w*|enfr\w+|descarg\w+|entr[ae]\w*|vuelv\w+|apag\w+",
    Language.FR: r"sûre?s?|sécurité|sûreté|ouvr\w+|inspect\w+|refroid\w+|décharg\w+|r?entr\w+|étei\w+|retourn\w+",
}


@pytest.mark.parametrize("language", Language)
def test_no_text_calls_anything_safe_or_sends_anybody_to_the_load(language):
    texts = said(language)
    assert len(texts) == 48
    assert [text for text in texts if re.search(rf"\b({NEVER[language]})\b", text, re.IGNORECASE)] == []


@pytest.mark.parametrize("situation", Situation)
def test_after_critical_it_is_to_stay_away_and_wait_for_the_fire_service(situation):
    held = [shipped_responses().cell(Stage.HELD, situation, language) for language in Language]
    assert [cell.sentence for cell in held] == ["Stay away.", "Manténgase lejos.", "Restez à distance."]
    waits = ("ait for the fire service.", "spere a los bomberos.", "ttendez les pompiers.")
    assert all(cell.action.endswith(wait) for cell, wait in zip(held, waits, strict=True))


@pytest.mark.parametrize("situation", Situation)
def test_lost_probes_are_told_as_a_fire(situation):
    table = shipped_responses()
    lost = [table.cell(Stage.LOST, situation, language) for language in Language]
    assert [cell.sentence for cell in lost] == ["Treat as burning.", "Actúe como si ardiera.", "Considérez-la en feu."]
    for cell in lost:
        assert cell.action == table.cell(Stage.RUNAWAY, situation, cell.language).action


def test_who_stands_by_is_told_to_call_911_from_critical_on_and_who_drives_is_not():
    table = shipped_responses()
    for stage in (Stage.CRITICAL, Stage.RUNAWAY, Stage.LOST):
        for situation, language in product(Situation, Language):
            calls = "911" in table.cell(stage, situation, language).action
            assert calls is (situation not in {Situation.DRIVING, Situation.TUNNEL})


def cell(sentence: str = "A pack is hot.", action: str = "Keep away.", **given) -> Cell:
    fields = {"stage": Stage.WARNING, "situation": Situation.PARKED, "language": Language.EN}
    return Cell(sentence=sentence, action=action, **fields | given)


ES, FR = {"language": Language.ES}, {"language": Language.FR}
DRIVING, CRITICAL = {"situation": Situation.DRIVING}, {"stage": Stage.CRITICAL}


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (cell("You are safe."), "it says 'safe'"),
        (cell("ALL CLEAR."), "it says 'all clear'"),
        (cell(action="Do not open the doors."), "it says 'open'"),
        (cell(action="Inspect the pack."), "it says 'inspect'"),
        (cell(action="Cool it with water."), "it says 'cool'"),
        (cell(action="Unload it."), "it says 'unload'"),
        (cell(action="Re-enter the cab."), "it says 're-enter'"),
        (cell(action="Está seguro.", **ES), "it says 'segur'"),
        (cell(action="Abra la puerta.", **ES), "it says 'abra'"),
        (cell(action="Descargue la caja.", **ES), "it says 'descarg'"),
        (cell(action="Enfríe la caja.", **ES), "it says 'enfri'"),
        (cell(action="Vuelva a la cabina.", **ES), "it says 'vuelv'"),
        (cell(action="Vous êtes en sécurité.", **FR), "it says 'sécuri'"),
        (cell(action="C'est sûr.", **FR), "it says 'sûr'"),
        (cell(action="Ouvrez la porte.", **FR), "it says 'ouvr'"),
        (cell(action="DECHARGEZ-LA.", **FR), "it says 'décharg'"),
        (cell(action="Refroidissez-la.", **FR), "it says 'refroid'"),
        (cell(action="Déchargez-la.", **FR), "it says 'décharg'"),
        (cell(action="Carry on.", **CRITICAL), "it says 'carry on', from critical on"),
        (cell(action="Siga.", **CRITICAL, **ES), "it says 'siga', from critical on"),
        (cell(action="Call dispatch.", **DRIVING), "it says 'call' to somebody who drives"),
        (cell(action="Appelez le 911.", **DRIVING, **FR), "it says '911' to somebody who drives"),
        (cell(stage=Stage.HELD), "it does not say 'wait for the fire service'"),
        (cell(stage=Stage.LOST), "it does not say 'treat as burning'"),
        (cell(action=" "), "its action is empty"),
        (cell("One two three four five six."), "its sentence has 6 words"),
        (cell(action="x" * 43), "its action has 1 words and 43 letters"),
    ],
)
def test_a_text_that_breaks_a_rule_is_named(bad, says):
    assert any(rule.startswith(says) for rule in broken_rules(bad)), list(broken_rules(bad))


def test_a_text_that_keeps_the_rules_passes():
    assert list(broken_rules(cell())) == []
    assert list(broken_rules(cell(action="Restez sur le côté.", **FR))) == []  # "sur" is not "sûr"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('en = "Stay away."', 'en = "Safe now."', r"held\.parked\.en: it says 'safe'"),
        (', fr = "Appelez le central." }', " }", r"actions\.\w+\.fr: Field required"),
        ("[stages.lost]", "[stages.gone]", r"stages\.gone\.\[key\]: Input should be 'normal'"),
        ('parked = "away_call_911"\n', "", r"stages\.critical\.parked: Field required"),
        ('parked = "away_call_911"', 'parked = "run"', r"actions\.run is missing"),
        ("version = 1", "version = 0", r"version: Input should be greater"),
        ("version = 1", "version =", "it is no TOML"),
    ],
)
def test_a_table_with_a_mistake_is_refused_by_name(before, after, says):
    assert before in SHIPPED
    with pytest.raises(ResponsesError, match=says):
        parse_responses(SHIPPED.replace(before, after).encode(), "mine.toml")


def approved_by(*approvals: str, texts: str | None = None) -> str:
    texts = texts or shipped_responses().texts_hash
    rows = ", ".join(f'{{ {each}, name = "Luz", on = 2026-03-01, texts = "{texts}" }}' for each in approvals)
    return SHIPPED.replace("approvals = []", f"approvals = [{rows}]")


LEAD, SPANISH = 'role = "safety lead"', 'role = "native speaker", language = "es"'


@pytest.mark.parametrize(
    ("content", "drafts"),
    [
        (SHIPPED, {"en", "es", "fr"}),
        (approved_by(LEAD), {"en", "es", "fr"}),
        (approved_by(SPANISH), {"en", "es", "fr"}),
        (approved_by(LEAD, SPANISH), {"en", "fr"}),
        (approved_by(LEAD, SPANISH, texts="0" * 64), {"en", "es", "fr"}),
        (approved_by(LEAD, SPANISH).replace("Keep your phone on.", "Keep the phone on."), {"en", "es", "fr"}),
    ],
    ids=["nobody", "no native speaker", "no safety lead", "both, for Spanish", "other texts", "changed since"],
)
def test_a_text_is_a_draft_until_both_have_approved_it_as_it_is(content, drafts):
    table = parse_responses(content.encode(), "mine.toml")
    assert {language for language in Language if table.is_draft(language)} == drafts
