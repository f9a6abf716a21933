"""`packwatch rules`: what it says of a file, of tests, and of what was in force."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from packwatch.cli import app
from registry.records import RulesChange
from registry.registry import Registry


@pytest.fixture
def rules(tmp_path, monkeypatch):
    """`rules("check", ...)`: exit code and output, on a data directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PACKWATCH_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()

    def run(*words):
        result = CliRunner().invoke(app, ["rules", *map(str, words)])
        return result.exit_code, result.output

    return run


def test_a_good_file_is_said_to_be_one_and_how_it_differs(rules, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("version = 2\n[ceilings.warning]\nat_c = 58\n")
    code, said = rules("check", file)
    assert code == 0
    assert re.fullmatch(
        rf"{file}: version 2 \([0-9a-f]{{12}}\) can be used\n  ceilings\.warning\.at_c: 60 -> 58\n", said
    )


def test_every_mistake_is_said(rules, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("version = 2\nx = 1\n[ceilings.warning]\nat_c = 61\n")
    code, said = rules("check", file)
    assert code == 1
    assert f"{file}: ceilings.warning.at_c is 61: allowed is a number from 45 to 60" in said
    assert f"{file}: x is no key of the rules" in said


def test_without_a_file_it_is_that_of_the_settings_else_the_shipped_one(rules, tmp_path):
    assert rules("check")[1].startswith("the rules that Packwatch ships: version ")
    (tmp_path / "data" / "rules.toml").write_text("version = 7")
    assert "rules.toml: version 7" in rules("check")[1]
    assert rules("check", tmp_path / "none.toml")[0] == 1


def test_what_is_shown_can_be_used(rules, tmp_path):
    code, shown = rules("show")
    (tmp_path / "shown.toml").write_text(shown)
    assert code == 0
    assert rules("check", tmp_path / "shown.toml")[0] == 0


def test_tests_pass_by_some_rules_and_fail_by_others(rules, tmp_path):
    test, careful = tmp_path / "test.toml", tmp_path / "careful.toml"
    test.write_text(
        '[[test]]\nname = "59 degC"\ntemperatures_c.others = "30 for 1 h, to 59 in 4 h"\nexpect = ["warning by 5 h"]\n'
    )
    careful.write_text("version = 2\n[ceilings.warning]\nat_c = 58\n")
    assert rules("test", test, "--rules", careful)[0] == 0
    code, said = rules("test", test)
    assert code == 1
    assert "FAILED  test.toml: 59 degC\n    warning by 5 h: it never came\n" in said
    assert re.search(r"0 passed, 1 failed, by the rules that Packwatch ships, version \d+", said)


def test_a_test_file_with_a_mistake_is_named(rules, tmp_path):
    (tmp_path / "test.toml").write_text("[[test]]\n")
    code, said = rules("test", "test.toml")
    assert code == 1
    assert "test.toml: test.0.name: Field required" in said


def test_the_log_says_who_changed_what_when(rules, tmp_path):
    registry = Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}")
    registry.add_rules_change(
        RulesChange(
            at=datetime(2026, 3, 1, 12, tzinfo=UTC), actor="Ana", source="/etc/rules.toml", version=2,
            content_hash="ab" * 32, changes=["ceilings.warning.at_c: 60 -> 58"], note="hot", content=b"",
        )
    )  # fmt: skip
    registry.close()
    assert rules("log")[1] == (
        "2026-03-01 12:00:00 UTC  version 2 (abababababab)\n    by Ana, from /etc/rules.toml: hot\n"
        "    ceilings.warning.at_c: 60 -> 58\n"
    )
