"""Ten minutes of a unit as one point, so that a month is drawn from thousands of points instead of millions.

Measurement `rollups`, tag `unit`, at the beginning of each stretch: `rows`, `temperatures` and `voltages` (the widths),
`quality` and `provenance` (bits), and `packed`: lowest, highest, sum and count of every channel in base64,
since InfluxDB answers one text forty times as fast as a hundred numbers. A roll-up is a copy that may be behind its
samples: a reader believes it only when it has as many rows as the samples have, and reads the samples where it has not.
Measurement `days` in the database that does not expire has the hottest temperature of each unit's days.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ingest.stores.contract import HotDay
from ingest.stores.influx_lines import channel_fields, tag_text
from ingest.stores.influx_reading import Window, tag_values
from ingest.stores.influx_server import literal, quoted
from telemetry.samples import SINGLE_CHANNELS, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ingest.stores.influx_answers import Rows
    from ingest.stores.influx_lines import LineEntry
    from ingest.stores.influx_server import InfluxServer

DAY_MS = 86_400_000
STRETCH_MS = 600_000
"""A month at 1,000 points has buckets of 43 min. **assumed**"""
_SETTLE_MS = 60_000
"""A stretch is rolled up this long after its end: most of what comes late is here then. **assumed**"""
_UNITS_AT_ONCE = 50
_STRETCHES_AT_ONCE = 144
"""A day of 50 units is 700,000 values to answer with. **assumed**"""
_REDUCTIONS = ("min", "max", "sum", "count")
_BYTES = 4 + 4 + 8 + 4
"""Of a channel: float32, float32, float64, uint32."""


class Run(NamedTuple):
    """Stretches of a unit, one after the other: from `first` to just before `end`, each counted from 1970."""

    first: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """Channels of some stretches, (n, C) each: T temperatures, V voltages, then all single sensors."""

    low: NDArray[np.float32]
    """NaN = nothing measured, as in `high`."""
    high: NDArray[np.float32]
    total: NDArray[np.float64]
    count: NDArray[np.uint32]

    def parts(self) -> tuple[NDArray[Any], ...]:
        """All four, in the order of their definition."""
        return (self.low, self.high, self.total, self.count)


def pack(reduced: Reduced) -> list[str]:
    """A text for each stretch."""
    columns = [np.ascontiguousarray(part.astype(part.dtype.newbyteorder("<"))) for part in reduced.parts()]
    rows = np.concatenate([column.view(np.uint8).reshape(len(column), -1) for column in columns], axis=1)
    return [base64.b64encode(row.tobytes()).decode() for row in rows]


def unpack(texts: Sequence[str], channels: int) -> Reduced:
    """Stretches of one width. Raises ValueError when the texts hold something else."""
    content = np.frombuffer(b"".join(map(base64.b64decode, texts)), np.uint8).reshape(len(texts), _BYTES * channels)

    def part(first: int, dtype: str) -> NDArray[Any]:
        end = first + np.dtype(dtype).itemsize
        return np.ascontiguousarray(content[:, first * channels : end * channels]).view(dtype)

    return Reduced(part(0, "<f4"), part(4, "<f4"), part(8, "<f8"), part(16, "<u4"))


class RollUps:
    """Which stretches wait for their roll-up, and the making of them. `touch` and `roll_up` may overlap."""

    def __init__(self, server: InfluxServer) -> None:
        self._server = server
        self._lock = Lock()
        self._waiting: dict[str, set[int]] = defaultdict(set)
        self._searched = False

    def touch(self, entries: Iterable[LineEntry]) -> None:
        """Note what is about to be written. A roll-up whose rows may grow without becoming more is withdrawn at once.

        That is so with rows without a frame number, which later messages add channels to.
        """
        withdrawn = []
        with self._lock:
            for entry in entries:
                batch = entry.received.batch
                first, last = (int(batch.sampled_at_ms[row]) // STRETCH_MS for row in (0, -1))
                stretches = {first, last}
                if last - first > 1:
                    stretches = set((batch.sampled_at_ms // STRETCH_MS).tolist())
                waiting = self._waiting[batch.unit_id]
                if batch.frame is None:
                    withdrawn += [(batch.unit_id, each) for each in stretches - waiting]
                waiting |= stretches
        if withdrawn:
            lines = [f"rollups,unit={tag_text(unit)} rows=-1i {at * STRETCH_MS}\n" for unit, at in withdrawn]
            self._server.write(self._server.access.database, "".join(lines).encode())

    def roll_up(self, now_ms: int, *, at_most: int = 100) -> bool:
        """Roll up what waits and ended a while before `now_ms`, in at most so many portions. Whether more waits."""
        if not self._searched:
            self._search(now_ms)
        end = (now_ms - _SETTLE_MS) // STRETCH_MS
        for _ in range(at_most):
            run, units = self._next(end)
            if not units:
                return False
            try:
                self._make(units, run)
            except BaseException:
                with self._lock:
                    for unit_id in units:
                        self._waiting[unit_id] |= set(range(*run))
                raise
        return True

    def _next(self, end: int) -> tuple[Run, list[str]]:
        """The oldest run that waits and the units that have it in common; they wait no longer."""
        with self._lock:
            due = {unit: min(each) for unit, each in self._waiting.items() if each and min(each) < end}
            if not due:
                return Run(end, end), []
            first = min(due.values())
            unit = next(unit for unit, at in due.items() if at == first)
            last = first
            while last + 1 in self._waiting[unit] and last + 1 < min(end, first + _STRETCHES_AT_ONCE):
                last += 1
            run = Run(first, last + 1)
            wanted = set(range(*run))
            units = [unit for unit, at in due.items() if at == first and wanted <= self._waiting[unit]]
            for unit in units[:_UNITS_AT_ONCE]:
                self._waiting[unit] -= wanted
                if not self._waiting[unit]:
                    del self._waiting[unit]
        return run, units[:_UNITS_AT_ONCE]

    def _search(self, now_ms: int) -> None:
        """What has no roll-up yet: all after each unit's newest one, that one included."""
        database = self._server.access.database
        newest = _times(self._server.query(database, 'SELECT last("rows") FROM "rollups" GROUP BY "unit"'))
        for unit_id in tag_values(self._server, database, "samples", "unit"):
            where = f'FROM "samples" WHERE "unit" = {literal(unit_id)}'
            begins = newest.get(unit_id)
            if begins is None:
                begins = _times(self._server.query(database, f'SELECT first("frame") {where} GROUP BY "unit"')).get(
                    unit_id
                )
            if begins is None:
                continue
            grouped = f"AND time >= {begins}ms AND time <= {now_ms}ms GROUP BY time({STRETCH_MS}ms) fill(none)"
            found = self._server.query(database, f'SELECT count("frame") {where} {grouped}')
            stretches = {row[0] // STRETCH_MS for rows in found for row in rows.values}
            with self._lock:
                self._waiting[unit_id] |= stretches
        self._searched = True

    def _make(self, units: Sequence[str], run: Run) -> None:
        database = self._server.access.database
        window = Window(database, run.first * STRETCH_MS, run.end * STRETCH_MS)
        named = " OR ".join(f'"unit" = {literal(unit)}' for unit in units)
        source = f'FROM "samples" WHERE ({named}) AND {window.where} GROUP BY time({STRETCH_MS}ms), "unit" fill(none)'
        told = self._told(units, window.start_ms, source)
        widest = tuple(max((each[at] for each in told.values()), default=0) for at in (1, 2))
        names = (*channel_fields(*widest), *SINGLE_CHANNELS)
        selected = ", ".join(f"{what}({quoted(name)})" for what in _REDUCTIONS for name in names)
        lines = []
        days: dict[tuple[str, int], float] = {}
        for rows in self._server.query(database, f"SELECT {selected} {source}"):
            unit_id = rows.tags["unit"]
            values = np.array([row[1:] for row in rows.values], np.float64).reshape(len(rows.values), 4, len(names))
            for row, parts in zip(rows.values, values, strict=True):
                count, temperatures, voltages, quality, provenance = told[unit_id, row[0]]
                own = np.r_[:temperatures, widest[0] : widest[0] + voltages, sum(widest) : len(names)]
                low, high, total, number = parts[:, None, own]
                reduced = Reduced(
                    low.astype(np.float32),
                    high.astype(np.float32),
                    np.nan_to_num(total),
                    np.nan_to_num(number).astype(np.uint32),
                )
                hottest = np.fmax.reduce(reduced.high[0, :temperatures], initial=np.nan)
                lines.append(
                    f"rollups,unit={tag_text(unit_id)} rows={count}i,temperatures={temperatures}i,voltages={voltages}i,"
                    f"quality={quality}i,provenance={provenance}i,"
                    f'packed="{pack(reduced)[0]}" {row[0]}\n'
                )
                if not np.isnan(hottest):
                    day = unit_id, row[0] // DAY_MS * DAY_MS
                    days[day] = max(days.get(day, -np.inf), float(hottest))
        if days:
            self._keep_days(units, days)
        if lines:
            self._server.write(database, "".join(lines).encode())

    def _keep_days(self, units: Sequence[str], days: dict[tuple[str, int], float]) -> None:
        """The hottest temperatures of days, where roll-ups do not expire: never less than what is there."""
        kept = self._server.access.kept
        named = " OR ".join(f'"unit" = {literal(unit)}' for unit in units)
        first, last = min(at for _, at in days), max(at for _, at in days)
        where = f"WHERE ({named}) AND time >= {first}ms AND time <= {last}ms"
        for rows in self._server.query(kept, f'SELECT "hottest" FROM "days" {where} GROUP BY "unit"'):
            for at_ms, hottest in rows.values:
                day = rows.tags["unit"], at_ms
                if day in days:
                    days[day] = max(days[day], hottest)
        lines = [f"days,unit={tag_text(unit)} hottest={hottest!r} {at}\n" for (unit, at), hottest in days.items()]
        self._server.write(kept, "".join(lines).encode())

    def _told(self, units: Sequence[str], start_ms: int, source: str) -> dict[tuple[str, int], list[int]]:
        """By unit and time: rows, temperatures, voltages, quality and provenance."""
        database = self._server.access.database
        told: dict[tuple[str, int], list[int]] = {}
        # The widths are told with a frame's first row alone: one that began before the stretch goes on with its own.
        held = self._widths_before(units, start_ms)
        statement = f'SELECT count("frame"), max("temperatures"), max("voltages") {source}'
        for rows in self._server.query(database, statement):
            unit_id = rows.tags["unit"]
            for at_ms, count, *widths in rows.values:
                before = held.get(unit_id, (0, 0))
                held[unit_id] = (widths[0] or before[0], widths[1] or before[1])
                widest = [max(now or 0, then) for now, then in zip(widths, before, strict=True)]
                told[unit_id, at_ms] = [count, *widest, 0, 0]
        for place, name, bits in ((3, "quality", int), (4, "provenance", _provenance_bit)):
            for rows in self._server.query(database, f'SELECT distinct("{name}") {source}'):
                for at_ms, value in rows.values:
                    told[rows.tags["unit"], at_ms][place] |= bits(value)
        return told

    def _widths_before(self, units: Sequence[str], start_ms: int) -> dict[str, tuple[int, int]]:
        named = " OR ".join(f'"unit" = {literal(unit)}' for unit in units)
        statement = (
            f'SELECT last("temperatures"), last("voltages") FROM "samples" WHERE ({named}) AND time < {start_ms}ms '
            f'AND time >= {start_ms - 3_600_000}ms GROUP BY "unit"'
        )
        return {
            rows.tags["unit"]: (rows.values[0][1] or 0, rows.values[0][2] or 0)
            for rows in self._server.query(self._server.access.database, statement)
        }


def hot_days(server: InfluxServer, above_c: float, start_ms: int, end_ms: int, limit: int) -> tuple[HotDay, ...]:
    """As TelemetryStore.hot_days."""
    window = Window(server.access.kept, start_ms, end_ms)
    statement = f'SELECT "hottest" FROM "days" WHERE "hottest" > {float(above_c)!r} AND {window.where} GROUP BY "unit"'
    found = [
        HotDay(rows.tags["unit"], at_ms, float(hottest))
        for rows in server.query(window.database, statement)
        for at_ms, hottest in rows.values
    ]
    found.sort(key=lambda day: (-day.hottest_c, -day.day_ms, day.unit_id))
    return tuple(found[:limit])


def provenances_of(bits: int) -> frozenset[Provenance]:
    """What a roll-up's `provenance` tells."""
    return frozenset(each for bit, each in enumerate(Provenance) if bits >> bit & 1)


def _provenance_bit(value: str) -> int:
    return 1 << list(Provenance).index(Provenance(value))


def _times(answer: Iterable[Rows]) -> dict[str, int]:
    return {rows.tags["unit"]: rows.values[0][0] for rows in answer if rows.values}
