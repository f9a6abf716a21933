"""Changes that wait for the registry: bounded, in order, and never without a critical."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from alerts.backlog import Backlog
from alerts.book import AlertBook, ms_from_utc
from alerts.levels import Subject, Transition
from registry.errors import UnavailableError
from registry.kinds import AlertKind, Level
from registry.records import AlertEvent
from registry.registry import Registry
from telemetry.samples import Provenance

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Flaky(Registry):
    """A real registry that answers `busy` so many times, before or after it wrote."""

    busy_before = 0
    busy_after = 0
    transactions = 0

    def keep_steps(self, steps, **how):
        self._busy("busy_before")
        kept = super().keep_steps(steps, **how)
        self.transactions += 1
        self._busy("busy_after")
        return kept

    def _busy(self, which):
        left = getattr(self, which)
        if left:
            setattr(self, which, left - 1)
            raise UnavailableError("the database is busy")


@pytest.fixture
def registry(tmp_path):
    registry = Flaky.open(f"sqlite:///{tmp_path / 'registry.db'}")
    yield registry
    registry.close()


@pytest.fixture
def book():
    numbers = itertools.count(1)
    return AlertBook(lambda: f"alert-{next(numbers)}")


def changes(book, *levels, pack_id="pack-1"):
    found = []
    for second, level in enumerate(levels):
        transition = Transition(
            subject=Subject(AlertKind.THERMAL, pack_id, Provenance.MEASURED),
            before=Level.NORMAL,
            level=level,
            cause="ceiling",
            reasons=(f"{level} at {second}",),
            sampled_at_ms=ms_from_utc(NOW) + 1000 * second,
            pack_id=pack_id,
            unit_id="unit-1",
            gateway_id="gateway-1",
            fleet_id="fleet-1",
        )
        found += book.take(transition, NOW)
    return found


def _event_of(event, **given):
    return AlertEvent(
        alert_id=event.alert_id, at=event.at, to_state=event.to_state, level=event.level, from_state="raised", **given
    )


async def ignore(_entry):
    pass


async def saved(backlog):
    while len(backlog):
        await backlog._save_waiting()


async def test_when_full_an_alert_keeps_its_newest_state_and_new_alerts_fit(registry, book):
    backlog = Backlog(registry, refused=ignore, kept=2)
    for change in changes(book, Level.WARNING, Level.NORMAL, Level.WARNING, Level.CRITICAL):
        backlog.add(change)
    for number in range(2, 5):
        backlog.add(*changes(book, Level.CRITICAL, pack_id=f"pack-{number}"))
    assert (len(backlog), backlog.folded) == (5, 2)
    await saved(backlog)
    assert {alert.pack_id: alert.level for alert in registry.alerts()} == {
        f"pack-{number}": Level.CRITICAL for number in range(1, 5)
    }
    first, folded = registry.alert_events("alert-1")
    assert (first.action, folded.action, folded.from_state) == ("raise", "worsen", "raised")
    assert folded.reasons == ["normal at 1", "warning at 2", "critical at 3"]


async def test_after_folding_versions_still_agree(registry, book):
    backlog = Backlog(registry, refused=ignore, kept=1)
    for change in changes(book, Level.WARNING, Level.CRITICAL):
        backlog.add(change)
    await saved(backlog)
    alert = registry.alert("alert-1")
    acknowledged = book.acknowledge("alert-1", version=alert.version, by="Ann", comment="", now=NOW)
    entry = backlog.add(acknowledged)
    await saved(backlog)
    assert entry.refusal is None
    assert registry.alert("alert-1").acknowledged_by == "Ann"


async def test_a_rise_that_an_acknowledgement_was_folded_into_still_calls_people(registry, book):
    backlog = Backlog(registry, refused=ignore, kept=1)
    for change in changes(book, Level.CRITICAL):
        backlog.add(change)
    backlog.add(book.acknowledge("alert-1", version=1, by="Ann", comment="", now=NOW))
    await saved(backlog)
    (event,) = registry.alert_events("alert-1")
    assert (event.action, event.to_state, event.actor) == ("raise", "acknowledged", "Ann")
    assert registry.incident_of_alert("alert-1").level is Level.CRITICAL


@pytest.mark.parametrize("which", ["busy_before", "busy_after"])
async def test_a_try_that_failed_is_repeated_and_written_once(registry, book, which):
    backlog = Backlog(registry, refused=ignore)
    entries = [backlog.add(change) for change in changes(book, Level.WARNING, Level.CRITICAL)]
    setattr(registry, which, 1)
    assert not await backlog._save_waiting()
    assert backlog.away
    assert await backlog._save_waiting()
    assert not backlog.away
    await saved(backlog)
    assert all(entry.done.is_set() and entry.refusal is None for entry in entries)
    assert [event.action for event in registry.alert_events("alert-1")] == ["raise", "worsen"]
    assert registry.alert("alert-1").version == 2


async def test_what_waits_is_saved_together_and_told_of_in_order(registry, book):
    backlog = Backlog(registry, refused=ignore)
    for number in range(100):
        for change in changes(book, Level.WARNING, Level.CRITICAL, pack_id=f"pack-{number}"):
            backlog.add(change)
    await saved(backlog)
    assert (backlog.saved, registry.transactions) == (200, 4)
    rows = [row for row in registry.audit_rows() if row["subject"].startswith("alert/")]
    wanted = [(f"alert/alert-{number}", action) for number in range(1, 101) for action in ("raise", "worsen")]
    assert [(row["subject"], row["action"]) for row in rows] == wanted
    registry.verify_audit()


async def test_a_change_that_is_refused_takes_no_other_along(registry, book):
    refused = []

    async def refuse(entry):
        refused.extend(backlog.withdraw(entry))

    backlog = Backlog(registry, refused=refuse)
    first, worse = changes(book, Level.WARNING, Level.CRITICAL)
    registry.raise_alert(first.alert, first.event)
    theirs = replace(registry.alert("alert-1"), acknowledged_by="Ann")
    registry.change_alert(theirs, _event_of(first.event, action="acknowledge", actor="Ann"), 1)
    others = [changes(book, Level.CRITICAL, pack_id=f"pack-{number}") for number in range(2, 6)]
    acknowledged = book.acknowledge("alert-1", version=2, by="Ben", comment="", now=NOW)
    for change in (*others[0], worse, *others[1], acknowledged, *others[2], *others[3]):
        backlog.add(change)
    await saved(backlog)
    assert [entry.change for entry in refused] == [worse, acknowledged]
    assert (backlog.saved, backlog.refusals) == (4, 1)
    assert {alert.pack_id for alert in registry.alerts() if alert.level is Level.CRITICAL} == {
        f"pack-{number}" for number in range(2, 6)
    }
    assert [event.action for event in registry.alert_events("alert-1")] == ["raise", "acknowledge"]
    backlog.add(*changes(book, Level.CRITICAL, pack_id="pack-6"))
    backlog.add(*changes(book, Level.CRITICAL, pack_id="pack-7"))
    before = registry.transactions
    await saved(backlog)
    assert registry.transactions == before + 1


async def test_a_change_of_an_alert_that_the_registry_lost_is_kept_as_a_new_one(registry, book):
    _, change = changes(book, Level.WARNING, Level.CRITICAL)
    backlog = Backlog(registry, refused=ignore)
    backlog.add(change)
    await saved(backlog)
    assert registry.alert("alert-1").level is Level.CRITICAL


async def test_draining_gives_up_when_the_registry_is_away(registry, book):
    backlog = Backlog(registry, refused=ignore)
    backlog.add(*changes(book, Level.WARNING))
    registry.busy_before = 99
    await backlog.drain()
    assert len(backlog) == 1
