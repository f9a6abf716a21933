"""Lost coverage of a vehicle is one notice; a suspicious pack makes it a loud one."""

from __future__ import annotations

import pytest

from alerts.levels import Subject
from alerts.silence import SilenceWatch
from registry.kinds import AlertKind, Level, PackClass
from telemetry.samples import Provenance

VEHICLE = Subject(AlertKind.COVERAGE, "gateway-1", Provenance.MEASURED)
UNITS = ("unit-1", "unit-2", "unit-3")


@pytest.fixture
def watch(assignment, start_ms):
    watch = SilenceWatch()
    watch.assign([assignment(unit_id, pack_id=f"pack-{unit_id[-1]}") for unit_id in UNITS], start_ms)
    return watch


@pytest.fixture
def hear(watch, received):
    """`hear(5, "unit-1")`: samples of these units arrive."""

    def hear(at_s, *unit_ids):
        watch.hear([received([at_s], [25], unit_id=unit_id) for unit_id in unit_ids or UNITS])

    return hear


def told(transitions):
    return [(each.subject.kind, each.subject.id, each.level) for each in transitions]


def test_a_vehicle_of_which_nothing_is_heard_is_one_notice(watch, hear, start_ms):
    hear(5)
    assert watch.check(start_ms + 35_000) == []
    (notice,) = watch.check(start_ms + 35_001)
    assert (notice.subject, notice.level, notice.pack_id, notice.gateway_id) == (
        VEHICLE,
        Level.WATCH,
        None,
        "gateway-1",
    )
    assert notice.sampled_at_ms == start_ms + 5000
    assert notice.reasons == (
        "nothing comes from Truck 1: 3 packs not known to be guarded, unconfirmed since 08:00 UTC",
    )
    assert watch.check(start_ms + 300_000) == []


def test_units_that_were_heard_at_different_times_are_one_notice_too(watch, hear, start_ms):
    hear(1, "unit-1")
    hear(6, "unit-2")
    hear(10, "unit-3")
    assert told(watch.check(start_ms + 31_001)) == [(AlertKind.COVERAGE, "gateway-1", Level.WATCH)]
    assert watch.check(start_ms + 50_000) == []


@pytest.mark.parametrize("alive", ["another unit", "its position", "its own engine", "late samples"])
def test_one_silent_unit_of_a_vehicle_that_is_heard_is_a_silent_unit(watch, hear, received, start_ms, alive):
    hear(5)
    match alive:
        case "another unit":
            hear(30, "unit-2", "unit-3")
        case "its position":
            watch.hear_vehicle("gateway-1", start_ms + 30_000)
        case "its own engine":
            watch.hear_vehicle("gateway-1", start_ms + 30_000, guarded=True)
        case "late samples":
            watch.hear([received([1], [25], historical=True, received_at_ms=start_ms + 30_000)])
    kinds = {each.subject.kind for each in watch.check(start_ms + 35_001)}
    assert kinds == {AlertKind.SILENCE}


def test_the_notice_says_who_watches_on(watch, hear, start_ms):
    hear(5)
    watch.hear_vehicle("gateway-1", start_ms + 5000, guarded=True)
    (notice,) = watch.check(start_ms + 35_001)
    assert notice.reasons == ("nothing comes from Truck 1: 3 packs guarded on board, unconfirmed since 08:00 UTC",)


def test_it_ends_when_anything_comes_and_units_get_their_time_to_report(watch, hear, start_ms):
    hear(5)
    watch.check(start_ms + 35_001)
    hear(120, "unit-2")
    (end,) = watch.check(start_ms + 120_500)
    assert (end.subject, end.level, end.reasons) == (VEHICLE, Level.NORMAL, ("the vehicle is heard again",))
    hear(130, "unit-2")
    hear(140, "unit-2")
    assert watch.check(start_ms + 149_000) == []
    hear(150, "unit-2")
    assert sorted(told(watch.check(start_ms + 151_000))) == [
        (AlertKind.SILENCE, "unit-1", Level.WATCH),
        (AlertKind.SILENCE, "unit-3", Level.WATCH),
    ]


@pytest.mark.parametrize("when", ["from the start", "later"])
def test_it_is_no_calm_notice_where_a_pack_was_suspicious(watch, hear, start_ms, when):
    hear(5)
    if when == "later":
        watch.check(start_ms + 35_001)
    (notice,) = watch.check(start_ms + 36_000, frozenset({"pack-2"}))
    assert (notice.level, notice.reasons[1:]) == (Level.WARNING, ("pack pack-2 was suspicious then",))
    assert watch.check(start_ms + 37_000, frozenset({"pack-2"})) == []


def test_a_damaged_pack_s_vehicle_is_a_calm_notice_and_in_time(assignment, start_ms):
    watch = SilenceWatch()
    damaged = [assignment(u, pack_id=u, pack_class=PackClass.DAMAGED, report_interval_s=20.0) for u in UNITS]
    watch.assign(damaged, start_ms)
    assert told(watch.check(start_ms + 59_500)) == [(AlertKind.COVERAGE, "gateway-1", Level.WATCH)]


def test_of_one_unit_alone_nobody_can_tell_whether_its_vehicle_is_lost(assignment, start_ms):
    watch = SilenceWatch()
    watch.assign([assignment()], start_ms)
    assert told(watch.check(start_ms + 60_000)) == [(AlertKind.SILENCE, "unit-1", Level.WATCH)]


def test_a_unit_that_was_silent_before_keeps_its_notice(watch, hear, start_ms):
    hear(5)
    hear(30, "unit-2", "unit-3")
    assert told(watch.check(start_ms + 36_000)) == [(AlertKind.SILENCE, "unit-1", Level.WATCH)]
    assert told(watch.check(start_ms + 61_000)) == [(AlertKind.COVERAGE, "gateway-1", Level.WATCH)]
    hear(90)
    ended = told(watch.check(start_ms + 91_000))
    assert sorted(ended) == [
        (AlertKind.COVERAGE, "gateway-1", Level.NORMAL),
        (AlertKind.SILENCE, "unit-1", Level.NORMAL),
    ]


def test_a_notice_of_an_earlier_run_ends_when_the_vehicle_is_heard_in_this(watch, hear, start_ms):
    watch.restore(VEHICLE, Level.WATCH)
    assert watch.check(start_ms + 1000) == []
    hear(2, "unit-3")
    assert told(watch.check(start_ms + 2500)) == [(AlertKind.COVERAGE, "gateway-1", Level.NORMAL)]


def test_a_notice_ends_when_nobody_is_expected_from_the_vehicle_any_more(watch, hear, start_ms):
    hear(5)
    watch.check(start_ms + 35_001)
    watch.assign([], start_ms + 40_000)
    (end,) = watch.check(start_ms + 41_000)
    assert end.reasons == ("nobody is expected to report from it any more",)


def test_simulated_vehicles_stay_apart(assignment, received, start_ms):
    watch = SilenceWatch()
    watch.assign([assignment(unit_id, simulated=True) for unit_id in UNITS], start_ms)
    watch.hear([received([1], [25], unit_id=unit_id, provenance=Provenance.SIMULATED) for unit_id in UNITS])
    (notice,) = watch.check(start_ms + 60_000)
    assert notice.subject == Subject(AlertKind.COVERAGE, "gateway-1", Provenance.SIMULATED)
