"""Changes of level and people's steps, as changes of alerts."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from alerts.book import AlertBook, ms_from_utc, subject_of, utc_from_ms
from alerts.levels import Subject, Transition
from alerts.shelving import is_shelved
from registry.errors import ConflictError, NotFoundError, RefusedError
from registry.kinds import AlertKind, AlertState, Level, PackClass, Role
from telemetry.samples import Provenance

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PACK = Subject(AlertKind.THERMAL, "pack-1", Provenance.MEASURED)


@pytest.fixture
def book():
    numbers = itertools.count(1)
    return AlertBook(lambda: f"alert-{next(numbers)}")


def transition(level, *, subject=PACK, at_s=0, reasons=("because",)):
    return Transition(
        subject=subject,
        before=Level.NORMAL,
        level=level,
        cause="ceiling",
        reasons=reasons,
        sampled_at_ms=ms_from_utc(NOW) - 60_000 + 1000 * at_s,
        pack_id="pack-1",
        unit_id="unit-1",
        gateway_id="gateway-1",
        fleet_id="fleet-1",
    )


def steps(changes):
    return [(change.event.action, change.alert.state, change.alert.level) for change in changes]


def test_it_begins_with_event_time_and_the_clouds_clock(book):
    (change,) = book.take(transition(Level.WARNING, reasons=("probe 1 is 61.0 degC",)), NOW)
    alert = change.alert
    assert (alert.alert_id, alert.version, change.expected_version) == ("alert-1", 1, None)
    assert (alert.sampled_at, alert.raised_at) == (NOW - timedelta(seconds=60), NOW)
    assert (alert.level, alert.peak_level, alert.state) == (Level.WARNING, Level.WARNING, AlertState.RAISED)
    assert alert.reasons == ["probe 1 is 61.0 degC"]
    assert change.event.reasons == ["probe 1 is 61.0 degC"]
    assert subject_of(alert) == PACK


def test_the_same_level_again_says_nothing(book):
    book.take(transition(Level.WARNING), NOW)
    assert book.take(transition(Level.WARNING, at_s=5), NOW) == []
    assert book.take(transition(Level.NORMAL, subject=PACK._replace(id="pack-2")), NOW) == []


def test_worse_after_it_was_acknowledged_is_raised_again(book):
    book.take(transition(Level.WARNING), NOW)
    acknowledged = book.acknowledge("alert-1", version=1, by="Ann", comment="saw it", now=NOW).alert
    assert (acknowledged.state, acknowledged.acknowledged_by, acknowledged.version) == ("acknowledged", "Ann", 2)
    assert (acknowledged.acknowledged_at, acknowledged.acknowledgement_comment) == (NOW, "saw it")
    (change,) = book.take(transition(Level.CRITICAL, at_s=7), NOW)
    assert steps([change]) == [("worsen", AlertState.RAISED, Level.CRITICAL)]
    assert (change.alert.acknowledged_by, change.alert.acknowledged_at) == (None, None)
    assert (change.event.from_state, change.event.to_state) == (AlertState.ACKNOWLEDGED, AlertState.RAISED)
    assert change.event.sampled_at == NOW - timedelta(seconds=53)
    assert (change.alert.version, change.expected_version) == (3, 2)
    assert change.alert.sampled_at == NOW - timedelta(seconds=60)
    assert acknowledged.state is AlertState.ACKNOWLEDGED  # what was handed out does not change


def test_hot_again_under_a_latch_calls_again(book):
    book.take(transition(Level.CRITICAL), NOW)
    again = replace(transition(Level.CRITICAL, at_s=300, reasons=("hot again: it is 61 degC",)), renewed=True)
    assert book.take(again, NOW) == []  # nobody has acknowledged the heat before: they are called as it is
    book.acknowledge("alert-1", version=1, by="Ann", comment="saw it", now=NOW)
    (change,) = book.take(again, NOW)
    assert steps([change]) == [("renew", AlertState.RAISED, Level.CRITICAL)]
    assert (change.alert.acknowledged_by, change.alert.acknowledged_at) == (None, None)
    assert change.alert.acknowledgement_comment is None
    assert (change.alert.reasons, change.event.reasons) == (["hot again: it is 61 degC"], ["hot again: it is 61 degC"])
    assert (change.event.from_state, change.event.sampled_at) == (AlertState.ACKNOWLEDGED, NOW + timedelta(seconds=240))
    assert (change.alert.peak_level, change.expected_version, change.alert.version) == (Level.CRITICAL, 2, 3)
    assert book.take(again, NOW) == []


def test_cleared_and_back_is_one_alert(book):
    book.take(transition(Level.WARNING), NOW)
    (cleared,) = book.take(transition(Level.NORMAL, at_s=90), NOW)
    assert steps([cleared]) == [("clear", AlertState.CLEARED, Level.WARNING)]
    assert (cleared.alert.cleared_at, cleared.event.level) == (NOW, Level.NORMAL)
    assert book.take(transition(Level.NORMAL, at_s=95), NOW) == []
    (back,) = book.take(transition(Level.WARNING, at_s=100), NOW)
    assert steps([back]) == [("raise", AlertState.RAISED, Level.WARNING)]
    assert (back.alert.alert_id, back.alert.cleared_at) == ("alert-1", None)


def test_acknowledged_and_cleared_is_over_in_either_order(book):
    book.take(transition(Level.WARNING), NOW)
    book.acknowledge("alert-1", version=1, by="Ann", comment="", now=NOW)
    (over,) = book.take(transition(Level.NORMAL), NOW)
    assert (over.alert.state, over.alert.closed_at, over.alert.closed_by) == (AlertState.CLOSED, NOW, None)
    assert book.open_alerts() == ()

    book.take(transition(Level.WARNING), NOW)
    book.take(transition(Level.NORMAL), NOW)
    over = book.acknowledge("alert-2", version=2, by="Ann", comment="late", now=NOW)
    assert (over.alert.state, over.alert.closed_by) == (AlertState.CLOSED, "Ann")
    assert book.open_alerts() == ()


def test_easing_keeps_the_peak_and_the_acknowledgement(book):
    book.take(transition(Level.WARNING), NOW)
    book.acknowledge("alert-1", version=1, by="Ann", comment="", now=NOW)
    (eased,) = book.take(transition(Level.WATCH), NOW)
    assert steps([eased]) == [("ease", AlertState.ACKNOWLEDGED, Level.WATCH)]
    assert (eased.alert.peak_level, eased.alert.acknowledged_by) == (Level.WARNING, "Ann")


def test_a_person_closes_a_critical_with_a_reason(book):
    book.take(transition(Level.CRITICAL), NOW)
    closed = book.close(
        "alert-1",
        version=1,
        by="Ben",
        reason="fire service released it",
        now=NOW,
        settled_until_ms=ms_from_utc(NOW),
        role=Role.SAFETY_LEAD,
        authority="Reno Fire, Capt. Ortiz",
    )
    assert (closed.alert.state, closed.alert.closed_by) == (AlertState.CLOSED, "Ben")
    assert (closed.alert.close_reason, closed.event.comment) == ("fire service released it", "fire service released it")
    assert (closed.event.actor, closed.event.actor_role, closed.event.sampled_at) == ("Ben", Role.SAFETY_LEAD, NOW)
    assert closed.alert.releasing_authority == "Reno Fire, Capt. Ortiz"
    (again,) = book.take(transition(Level.CRITICAL, at_s=80), NOW)
    assert again.alert.alert_id == "alert-2"


@pytest.mark.parametrize(
    ("why", "step", "error"),
    [
        ("an old version", {"version": 7, "by": "Ann", "comment": ""}, ConflictError),
        ("no name", {"version": 1, "by": " ", "comment": ""}, RefusedError),
        ("a comment too long to keep", {"version": 1, "by": "Ann", "comment": "x" * 1001}, RefusedError),
    ],
)
def test_an_acknowledgement_is_refused(book, why, step, error):
    book.take(transition(Level.CRITICAL), NOW)
    with pytest.raises(error):
        book.acknowledge("alert-1", now=NOW, **step)
    assert book.open_alert(PACK).version == 1, why


def test_an_acknowledgement_of_what_is_not_open_or_acknowledged_already_is_refused(book):
    with pytest.raises(NotFoundError):
        book.acknowledge("alert-1", version=1, by="Ann", comment="", now=NOW)
    book.take(transition(Level.CRITICAL), NOW)
    book.acknowledge("alert-1", version=1, by="Ann", comment="", now=NOW)
    with pytest.raises(RefusedError, match="acknowledged already, by Ann"):
        book.acknowledge("alert-1", version=2, by="Ben", comment="", now=NOW)


def test_each_role_acknowledges_for_itself_and_a_rise_asks_them_all_again(book):
    book.take(transition(Level.CRITICAL), NOW)
    driver = book.acknowledge("alert-1", version=1, by="Dora", comment="", now=NOW, role=Role.DRIVER).alert
    assert (driver.state, driver.acknowledged_by, driver.acknowledged_roles) == (AlertState.RAISED, None, ["driver"])
    with pytest.raises(RefusedError, match="already in the role of driver"):
        book.acknowledge("alert-1", version=2, by="Dora", comment="", now=NOW, role=Role.DRIVER)
    change = book.acknowledge("alert-1", version=2, by="Ann", comment="called", now=NOW)
    assert (change.alert.state, change.event.actor_role) == (AlertState.ACKNOWLEDGED, Role.DISPATCHER)
    safety = book.acknowledge("alert-1", version=3, by="Sam", comment="", now=NOW, role=Role.SAFETY_LEAD).alert
    assert safety.acknowledged_roles == ["driver", "dispatcher", "safety lead"]
    assert (safety.acknowledged_by, safety.state) == ("Ann", AlertState.ACKNOWLEDGED)
    (rise,) = book.take(transition(Level.RUNAWAY, at_s=5), NOW)
    assert (rise.alert.acknowledged_roles, rise.alert.state) == ([], AlertState.RAISED)


def test_hot_again_calls_who_had_seen_it_even_if_the_dispatcher_had_not(book):
    book.take(transition(Level.CRITICAL), NOW)
    book.acknowledge("alert-1", version=1, by="Dora", comment="", now=NOW, role=Role.DRIVER)
    (change,) = book.take(replace(transition(Level.CRITICAL, at_s=300), renewed=True), NOW)
    assert (change.event.action, change.alert.acknowledged_roles) == ("renew", [])


def test_what_the_driver_saw_and_what_cleared_still_waits_for_the_dispatcher(book):
    book.take(transition(Level.WARNING), NOW)
    book.acknowledge("alert-1", version=1, by="Dora", comment="", now=NOW, role=Role.DRIVER)
    (cleared,) = book.take(transition(Level.NORMAL), NOW)
    assert cleared.alert.state is AlertState.CLEARED
    late = book.acknowledge("alert-1", version=3, by="Sam", comment="", now=NOW, role=Role.SAFETY_LEAD)
    assert (late.alert.state, late.alert.closed_at) == (AlertState.CLEARED, None)


def shelve(book, version, minutes, reason="a hot afternoon", pack_class=PackClass.MID_LIFE):
    return book.shelve(
        "alert-1",
        version=version,
        by="Ann",
        role=Role.DISPATCHER,
        reason=reason,
        until=NOW + timedelta(minutes=minutes),
        now=NOW,
        pack_class=pack_class,
    )


def test_a_shelf_has_an_end_a_reason_and_an_owner_and_ends_by_itself(book):
    book.take(transition(Level.WARNING), NOW)
    change = shelve(book, 1, 60)
    assert (change.event.action, change.alert.state) == ("shelve", AlertState.RAISED)
    assert (change.alert.shelved_by, change.alert.shelf_reason) == ("Ann", "a hot afternoon")
    assert is_shelved(change.alert, NOW + timedelta(minutes=59))
    assert not is_shelved(change.alert, NOW + timedelta(minutes=60))
    assert book.end_shelves(NOW + timedelta(minutes=59)) == []
    (over,) = book.end_shelves(NOW + timedelta(minutes=60))
    assert (over.event.action, over.event.actor, over.alert.shelved_until) == ("unshelve", None, None)
    with pytest.raises(RefusedError, match="the reason is missing"):
        shelve(book, 3, 60, reason=" ")
    with pytest.raises(RefusedError, match="on no shelf"):
        book.unshelve("alert-1", version=3, by="Ann", role=Role.DISPATCHER, now=NOW)


@pytest.mark.parametrize("rise", [Level.CRITICAL, Level.WARNING])
def test_any_rise_takes_an_alert_off_its_shelf(book, rise):
    book.take(transition(Level.WATCH), NOW)
    shelve(book, 1, 600)
    (worse,) = book.take(transition(rise, at_s=5), NOW)
    assert (worse.alert.shelved_until, worse.alert.shelved_by, worse.alert.shelf_reason) == (None, None, None)
    assert worse.alert.state is AlertState.RAISED


def test_cleared_and_back_is_off_its_shelf_and_easing_is_not(book):
    book.take(transition(Level.WARNING), NOW)
    shelve(book, 1, 600)
    (eased,) = book.take(transition(Level.WATCH), NOW)
    assert eased.alert.shelved_by == "Ann"
    book.take(transition(Level.NORMAL), NOW)
    (back,) = book.take(transition(Level.WARNING, at_s=100), NOW)
    assert back.alert.shelved_until is None


def test_a_critical_that_was_closed_is_watched_for_two_weeks_and_each_rise_says_so(book):
    book.take(transition(Level.CRITICAL), NOW)
    closed = book.close(
        "alert-1",
        version=1,
        by="Sam",
        reason="out",
        now=NOW,
        settled_until_ms=None,
        role=Role.SAFETY_LEAD,
        authority="Reno Fire",
    )
    assert closed.watch is not None
    assert (closed.watch.pack_id, closed.watch.until_at - closed.watch.from_at) == ("pack-1", timedelta(days=14))
    book.watches.add(closed.watch)
    (again,) = book.take(transition(Level.WATCH), NOW + timedelta(days=13))
    why, watched = again.alert.reasons
    assert (why, watched.startswith("re-ignition watch until 15 Mar 2026 12:00 UTC: it was critical")) == (
        "because",
        True,
    )
    assert watched.endswith("closed on 01 Mar 2026 12:00 UTC; released by Reno Fire")
    (worse,) = book.take(transition(Level.WARNING), NOW + timedelta(days=15))
    assert worse.alert.reasons == ["because"]


def test_a_warning_that_was_closed_is_not_watched(book):
    book.take(transition(Level.WARNING), NOW)
    closed = book.close("alert-1", version=1, by="Ann", reason="sunshine", now=NOW, settled_until_ms=None)
    assert closed.watch is None


def test_closing_needs_a_reason(book):
    book.take(transition(Level.CRITICAL), NOW)
    with pytest.raises(RefusedError, match="the reason is missing"):
        book.close("alert-1", version=1, by="Ann", reason="", now=NOW, settled_until_ms=None)
    assert book.open_alert(PACK).state is AlertState.RAISED


def test_a_silence_that_ends_closes_by_itself(book):
    silent = Subject(AlertKind.SILENCE, "unit-1", Provenance.MEASURED)
    book.take(transition(Level.WATCH, subject=silent), NOW)
    changes = book.take(transition(Level.NORMAL, subject=silent, reasons=("unit-1 reports again",)), NOW)
    assert steps(changes) == [
        ("clear", AlertState.CLEARED, Level.WATCH),
        ("close", AlertState.CLOSED, Level.WATCH),
    ]
    assert changes[1].alert.close_reason == "unit-1 reports again"
    assert book.open_alerts() == ()


def test_ms_and_instants_agree():
    assert ms_from_utc(utc_from_ms(1_800_000_000_001)) == 1_800_000_000_001
