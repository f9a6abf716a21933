"""`make detection` on a few packs: it runs whole, and its page says what its figures say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAMILIES = ("self_heating_nmc_test", "fast_short_nmc_test", "benign_sun_test")


def test_a_few_packs_are_judged_and_written_up(tmp_path):
    figures, page = tmp_path / "detection.json", tmp_path / "detection.md"
    done = subprocess.run(
        [sys.executable, "bench/detection.py", "--quick", "--families", *FAMILIES, "--json", figures, "--page", page],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(figures.read_text())
    assert (result["events"], round(result["benign_pack_days"])) == (4, 4)
    assert json.loads(done.stdout.splitlines()[-1])["targets"] == result["targets"]
    cases = {target["case"]: target for target in result["targets"]}
    assert cases["slow self-heating and growing shorts: `warning` before runaway"]["has"].endswith("of 2")
    assert all(isinstance(each["holds"], bool) for each in result["comparison"])
    assert {each["method"] for each in result["comparison"]} == {
        "fixed 60 degC",
        "rate of 1 degC/min over 5 min",
        "10 degC above ambient",
        "3-sigma of the pack's probes",
    }
    text = page.read_text()
    for target in result["targets"]:
        assert f"| {target['case']} | {target['must']} | {target['has']} |" in text
    for family in FAMILIES:
        assert f"| {family} |" in text
    for heading in (
        "What people use today",
        "Leads by family",
        "False alarms",
        "worse reported",
        "Measured recordings",
    ):
        assert heading in text
