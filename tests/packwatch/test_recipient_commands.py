"""Whom to page, from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from packwatch.cli import app

if TYPE_CHECKING:
    from pathlib import Path

WIDE = {"COLUMNS": "200", "TERMINAL_WIDTH": "200"}


def test_a_person_with_ways_in_steps_is_listed_with_what_is_missing(tmp_path: Path) -> None:
    run = CliRunner().invoke
    folder = ["--data-dir", str(tmp_path)]
    ways = ["--way", "e-mail=ana@carrier.example", "--way", "+voice=+1 312 555 0142", "--way", "push"]
    added = run(app, ["recipients", "add", "ana", "--name", "Ana", "--role", "dispatcher", *ways, *folder], env=WIDE)
    assert added.exit_code == 0, added.output
    system = ["recipients", "add", "tms", "--name", "TMS", "--way", "webhook=https://tms.example/hook", *folder]
    assert "the webhook's secret" in run(app, system, env=WIDE).output
    listed = run(app, ["recipients", "list", *folder], env=WIDE).output
    assert "1. e-mail, 1. voice, 2. push" in listed
    assert "hold a drill" in listed
    assert "Nobody is paged" not in listed
    assert "voice: queued" in run(app, ["recipients", "drill", "ana", *folder], env=WIDE).output
    held = run(app, ["recipients", "drills", "ana", *folder], env=WIDE).output
    assert "e-mail and voice and push" in held
    assert "running" in held
    assert run(app, ["recipients", "drills", "nobody", *folder], env=WIDE).exit_code == 1
    assert run(app, ["recipients", "retire", "ana", *folder], env=WIDE).exit_code == 0
    assert "Nobody is paged" in run(app, ["recipients", "list", *folder], env=WIDE).output


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("voice=911", "no phone number with its country"),
        ("siren", "belongs to the vehicle"),
        ("pigeon=1", "is not a valid Channel"),
        ("e-mail=ana", "is no e-mail address"),
        ("webhook=http://tms.example", "go by https"),
        ("chat=nowhere", "apprise does not know"),
    ],
)
def test_a_way_that_leads_nowhere_is_refused(tmp_path: Path, way: str, says: str) -> None:
    words = ["recipients", "add", "ana", "--name", "Ana", "--role", "dispatcher", "--way", way]
    result = CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path)], env=WIDE)
    assert result.exit_code == 1
    assert says in " ".join(result.output.split())
