"""Shelves, incidents and minimum times, as tables: what each row allows, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.grouping import gathered
from alerts.life_rules import parse_life, shipped_life
from alerts.shelving import check_shelf, shelf_limit
from registry.errors import RefusedError
from registry.gathering import Whereabouts
from registry.kinds import AlertKind, AlertState, Level, PackClass
from registry.records import Alert
from telemetry.samples import Provenance

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAMAGED, OTHER = PackClass.DAMAGED, PackClass.MID_LIFE
ON_TRUCK = Whereabouts(vehicle_id="truck-7", vehicle_name="Truck 7", shipment_ids=("s-1",))
NOWHERE = Whereabouts(vehicle_id=None, vehicle_name=None, shipment_ids=())


def alert(kind=AlertKind.THERMAL, level=Level.WARNING, **given):
    fields = {
        "alert_id": "a-1",
        "fleet_id": "west",
        "pack_id": "p-1",
        "unit_id": "u-1",
        "gateway_id": "gw-1",
        "provenance": Provenance.MEASURED,
    } | given
    return Alert(
        kind=kind,
        cause="ceiling",
        level=level,
        peak_level=level,
        state=AlertState.RAISED,
        reasons=[],
        sampled_at=NOW,
        raised_at=NOW,
        **fields,
    )


SHELVES = [
    ("a pack that is merely warm, for a shift", AlertKind.THERMAL, Level.WATCH, OTHER, 720),
    ("a warning of a sound pack, for a shift", AlertKind.THERMAL, Level.WARNING, OTHER, 720),
    ("a warning of a damaged pack, for half an hour", AlertKind.THERMAL, Level.WARNING, DAMAGED, 30),
    ("of a pack whose class nobody knows: as of a damaged one", AlertKind.THERMAL, Level.WARNING, None, 30),
    ("a damaged pack that is merely warm, for a shift", AlertKind.THERMAL, Level.WATCH, DAMAGED, 720),
    ("a critical: never", AlertKind.THERMAL, Level.CRITICAL, OTHER, 0),
    ("a runaway: never", AlertKind.THERMAL, Level.RUNAWAY, DAMAGED, 0),
    ("heat at an unknown unit, for half an hour", AlertKind.UNREGISTERED, Level.WARNING, None, 30),
    ("heat at an unknown unit that is critical: never", AlertKind.UNREGISTERED, Level.CRITICAL, None, 0),
    ("a silent unit, for a shift", AlertKind.SILENCE, Level.WATCH, OTHER, 720),
    ("the silence of a damaged pack, for half an hour", AlertKind.SILENCE, Level.WARNING, DAMAGED, 30),
    ("lost coverage, for a shift", AlertKind.COVERAGE, Level.WATCH, None, 720),
    ("lost coverage of a suspicious pack: never", AlertKind.COVERAGE, Level.WARNING, None, 0),
    ("a broken probe, for a shift", AlertKind.INSTRUMENT, Level.WATCH, DAMAGED, 720),
]


@pytest.mark.parametrize(
    ("kind", "level", "pack_class", "minutes"), [row[1:] for row in SHELVES], ids=[row[0] for row in SHELVES]
)
def test_how_long_an_alert_may_be_shelved(kind, level, pack_class, minutes):
    pack_id = None if kind in {AlertKind.COVERAGE, AlertKind.UNREGISTERED} else "p-1"
    asked = alert(kind, level, pack_id=pack_id)
    limit = shelf_limit(asked, pack_class)
    assert limit is not None
    assert limit.at_most_min == minutes
    longest = NOW + timedelta(minutes=minutes)
    if minutes:
        check_shelf(asked, pack_class, now=NOW, until=longest)
        refusal = f"for {minutes} min at most: "
    else:
        refusal = "cannot be shelved: "
    with pytest.raises(RefusedError, match=refusal) as refused:
        check_shelf(asked, pack_class, now=NOW, until=longest + timedelta(seconds=1))
    assert limit.why in str(refused.value)


def test_a_shelf_ends_in_the_future():
    with pytest.raises(RefusedError, match="later than now"):
        check_shelf(alert(), OTHER, now=NOW, until=NOW)


def test_an_alert_that_was_critical_counts_as_critical():
    eased = alert()
    eased.peak_level = Level.CRITICAL
    with pytest.raises(RefusedError, match="nothing silences a critical"):
        check_shelf(eased, OTHER, now=NOW, until=NOW + timedelta(minutes=1))


GROUPS = [
    ("a pack on a truck: with the truck, then with its shipment", alert(), ON_TRUCK,
     ["heat/measured/west/vehicle/truck-7", "heat/measured/west/shipment/s-1"], "Heat on Truck 7"),
    ("an unknown unit on a truck: with the truck", alert(AlertKind.UNREGISTERED, pack_id=None), ON_TRUCK,
     ["heat/measured/west/vehicle/truck-7", "heat/measured/west/shipment/s-1"], "Heat on Truck 7"),
    ("a gateway on no known vehicle is taken for one", alert(), NOWHERE,
     ["heat/measured/west/gateway/gw-1"], "Heat on gateway gw-1"),
    ("a pack behind nothing stands alone", alert(gateway_id=None), NOWHERE,
     ["heat/measured/west/subject/p-1"], "Heat on pack p-1"),
    ("a simulated pack never meets a measured one", alert(provenance=Provenance.SIMULATED), ON_TRUCK,
     ["heat/simulated/west/vehicle/truck-7", "heat/simulated/west/shipment/s-1"], "Heat on Truck 7"),
    ("a vehicle that was lost while a pack was suspicious: with its heat", alert(AlertKind.COVERAGE), ON_TRUCK,
     ["heat/measured/west/vehicle/truck-7", "heat/measured/west/shipment/s-1"], "Heat on Truck 7"),
    ("a vehicle that was merely lost: no incident", alert(AlertKind.COVERAGE, Level.WATCH), ON_TRUCK, [], None),
    ("a silent unit: no incident", alert(AlertKind.SILENCE), ON_TRUCK, [], None),
    ("a broken probe: no incident", alert(AlertKind.INSTRUMENT, Level.WATCH), ON_TRUCK, [], None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "where", "keys", "title"), [row[1:] for row in GROUPS], ids=[row[0] for row in GROUPS]
)
def test_to_which_incident_an_alert_belongs(asked, where, keys, title):
    found = gathered(asked, where, shipped_life())
    if not keys:
        assert found is None
        return
    assert [bond.key for bond in found.bonds] == keys
    assert (found.bonds[0].title, found.cause) == (title, "heat")
    assert (found.reopens_within, found.reopens_within_latched) == (timedelta(hours=4), timedelta(days=14))


def test_what_holds_packs_of_several_trucks_together_names_itself():
    _, shipment = gathered(alert(), ON_TRUCK, shipped_life()).bonds
    assert shipment.title == "Heat on shipment s-1"


def test_every_row_says_why_and_two_weeks_are_the_least():
    text = """
        [reignition]
        days = 13
        why = "because somebody wants to go home"
    """
    with pytest.raises(ValueError, match="greater than or equal to 14"):
        parse_life(text)
    rules = shipped_life()
    rows = [*rules.shelves, *rules.groups, rules.reignition, rules.reopening, rules.coverage, rules.instrument]
    assert all(len(row.why) > 20 for row in rows)
