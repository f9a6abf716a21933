"""Alerts as records: nothing is lost, and of two callers who change one, one wins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from registry.errors import ConflictError, NotFoundError, RefusedError
from registry.kinds import AlertKind, AlertState, Level
from registry.records import Alert, AlertEvent
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from registry.registry import Registry


def alert(alert_id: str, now: datetime, **values: Any) -> Alert:
    given: dict[str, Any] = {
        "kind": AlertKind.THERMAL,
        "cause": "temperature",
        "fleet_id": "west",
        "pack_id": "p-1",
        "unit_id": "u-1",
        "gateway_id": "gw-1",
        "level": Level.CRITICAL,
        "peak_level": Level.CRITICAL,
        "state": AlertState.RAISED,
        "provenance": Provenance.MEASURED,
        "reasons": ["probe 7 is 83.4 degC, above 80 degC"],
        "sampled_at": now - timedelta(seconds=2),
        "raised_at": now,
    }
    return Alert(alert_id=alert_id, **given | values)


def event(alert_id: str, at: datetime, **values: Any) -> AlertEvent:
    given: dict[str, Any] = {"action": "raise", "to_state": AlertState.RAISED, "level": Level.CRITICAL}
    return AlertEvent(alert_id=alert_id, at=at, **given | values)


def acknowledged(known: Alert, by: str, at: datetime) -> tuple[Alert, AlertEvent]:
    changed = replace(
        known,
        state=AlertState.ACKNOWLEDGED,
        acknowledged_by=by,
        acknowledged_at=at,
        acknowledgement_comment="driver called",
    )
    step = event(
        known.alert_id,
        at,
        action="acknowledge",
        from_state=known.state,
        to_state=AlertState.ACKNOWLEDGED,
        actor=by,
        comment="driver called",
    )
    return changed, step


def test_a_raised_alert_comes_back_whole_with_its_history(registry: Registry, now: datetime) -> None:
    raised, first = alert("a-1", now), event("a-1", now, sampled_at=now, reasons=["83.4 degC"])
    registry.raise_alert(raised, first)
    assert registry.alert("a-1") == raised
    assert registry.open_alerts() == (raised,)
    (kept,) = registry.alert_events("a-1")
    assert kept.id is not None
    assert (kept.at, kept.action, kept.from_state, kept.reasons) == (now, "raise", None, ["83.4 degC"])


def test_a_change_counts_the_version_and_keeps_the_step(registry: Registry, now: datetime) -> None:
    registry.raise_alert(alert("a-1", now), event("a-1", now))
    changed, step = acknowledged(registry.alert("a-1"), "ana", now)
    kept = registry.change_alert(changed, step, expected_version=1)
    assert (kept.version, kept.state, kept.acknowledged_by) == (2, AlertState.ACKNOWLEDGED, "ana")
    assert registry.alert("a-1") == kept
    assert [each.action for each in registry.alert_events("a-1")] == ["raise", "acknowledge"]


def test_the_versions_of_what_is_open_are_told_without_the_alerts(registry: Registry, now: datetime) -> None:
    registry.raise_alert(alert("a-1", now), event("a-1", now))
    registry.raise_alert(alert("a-2", now), event("a-2", now))
    registry.change_alert(*acknowledged(registry.alert("a-1"), "ana", now), expected_version=1)
    registry.change_alert(replace(alert("a-2", now), state=AlertState.CLOSED), event("a-2", now), expected_version=1)
    assert registry.open_alert_versions() == {"a-1": 2}


def test_a_change_of_an_old_version_is_a_conflict_and_leaves_no_trace(registry: Registry, now: datetime) -> None:
    registry.raise_alert(alert("a-1", now), event("a-1", now))
    seen = registry.alert("a-1")
    registry.change_alert(*acknowledged(seen, "ana", now), expected_version=seen.version)
    with pytest.raises(ConflictError, match="alert a-1 is at version 2, not 1"):
        registry.change_alert(*acknowledged(seen, "luz", now), expected_version=seen.version)
    assert registry.alert("a-1").acknowledged_by == "ana"
    assert len(registry.alert_events("a-1")) == 2


def test_what_an_alert_is_about_never_changes(registry: Registry, now: datetime) -> None:
    registry.raise_alert(alert("a-1", now), event("a-1", now))
    other = replace(alert("a-1", now), pack_id="p-2", raised_at=now + timedelta(hours=1), level=Level.RUNAWAY)
    kept = registry.change_alert(other, event("a-1", now), expected_version=1)
    assert (kept.pack_id, kept.raised_at, kept.level) == ("p-1", now, Level.RUNAWAY)


@pytest.mark.parametrize("round_", range(5))
def test_of_two_threads_that_acknowledge_one_alert_exactly_one_wins(
    registry: Registry, now: datetime, round_: int
) -> None:
    name = f"a-{round_}"
    registry.raise_alert(alert(name, now), event(name, now))
    seen, start = registry.alert(name), Barrier(2, timeout=10)

    def acknowledge(by: str) -> str:
        changed, step = acknowledged(seen, by, now)
        start.wait()
        try:
            registry.change_alert(changed, step, expected_version=seen.version)
        except ConflictError:
            return "conflict"
        return by

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(acknowledge, ["ana", "luz"]))
    kept = registry.alert(name)
    assert outcomes == sorted([kept.acknowledged_by, "conflict"])
    assert kept.version == 2
    assert [each.actor for each in registry.alert_events(name)] == [None, kept.acknowledged_by]


def test_an_id_that_is_taken_is_a_conflict(registry: Registry, now: datetime) -> None:
    registry.raise_alert(alert("a-1", now), event("a-1", now))
    with pytest.raises(ConflictError, match="there is an alert a-1 already"):
        registry.raise_alert(alert("a-1", now, level=Level.WARNING), event("a-1", now))
    assert registry.alert("a-1").level is Level.CRITICAL


@pytest.mark.parametrize("unknown", ["a-9", "", "a/b", "x" * 10_000])
def test_an_unknown_alert_is_named(registry: Registry, now: datetime, unknown: str) -> None:
    for ask in (registry.alert, registry.alert_events):
        with pytest.raises(NotFoundError, match="knows no alert"):
            ask(unknown)
    with pytest.raises(NotFoundError, match="knows no alert 'a-9'"):
        registry.change_alert(alert("a-9", now), event("a-9", now), expected_version=1)


@pytest.mark.parametrize("text", ["\x00", "a\ud800"])
def test_an_id_that_is_no_text_is_not_found_or_refused(registry: Registry, text: str) -> None:
    with pytest.raises((NotFoundError, RefusedError)):
        registry.alert(text)


def test_what_a_person_writes_is_refused_when_it_is_too_long_to_keep(registry: Registry, now: datetime) -> None:
    registry.raise_alert(alert("a-1", now), event("a-1", now))
    with pytest.raises(RefusedError, match=r"Alert\.acknowledgement_comment has 1001 characters"):
        replace(registry.alert("a-1"), acknowledgement_comment="x" * 1001)


def test_an_alert_about_what_the_registry_does_not_know_is_kept(registry: Registry, now: datetime) -> None:
    stranger = alert("a-1", now, kind=AlertKind.UNREGISTERED, pack_id=None, unit_id="no/such # unit")
    registry.raise_alert(stranger, event("a-1", now))
    assert registry.open_alerts()[0].unit_id == "no/such # unit"


def test_an_event_of_another_alert_is_a_mistake_of_the_caller(registry: Registry, now: datetime) -> None:
    with pytest.raises(ValueError, match="the event is of alert a-2, not of a-1"):
        registry.raise_alert(alert("a-1", now), event("a-2", now))
    with pytest.raises(NotFoundError):
        registry.alert("a-1")


def test_alerts_are_listed_newest_first_by_pack_and_in_pages(registry: Registry, now: datetime) -> None:
    for number in range(6):
        raised = alert(f"a-{number}", now + timedelta(seconds=number), pack_id=f"p-{number % 2}")
        registry.raise_alert(raised, event(f"a-{number}", now))
    assert [each.alert_id for each in registry.alerts()] == ["a-5", "a-4", "a-3", "a-2", "a-1", "a-0"]
    assert [each.alert_id for each in registry.alerts(pack_id="p-1")] == ["a-5", "a-3", "a-1"]
    assert [each.alert_id for each in registry.alerts(limit=2, offset=1)] == ["a-4", "a-3"]
    assert registry.alerts(pack_id="p-9") == ()


def test_a_closed_alert_is_open_no_more(registry: Registry, now: datetime) -> None:
    registry.raise_alert(alert("a-1", now), event("a-1", now))
    registry.raise_alert(alert("a-2", now), event("a-2", now))
    closed = replace(
        registry.alert("a-1"), state=AlertState.CLOSED, closed_by="ana", closed_at=now, close_reason="handed over"
    )
    registry.change_alert(closed, event("a-1", now, action="close", to_state=AlertState.CLOSED), expected_version=1)
    assert [each.alert_id for each in registry.open_alerts()] == ["a-2"]
    assert len(registry.alerts()) == 2
