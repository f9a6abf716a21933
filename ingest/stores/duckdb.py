"""The embedded telemetry store: one DuckDB file, data and progress in one transaction a flush.

One process opens the file. Writes take turns; reads run beside them, each on a cursor of its own.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from ingest.stores import duckdb_moving as moving
from ingest.stores import duckdb_reading as reading
from ingest.stores.columns import samples_table
from ingest.stores.contract import (
    AppendResult,
    ExportFormat,
    ExportSummary,
    HotDay,
    OutboxRange,
    Series,
    StoreUnavailableError,
    UnitSpan,
)
from ingest.stores.duckdb_export import export
from ingest.stores.duckdb_file import HOT_DAYS, open_file, registered, told_apart
from ingest.stores.duckdb_progress import FRAMES, OUTBOXES, keep_fences
from ingest.stores.plain_rows import grow_rows
from ingest.stores.progress import FrameRanges
from telemetry.samples import Quality, ReceivedBatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ingest.stores.contract import Fence
    from ingest.stores.moving import StoredGateway, StoredUnit
    from telemetry.samples import PositionFix


_Progress = dict[tuple[str, ...], FrameRanges]


class DuckDBStore:
    """TelemetryStore in one DuckDB file."""

    def __init__(self, path: Path, *, threads: int = 2, memory_limit_mb: int = 512) -> None:
        """Open or create `path`. Raises StoreInUseError, StoreCorruptError or StoreUnavailableError.

        Two threads and half a gigabyte leave a small machine to the rest of the service (**assumed**); larger queries
        spill to a folder beside the file.
        """
        self._path = path
        self._threads = threads
        self._memory_limit_mb = memory_limit_mb
        self._closed = False
        self._writing = Lock()
        self._connection: duckdb.DuckDBPyConnection | None = open_file(
            path, threads=threads, memory_limit_mb=memory_limit_mb
        )
        self._progress: _Progress | None = None
        self._outboxes: _Progress | None = None
        self._newest_plain_ms: dict[str, int] = {}

    def append(
        self, batches: Sequence[ReceivedBatch], settled: Sequence[OutboxRange] = (), fences: Sequence[Fence] = ()
    ) -> AppendResult:
        received_at_ms = max((received.received_at_ms for received in batches), default=0)
        with self._writing, told_apart():
            with self._transaction() as cursor:
                if self._progress is None:
                    self._progress = FRAMES.read(cursor)
                framed, touched, duplicates = _sift(batches, self._progress)
                plain, made_up = _plain(batches)
                rows = [*framed, *made_up]
                plain_newest: dict[str, int] = {}
                for unit_id, received in plain.items():
                    written, repeated = self._grow_plain(cursor, unit_id, received, plain_newest)
                    rows = [*rows, *written]
                    duplicates += repeated
                stored = _insert(cursor, rows)
                FRAMES.write(cursor, self._progress, touched, received_at_ms)
                outboxes = self._settle(cursor, settled)
                keep_fences(cursor, fences)
            self._progress.update(touched)
            self._keep_settled(outboxes)
            self._newest_plain_ms.update(plain_newest)
        return AppendResult(stored_rows=stored, duplicate_batches=duplicates)

    def append_positions(
        self, fixes: Sequence[PositionFix], settled: Sequence[OutboxRange] = (), fences: Sequence[Fence] = ()
    ) -> int:
        if not fixes and not settled:
            return 0
        table = pa.table(
            {
                "fleet_id": pa.array([fix.fleet_id for fix in fixes], pa.string()),
                "gateway_id": pa.array([fix.gateway_id for fix in fixes], pa.string()),
                "fixed_at": pa.array([fix.fixed_at_ms for fix in fixes], pa.timestamp("ms")),
                "latitude_deg": pa.array([fix.latitude_deg for fix in fixes], pa.float64()),
                "longitude_deg": pa.array([fix.longitude_deg for fix in fixes], pa.float64()),
                "speed_m_s": pa.array([fix.speed_m_s for fix in fixes], pa.float64()),
                "heading_deg": pa.array([fix.heading_deg for fix in fixes], pa.float64()),
                "accuracy_m": pa.array([fix.accuracy_m for fix in fixes], pa.float64()),
            }
        )
        with self._writing, told_apart():
            with self._transaction() as cursor, registered(cursor, "incoming", table):
                new = _count(
                    cursor,
                    "INSERT INTO positions SELECT DISTINCT ON (gateway_id, fixed_at) * FROM incoming "
                    "WHERE NOT EXISTS (SELECT 1 FROM positions p WHERE p.gateway_id = incoming.gateway_id "
                    "AND p.fixed_at = incoming.fixed_at)",
                )
                outboxes = self._settle(cursor, settled)
                keep_fences(cursor, fences)
            self._keep_settled(outboxes)
        return new

    def outbox_progress(self) -> tuple[OutboxRange, ...]:
        with self._reading() as cursor:
            found = OUTBOXES.read(cursor)
        return tuple(
            OutboxRange(fleet_id, gateway_id, outbox_id, first, last)
            for (fleet_id, gateway_id, outbox_id), ranges in found.items()
            for first, last in ranges.ranges().items()
        )

    def read(self, unit_id: str, start_ms: int, end_ms: int, points: int) -> Series:
        with self._reading() as cursor:
            return reading.read_series(cursor, UnitSpan(unit_id, start_ms, end_ms), points)

    def positions(self, gateway_id: str, start_ms: int, end_ms: int) -> tuple[PositionFix, ...]:
        with self._reading() as cursor:
            return reading.read_positions(cursor, gateway_id, start_ms, end_ms)

    def latest_at(self, unit_id: str) -> int | None:
        with self._reading() as cursor:
            return reading.latest_at(cursor, unit_id)

    def export(self, spans: Sequence[UnitSpan], path: Path, file_format: ExportFormat) -> ExportSummary:
        with self._reading() as cursor:
            return export(cursor, spans, path, file_format)

    def roll_up(self, now_ms: int) -> bool:  # noqa: ARG002 - DuckDB reduces a month in 50 ms
        return False

    def hot_days(self, above_c: float, start_ms: int, end_ms: int, limit: int) -> tuple[HotDay, ...]:
        with self._reading() as cursor:
            return reading.hot_days(cursor, above_c, start_ms, end_ms, limit)

    def hold(self, span: UnitSpan) -> None:
        with self._writing, told_apart(), self._transaction() as cursor:
            cursor.execute(
                "INSERT INTO holds SELECT $1, make_timestamp_ms($2), make_timestamp_ms($3) "
                "EXCEPT SELECT unit_id, start_at, end_at FROM holds",
                list(span),
            )

    def release(self, span: UnitSpan) -> None:
        with self._writing, told_apart(), self._transaction() as cursor:
            cursor.execute(
                "DELETE FROM holds WHERE unit_id = $1 AND start_at = make_timestamp_ms($2) "
                "AND end_at = make_timestamp_ms($3)",
                list(span),
            )

    def holds(self) -> tuple[UnitSpan, ...]:
        with self._reading() as cursor:
            rows = cursor.execute(
                "SELECT unit_id, epoch_ms(start_at), epoch_ms(end_at) FROM holds ORDER BY ALL"
            ).fetchall()
        return tuple(UnitSpan(*row) for row in rows)

    def delete_before(self, cutoff_ms: int) -> int:
        with self._writing, told_apart(), self._transaction() as cursor:
            deleted = _count(
                cursor,
                "DELETE FROM samples WHERE sampled_at < make_timestamp_ms($1) AND NOT EXISTS (FROM holds h "
                "WHERE h.unit_id = samples.unit_id AND sampled_at >= h.start_at AND sampled_at < h.end_at)",
                cutoff_ms,
            )
            cursor.execute(
                "DELETE FROM positions WHERE fixed_at < make_timestamp_ms($1) AND NOT EXISTS (FROM holds h "
                "WHERE fixed_at >= h.start_at AND fixed_at < h.end_at)",
                [cutoff_ms],
            )
            # Frames that were received that long ago will not come again; a held unit's progress stays with its data.
            cursor.execute(
                "DELETE FROM progress WHERE received_at < make_timestamp_ms($1) "
                "AND NOT EXISTS (FROM holds h WHERE h.unit_id = progress.unit_id)",
                [cutoff_ms],
            )
            self._progress = None
            self._newest_plain_ms.clear()
        return deleted

    def stored_units(self) -> tuple[StoredUnit, ...]:
        with self._reading() as cursor:
            return moving.stored_units(cursor)

    def stored_gateways(self) -> tuple[StoredGateway, ...]:
        with self._reading() as cursor:
            return moving.stored_gateways(cursor)

    def stored_batches(self, unit_id: str) -> Iterator[ReceivedBatch]:
        with self._reading() as cursor:
            yield from moving.stored_batches(cursor, unit_id)

    def close(self) -> None:
        with self._writing:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _settle(self, cursor: duckdb.DuckDBPyConnection, settled: Sequence[OutboxRange]) -> _Progress:
        """Write the ranges; the outboxes' progress with them (copies)."""
        if not settled:
            return {}
        if self._outboxes is None:
            self._outboxes = OUTBOXES.read(cursor)
        touched: _Progress = {}
        for *key, first, last in settled:
            outbox = tuple(key)
            ranges = touched.get(outbox)
            if ranges is None:
                known = self._outboxes.get(outbox)
                ranges = touched[outbox] = FrameRanges() if known is None else known.copy()
            ranges.add_range(first, last)
        OUTBOXES.write(cursor, self._outboxes, touched)
        return touched

    def _keep_settled(self, outboxes: _Progress) -> None:
        if self._outboxes is not None:
            self._outboxes.update(outboxes)

    def _grow_plain(
        self,
        cursor: duckdb.DuckDBPyConnection,
        unit_id: str,
        received: list[ReceivedBatch],
        newest_ms: dict[str, int],
    ) -> tuple[list[ReceivedBatch], int]:
        """The rows of a plain node's unit to insert, after deleting those that they replace, and the duplicates."""
        known = self._newest_plain_ms.get(unit_id)
        if known is None:
            known = reading.newest_plain_ms(cursor, unit_id)
        first = int(min(entry.batch.sampled_at_ms[0] for entry in received))
        last = int(max(entry.batch.sampled_at_ms[-1] for entry in received))
        newest_ms[unit_id] = max(known, last)
        stored = reading.plain_rows(cursor, UnitSpan(unit_id, first, last + 1)) if first <= known else None
        grown = grow_rows(stored, received)
        if len(grown.replaced_ms):
            replaced = pa.table({"sampled_at": pa.array(grown.replaced_ms.view("datetime64[ms]"))})
            with registered(cursor, "replaced", replaced):
                cursor.execute(
                    "DELETE FROM samples WHERE unit_id = $1 AND boot_id IS NULL AND (quality & $2) = 0 "
                    "AND sampled_at IN (SELECT sampled_at FROM replaced)",
                    [unit_id, int(Quality.TIME_IMPOSSIBLE)],
                )
        return list(grown.received), grown.duplicate_batches

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor inside a transaction that commits at the end; held under `_writing`."""
        connection = self._opened()
        try:
            with closing(connection.cursor()) as cursor:
                cursor.begin()
                yield cursor
                cursor.commit()
        except BaseException:  # closing the cursor has rolled its transaction back
            # Whether a failed commit took hold is known to the file alone.
            self._progress = self._outboxes = None
            self._newest_plain_ms.clear()
            self._drop_if_invalid()
            raise

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with told_apart(), closing(self._opened().cursor()) as cursor:
            yield cursor

    def _opened(self) -> duckdb.DuckDBPyConnection:
        if self._closed:
            raise StoreUnavailableError(f"the telemetry store {self._path} is closed")
        if self._connection is None:
            self._connection = open_file(self._path, threads=self._threads, memory_limit_mb=self._memory_limit_mb)
        return self._connection

    def _drop_if_invalid(self) -> None:
        """After a fatal error (a full disk, say) DuckDB refuses all work until its file is opened again."""
        if self._connection is None:
            return
        try:
            self._connection.execute("SELECT 1").fetchall()
        except duckdb.Error:
            self._connection.close()
            self._connection = None


def _sift(batches: Sequence[ReceivedBatch], progress: _Progress) -> tuple[list[ReceivedBatch], _Progress, int]:
    """Batches whose frame is new, the boots' progress with them (copies), and how many were known."""
    fresh: list[ReceivedBatch] = []
    touched: _Progress = {}
    duplicates = 0
    for received in batches:
        batch = received.batch
        if batch.boot_id is None or batch.frame is None:
            continue
        boot = (batch.unit_id, batch.boot_id)
        ranges = touched.get(boot)
        if ranges is None:
            known = progress.get(boot)
            ranges = touched[boot] = FrameRanges() if known is None else known.copy()
        if ranges.add(batch.frame):
            fresh.append(received)
        else:
            duplicates += 1
    return fresh, touched, duplicates


def _plain(batches: Sequence[ReceivedBatch]) -> tuple[dict[str, list[ReceivedBatch]], list[ReceivedBatch]]:
    """Batches without a frame number: by unit those with times of their own, and those whose times were made up.

    A made-up time says nothing about which sample it is: such rows are all kept.
    """
    units: dict[str, list[ReceivedBatch]] = {}
    made_up: list[ReceivedBatch] = []
    for received in batches:
        batch = received.batch
        if (batch.boot_id is not None and batch.frame is not None) or not len(batch):
            continue
        if batch.quality[0] & Quality.TIME_IMPOSSIBLE:
            made_up.append(received)
        else:
            units.setdefault(batch.unit_id, []).append(received)
    return units, made_up


def _insert(cursor: duckdb.DuckDBPyConnection, received: Sequence[ReceivedBatch]) -> int:
    filled = [entry for entry in received if len(entry.batch)]
    if not filled:
        return 0
    table = samples_table(filled)
    with registered(cursor, "incoming", table):
        cursor.execute("INSERT INTO samples SELECT * FROM incoming")
        cursor.execute(HOT_DAYS.format(rows="incoming"))
    return int(table.num_rows)


def _count(cursor: duckdb.DuckDBPyConnection, statement: str, *parameters: Any) -> int:
    """Run a statement that changes rows; how many it changed."""
    (changed,) = cursor.execute(statement, list(parameters)).fetchall()[0]
    return int(changed)
