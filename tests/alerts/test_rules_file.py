"""Rules as a file: what is refused, in which words, and what changed between two of them."""

from __future__ import annotations

import hashlib
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from alerts.detector.rules import default_rules
from alerts.rules import RULES
from alerts.rules_file import FIGURES_MAY_DIFFER, RulesError, changes_between, parse_rules, shipped_rules
from registry.kinds import Chemistry, PackClass

ROOT = Path(__file__).parents[2]
LOWERED = "a ceiling may be lowered, never raised"


def test_the_shipped_file_says_every_key_and_is_what_holds_without_a_file():
    shipped = shipped_rules()
    assert shipped.rules == RULES
    written = tomllib.loads((files("alerts.detector") / "rules.toml").read_text())
    assert parse_rules(b"version = 1", "empty").values == shipped.values
    assert sorted(shipped.values) == sorted(keys_of(written))


def keys_of(table, prefix=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from keys_of(value, f"{prefix}{key}.")
        elif prefix:
            yield f"{prefix}{key}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "r.toml: version is missing: allowed is a whole number from 1 on, raised with each change"),
        ("version = 0", "r.toml: version is 0: allowed is a whole number from 1 to 2147483647"),
        ("version = true", "r.toml: version is True: allowed is a whole number from 1 to 2147483647"),
        ("ver sion", "r.toml: it is no TOML: Expected '=' after a key in a key/value pair (at line 1, column 5)"),
        (
            "[ceilings.warning]\nat_c = 65",
            f"r.toml: ceilings.warning.at_c is 65: allowed is a number from 45 to 60: {LOWERED}",
        ),
        (
            "[ceilings.critical]\nat_c = 80.5",
            f"r.toml: ceilings.critical.at_c is 80.5: allowed is a number from 50 to 80: {LOWERED}",
        ),
        (
            "[ceilings.warning]\nat_c = '60'",
            f"r.toml: ceilings.warning.at_c is '60': allowed is a number from 45 to 60: {LOWERED}",
        ),
        (
            "[ceilings.warnin]\nat_c = 60",
            "r.toml: ceilings.warnin is no key of the rules: allowed here are warning, critical",
        ),
        (
            "[ceilings.warning]\nat_c = 50",
            "r.toml: ceilings.warning.clears_below_c is 55: allowed is below at_c, 50",
        ),
        (
            "[ceilings.warning]\nat_c = 60\n[ceilings.critical]\nat_c = 60",
            "r.toml: ceilings.critical.at_c is 60: allowed is above warning.at_c, 60",
        ),
        ("ceilings = 3", "r.toml: ceilings is 3: allowed is a table"),
        (
            "[ceilings.warning]\nclears_after_s = 1",
            "r.toml: ceilings.warning.clears_after_s is 1: allowed is a number from 60 to 86400",
        ),
        ("[runaway]\nrate_c_per_s = nan", "r.toml: runaway.rate_c_per_s is nan: allowed is a number from 0.2 to 1"),
        ("[spatial]\nfewest_probes = 0", "r.toml: spatial.fewest_probes is 0: allowed is a whole number from 1 to 12"),
        ("[caution]\nold = 1", "r.toml: caution.old is no key of the rules: allowed here are " + ", ".join(PackClass)),
        ("[caution]\nmid_life = 0.1", "r.toml: caution.mid_life is 0.1: allowed is a number from 0.5 to 4"),
        (
            "[gas]\nclear_ratio = 9\nstrong_ratio = 8",
            "r.toml: gas.clear_ratio is 9: allowed is up to strong_ratio, 8",
        ),
        ("[runaway]\nlonger_than_s = 4", "r.toml: runaway.longer_than_s is 4: allowed is a number from 1 to 3"),
    ],
)
def test_a_mistake_is_named_by_file_key_what_was_found_and_what_is_allowed(text, says):
    with pytest.raises(RulesError, match=f"^{re.escape(says)}$"):
        parse_rules((text if "ver" in text else f"version = 2\n{text}").encode() if text else b"", "r.toml")


def test_every_mistake_is_named_at_once():
    with pytest.raises(RulesError) as refused:
        parse_rules(b"version = 0\nx = 1\n[gaps]\nlongest_intervals = 99", "r.toml")
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize("content", [b"\xff\xfe", b"version = 1 # " + b"x" * 70_000])
def test_what_is_no_text_or_too_long_is_refused(content):
    with pytest.raises(RulesError, match=r"^r\.toml: "):
        parse_rules(content, "r.toml")


def test_rules_carry_version_hash_author_note_and_what_differs():
    content = b"version = 7\nauthor = 'Ana'\nnote = 'hot summer'\n[ceilings.warning]\nat_c = 58\n"
    loaded = parse_rules(content, "r.toml")
    assert (loaded.version, loaded.author, loaded.note) == (7, "Ana", "hot summer")
    assert loaded.content_hash == hashlib.sha256(content).hexdigest()
    assert loaded.name == f"version 7 ({loaded.content_hash[:12]})"
    assert [ceiling.at_c for ceiling in loaded.rules.ceilings] == [58.0, 80.0]
    assert changes_between(shipped_rules(), loaded) == ["ceilings.warning.at_c: 60 -> 58"]
    assert changes_between(loaded, loaded) == []


def test_the_detectors_figures_may_be_set_one_by_one_within_a_factor():
    """A figure that is left out keeps the shipped value, and so does each profile."""
    shipped = default_rules()
    most = FIGURES_MAY_DIFFER * shipped.spatial.window_s
    content = f"version = 9\n[spatial]\nwindow_s = {most}\n[caution]\nmid_life = 1.5\n"
    detector = parse_rules(content.encode(), "r.toml").rules.detector
    assert (detector.version, detector.spatial.window_s, detector.spatial.grades) == (9, most, shipped.spatial.grades)
    changed = [one.pack_class for one, other in zip(detector.profiles, shipped.profiles, strict=True) if one != other]
    assert changed == [PackClass.MID_LIFE] * len(Chemistry)
    with pytest.raises(RulesError, match=r"spatial\.window_s is"):
        parse_rules(f"version = 9\n[spatial]\nwindow_s = {1.01 * most}\n".encode(), "r.toml")


def test_every_key_is_documented():
    documented = set(re.findall(r"`([a-z_.]+)`", (ROOT / "docs" / "rules.md").read_text()))
    keys = {*shipped_rules().values, "version", "author", "note"}
    assert {key for key in keys if not {key, key.rpartition(".")[2]} & documented} == set()
