"""Units that should report and do not: when it is said, and when it ends."""

from __future__ import annotations

import pytest

from alerts.levels import Subject
from alerts.silence import SilenceWatch
from registry.kinds import AlertKind, Level, PackClass
from telemetry.samples import Provenance

DAMAGED = PackClass.DAMAGED


@pytest.fixture
def watch(assignment, start_ms):
    watch = SilenceWatch()
    watch.assign([assignment()], start_ms)
    return watch


def told(transitions):
    return [(transition.unit_id, str(transition.level)) for transition in transitions]


@pytest.mark.parametrize(
    ("interval_s", "pack_class", "limit_s"),
    [(10, PackClass.MID_LIFE, 30), (60, PackClass.END_OF_LIFE, 180), (10, DAMAGED, 30), (20, DAMAGED, 59)],
)
def test_three_intervals_and_a_damaged_pack_within_60_s(assignment, interval_s, pack_class, limit_s):
    assert assignment(report_interval_s=float(interval_s), pack_class=pack_class).silent_after_s == limit_s


def test_silence_is_told_once_and_ends_when_the_unit_returns(watch, received, start_ms):
    watch.hear([received([5], [25])])
    assert watch.check(start_ms + 35_000) == []
    (notice,) = watch.check(start_ms + 35_001)
    assert (notice.level, notice.sampled_at_ms, notice.pack_id) == (Level.WATCH, start_ms + 5000, "pack-1")
    assert notice.reasons == ("unit unit-1 has not reported for 30 s; 30 s are allowed",)
    assert watch.check(start_ms + 90_000) == []
    watch.hear([received([91], [25])])
    (end,) = watch.check(start_ms + 91_500)
    assert (end.subject, end.level, end.reasons) == (notice.subject, Level.NORMAL, ("unit unit-1 reports again",))
    assert watch.check(start_ms + 92_000) == []


def test_a_unit_that_was_never_heard_counts_from_the_start(watch, start_ms):
    assert watch.check(start_ms + 30_000) == []
    (notice,) = watch.check(start_ms + 30_001)
    assert notice.subject == Subject(AlertKind.SILENCE, "unit-1", Provenance.MEASURED)
    assert "since the service began to wait for it" in notice.reasons[0]


def test_a_unit_enrolled_later_counts_from_then(watch, assignment, received, start_ms):
    watch.hear([received([15], [25])])
    watch.assign([assignment(), assignment("unit-2", gateway_id="gateway-2")], start_ms + 20_000)
    assert told(watch.check(start_ms + 46_000)) == [("unit-1", "watch")]
    assert told(watch.check(start_ms + 50_001)) == [("unit-2", "watch")]


@pytest.mark.parametrize(
    ("given", "suspicious", "reason"),
    [
        ({"pack_class": DAMAGED}, frozenset(), "its pack is damaged, defective or recalled"),
        ({}, frozenset({"pack-1"}), "its pack has an open thermal alert"),
    ],
)
def test_the_silence_of_a_dangerous_pack_is_a_warning(assignment, start_ms, given, suspicious, reason):
    watch = SilenceWatch()
    watch.assign([assignment(**given)], start_ms)
    (notice,) = watch.check(start_ms + 60_000, suspicious)
    assert (notice.level, notice.reasons[1]) == (Level.WARNING, reason)


def test_a_replay_that_ended_is_not_silent(watch, received, start_ms):
    watch.hear([received([5], [25], provenance=Provenance.REPLAYED)])
    assert watch.check(start_ms + 900_000) == []


def test_a_simulated_unit_is_missed_once_it_was_heard(assignment, received, start_ms):
    watch = SilenceWatch()
    watch.assign([assignment(simulated=True)], start_ms)
    assert watch.check(start_ms + 900_000) == []
    watch.hear([received([900], [25], provenance=Provenance.SIMULATED)])
    (notice,) = watch.check(start_ms + 931_000)
    assert notice.subject.provenance is Provenance.SIMULATED


def test_what_was_kept_and_sent_late_is_no_sign_of_life(watch, received, start_ms):
    watch.hear([received([1], [25], historical=True, received_at_ms=start_ms + 29_000)])
    assert told(watch.check(start_ms + 31_000)) == [("unit-1", "watch")]


def test_a_unit_without_a_pack_is_not_waited_for(assignment, start_ms):
    watch = SilenceWatch()
    watch.assign([assignment(pack_id=None)], start_ms)
    assert watch.check(start_ms + 900_000) == []


def test_a_notice_ends_when_the_unit_watches_no_pack_any_more(watch, start_ms):
    assert told(watch.check(start_ms + 31_000)) == [("unit-1", "watch")]
    watch.assign([], start_ms + 32_000)
    (end,) = watch.check(start_ms + 32_000)
    assert end.reasons == ("unit unit-1 watches no pack any more",)


def test_a_notice_of_an_earlier_run_ends_when_the_unit_is_heard_in_time(watch, received, start_ms):
    watch.restore(Subject(AlertKind.SILENCE, "unit-1", Provenance.MEASURED))
    watch.hear([received([1], [25])])
    assert told(watch.check(start_ms + 2000)) == [("unit-1", "normal")]


def test_a_notice_of_an_earlier_run_stays_while_the_unit_is_not_heard(watch, received, start_ms):
    watch.restore(Subject(AlertKind.SILENCE, "unit-1", Provenance.MEASURED))
    assert watch.check(start_ms + 1000) == []
    assert watch.check(start_ms + 90_000) == []
    watch.hear([received([91], [25])])
    assert told(watch.check(start_ms + 92_000)) == [("unit-1", "normal")]


def test_a_notice_of_a_simulation_of_an_earlier_run_ends(assignment, start_ms):
    watch = SilenceWatch()
    watch.assign([assignment(simulated=True)], start_ms)
    watch.restore(Subject(AlertKind.SILENCE, "unit-1", Provenance.SIMULATED))
    (end,) = watch.check(start_ms + 1000)
    assert "not expected to report" in end.reasons[0]
