"""Retention and holds in InfluxDB: the database drops what is old by itself; what is held lies in another as well.

A boundary in time parts the two: after it the first database speaks, before it the second, which has held samples
alone. So a sample that both have counts once, and one that is past its time is gone at once, whenever InfluxDB drops
the shard.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ingest.stores.contract import UnitSpan
from ingest.stores.influx_batches import cut, read_batches
from ingest.stores.influx_lines import position_lines, tag_text
from ingest.stores.influx_reading import (
    EARLIEST_MS,
    LATEST_MS,
    Window,
    count_rows,
    read_positions,
    tag_values,
)
from ingest.stores.influx_server import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ingest.stores.influx_lines import LineEntry
    from ingest.stores.influx_server import InfluxServer
    from telemetry.samples import PositionFix

_DAY_MS = 86_400_000
_HOLDS_FRESH_S = 5.0
"""Holds are made by hand, maybe in another process; a sample that arrives within this time of one may miss it only if
it is newer than the hold's copy and was on its way at that moment. **assumed**"""
_COPY_ROWS = 20_000
"""Rows that a copy writes at once: some 5 MB. **assumed**"""


class Keeping:
    """What is kept how long. `write_batches` writes entries to a database."""

    def __init__(self, server: InfluxServer, write_batches: Callable[[str, Sequence[LineEntry]], object]) -> None:
        self._server = server
        self._write_batches = write_batches
        self._database, self._kept = server.access.database, server.access.kept
        self._holds: tuple[UnitSpan, ...] = ()
        self._read_at_s = -_HOLDS_FRESH_S
        self._cutoff_ms = EARLIEST_MS

    def boundary_ms(self) -> int:
        """Where the first database begins to speak."""
        self._refresh()
        days = self._server.access.retention_days
        if days is None:
            return self._cutoff_ms
        return max(self._cutoff_ms, time.time_ns() // 1_000_000 - days * _DAY_MS)

    def windows(self, start_ms: int, end_ms: int) -> tuple[Window, ...]:
        """Where a stretch of time lies, in order of time."""
        start_ms, end_ms = max(start_ms, EARLIEST_MS), min(end_ms, LATEST_MS)
        boundary_ms = self.boundary_ms()
        parts = (
            Window(self._kept, start_ms, min(end_ms, boundary_ms)),
            Window(self._database, max(start_ms, boundary_ms), end_ms),
        )
        return tuple(part for part in parts if part.start_ms < part.end_ms)

    def holds(self) -> tuple[UnitSpan, ...]:
        """All holds, as the database has them now."""
        statement = 'SELECT "held" FROM "holds" GROUP BY "unit", "start", "end"'
        found = [
            UnitSpan(rows.tags["unit"], int(rows.tags["start"]), int(rows.tags["end"]))
            for rows in self._server.query(self._kept, statement)
        ]
        return tuple(sorted(found))

    def hold(self, span: UnitSpan) -> None:
        """Note the hold, so that what arrives from now on is kept, then copy what is there."""
        line = f"holds,unit={tag_text(span.unit_id)},start={span.start_ms},end={span.end_ms} held=true 0\n"
        self._server.write(self._kept, line.encode())
        self._read_at_s = -_HOLDS_FRESH_S
        for window in self.windows(span.start_ms, span.end_ms):
            if window.database == self._database:
                self._copy(span.unit_id, window)

    def release(self, span: UnitSpan) -> None:
        where = f'"unit" = {literal(span.unit_id)} AND "start" = \'{span.start_ms}\' AND "end" = \'{span.end_ms}\''
        self._server.change(self._kept, f'DELETE FROM "holds" WHERE {where}')
        self._read_at_s = -_HOLDS_FRESH_S

    def keep_batches(self, entries: Sequence[LineEntry]) -> None:
        """Write what holds cover of batches that were written just now."""
        self._refresh()
        for span in self._holds:
            parts = (
                (entry, cut(entry.received, span.start_ms, span.end_ms))
                for entry in entries
                if entry.received.batch.unit_id == span.unit_id
            )
            held = [entry._replace(received=part) for entry, part in parts if part is not None]
            if held:
                self._write_batches(self._kept, held)

    def keep_positions(self, fixes: Sequence[PositionFix]) -> None:
        """Write what holds cover of positions that were written just now."""
        self._refresh()
        held = [fix for fix in fixes if any(span.start_ms <= fix.fixed_at_ms < span.end_ms for span in self._holds)]
        if held:
            self._server.write(self._kept, position_lines(held))

    def delete_before(self, cutoff_ms: int) -> int:
        """Move the boundary, after which old samples are seen no more, and delete. Returns how many samples went."""
        boundary_ms, holds = self.boundary_ms(), self.holds()
        deleted = count_rows(self._server, Window(self._database, boundary_ms, cutoff_ms))
        for unit_id in {span.unit_id for span in holds}:
            spans = [(span.start_ms, span.end_ms) for span in holds if span.unit_id == unit_id]
            for start_ms, end_ms in _covered(boundary_ms, cutoff_ms, spans):
                deleted -= count_rows(self._server, Window(self._database, start_ms, end_ms), unit_id)
        for unit_id in tag_values(self._server, self._kept, "samples", "unit"):
            spans = [(span.start_ms, span.end_ms) for span in holds if span.unit_id == unit_id]
            for start_ms, end_ms in _uncovered(EARLIEST_MS, cutoff_ms, spans):
                deleted += count_rows(self._server, Window(self._kept, start_ms, min(end_ms, boundary_ms)), unit_id)
                self._delete("samples", Window(self._kept, start_ms, end_ms), unit_id)
        for start_ms, end_ms in _uncovered(EARLIEST_MS, cutoff_ms, [(span.start_ms, span.end_ms) for span in holds]):
            self._delete("positions", Window(self._kept, start_ms, end_ms))
        if cutoff_ms > self._cutoff_ms:
            self._server.write(self._kept, f"expiry cutoff={cutoff_ms}i 0\n".encode())
            self._cutoff_ms = cutoff_ms
        for measurement in ("samples", "rollups", "positions"):
            self._delete(measurement, Window(self._database, EARLIEST_MS, cutoff_ms))
        return deleted

    def held_units(self) -> set[str]:
        return {span.unit_id for span in self.holds()}

    def _delete(self, measurement: str, window: Window, unit_id: str | None = None) -> None:
        unit = "" if unit_id is None else f'"unit" = {literal(unit_id)} AND '
        self._server.change(window.database, f'DELETE FROM "{measurement}" WHERE {unit}{window.where}')

    def _copy(self, unit_id: str, window: Window) -> None:
        for entries in _portions(read_batches(self._server, unit_id, window)):
            self._write_batches(self._kept, entries)
        for gateway_id in tag_values(self._server, self._database, "positions", "gateway"):
            fixes = read_positions(self._server, gateway_id, [window])
            if fixes:
                self._server.write(self._kept, position_lines(fixes))

    def _refresh(self) -> None:
        now_s = time.monotonic()
        if now_s - self._read_at_s < _HOLDS_FRESH_S:
            return
        self._holds = self.holds()
        for rows in self._server.query(self._kept, 'SELECT last("cutoff") FROM "expiry"'):
            self._cutoff_ms = int(rows.values[0][1])
        self._read_at_s = now_s


def _portions(entries: Iterable[LineEntry]) -> Iterator[list[LineEntry]]:
    portion: list[LineEntry] = []
    rows = 0
    for entry in entries:
        portion.append(entry)
        rows += len(entry.received.batch)
        if rows >= _COPY_ROWS:
            yield portion
            portion, rows = [], 0
    if portion:
        yield portion


def _covered(start_ms: int, end_ms: int, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What some spans cover of [start_ms, end_ms), once each."""
    found: list[tuple[int, int]] = []
    for start, end in sorted((max(start, start_ms), min(end, end_ms)) for start, end in spans):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _uncovered(start_ms: int, end_ms: int, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What they leave of it."""
    covered = _covered(start_ms, end_ms, spans)
    edges = [start_ms, *(edge for span in covered for edge in span), end_ms]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]
