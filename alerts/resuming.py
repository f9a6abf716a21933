"""After a restart: the engine goes on from its snapshot, and sees what the store took in after it.

What was told before is not told again: each subject's history in the registry says up to which sample that is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from alerts.book import ms_from_utc
from alerts.engine_memory import from_plain, to_plain
from alerts.history import HistoryUnavailableError
from alerts.levels import Standing, Subject
from alerts.snapshots import Snapshot, SnapshotError, read_snapshot, write_snapshot
from registry.kinds import AlertState
from telemetry.samples import ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from alerts.engine import Engine
    from alerts.history import SampleHistory
    from alerts.levels import Transition
    from registry.enrolment import Assignment
    from registry.records import Alert

REBUILD_MS = 2 * 3_600_000
"""**Assumed**: without a snapshot that can be used, samples of so long are evaluated again."""
OVERLAP_MS = 60_000
"""**Assumed**: a unit that the snapshot does not know is looked for from so long before it was written."""
SNAPSHOT_AT_MOST_MS = 24 * 3_600_000
"""**Assumed**: an older snapshot is of another journey."""
UNITS_AT_ONCE = 64
ROWS_AT_ONCE = 360
_NO_FLEET = "unknown"


@dataclass(slots=True, kw_only=True)
class Resumed:
    """How evaluation went on."""

    refused: str | None = None
    """Why the snapshot was not used; None: it was."""
    rules_hash: str | None = None
    """By which rules the snapshot came about. Others keep what was learnt, as while the service runs."""
    transitions: list[Transition] = field(default_factory=list)
    """What the store's samples said."""
    samples: int = 0
    """How many of the store were evaluated."""
    gap: str | None = None
    """Why some may be missing; None: none are."""


class Resumer:
    """Keeps an engine's snapshot, and brings an engine back to where it was."""

    def __init__(
        self, engine: Engine, *, path: Path | None, history: SampleHistory | None, fleets: Sequence[str]
    ) -> None:
        """`path` None: nothing is kept. `history` None: there is no store to ask."""
        self._engine = engine
        self._path = path
        self._history = history
        self._fleets = tuple(sorted(fleets))
        self._log = structlog.get_logger("packwatch.alerts")
        self.written = 0
        self.failures = 0

    async def save(self, now_ms: int, rules_hash: str) -> None:
        """Write what the engine remembers now. What fails is logged and counted."""
        if self._path is None:
            return
        head, arrays = to_plain(self._engine.remember())
        snapshot = Snapshot(written_at_ms=now_ms, rules_hash=rules_hash, fleets=self._fleets, head=head, arrays=arrays)
        try:
            await asyncio.to_thread(write_snapshot, self._path, snapshot)
            self.written += 1
        except OSError as error:
            self.failures += 1
            self._log.error("snapshot_not_written", file=str(self._path), reason=str(error))

    async def resume(self, assignments: Iterable[Assignment], now_ms: int) -> Resumed:
        """Load the snapshot, and evaluate what the store has after it."""
        resumed = Resumed()
        since_ms = await self._recall(resumed, now_ms)
        await self._replay(resumed, assignments, since_ms, now_ms)
        return resumed

    async def _recall(self, resumed: Resumed, now_ms: int) -> int:
        """Go on from the snapshot. From when on samples must be looked for, ms."""
        resumed.refused = "none is kept"
        if self._path is not None:
            try:
                snapshot = await asyncio.to_thread(read_snapshot, self._path, fleets=self._fleets)
                _check_age(now_ms - snapshot.written_at_ms, self._path)
                self._engine.recall(from_plain(snapshot.head, snapshot.arrays))
            except SnapshotError as error:
                resumed.refused = str(error)
            else:
                resumed.refused, resumed.rules_hash = None, snapshot.rules_hash
                return snapshot.written_at_ms - OVERLAP_MS
        return now_ms - REBUILD_MS

    async def _replay(self, resumed: Resumed, assignments: Iterable[Assignment], since_ms: int, now_ms: int) -> None:
        if self._history is None:
            resumed.gap = "there is no store to ask"
            return
        units = sorted(assignments, key=lambda each: (each.pack_id or "", each.unit_id))
        for first in range(0, len(units), UNITS_AT_ONCE):
            try:
                received = await asyncio.to_thread(self._read, units[first : first + UNITS_AT_ONCE], since_ms, now_ms)
            except HistoryUnavailableError as error:
                resumed.gap = str(error)
                return
            for each in received:
                resumed.samples += len(each.batch)
                resumed.transitions += self._engine.observe([each])
            while self._engine.waiting_rows:
                resumed.transitions += self._engine.take_waiting()

    def _read(self, units: Sequence[Assignment], since_ms: int, now_ms: int) -> list[ReceivedBatch]:
        """All units' samples, in order of time: a pack's units see each other's level as it was."""
        if self._history is None:
            return []
        found: list[ReceivedBatch] = []
        for unit in units:
            judged_ms = self._engine.judged_ms(unit.unit_id)
            start_ms = since_ms if judged_ms is None else judged_ms + 1
            for batch in self._history.batches(unit.unit_id, start_ms, now_ms + 1):
                found += (_received(each, unit) for each in _pieces(batch))
        return sorted(found, key=lambda each: int(each.batch.sampled_at_ms[0]))


def reconcile(engine: Engine, open_alerts: Mapping[Subject, Alert]) -> None:
    """After a replay: the registry's alerts stand. What people closed, or nobody was told of, is no level."""
    for subject, alert in open_alerts.items():
        standing = engine.standing().get(subject)
        if standing is None or standing.level.rank < alert.level.rank:
            engine.hold(subject, standing_of(alert))
    for subject in engine.standing().keys() - open_alerts.keys():
        engine.release(subject)


def is_level(alert: Alert) -> bool:
    """Whether an open alert is a level that the engine holds."""
    return not alert.kind.calm and alert.state not in {AlertState.CLEARED, AlertState.CLOSED}


def standing_of(alert: Alert) -> Standing:
    """The level that an alert says its subject has."""
    return Standing(level=alert.level, peak=alert.peak_level, since_ms=ms_from_utc(alert.sampled_at))


def _check_age(age_ms: int, path: Path) -> None:
    if not 0 <= age_ms <= SNAPSHOT_AT_MOST_MS:
        raise SnapshotError(f"{path} was written {age_ms / 3_600_000:.1f} h ago")


def _received(batch: SampleBatch, unit: Assignment) -> ReceivedBatch:
    return ReceivedBatch(
        batch=batch,
        fleet_id=unit.fleet_id or _NO_FLEET,
        gateway_id=unit.gateway_id or "",
        received_at_ms=int(batch.sampled_at_ms[-1]),
    )


def _pieces(batch: SampleBatch) -> Iterator[SampleBatch]:
    for first in range(0, len(batch), ROWS_AT_ONCE):
        yield batch.part(first, first + ROWS_AT_ONCE)
