"""A unit's history out of InfluxDB: as measured, or reduced by the server from samples and from their roll-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ingest.stores.buckets import Buckets
from ingest.stores.contents import Contents
from ingest.stores.contract import Band
from ingest.stores.influx_reading import Block, Window, blocks, contents_of, fields_of
from ingest.stores.influx_rollups import STRETCH_MS, Reduced, provenances_of, unpack
from ingest.stores.influx_server import literal, quoted
from telemetry.samples import SINGLE_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ingest.stores.contract import Series, UnitSpan
    from ingest.stores.influx_answers import Rows
    from ingest.stores.influx_server import InfluxServer

_MOST_RUNS = 20
"""Where roll-ups and samples take turns more often, samples are read from the first turn to the last. **assumed**"""


_FEW_ROWS = 5_000
"""So many samples beside roll-ups are quicker fetched than reduced by the server. **assumed**"""


class _RollUps(NamedTuple):
    """Roll-ups that are believed, of stretches of one width."""

    at_ms: NDArray[np.int64]
    found: Contents
    quality: NDArray[np.uint32]
    reduced: Reduced


class _Reduction:
    """Lowest, highest, sum and count of each bucket and channel, put together from parts in any order."""

    def __init__(self, buckets: Buckets, found: Contents) -> None:
        shape = (len(buckets.at_ms), found.channels)
        self._found = found
        self.buckets = buckets
        self.quality: NDArray[np.uint32] = np.zeros(shape[0], np.uint32)
        self._low, self._high = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
        self._total, self._measured = np.zeros(shape), np.zeros(shape)

    def add_block(self, block: Block) -> None:
        """Samples as measured, in order of time."""
        hit = self.buckets.of(block.at_ms)
        measured = ~np.isnan(block.values)
        total = np.where(measured, block.values, 0).astype(np.float64)
        self._add(hit, slice(None), Reduced(block.values, block.values, total, measured.astype(np.uint32)))
        np.bitwise_or.at(self.quality, hit, block.quality)

    def add_samples(self, rows: Rows, *, counted: bool) -> None:
        """The server's min, max, mean and, where `counted`, count of each channel; a row for a bucket."""
        hit = self.buckets.of(_times(rows))
        values = np.array([row[1:] for row in rows.values], np.float64).reshape(len(hit), self._found.channels, -1)
        there = ~np.isnan(values[:, :, 2])
        count = np.where(there, values[:, :, 3] if counted else 1.0, 0.0)
        low, high = values[:, :, 0].astype(np.float32), values[:, :, 1].astype(np.float32)
        self._add(
            hit, slice(None), Reduced(low, high, np.where(there, values[:, :, 2], 0.0) * count, count.astype(np.uint32))
        )

    def add_roll_ups(self, rolled: _RollUps) -> None:
        """Widths may be smaller than those of all."""
        found, own = self._found, rolled.found
        voltages_at, singles_at = found.temperatures, found.temperatures + found.voltages
        known = [own.temperatures + own.voltages + SINGLE_CHANNELS.index(name) for name in found.singles]
        columns = np.r_[: own.temperatures, voltages_at : voltages_at + own.voltages, singles_at : found.channels]
        sources = np.r_[: own.temperatures + own.voltages, np.array(known, np.int64)].astype(np.int64)
        hit = self.buckets.of(rolled.at_ms)
        self._add(hit, columns.astype(np.int64), Reduced(*(part[:, sources] for part in rolled.reduced.parts())))
        np.bitwise_or.at(self.quality, hit, rolled.quality)

    def _add(self, hit: NDArray[np.int64], columns: slice | NDArray[np.int64], part: Reduced) -> None:
        if not len(hit):
            return
        starts = np.concatenate(([0], np.flatnonzero(np.diff(hit)) + 1))
        for whole, reduce, values in (
            (self._low, np.fmin, part.low),
            (self._high, np.fmax, part.high),
            (self._total, np.add, part.total),
            (self._measured, np.add, part.count),
        ):
            at = (hit[starts], columns) if isinstance(columns, slice) else np.ix_(hit[starts], columns)
            whole[at] = reduce(whole[at], reduce.reduceat(values, starts, axis=0))

    def band(self) -> Band:
        mean = np.full(self._total.shape, np.nan)
        np.divide(self._total, self._measured, out=mean, where=self._measured > 0)
        return Band(minimum=self._low, mean=mean.astype(np.float32), maximum=self._high)


def read_series(server: InfluxServer, span: UnitSpan, windows: Sequence[Window], points: int) -> Series:
    """One unit's span in at most `points` buckets, raw when it has no more rows. Raises ValueError as Buckets does.

    windows: where the span lies, oldest first; roll-ups are those of the last one's database. Buckets of ten minutes
    and longer have edges that are multiples of ten minutes.
    """
    buckets = Buckets(start_ms=span.start_ms, end_ms=span.end_ms, points=points)
    rolled: list[_RollUps] = []
    pieces = list(windows)
    if windows and buckets.length_ms >= STRETCH_MS:
        buckets = Buckets(start_ms=span.start_ms, end_ms=span.end_ms, points=points, step_ms=STRETCH_MS)
        rolled, unrolled = _parted(server, span.unit_id, windows[-1])
        pieces = [*windows[:-1], *unrolled]
    found = Contents()
    samples = [contents_of(server, span.unit_id, piece) for piece in pieces]
    for own in (*(each.found for each in rolled), *samples):
        found = found.united(own)
    raw = found.rows <= points
    if raw:
        at_ms, band, quality = _as_measured(server, span.unit_id, windows, found)
    else:
        reduction = _Reduction(buckets, found)
        for each in rolled:
            reduction.add_roll_ups(each)
        for piece, held in zip(pieces, samples, strict=True):
            if rolled and held.rows <= _FEW_ROWS:
                for block in blocks(server, [span.unit_id], piece, found):
                    reduction.add_block(block)
            else:
                alone = not rolled and len(pieces) == 1
                _reduce_samples(server, span.unit_id, piece, reduction, found, alone=alone)
        at_ms, band, quality = buckets.at_ms, reduction.band(), reduction.quality
    return found.series(span, at_ms=at_ms, raw=raw, band=band, quality=quality)


def _parted(server: InfluxServer, unit_id: str, window: Window) -> tuple[list[_RollUps], list[Window]]:
    """The window's whole stretches whose roll-ups have all their rows, and what lies around and between them."""
    first, end = -(-window.start_ms // STRETCH_MS), window.end_ms // STRETCH_MS
    if first >= end:
        return [], [window]
    whole = window._replace(start_ms=first * STRETCH_MS, end_ms=end * STRETCH_MS)
    where = f'WHERE "unit" = {literal(unit_id)} AND {whole.where}'
    counted = f'SELECT count("frame") FROM "samples" {where} GROUP BY time({STRETCH_MS}ms) fill(none)'
    counts = {row[0]: row[1] for rows in server.query(window.database, counted) for row in rows.values}
    names = '"rows", "temperatures", "voltages", "quality", "provenance", "packed"'
    made = server.query(window.database, f'SELECT {names} FROM "rollups" {where}')
    believed = [row for rows in made for row in rows.values if row[1] == counts.get(row[0])]
    if not believed:
        return [], [window]
    missing = sorted(counts.keys() - {row[0] for row in believed})
    runs = _runs(missing)
    if len(runs) > _MOST_RUNS:
        runs = [(runs[0][0], runs[-1][1])]
        believed = [row for row in believed if not runs[0][0] <= row[0] < runs[0][1]]
    edges = [(window.start_ms, whole.start_ms), *runs, (whole.end_ms, window.end_ms)]
    pieces = [window._replace(start_ms=start, end_ms=stop) for start, stop in edges if start < stop]
    widths = sorted({(row[2], row[3]) for row in believed})
    return [_roll_ups(width, [row for row in believed if (row[2], row[3]) == width]) for width in widths], pieces


def _runs(stretches: Sequence[int]) -> list[tuple[int, int]]:
    """Stretches that follow each other as one."""
    runs: list[tuple[int, int]] = []
    for start in stretches:
        if runs and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], start + STRETCH_MS)
        else:
            runs.append((start, start + STRETCH_MS))
    return runs


def _roll_ups(widths: tuple[int, int], rows: Sequence[Sequence[Any]]) -> _RollUps:
    at_ms, counts, _, _, quality, provenances, packed = zip(*rows, strict=True)
    reduced = unpack(packed, sum(widths) + len(SINGLE_CHANNELS))
    measured = reduced.count[:, sum(widths) :].max(axis=0) > 0
    return _RollUps(
        at_ms=np.array(at_ms, np.int64),
        found=Contents(
            rows=sum(counts),
            temperatures=widths[0],
            voltages=widths[1],
            singles=tuple(name for name, fitted in zip(SINGLE_CHANNELS, measured, strict=True) if fitted),
            provenances=provenances_of(int(np.bitwise_or.reduce(np.array(provenances, np.int64)))),
        ),
        quality=np.array(quality, np.uint32),
        reduced=reduced,
    )


def _as_measured(
    server: InfluxServer, unit_id: str, windows: Sequence[Window], found: Contents
) -> tuple[NDArray[np.int64], Band, NDArray[np.uint32]]:
    pieces = [Block(np.zeros(0, np.int64), [], np.zeros((0, found.channels), np.float32), np.zeros(0, np.uint32))]
    if found.rows:
        for window in windows:
            pieces += blocks(server, [unit_id], window, found)
    values = np.concatenate([piece.values for piece in pieces])
    return (
        np.concatenate([piece.at_ms for piece in pieces]),
        Band(minimum=values, mean=values, maximum=values),
        np.concatenate([piece.quality for piece in pieces]),
    )


def _reduce_samples(
    server: InfluxServer, unit_id: str, piece: Window, reduction: _Reduction, found: Contents, *, alone: bool
) -> None:
    """The server reduces the samples of a piece. alone: no other piece or roll-up shares a bucket with it."""
    buckets = reduction.buckets
    grouped = f"GROUP BY time({buckets.length_ms}ms, {buckets.origin_ms % buckets.length_ms}ms) fill(none)"
    source = f'FROM "samples" WHERE "unit" = {literal(unit_id)} AND {piece.where} {grouped}'
    # Each one costs the server a pass over the field: counts are needed only where means must be put together.
    wanted = ("min", "max", "mean") if alone else ("min", "max", "mean", "count")
    fields = ", ".join(f"{what}({quoted(name)})" for name in fields_of(found) for what in wanted)
    if found.channels:
        for rows in server.query(piece.database, f"SELECT {fields} {source}"):
            reduction.add_samples(rows, counted=not alone)
    for rows in server.query(piece.database, f'SELECT distinct("quality") {source}'):
        values = np.array([row[1] or 0 for row in rows.values], np.uint32)
        np.bitwise_or.at(reduction.quality, buckets.of(_times(rows)), values)


def _times(rows: Rows) -> NDArray[np.int64]:
    return np.array([row[0] for row in rows.values], np.int64)
