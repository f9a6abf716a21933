"""What is read from the DuckDB store: series and positions, and what the writer must know before it writes."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.stores.buckets import Buckets
from ingest.stores.columns import floats, matrix, milliseconds
from ingest.stores.contents import Contents
from ingest.stores.contract import Band, HotDay
from telemetry.samples import SINGLE_CHANNELS, PositionFix, Provenance, Quality, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    import pyarrow as pa
    from numpy.typing import NDArray

    from ingest.stores.contract import Series, UnitSpan

_CHUNK_ROWS = 50_000
"""Rows that are taken out of the database at once: 24 channels are 5 MB. **assumed**"""
_SQL = {"minimum": "min", "mean": "avg", "maximum": "max"}
"""The parts of a band, and what SQL calls them."""

_CHANNELS = ", ".join(("temperature_c", "voltage_v", *SINGLE_CHANNELS))
_IN_SPAN = "unit_id = $1 AND sampled_at >= make_timestamp_ms($2) AND sampled_at < make_timestamp_ms($3)"


def contents(cursor: duckdb.DuckDBPyConnection, where: str, parameters: Sequence[object] = ()) -> Contents:
    """Look through the rows of an SQL condition."""
    counts = ", ".join(f"count({name})" for name in SINGLE_CHANNELS)
    rows, temperatures, voltages, provenances, *measured = cursor.execute(
        "SELECT count(*), coalesce(max(len(temperature_c)), 0), coalesce(max(len(voltage_v)), 0), "  # noqa: S608 - callers quote, or use parameters
        f"list(DISTINCT provenance), {counts} FROM samples WHERE {where}",
        list(parameters),
    ).fetchall()[0]
    return Contents(
        rows=rows,
        temperatures=temperatures,
        voltages=voltages,
        singles=tuple(name for name, count in zip(SINGLE_CHANNELS, measured, strict=True) if count),
        provenances=frozenset(Provenance(text) for text in provenances or ()),
    )


def read_series(cursor: duckdb.DuckDBPyConnection, span: UnitSpan, points: int) -> Series:
    """One unit's span in at most `points` buckets, raw when it has no more rows. Raises ValueError as Buckets does."""
    buckets = Buckets(start_ms=span.start_ms, end_ms=span.end_ms, points=points)
    cursor.begin()  # one snapshot for what is counted and what is read
    (rows,) = cursor.execute(f"SELECT count(*) FROM samples WHERE {_IN_SPAN}", list(span)).fetchall()[0]  # noqa: S608 - constants
    if rows <= points:
        found = contents(cursor, _IN_SPAN, span)
        at_ms, band, quality = _as_measured(cursor, span, found)
    else:
        found, band, quality = _reduced(cursor, span, buckets)
        at_ms = buckets.at_ms
    cursor.rollback()
    return found.series(span, at_ms=at_ms, raw=rows <= points, band=band, quality=quality)


def _as_measured(
    cursor: duckdb.DuckDBPyConnection, span: UnitSpan, found: Contents
) -> tuple[NDArray[np.int64], Band, NDArray[np.uint32]]:
    relation = cursor.sql(
        f"SELECT sampled_at, quality, {_CHANNELS} FROM samples WHERE {_IN_SPAN} ORDER BY sampled_at",  # noqa: S608 - constants
        params=list(span),
    )
    nothing = (np.zeros(0, np.int64), np.zeros((0, found.channels), np.float32), np.zeros(0, np.uint32))
    with closing(relation.to_arrow_reader(_CHUNK_ROWS)) as chunks:
        parts = [
            (milliseconds(chunk.column("sampled_at")), _values(chunk, found), chunk.column("quality").to_numpy())
            for chunk in chunks
        ]
    at_ms, values, quality = zip(nothing, *parts, strict=True)
    measured = np.concatenate(values)
    band = Band(minimum=measured, mean=measured, maximum=measured)
    return np.concatenate(at_ms), band, np.concatenate(quality)


def _reduced(
    cursor: duckdb.DuckDBPyConnection, span: UnitSpan, buckets: Buckets
) -> tuple[Contents, Band, NDArray[np.uint32]]:
    """DuckDB reduces in one pass over the columns.

    How wide rows are is told by the first; where another is wider, a second pass is needed.
    """
    widths = cursor.execute(
        f"SELECT len(temperature_c), len(voltage_v) FROM samples WHERE {_IN_SPAN} LIMIT 1",  # noqa: S608 - constants
        list(span),
    ).fetchall()[0]
    while True:
        table = cursor.sql(_reduction(*widths), params=[*span, buckets.length_ms]).to_arrow_table()
        found = _contents_of(table)
        if found.temperatures <= widths[0] and found.voltages <= widths[1]:
            break
        widths = found.temperatures, found.voltages
    hit = table.column("bucket").to_numpy()
    shape = (len(buckets.at_ms), found.channels)
    parts = {name: np.full(shape, np.nan, np.float32) for name in _SQL}
    for name, band in parts.items():
        for number, channel in enumerate(
            [f"temperature_{each}" for each in range(1, found.temperatures + 1)]
            + [f"voltage_{each}" for each in range(1, found.voltages + 1)]
            + list(found.singles)
        ):
            band[hit, number] = floats(table.column(f"{name}_{channel}"))
    quality = np.zeros(shape[0], np.uint32)
    quality[hit] = table.column("quality").to_numpy()
    return found, Band(**parts), quality


def _reduction(temperatures: int, voltages: int) -> str:
    """A row for each bucket that has samples. Means are summed in double, as avg does."""
    channels = {
        **{f"temperature_{number}": f"temperature_c[{number}]" for number in range(1, temperatures + 1)},
        **{f"voltage_{number}": f"voltage_v[{number}]" for number in range(1, voltages + 1)},
        **{name: name for name in SINGLE_CHANNELS},
    }
    reduced = [f"{sql}({source}) AS {part}_{name}" for name, source in channels.items() for part, sql in _SQL.items()]
    kinds = " ".join(f"WHEN '{provenance}' THEN {1 << bit}" for bit, provenance in enumerate(Provenance))
    return (
        "SELECT (epoch_ms(sampled_at) - $2) // $4 AS bucket, count(*) AS rows, bit_or(quality) AS quality, "  # noqa: S608 - constants
        "max(len(temperature_c)) AS temperatures, max(len(voltage_v)) AS voltages, "
        f"bit_or(CASE provenance {kinds} END) AS provenances, {', '.join(reduced)} "
        f"FROM samples WHERE {_IN_SPAN} GROUP BY bucket"
    )


def _contents_of(table: pa.Table) -> Contents:
    provenances = int(np.bitwise_or.reduce(table.column("provenances").to_numpy()))
    return Contents(
        rows=int(table.column("rows").to_numpy().sum()),
        temperatures=int(table.column("temperatures").to_numpy().max()),
        voltages=int(table.column("voltages").to_numpy().max()),
        singles=tuple(name for name in SINGLE_CHANNELS if table.column(f"mean_{name}").null_count < table.num_rows),
        provenances=frozenset(each for bit, each in enumerate(Provenance) if provenances >> bit & 1),
    )


def read_positions(
    cursor: duckdb.DuckDBPyConnection, gateway_id: str, start_ms: int, end_ms: int
) -> tuple[PositionFix, ...]:
    rows = cursor.execute(
        "SELECT fleet_id, gateway_id, epoch_ms(fixed_at), latitude_deg, longitude_deg, speed_m_s, heading_deg, "
        "accuracy_m FROM positions WHERE gateway_id = $1 AND fixed_at >= make_timestamp_ms($2) "
        "AND fixed_at < make_timestamp_ms($3) ORDER BY fixed_at",
        [gateway_id, start_ms, end_ms],
    ).fetchall()
    return tuple(
        PositionFix(
            fleet_id=fleet_id,
            gateway_id=gateway,
            fixed_at_ms=fixed_at_ms,
            latitude_deg=latitude,
            longitude_deg=longitude,
            speed_m_s=speed,
            heading_deg=heading,
            accuracy_m=accuracy,
        )
        for fleet_id, gateway, fixed_at_ms, latitude, longitude, speed, heading, accuracy in rows
    )


def latest_at(cursor: duckdb.DuckDBPyConnection, unit_id: str) -> int | None:
    row = cursor.execute("SELECT epoch_ms(max(sampled_at)) FROM samples WHERE unit_id = $1", [unit_id]).fetchall()[0]
    newest: int | None = row[0]
    return newest


def hot_days(
    cursor: duckdb.DuckDBPyConnection, above_c: float, start_ms: int, end_ms: int, limit: int
) -> tuple[HotDay, ...]:
    rows = cursor.execute(
        "SELECT unit_id, epoch_ms(day_at), hottest_c FROM hot_days WHERE hottest_c > $1 "
        "AND day_at >= make_timestamp_ms($2) AND day_at < make_timestamp_ms($3) "
        "ORDER BY hottest_c DESC, day_at DESC, unit_id LIMIT $4",
        [above_c, start_ms, end_ms, limit],
    ).fetchall()
    return tuple(HotDay(*row) for row in rows)


_BEFORE_ALL_MS = -(2**62)


def newest_plain_ms(cursor: duckdb.DuckDBPyConnection, unit_id: str) -> int:
    """The newest time of a unit's rows that came without a frame number; long before all times without any."""
    row = cursor.execute(
        "SELECT epoch_ms(max(sampled_at)) FROM samples WHERE unit_id = $1 AND boot_id IS NULL", [unit_id]
    ).fetchall()[0]
    return _BEFORE_ALL_MS if row[0] is None else int(row[0])


def plain_rows(cursor: duckdb.DuckDBPyConnection, span: UnitSpan) -> SampleBatch | None:
    """The span's rows that came without a frame number and with a time of their own."""
    relation = cursor.sql(
        f"SELECT sampled_at, quality, provenance, time_uncertainty_s, {_CHANNELS} FROM samples "  # noqa: S608 - constants
        f"WHERE {_IN_SPAN} AND boot_id IS NULL AND (quality & $4) = 0 ORDER BY sampled_at",
        params=[*span, int(Quality.TIME_IMPOSSIBLE)],
    )
    table = relation.to_arrow_table().combine_chunks()
    if not table.num_rows:
        return None
    chunk = table.to_batches()[0]
    uncertainty = chunk.column("time_uncertainty_s")[0].as_py()
    singles: dict[str, Any] = {name: floats(chunk.column(name)) for name in SINGLE_CHANNELS}
    return SampleBatch(
        unit_id=span.unit_id,
        boot_id=None,
        frame=None,
        provenance=Provenance(chunk.column("provenance")[0].as_py()),
        sampled_at_ms=milliseconds(chunk.column("sampled_at")),
        time_uncertainty_s=float("nan") if uncertainty is None else uncertainty,
        temperatures_c=matrix(chunk.column("temperature_c"), _widest(chunk.column("temperature_c"))),
        voltages_v=matrix(chunk.column("voltage_v"), _widest(chunk.column("voltage_v"))),
        quality=chunk.column("quality").to_numpy(),
        **singles,
    )


def _widest(lists: pa.ListArray) -> int:
    return int(lists.value_lengths().to_numpy(zero_copy_only=False).max())


def _values(chunk: pa.RecordBatch, found: Contents) -> NDArray[np.float32]:
    """(n, T + V + singles) of one chunk."""
    return np.concatenate(
        [
            matrix(chunk.column("temperature_c"), found.temperatures),
            matrix(chunk.column("voltage_v"), found.voltages),
            *(floats(chunk.column(name))[:, None] for name in found.singles),
        ],
        axis=1,
    )
