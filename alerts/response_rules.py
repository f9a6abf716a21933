"""What no text of the response table may say, and what some must: rules over words, in three languages.

A forbidden word is forbidden even when it is denied: whoever glances for a second may miss the "not".
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from registry.response_kinds import Language, Situation, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.response_kinds import Cell

SENTENCE_WORDS_MOST = 5
SENTENCE_LETTERS_MOST = 30
ACTION_WORDS_MOST = 8
ACTION_LETTERS_MOST = 42
"""One glance each. Silent reading goes at 238 words a minute, so about four in a second (Brysbaert 2019); that a fifth
short one fits is **assumed**, as is that an action may take a second glance. Letters count blanks and points."""

FORBIDDEN: dict[Language, tuple[str, ...]] = {
    Language.EN: (
        "safe", "all clear", "clear", "no danger", "harmless", "open", "inspect", "check", "examine", "look in", "cool",
        "hose", "water", "extinguish", "unload", "enter", "re-enter", "reenter", "go back", "go in", "return", "touch",
    ),
    Language.ES: (
        "segur", "a salvo", "sin peligro", "sin riesgo", "fuera de peligro", "todo bien", "despejad", "inofensiv",
        "abra", "abre", "abri", "inspeccion", "revis", "examin", "mire", "enfri", "refrigere", "refrigerar", "agua",
        "apag", "extin", "descarg", "entre", "entra", "reingres", "regres", "vuelv", "volver", "toque", "tocar",
    ),
    Language.FR: (
        "sûr", "sécuri", "sans danger", "sans risque", "hors de danger", "tout va bien", "fin d'alerte", "inoffensi",
        "ouvr", "inspect", "vérifi", "examin", "regard", "refroid", "eau", "étein", "extinct", "décharg", "entre",
        "entrez", "rentr", "retourn", "reven", "touch",
    ),
}  # fmt: skip
"""Beginnings of words: "safe" and "all clear" with what they mean elsewhere; open, inspect, cool, unload, re-enter."""
_ACCENT_COUNTS = {"sûr"}
"""Without its accent it is another word: "sur", on."""

DRIVING_ON: dict[Language, tuple[str, ...]] = {
    Language.EN: ("carry on", "drive on", "keep driving", "continue"),
    Language.ES: ("siga", "continú"),
    Language.FR: ("roulez", "continu"),
}
CALLING: dict[Language, tuple[str, ...]] = {
    Language.EN: ("call", "phone", "text", "911"),
    Language.ES: ("llam", "teléfono", "911"),
    Language.FR: ("appel", "téléphon", "911"),
}
FIRE_SERVICE = {Language.EN: "wait for the fire service", Language.ES: "espere a los bomberos",
                Language.FR: "attendez les pompiers"}  # fmt: skip
STAY_AWAY = {Language.EN: "stay away", Language.ES: "manténgase lejos", Language.FR: "restez à distance"}
BURNING = {Language.EN: "treat as burning", Language.ES: "actúe como si ardiera", Language.FR: "considérez-la en feu"}

FROM_CRITICAL = (Stage.CRITICAL, Stage.RUNAWAY, Stage.HELD, Stage.LOST)
ON_THE_ROAD = (Situation.DRIVING, Situation.TUNNEL)


def broken_rules(cell: Cell) -> Iterator[str]:
    """Each rule that a cell breaks, as a sentence."""
    both = f"{cell.sentence} {cell.action}".casefold()
    for word in forbidden_in(both, cell.language):
        yield f"it says {word!r}"
    if cell.stage in FROM_CRITICAL:
        for word in _found(DRIVING_ON[cell.language], both):
            yield f"it says {word!r}, from critical on"
    if cell.situation in ON_THE_ROAD:
        for word in _found(CALLING[cell.language], both):
            yield f"it says {word!r} to somebody who drives (49 CFR 392.80, 392.82)"
    required = {Stage.HELD: (STAY_AWAY, FIRE_SERVICE), Stage.LOST: (BURNING,)}
    for words in required.get(cell.stage, ()):
        if words[cell.language] not in both:
            yield f"it does not say {words[cell.language]!r}"
    yield from _too_long("sentence", cell.sentence, SENTENCE_WORDS_MOST, SENTENCE_LETTERS_MOST)
    yield from _too_long("action", cell.action, ACTION_WORDS_MOST, ACTION_LETTERS_MOST)


def forbidden_in(text: str, language: Language) -> Iterator[str]:
    """Each forbidden word of a text, which may be another than the table's."""
    return _found(FORBIDDEN[language], text.casefold())


def _found(beginnings: tuple[str, ...], text: str) -> Iterator[str]:
    for beginning in beginnings:
        fold = str if beginning in _ACCENT_COUNTS else _without_accents
        if re.search(rf"(?<!\w){re.escape(fold(beginning))}", fold(text)):
            yield beginning


def _without_accents(text: str) -> str:
    """A verb changes its accents with its person, and capitals often lose theirs."""
    return "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))


def _too_long(which: str, text: str, words_most: int, letters_most: int) -> Iterator[str]:
    words = len(re.findall(r"[\w'-]+", text))
    if not words:
        yield f"its {which} is empty"
    if words > words_most or len(text) > letters_most:
        found = f"{words} words and {len(text)} letters"
        yield f"its {which} has {found}; one glance takes in {words_most} and {letters_most}"
