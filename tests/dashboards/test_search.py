"""Searches over history, and samples judged once more, through the application over a real registry and store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from alerts.grouping import gathering
from dashboards.app import create_app
from dashboards.trips import open_trip
from packwatch.expecting import RulesExpectations
from registry.records import AlertEvent
from registry.response_kinds import Language

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)


@pytest.fixture
def app(parts, registry, history):
    return create_app(**parts, expectations=RulesExpectations(registry, history))


@pytest.fixture
def enrolled(registry, enrolment):
    registry.enrol(enrolment(bound_from=NOW - timedelta(days=3)), NOW)
    return registry


async def test_trips_of_a_pack_are_those_of_the_vehicles_that_carried_it(person, enrolled, enrolment):
    other = {"gateway_id": "gateway-2", "vehicle_id": "truck-2", "vehicle_name": "Truck 2", "unit_id": "unit-2"}
    enrolled.enrol(enrolment(pack_id="pack-2", **other), NOW)
    for number, vehicle_id in enumerate(("truck-1", "truck-2")):
        open_trip(enrolled, vehicle_id=vehicle_id, driver_name=f"Driver {number}", language=Language.EN, now=NOW)
    found = (await person.get("/api/packs/pack-1/trips")).json()
    assert [(trip["vehicle_id"], trip["driver_name"], trip["closed_at_ms"]) for trip in found] == [
        ("truck-1", "Driver 0", None)
    ]
    assert (await person.get("/api/packs/nobody/trips")).status_code == 404


async def test_incidents_of_a_chemistry(person, enrolled, make_alert):
    alert = make_alert(pack_id="pack-1")
    event = AlertEvent(
        alert_id=alert.alert_id, at=alert.raised_at, action="raise", to_state=alert.state, level=alert.level
    )
    enrolled.raise_alert(alert, event, gather=gathering)
    of = {word: (await person.get(f"/api/search/incidents?chemistry={word}")).json() for word in ("nmc", "lfp")}
    assert (len(of["nmc"]), len(of["lfp"])) == (1, 0)
    assert (await person.get("/api/search/incidents?chemistry=cheese")).status_code == 422


async def test_packs_that_ever_were_hot(person, enrolled, enrolment, store, make_batch):
    """The unit watched another pack from noon on: each pack has its own heat of that day."""
    midnight_ms = NOW_MS // DAY_MS * DAY_MS
    noon_ms = midnight_ms - DAY_MS // 2
    second = enrolment(pack_id="pack-2", bound_from=datetime.fromtimestamp(noon_ms / 1000, UTC))
    enrolled.enrol(second, NOW)
    for at_ms, hottest_c in ((midnight_ms - 2 * DAY_MS, 71.0), (noon_ms - 1000, 66.0), (noon_ms + 1000, 80.5)):
        store.append([make_batch([[20, 21, hottest_c]], at_ms=at_ms)])
    found = (await person.get("/api/search/hot-packs?above_c=60")).json()
    assert [(pack["pack_id"], pack["hottest_c"], pack["days"]) for pack in found] == [
        ("pack-2", 80.5, 1),
        ("pack-1", 71.0, 2),
    ]
    assert found[1]["day_ms"] == midnight_ms - 2 * DAY_MS
    later = (await person.get(f"/api/search/hot-packs?above_c=60&from_ms={midnight_ms - DAY_MS}")).json()
    assert [(pack["pack_id"], pack["hottest_c"]) for pack in later] == [("pack-2", 80.5), ("pack-1", 66.0)]
    assert (await person.get("/api/search/hot-packs?above_c=nan")).status_code == 422


async def test_a_probe_that_warms_stands_above_what_is_expected_of_it(person, enrolled, store, make_batch):
    """Probe 2 is 0.5 degC warmer from the beginning, which is its own; then it rises by 8 degC."""
    minutes = np.arange(-420, 0)
    rows = 20 + np.random.default_rng(3).normal(0, 0.05, (len(minutes), 6))
    rows[:, 1] += 0.5
    rows[-20:, 1] += np.linspace(0.4, 8, 20)
    store.append([make_batch(rows, at_ms=NOW_MS - 60_000, step_ms=60_000)])
    found = (await person.get(f"/api/packs/pack-1/judgement?from_ms={NOW_MS - 3_600_000}&to_ms={NOW_MS}")).json()
    assert found["unit_id"] == "unit-1"
    assert len(found["t_ms"]) == len(found["level"]) == len(found["expected"][1]) == 60
    assert found["expected"][1][-1] == pytest.approx(20.5, abs=0.4)
    assert found["above_others"][1][-1] > 4
    assert abs(found["above_others"][0][-1]) < 1
    assert (found["level"][0], found["level"][-1] in {"warning", "critical"}) == ("normal", True)


@pytest.mark.parametrize(
    ("query", "status"),
    [("from_ms=5&to_ms=5", 422), ("from_ms=9999999999999999", 422), ("points=0", 422), ("colour=red", 422)],
)
async def test_absurd_stretches_are_refused(person, enrolled, query, status):
    assert (await person.get(f"/api/packs/pack-1/judgement?{query}")).status_code == status


async def test_what_nobody_watched_is_judged_as_nothing(person, enrolled):
    found = (await person.get("/api/packs/pack-1/judgement?from_ms=0&to_ms=1000")).json()
    assert (found["unit_id"], found["t_ms"], found["expected"]) == (None, [], [])
    quiet = (await person.get("/api/packs/pack-1/judgement")).json()
    assert (quiet["t_ms"], quiet["level"]) == ([], [])
