"""The words of the driver's page and of the emergency papers keep the response table's rules."""

import json
from pathlib import Path

import pytest

from alerts.response_rules import forbidden_in
from dashboards.us_rules import us_rules
from registry.response_kinds import Language

WORDS = Path(__file__).parents[2] / "dashboards" / "web" / "src" / "driver" / "words.json"


@pytest.mark.parametrize("language", list(Language))
def test_no_word_of_the_drivers_page_is_forbidden(language):
    words = json.loads(WORDS.read_text())
    assert words[language].keys() == words[Language.EN].keys()
    for key, text in words[language].items():
        assert text, key
        assert list(forbidden_in(text, language)) == [], key


def test_the_check_would_find_one():
    assert list(forbidden_in("It is safe: open it", Language.EN)) == ["safe", "open"]


def test_nor_is_one_of_what_responders_and_dispatchers_are_told():
    rules = us_rules()
    told = [fact.text for fact in rules.sheet.facts]
    told += [rules.calling.driver_calls, rules.calling.ask_transfer, rules.calling.county_unknown]
    for text in told:
        assert list(forbidden_in(text, Language.EN)) == [], text
