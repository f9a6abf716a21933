"""The main job: a measured runaway travels as a unit's frames through everything, and raises the alarm in time."""

import csv
import json
import re
from datetime import datetime

import numpy as np
import pytest

from telemetry.traces import parse_trace

from stage import NAME, TRACES, Packwatch, claim, eventually

PACK = "heater-30"
RUNAWAY_AT_S = 1701.0
HALF_STEP_C = 0.025


@pytest.fixture(scope="module")
def recording():
    path = TRACES / "heater_30_cells.csv"
    return parse_trace(path.read_text(), path.stem)


@pytest.fixture(scope="module")
def replayed(packwatch, recording) -> Packwatch:
    said = packwatch.command("replay", TRACES / "heater_30_cells.csv", "--pack", PACK, "--speed", "max").stdout
    assert "6,082 samples" in said
    assert "136 rows without a time" in said
    return packwatch


def stored(packwatch, path):
    packwatch.command("export", "--pack", PACK, "--output", path)
    return path


def test_every_sample_is_in_the_store_once_and_equal_within_half_a_step(replayed, recording, tmp_path):
    def all_rows():
        with stored(replayed, tmp_path / "stored.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return rows if len(rows) >= len(recording) else None

    rows = eventually(all_rows, 30, "6,082 stored rows")
    assert len(rows) == len(recording) == 6082
    times = np.array([datetime.fromisoformat(row["sampled_at"]).timestamp() for row in rows])
    assert np.all(np.diff(times) > 0)
    np.testing.assert_allclose(times - times[0], recording.time_s - recording.time_s[0], atol=0.0006)
    names = [f"temperature_{probe}_c" for probe in range(1, 10)]
    found = np.array([[float(row[name]) if row[name] else np.nan for name in names] for row in rows])
    expected = recording.temperatures_c
    assert np.count_nonzero(np.isnan(expected)) == 459
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert np.nanmax(np.abs(found - expected)) <= HALF_STEP_C + 1e-4  # float32 has 6e-5 degC at 1,079 degC
    assert np.nanmax(found) > 1078


def levels_at_s(packwatch, pack: str, path) -> dict[str, float]:
    """When each level of the pack's only alert came, in the recording's seconds."""

    def runaway():
        alerts = json.loads(packwatch.command("alert-log", "--pack", pack, "--json").stdout)
        return alerts if alerts and alerts[0]["peak_level"] == "runaway" else None

    (alert,) = eventually(runaway, what="an alert that has reached runaway")
    assert alert["provenance"] == "replayed"
    packwatch.command("export", "--pack", pack, "--output", path)
    with path.open(newline="") as file:
        began = datetime.fromisoformat(next(csv.DictReader(file))["sampled_at"]).timestamp()
    with packwatch.client() as client:
        events = client.get(f"/api/alerts/{alert['alert_id']}/events")
    found: dict[str, float] = {}
    for event in events:
        if event["sampled_at_ms"] is not None:
            found.setdefault(event["level"], event["sampled_at_ms"] / 1000 - began)
    return found


def test_critical_is_raised_before_the_recorded_runaway_at_any_replay_speed(replayed, tmp_path):
    fastest = levels_at_s(replayed, PACK, tmp_path / "fastest.csv")
    assert fastest["warning"] < RUNAWAY_AT_S - 20 * 60
    assert fastest["warning"] < fastest["critical"] < RUNAWAY_AT_S - 8 * 60
    slower = "heater-30-slower"
    replayed.command("replay", TRACES / "heater_30_cells.csv", "--pack", slower, "--speed", 1500)
    assert levels_at_s(replayed, slower, tmp_path / "slower.csv") == pytest.approx(fastest, abs=0.002)


def test_the_page_shows_it_and_an_acknowledgement_there_is_stored(replayed, page):
    claim(page, replayed)
    banner = page.get_by_test_id("alarm-banner").first
    banner.wait_for()
    assert PACK in banner.inner_text()
    row = page.locator(f'[data-testid="pack-row"][data-pack-id="{PACK}"]')
    row.wait_for()
    assert re.search("replayed", row.inner_text(), re.IGNORECASE)
    page.get_by_test_id("acknowledge").first.click()
    page.get_by_test_id("acknowledge-confirm").click()

    def acknowledged():
        alerts = json.loads(replayed.command("alert-log", "--pack", PACK, "--json").stdout)
        return [alert for alert in alerts if alert["acknowledged_by"]]

    alert = eventually(acknowledged, what="a stored acknowledgement")[0]
    assert alert["acknowledged_by"] == NAME
    assert alert["state"] == "acknowledged"


def test_a_bundle_of_it_verifies(replayed, tmp_path):
    bundle = stored(replayed, tmp_path / "heater.zip")
    said = replayed.command("verify", bundle, data_dir=False).stdout
    assert "samples.parquet" in said
    assert "all 2 files are as the manifest says" in said
