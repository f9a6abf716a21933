"""The telemetry store in an InfluxDB: any number of processes may read it, one writes for a group.

There are no transactions: samples go first, then what holds cover of them, then progress. What a crash leaves between
them is written again when its batches come again, to the same points.
"""

from __future__ import annotations

from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import structlog

from ingest.stores import influx_reading as reading
from ingest.stores.contract import (
    AppendResult,
    ExportFormat,
    ExportSummary,
    HotDay,
    OutboxRange,
    RefusedBatch,
    Series,
    StoreRefusedError,
    StoreUnavailableError,
    UnitSpan,
)
from ingest.stores.influx_batches import plain_rows, whole_batches
from ingest.stores.influx_export import export
from ingest.stores.influx_keeping import Keeping
from ingest.stores.influx_lines import LineEntry, LineFormatter, line_head, position_lines
from ingest.stores.influx_progress import MADE_UP_BOOT, Progress, keep_fences, outbox_ranges
from ingest.stores.influx_rollups import RollUps, hot_days
from ingest.stores.influx_series import read_series
from ingest.stores.influx_server import InfluxAccess, InfluxServer
from ingest.stores.plain_rows import grow_rows
from ingest.stores.progress import settled_without
from telemetry.samples import Quality

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from ingest.stores.contract import Fence
    from ingest.stores.influx_places import UnitPlaces
    from ingest.stores.moving import StoredGateway, StoredUnit
    from telemetry.samples import PositionFix, ReceivedBatch

_PIECE_VALUES = 480_000
"""Values that one write carries: some 5 MB of text, a fifth of what InfluxDB 1 takes at most. **assumed**"""
_APART_MS = 600_000
"""Positions further apart than this are looked for one by one. **assumed**"""
_LARGEST_INTEGER = 2**63 - 1


class _NewFrame(NamedTuple):
    """A frame on its way, with where it lies."""

    received: ReceivedBatch
    places: UnitPlaces
    boot_id: str
    frame: int
    first_ms: int
    last_ms: int


@dataclass(slots=True)
class _Plan:
    """What one append writes."""

    entries: list[LineEntry] = field(default_factory=list)
    frames: list[_NewFrame] = field(default_factory=list)
    touched: set[tuple[str, str]] = field(default_factory=set)
    """(unit, boot) whose progress changes."""
    newest_plain_ms: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0

    @property
    def rows(self) -> int:
        return sum(len(entry.received.batch) for entry in self.entries)


class InfluxDBStore:
    """TelemetryStore in an InfluxDB 1 or 2."""

    def __init__(self, access: InfluxAccess) -> None:
        """Raises nothing: what is in the way of the server is told by the first call, and by `check`."""
        self._server = InfluxServer(access)
        self._writing = Lock()
        self._formatting = Lock()
        self._formatter = LineFormatter()
        self._ahead = ThreadPoolExecutor(1, "influxdb lines")
        self._keeping = Keeping(self._server, self._write_batches)
        self._roll_ups = RollUps(self._server)
        self._progress: Progress | None = None
        self._fences: dict[str, int] = {}
        self._unsure: set[tuple[str, int]] = set()
        """Gateway and time of positions whose write failed. A full InfluxDB shows what it could not keep."""
        self._closed = False
        self._log = structlog.get_logger("ingest.influxdb")

    def check(self) -> None:
        """Raises StoreUnavailableError when the server is not there, or does not let us in."""
        self._server.connect()

    def append(
        self, batches: Sequence[ReceivedBatch], settled: Sequence[OutboxRange] = (), fences: Sequence[Fence] = ()
    ) -> AppendResult:
        _require_storable(batches)
        with self._using(), self._writing:
            progress = self._ready_to_write(fences)
            plan = self._plan(progress, batches)
            try:
                self._roll_ups.touch(plan.entries)
                refused = self._write_batches(self._server.access.database, plan.entries)
                self._keeping.keep_batches(plan.entries)
            except BaseException:
                for new in plan.frames:
                    if new.boot_id == MADE_UP_BOOT:  # it has another number when it comes again
                        new.places.withdraw(new.boot_id, new.frame)
                raise
            keep_fences(self._server, fences)
            refusals = tuple(refusal for refusal, _ in refused.values())
            for new in plan.frames:
                if id(new.received) not in refused or new.boot_id == MADE_UP_BOOT:
                    new.places.confirm(new.boot_id, new.frame, new.first_ms, new.last_ms)
            for unit_id, newest_ms in plan.newest_plain_ms.items():
                progress.saw_plain(unit_id, newest_ms)
            settled = settled_without(settled, refusals)
            self._keep_progress(progress.written(plan.touched) + progress.settled(settled))
        return AppendResult(
            stored_rows=plan.rows - sum(lines for _, lines in refused.values()),
            duplicate_batches=plan.duplicates,
            refused=refusals,
        )

    def append_positions(
        self, fixes: Sequence[PositionFix], settled: Sequence[OutboxRange] = (), fences: Sequence[Fence] = ()
    ) -> int:
        if not fixes and not settled:
            return 0
        with self._using(), self._writing:
            progress = self._ready_to_write(fences)
            new = self._new_positions(fixes)
            if new:
                self._unsure = {(fix.gateway_id, fix.fixed_at_ms) for fix in new}
                self._server.write(self._server.access.database, position_lines(new))
                self._keeping.keep_positions(new)
                self._unsure.clear()
            keep_fences(self._server, fences)
            self._keep_progress(progress.settled(settled))
        return len(new)

    def outbox_progress(self) -> tuple[OutboxRange, ...]:
        with self._using():
            return outbox_ranges(self._server)

    def read(self, unit_id: str, start_ms: int, end_ms: int, points: int) -> Series:
        with self._using():
            windows = self._keeping.windows(start_ms, end_ms)
            return read_series(self._server, UnitSpan(unit_id, start_ms, end_ms), windows, points)

    def positions(self, gateway_id: str, start_ms: int, end_ms: int) -> tuple[PositionFix, ...]:
        with self._using():
            return reading.read_positions(self._server, gateway_id, self._keeping.windows(start_ms, end_ms))

    def latest_at(self, unit_id: str) -> int | None:
        with self._using():
            windows = self._keeping.windows(reading.EARLIEST_MS, reading.LATEST_MS)
            return reading.latest_at(self._server, unit_id, windows)

    def export(self, spans: Sequence[UnitSpan], path: Path, file_format: ExportFormat) -> ExportSummary:
        with self._using():
            return export(self._server, self._keeping.windows, spans, path, file_format)

    def hold(self, span: UnitSpan) -> None:
        with self._using():
            self._keeping.hold(span)

    def release(self, span: UnitSpan) -> None:
        with self._using():
            self._keeping.release(span)

    def holds(self) -> tuple[UnitSpan, ...]:
        with self._using():
            return self._keeping.holds()

    def delete_before(self, cutoff_ms: int) -> int:
        with self._using(), self._writing:
            self._server.retain()
            deleted = self._keeping.delete_before(cutoff_ms)
            progress = self._progress or Progress(self._server)
            progress.forget_before(cutoff_ms, self._keeping.held_units())
        return deleted

    def roll_up(self, now_ms: int) -> bool:
        with self._using():
            return self._roll_ups.roll_up(now_ms)

    def hot_days(self, above_c: float, start_ms: int, end_ms: int, limit: int) -> tuple[HotDay, ...]:
        with self._using():
            return hot_days(self._server, above_c, start_ms, end_ms, limit)

    def stored_units(self) -> tuple[StoredUnit, ...]:
        with self._using():
            windows = self._keeping.windows(reading.EARLIEST_MS, reading.LATEST_MS)
            return reading.stored_units(self._server, windows)

    def stored_gateways(self) -> tuple[StoredGateway, ...]:
        with self._using():
            windows = self._keeping.windows(reading.EARLIEST_MS, reading.LATEST_MS)
            return reading.stored_gateways(self._server, windows)

    def stored_batches(self, unit_id: str) -> Iterator[ReceivedBatch]:
        with self._using():
            windows = self._keeping.windows(reading.EARLIEST_MS, reading.LATEST_MS)
            yield from whole_batches(self._server, unit_id, windows)

    def close(self) -> None:
        with self._writing:
            if not self._closed:
                self._closed = True
                self._ahead.shutdown()
                self._formatter.close()
                self._server.close()

    @contextmanager
    def _using(self) -> Iterator[None]:
        if self._closed:
            raise StoreUnavailableError(f"the telemetry store {self._server.access.url} is closed")
        self._server.connect()
        self._server.notice_restart()
        yield

    def _ready_to_write(self, fences: Sequence[Fence]) -> Progress:
        """What is stored, after the fences let us pass."""
        self._server.retain()
        keep_fences(self._server, fences)
        numbers = {fence.group: fence.number for fence in fences}
        if any(self._fences.get(group) != number for group, number in numbers.items()):
            self._progress = None  # another worker may have written meanwhile
        if self._progress is None:
            self._progress = Progress(self._server)
            self._fences.update(numbers)
        return self._progress

    def _keep_progress(self, lines: bytes) -> None:
        try:
            if lines:
                self._server.write(self._server.access.kept, lines)
        except BaseException:
            self._progress = None  # what is kept is known to the server alone
            raise

    def _plan(self, progress: Progress, batches: Sequence[ReceivedBatch]) -> _Plan:
        plan = _Plan()
        framed: dict[tuple[str, str, int], ReceivedBatch] = {}
        plain: dict[str, list[ReceivedBatch]] = defaultdict(list)
        made_up: list[ReceivedBatch] = []
        for received in batches:
            batch = received.batch
            if not len(batch):
                continue
            if batch.boot_id is not None and batch.frame is not None:
                key = (batch.unit_id, batch.boot_id, batch.frame)
                if key in framed or progress.unit(batch.unit_id).is_stored(batch.boot_id, batch.frame):
                    plan.duplicates += 1
                else:
                    framed[key] = received
            elif batch.quality[0] & Quality.TIME_IMPOSSIBLE:
                # A made-up time says nothing about which sample it is: such rows are all kept.
                made_up.append(received)
            else:
                plain[batch.unit_id].append(received)
        progress.search(UnitSpan(unit_id, *_times(received)) for (unit_id, *_), received in framed.items())
        for (_, boot_id, frame), received in framed.items():
            self._place(progress, plan, received, boot_id, frame)
        for received in made_up:
            number = progress.unit(received.batch.unit_id).next_number(MADE_UP_BOOT)
            self._place(progress, plan, received, MADE_UP_BOOT, number)
        for unit_id, alike in plain.items():
            self._grow_plain(progress, plan, unit_id, alike)
        return plan

    @staticmethod
    def _place(progress: Progress, plan: _Plan, received: ReceivedBatch, boot_id: str, frame: int) -> None:
        unit_id = received.batch.unit_id
        places = progress.unit(unit_id)
        first_ms, end_ms = _times(received)
        lane = places.place(boot_id, frame, first_ms, end_ms - 1)
        plan.entries.append(LineEntry(received, lane))
        plan.frames.append(_NewFrame(received, places, boot_id, frame, first_ms, end_ms - 1))
        plan.touched.add((unit_id, boot_id))

    def _grow_plain(self, progress: Progress, plan: _Plan, unit_id: str, received: list[ReceivedBatch]) -> None:
        """Rows without a frame number: what is stored stays, a field that comes later joins it."""
        places = progress.unit(unit_id)
        if places.plain_lane is None:
            plan.touched.add((unit_id, MADE_UP_BOOT))
        lane = places.take_plain_lane()
        first = min(int(entry.batch.sampled_at_ms[0]) for entry in received)
        last = max(int(entry.batch.sampled_at_ms[-1]) for entry in received)
        stored = None
        if first <= progress.newest_plain_ms(unit_id):
            window = reading.Window(self._server.access.database, first, last + 1)
            stored = plain_rows(self._server, unit_id, lane, window)
        grown = grow_rows(stored, received)
        plan.duplicates += grown.duplicate_batches
        plan.newest_plain_ms[unit_id] = last
        plan.entries += [LineEntry(entry, lane) for entry in grown.received]

    def _new_positions(self, fixes: Sequence[PositionFix]) -> list[PositionFix]:
        """Fixes whose gateway and time are not stored, once each."""
        new: dict[tuple[str, int], PositionFix] = {}
        for fix in fixes:
            new.setdefault((fix.gateway_id, fix.fixed_at_ms), fix)
        times: dict[str, list[int]] = defaultdict(list)
        for gateway_id, at_ms in new:
            times[gateway_id].append(at_ms)
        database = self._server.access.database
        for gateway_id, times_ms in times.items():
            for first_ms, last_ms in _stretches(times_ms):
                window = reading.Window(database, first_ms, last_ms + 1)
                for stored in reading.read_positions(self._server, gateway_id, [window]):
                    if (gateway_id, stored.fixed_at_ms) not in self._unsure:
                        new.pop((gateway_id, stored.fixed_at_ms), None)
        return list(new.values())

    def _write_batches(self, database: str, entries: Sequence[LineEntry]) -> dict[int, tuple[RefusedBatch, int]]:
        """Write all rows, some pieces at a time. Returns what the server refused, counted."""
        refused: dict[int, tuple[RefusedBatch, int]] = {}
        pieces = list(_pieces(entries))
        with self._formatting:
            answers = self._server.write_all(database, self._formatted(pieces))
        for piece, error in zip(pieces, answers, strict=True):
            if error is None:
                continue
            for line, reason in error.lines.items():
                owner = _owner(piece, line)
                _, lines_before = refused.get(id(owner), (None, 0))
                refused[id(owner)] = RefusedBatch(owner, reason), lines_before + 1
            self._log.warning("lines_refused", lines=len(error.lines), reason=str(error))
        return refused

    def _formatted(self, pieces: Sequence[list[LineEntry]]) -> Iterator[bytes]:
        """The lines of each piece; while the server takes some, the next are formatted."""
        ahead: deque[Future[bytes]] = deque()
        for piece in pieces:
            ahead.append(self._ahead.submit(self._formatter.format, piece))
            if len(ahead) > 1:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _require_storable(batches: Sequence[ReceivedBatch]) -> None:
    """Raises StoreRefusedError for a batch that has no form in InfluxDB, before anything is written."""
    for received in batches:
        batch = received.batch
        if batch.frame is not None and batch.frame > _LARGEST_INTEGER:
            raise StoreRefusedError(f"frame {batch.frame} of unit {batch.unit_id} is no integer of InfluxDB")
        if len(batch) and not (
            batch.sampled_at_ms[0] >= reading.EARLIEST_MS and batch.sampled_at_ms[-1] < reading.LATEST_MS
        ):
            raise StoreRefusedError(f"a time of unit {batch.unit_id} is outside the years that InfluxDB has")


def _stretches(times_ms: list[int]) -> Iterator[tuple[int, int]]:
    """First and last of the stretches that times lie in: a backlog must not make us read all up to now."""
    ordered = sorted(times_ms)
    first = last = ordered[0]
    for at_ms in ordered[1:]:
        if at_ms - last > _APART_MS:
            yield first, last
            first = at_ms
        last = at_ms
    yield first, last


def _times(received: ReceivedBatch) -> tuple[int, int]:
    """From the first sample to just after the last."""
    return int(received.batch.sampled_at_ms[0]), int(received.batch.sampled_at_ms[-1]) + 1


def _pieces(entries: Sequence[LineEntry]) -> Iterator[list[LineEntry]]:
    piece: list[LineEntry] = []
    values = 0
    for entry in entries:
        piece.append(entry)
        values += entry.received.batch.values() + len(entry.received.batch)
        if values >= _PIECE_VALUES:
            yield piece
            piece, values = [], 0
    if piece:
        yield piece


def _owner(piece: Sequence[LineEntry], line: str) -> ReceivedBatch:
    """Whose line the server refused. Raises StoreRefusedError when it is nobody's."""
    for entry in piece:
        if line.startswith(line_head(entry)):
            return entry.received
    raise StoreRefusedError(f"InfluxDB refuses a line that it names but nobody wrote: {line[:200]}")
