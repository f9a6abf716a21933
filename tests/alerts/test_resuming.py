"""A restart changes nothing: levels and event times are those of a service that was never interrupted."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from alerts.book import ms_from_utc, utc_from_ms
from alerts.rules_file import parse_rules
from alerts.service import AlertService
from ingest.stores.duckdb import DuckDBStore
from packwatch.stored_samples import StoredSamples
from registry.enrolment import Enrolment
from registry.kinds import AlertKind, AlertState, PackClass, Role
from registry.registry import Registry

WITHIN_S = 20.0

RELEASED = {"role": Role.SAFETY_LEAD, "authority": "Reno Fire"}


@dataclass
class Life:
    """A registry, a store, and one service after the other."""

    registry: Registry
    store: DuckDBStore
    folder: Any
    now: datetime
    service: AlertService | None = None
    told: list[Any] = field(default_factory=list)
    running: asyncio.Task | None = None

    async def publish(self, topic: str, payload: bytes) -> None:
        pass

    async def start(self, **given: Any) -> None:
        fields = {"snapshot_path": self.folder / "states.npz", "history": StoredSamples(self.store), **given}
        self.service = AlertService(
            registry=self.registry, publish=self.publish, now=lambda: self.now, snapshot_every_s=3600, **fields
        )
        await self.service.restore()
        self.running = asyncio.create_task(self.service.run())

    async def take(self, *frames) -> None:
        """What ingest does: to the store, and to the service."""
        await asyncio.to_thread(self.store.append, frames)
        for received in frames:
            self.now = max(self.now, utc_from_ms(int(received.batch.sampled_at_ms[-1])))
            self.service.observe([received])
        await self.settle()

    async def settle(self) -> None:
        """All that was said is in the registry."""
        async with asyncio.timeout(WITHIN_S):
            while self.service.counters().unsaved_changes or self.service._held:
                await asyncio.sleep(0.005)

    async def kill(self) -> None:
        """As SIGKILL: no farewell, and no snapshot."""
        self.service._resumer._path = None
        await self.stop()

    async def stop(self) -> None:
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running

    def events(self, start_ms, pack="pack-1"):
        """(level, event time) of every step of the engine, in order."""
        alerts = [alert for alert in self.registry.alerts(pack) if alert.kind is AlertKind.THERMAL]
        return [
            (event.action, str(event.level), (ms_from_utc(event.sampled_at) - start_ms) / 1000)
            for alert in sorted(alerts, key=lambda alert: alert.sampled_at)
            for event in self.registry.alert_events(alert.alert_id)
            if event.sampled_at is not None and event.actor is None
        ]


@pytest.fixture
async def life(tmp_path, start_ms):
    registry = Registry.open(f"sqlite:///{tmp_path / 'registry.db'}")
    store = DuckDBStore(tmp_path / "telemetry.duckdb", threads=1, memory_limit_mb=64)
    life = Life(registry=registry, store=store, folder=tmp_path, now=utc_from_ms(start_ms))
    for number in (1, 2):
        registry.enrol(
            Enrolment(
                unit_id=f"unit-{number}", pack_id=f"pack-{number}", fleet_id="fleet-1", gateway_id="gateway-1",
                pack_class=PackClass.END_OF_LIFE, temperature_channels=1, voltage_channels=0, simulated=False,
                report_interval_s=1.0,
            ),
            datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
    yield life
    if life.running is not None and not life.running.done():
        await life.stop()
    store.close()
    registry.close()


def _one_of_eight():
    """(360, 8) degC: quiet for four minutes, then a probe gains 6 degC/min, and stays far below every ceiling."""
    course = 22 + np.random.default_rng(3).normal(0, 0.05, (360, 8))
    course[220:, 2] += np.linspace(0, 14, 140)
    return course


COURSES = {
    "in the middle of the 60 s that clear a warning": [62, *[54] * 61, 53],
    "in the middle of a rise that becomes a runaway": [*[30] * 24, *np.arange(58, 82, 1.5)],
    "in the middle of what only its neighbours show": _one_of_eight(),
    "between warning and critical": [30, 61, 62, 63, 64, 65, 70, 79, 80, 81],
    "after it cleared, and before it comes again": [62, *[50] * 62, 63, 64],
}


@pytest.mark.parametrize("course", COURSES.values(), ids=COURSES)
@pytest.mark.parametrize("snapshot", ["used", "none", "torn"])
async def test_a_kill_changes_no_transition(life, received, start_ms, course, snapshot):
    """The snapshot is taken a third of the way, the kill comes at two thirds; the second unit lives through all."""
    rows = len(course)
    frames = [received([n], [course[n]], boot_id="1-a", frame=n) for n in range(rows)]
    await life.start()
    await life.take(*frames[: rows // 3])
    if snapshot != "none":
        await life.service._save_snapshot()
    await life.take(*frames[rows // 3 : 2 * rows // 3])
    await life.kill()
    if snapshot == "torn":
        path = life.folder / "states.npz"
        path.write_bytes(path.read_bytes()[:-100])
    life.service = None
    await life.start()
    await life.take(*frames[2 * rows // 3 :])
    await life.take(*(received([n], [course[n]], unit_id="unit-2", boot_id="1-a", frame=n) for n in range(rows)))
    expected = life.events(start_ms, "pack-2")
    assert len(expected) >= 2
    assert life.events(start_ms) == expected


async def test_samples_that_came_while_it_did_not_run_are_evaluated_and_marked_late(life, received, start_ms):
    await life.start()
    await life.take(received([0, 1], [25, 25], boot_id="1-a", frame=0))
    await life.stop()
    life.store.append([received([2, 3, 4], [25, 65, 85], boot_id="1-a", frame=1)])
    life.now = utc_from_ms(start_ms + 600_000)
    await life.start()
    await life.settle()
    assert life.events(start_ms) == [("raise", "warning", 3.0), ("worsen", "critical", 4.0)]
    (alert,) = life.registry.alerts("pack-1")
    assert alert.reasons[-1] == "late: read from the store after a restart, 10 min after it was sampled"
    await life.kill()
    await life.start()
    assert len(life.registry.alert_events(alert.alert_id)) == 2


async def test_what_a_person_closed_after_the_snapshot_is_not_raised_again(life, received, start_ms):
    await life.start()
    await life.take(received([0, 1], [25, 85], boot_id="1-a", frame=0))
    await life.service._save_snapshot()
    await life.take(received([2, 3], [86, 86], boot_id="1-a", frame=1))
    (alert,) = life.registry.alerts("pack-1")
    await life.service.close_alert(alert.alert_id, version=1, by="Ann", reason="unloaded", now=life.now, **RELEASED)
    await life.kill()
    await life.start()
    assert life.service.counters().open_alerts == 0
    await life.take(received([4], [25], boot_id="1-a", frame=2))
    assert len(life.registry.alerts("pack-1")) == 1
    await life.take(received([5], [85], boot_id="1-a", frame=3))
    assert [alert.state for alert in life.registry.alerts("pack-1")] == [AlertState.RAISED, AlertState.CLOSED]


async def test_an_alarm_that_was_not_saved_when_it_was_killed_is_raised_after_all(life, received, start_ms):
    await life.start()
    await life.take(received([0], [25], boot_id="1-a", frame=0))
    await life.service._save_snapshot()
    await life.kill()
    life.store.append([received([1], [85], boot_id="1-a", frame=1)])
    life.now = utc_from_ms(start_ms + 2000)
    await life.start()
    await life.take(received([2], [86], boot_id="1-a", frame=2))
    assert life.events(start_ms) == [("raise", "critical", 1.0)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"fleets": ["north"]}, "is of other fleets: all"), ({"snapshot_path": None}, "none is kept"), ({}, "torn")],
)
async def test_a_snapshot_that_is_refused_is_named_and_the_store_is_asked(life, received, start_ms, fields, reason):
    await life.start()
    await life.take(received([0], [25], boot_id="1-a", frame=0))
    await life.stop()
    if not fields:
        (life.folder / "states.npz").write_bytes(b"PK")
    await life.start(**fields)
    assert reason in life.service.resumed.refused
    assert life.service.resumed.samples == (0 if "fleets" in fields else 1)


async def test_an_old_snapshot_is_refused(life, received):
    await life.start()
    await life.take(received([0], [25], boot_id="1-a", frame=0))
    await life.stop()
    life.now = life.now.replace(year=life.now.year + 1)
    await life.start()
    assert "was written 8760.0 h ago" in life.service.resumed.refused


async def test_a_store_that_is_away_leaves_a_gap_that_is_named(life, received):
    await life.start()
    await life.take(received([0], [25], boot_id="1-a", frame=0))
    await life.stop()
    away = DuckDBStore(life.folder / "away.duckdb", threads=1, memory_limit_mb=64)
    away.close()
    await life.start(history=StoredSamples(away))
    assert life.service.resumed.refused is None
    assert life.service.resumed.gap
    await life.take(received([1], [85], boot_id="1-a", frame=1))
    assert len(life.registry.alerts("pack-1")) == 1


async def test_a_snapshot_that_cannot_be_written_is_counted_and_stops_nothing(life, received):
    await life.start(snapshot_path=life.folder / "missing" / "states.npz")
    await life.service._save_snapshot()
    await life.take(received([0], [85], boot_id="1-a", frame=0))
    counters = life.service.counters()
    assert (counters.snapshots_written, counters.snapshot_failures) == (0, 1)
    assert len(life.registry.alerts("pack-1")) == 1


async def test_what_was_learnt_by_other_rules_is_kept(life, received):
    await life.start()
    await life.take(received([0], [62], boot_id="1-a", frame=0))
    await life.stop()
    other = parse_rules(b"version = 2\n[ceilings.critical]\nat_c = 70", "r.toml")
    await life.start(rules=other)
    assert life.service.resumed.refused is None
    assert life.service.resumed.rules_hash not in (None, other.content_hash)
    await life.take(received([1], [71], boot_id="1-a", frame=1))
    (alert,) = life.registry.alerts("pack-1")
    assert str(alert.level) == "critical"
