"""`packwatch audit`: an export that anybody can check, and what it says of one that was touched."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from typer.testing import CliRunner

from packwatch.cli import app
from registry.audit import PROGRAM, Action
from registry.registry import Registry

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def audit(tmp_path, monkeypatch):
    """`audit("verify", ...)`: exit code and output, on a data directory with a log of five rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PACKWATCH_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    registry = Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}")
    for number in range(5):
        detail = {"said": f"caf\N{LATIN SMALL LETTER E WITH ACUTE}\n {number}"}
        registry.append_audit(
            [Action(actor=PROGRAM, action="comment", subject=f"alert/{number}", at=NOW, detail=detail)]
        )
    registry.close()

    def run(*words):
        result = CliRunner().invoke(app, ["audit", *map(str, words)])
        return result.exit_code, result.output

    return run


@pytest.fixture
def exported(audit, tmp_path):
    """An export as lines."""
    assert audit("export", "--output", "log.jsonl")[0] == 0
    return (tmp_path / "log.jsonl").read_text().splitlines()


def test_the_log_and_its_export_are_checked_and_their_end_is_told(audit, exported, tmp_path):
    end = json.loads(exported[4])["hash"]
    assert audit("verify") == (0, f"the audit log: every row is as it was written (5 rows; it ends with 5:{end})\n")
    assert audit("verify", "log.jsonl", "--noted", f"5:{end}")[0] == 0
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["data", "log.jsonl"]


def test_an_export_can_be_checked_without_packwatch(exported):
    previous = "0" * 64
    for line in exported[:5]:
        row = json.loads(line)
        found = row.pop("hash")
        signed = json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        assert (sha256(signed).hexdigest(), row["previous"]) == (found, previous)
        previous = found
    assert json.loads(exported[5]) == {"rows": 5, "end": previous}


TOUCHED = {
    "a letter": (lambda lines: [lines[0], lines[1].replace("comment", "Comment"), *lines[2:]], "row 2 was altered"),
    "white space": (lambda lines: [lines[0], lines[1].replace(":", ": ", 1), *lines[2:]], "row 2 was altered"),
    "a doubled key": (lambda lines: [lines[0].replace("{", '{"action":"shelve",', 1), *lines[1:]], "row 1 was altered"),
    "no JSON": (lambda lines: [*lines[:3], "hello", *lines[4:]], "row 4 was altered"),
    "a row less": (lambda lines: [*lines[:2], *lines[3:]], "row 3 was removed"),
    "a row more": (lambda lines: [*lines[:3], *lines[2:]], "row 3 was added"),
    "another order": (lambda lines: [*lines[:1], lines[2], lines[1], *lines[3:]], "row 2 was reordered"),
    "the last row": (lambda lines: [*lines[:4], lines[5]], "row 5 was removed, and all after it"),
    "the end": (lambda lines: lines[:5], "row 6 was removed, or more: the line that ends the log is missing"),
    "half a line": (lambda lines: [*lines[:4], lines[4][:40]], "row 5 was altered"),
    "a row after the end": (lambda lines: [*lines, lines[4]], "after row 5 stands what is no end"),
    "a shorter end": (lambda lines: [*lines[:5], lines[5].replace('"rows":5', '"rows":4')], "row 5 was added"),
    "another end": (lambda lines: [*lines[:5], re.sub("[0-9a-f]{64}", "0" * 64, lines[5])], "row 5 was altered or"),
    "an empty file": (lambda _: [], "row 1 was removed, or more"),
}


@pytest.mark.parametrize("name", TOUCHED)
def test_the_first_row_that_was_touched_is_named(audit, exported, tmp_path, name):
    touch, says = TOUCHED[name]
    lines = touch(exported)
    assert lines != exported
    (tmp_path / "touched.jsonl").write_text("".join(f"{line}\n" for line in lines))
    code, said = audit("verify", "touched.jsonl")
    assert code == 1
    assert says in said


def test_a_hash_that_was_noted_tells_of_another_log(audit, exported):
    code, said = audit("verify", "log.jsonl", "--noted", f"2:{'a' * 64}")
    assert (code, "row 2 is not the one that was noted" in said) == (1, True)
    code, said = audit("verify", "--noted", "2")
    assert (code, "--noted '2' is no row's number" in said) == (1, True)


def test_what_is_not_there_is_named(audit, monkeypatch, tmp_path):
    assert audit("verify", "none.jsonl")[0] == 1
    monkeypatch.setenv("PACKWATCH_DATA_DIR", str(tmp_path / "elsewhere"))
    code, said = audit("export", "--output", "log.jsonl")
    assert (code, "is no data directory" in said) == (1, True)
