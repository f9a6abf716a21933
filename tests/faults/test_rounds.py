"""Rounds as `make faults` runs them: a store that was broken on purpose is found out, and the fixed seeds pass."""

import json
import subprocess
import sys
from pathlib import Path

from faultline.plan import Kind, Store, make_plan
from faultline.sabotage import Sabotage

RUN = Path(__file__).with_name("run.py")


def rounds(tmp_path, *options: object, seconds: float = 300.0) -> dict:
    """What the program reports of these rounds."""
    done = subprocess.run(
        [sys.executable, RUN, "--folder", tmp_path, *map(str, options)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    report["said"] = done.stdout + done.stderr
    return report


def test_a_store_that_was_broken_on_purpose_is_found_out(tmp_path):
    report = rounds(tmp_path, "--calm", "--stores", "duckdb", "--rounds", len(Sabotage), "--sabotage", *Sabotage)
    assert report["passed"] == 0
    for seed, sabotage in enumerate(Sabotage, start=1):
        assert sabotage in report["findings"][str(seed)], report["said"]


def test_without_harm_nothing_is_found(tmp_path):
    report = rounds(tmp_path, "--calm", "--rounds", 1)
    assert report["passed"] == 1, report["said"]
    assert report["samples_stored"] == report["samples_taken"] > 0
    assert not list(tmp_path.iterdir())


FIRST_SEED, ROUNDS = 24, 6
"""Five in a row have every other kind of harm, as test_plan.py shows; an outbox overflows in the first, and an
InfluxDB's disk is full in the second."""


def test_every_kind_of_harm_leaves_nothing_missing_and_nothing_twice(tmp_path):
    plans = {seed: make_plan(seed) for seed in range(FIRST_SEED, FIRST_SEED + ROUNDS)}
    assert plans[24].has(Kind.OUTBOX_OVERFLOW)
    assert plans[25].has(Kind.STORE_DISK_FULL)
    assert plans[25].store is Store.INFLUXDB
    report = rounds(tmp_path, "--seed", FIRST_SEED, "--rounds", ROUNDS, seconds=540.0)
    assert report["passed"] == ROUNDS, report["said"]
    assert set(report["harms"]) == {str(kind) for kind in Kind}
    assert report["samples_stored"] > 1000
    assert report["samples_reported_given_up"] > 0
