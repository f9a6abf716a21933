"""What pages say: a file of texts with a mistake is refused by name, and every text keeps to what may be said."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from alerts.paging.texts import TextsError, parse_texts, shipped_texts
from alerts.response_rules import forbidden_in
from registry.response_kinds import Language

DRILL_PAGE = (Path(__file__).parents[2] / "dashboards/web/src/drill/words.ts").read_text()
SHIPPED = (files("alerts.paging") / "texts.toml").read_text()


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('drill_link = "Confirme aquí: {link}"', "", "t: es.drill_link: Field required"),
        (
            'at = "Desde {time}"',
            'at = "Desde ayer"',
            "t: es.at must fill in time, not none",
        ),
        (
            'why = "Vous recevez ce message parce que : {reason}."',
            'why = "Vous recevez ce message de {name}."',
            "t: fr.why must fill in reason, not name",
        ),
        ('runaway = "FUEGO"', "", "t: es.levels.runaway is missing"),
        ('runaway = "FIRE"', 'runaway = "FIRE"\nfire = "x"', "en.levels.fire"),
        ("[fr]", "[de]", "t: fr.subject: Field required"),
        ("[en]", "[en", "t: it is no TOML"),
    ],
    ids=[
        "a text is missing",
        "a word to fill in is missing",
        "a word that nobody knows",
        "a level has no word",
        "a level that there is not",
        "a language is missing",
        "it is no TOML",
    ],
)
def test_a_file_with_a_mistake_is_refused_and_names_it(before: str, after: str, says: str) -> None:
    assert before in SHIPPED
    with pytest.raises(TextsError) as refused:
        parse_texts(SHIPPED.replace(before, after, 1).encode(), "t")
    assert says in str(refused.value)


def test_several_mistakes_are_named_together() -> None:
    content = SHIPPED.replace("Desde {time}", "Desde ayer").replace("Mesuré : {reasons}", "Mesuré : {why}")
    with pytest.raises(TextsError) as refused:
        parse_texts(content.encode(), "t")
    assert str(refused.value).splitlines() == [
        "t: es.at must fill in time, not none",
        "t: fr.reasons must fill in reasons, not why",
    ]


@pytest.mark.parametrize("language", list(Language))
def test_each_language_marks_a_drill_as_one_and_asks_for_a_proof(language: Language) -> None:
    words = shipped_texts().by_language[language]
    mark = {"en": "drill", "es": "simulacro", "fr": "exercice"}[language]
    assert mark in words.drill.lower()
    assert mark in words.spoken_drill.lower()
    assert "1" in words.spoken_drill


@pytest.mark.parametrize("language", list(Language))
def test_no_text_of_a_page_or_of_a_drill_calls_anything_safe_or_sends_anybody_to_the_load(language: Language) -> None:
    words = shipped_texts().by_language[language].model_dump(mode="json")
    said = [*words.pop("levels").values(), *words.values()]
    page = re.search(rf"  {language}: {{(.*?)\n  }},", DRILL_PAGE, re.DOTALL)
    assert page is not None
    said += re.findall(r"\"([^\"]+)\"", page[1])
    assert len(said) > 20
    assert [(text, word) for text in said for word in forbidden_in(text, language)] == []
