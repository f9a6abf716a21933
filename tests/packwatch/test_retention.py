"""Samples of incidents outlive their retention, back to the start of the trip."""

from __future__ import annotations

from datetime import timedelta

import pytest

from packwatch.retention import hold_incidents
from registry.response_kinds import Language
from registry.trip_records import Trip

from case_stage import NOW, NOW_MS, heat, make_case

DAY_MS = 86_400_000


@pytest.fixture
def case(tmp_path):
    made = make_case(tmp_path)
    yield made
    made.close()


def test_what_an_incident_spans_is_held_and_the_rest_goes(case):
    heat(case.store, until_ms=NOW_MS - 36 * 3_600_000)
    assert hold_incidents(case.store, case.registry, NOW_MS) == 1
    assert case.store.delete_before(NOW_MS + 30 * DAY_MS) == 540
    kept = case.store.read("unit-1", 0, NOW_MS + 1, 2000)
    assert (kept.rows, int(kept.at_ms[-1])) == (540, NOW_MS)


def test_the_hold_reaches_back_to_the_start_of_the_trip(case):
    case.registry.open_trip(
        Trip(
            trip_id="t1",
            vehicle_id="truck-1",
            driver_name="Rosa",
            language=Language.EN,
            nonce="n",
            opened_at=NOW - timedelta(hours=40),
            link_until=NOW,
        )
    )
    heat(case.store, until_ms=NOW_MS - 36 * 3_600_000)
    hold_incidents(case.store, case.registry, NOW_MS)
    assert case.store.delete_before(NOW_MS + 30 * DAY_MS) == 0


def test_an_open_incidents_hold_grows_by_days_and_replaces_the_one_before(case):
    hold_incidents(case.store, case.registry, NOW_MS)
    (first,) = case.store.holds()
    assert hold_incidents(case.store, case.registry, NOW_MS + 3_600_000) == 0
    assert hold_incidents(case.store, case.registry, NOW_MS + DAY_MS) == 1
    (grown,) = case.store.holds()
    assert (grown.start_ms, grown.end_ms) == (first.start_ms, first.end_ms + DAY_MS)
