"""Whole batches out of the DuckDB store, with all that is known of them."""

from __future__ import annotations

import itertools
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ingest.stores.columns import floats, matrix, milliseconds
from ingest.stores.moving import StoredGateway, StoredUnit
from telemetry.samples import SINGLE_CHANNELS, Provenance, Quality, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

_CHUNK_ROWS = 20_000
"""Rows that are taken apart at once: 24 channels are 2 MB. **assumed**"""
_ORIGIN = ("boot_id", "frame", "gateway_id", "received_at", "time_uncertainty_s", "provenance")
"""Rows that agree in these came in one message, or in messages that nothing tells apart."""


def stored_units(cursor: duckdb.DuckDBPyConnection) -> tuple[StoredUnit, ...]:
    rows = cursor.execute("SELECT unit_id, count(*) FROM samples GROUP BY unit_id ORDER BY unit_id").fetchall()
    return tuple(StoredUnit(*row) for row in rows)


def stored_gateways(cursor: duckdb.DuckDBPyConnection) -> tuple[StoredGateway, ...]:
    rows = cursor.execute(
        "SELECT gateway_id, epoch_ms(min(fixed_at)), epoch_ms(max(fixed_at)) + 1 FROM positions "
        "GROUP BY gateway_id ORDER BY gateway_id"
    ).fetchall()
    return tuple(StoredGateway(*row) for row in rows)


def stored_batches(cursor: duckdb.DuckDBPyConnection, unit_id: str) -> Iterator[ReceivedBatch]:
    channels = ", ".join(("temperature_c", "voltage_v", *SINGLE_CHANNELS))
    relation = cursor.sql(
        f"SELECT {', '.join(_ORIGIN)}, sampled_at, quality, (quality & $2) != 0 AS made_up, {channels} "  # noqa: S608 - constants
        "FROM samples WHERE unit_id = $1 ORDER BY boot_id, frame, made_up, sampled_at",
        params=[unit_id, int(Quality.TIME_IMPOSSIBLE)],
    )
    unfinished: list[pa.RecordBatch] = []
    with closing(relation.to_arrow_reader(_CHUNK_ROWS)) as chunks:
        for chunk in chunks:
            rows = pa.Table.from_batches([*unfinished, chunk]).combine_chunks()
            bounds = _bounds(rows)
            # The last run may go on in the next chunk.
            for first, last in itertools.pairwise(bounds[:-1]):
                yield _batch(unit_id, rows.slice(first, last - first))
            unfinished = rows.slice(bounds[-2]).to_batches()
    if unfinished:
        rows = pa.Table.from_batches(unfinished)
        yield _batch(unit_id, rows)


def _bounds(rows: pa.Table) -> list[int]:
    """Where runs of rows that belong together begin, and where the last one ends."""
    new = np.zeros(len(rows), np.bool_)
    new[0] = True
    for name in (*_ORIGIN, "made_up"):
        column = rows.column(name).combine_chunks()
        codes = column.dictionary_encode(null_encoding="encode")
        numbers = codes.indices.to_numpy(zero_copy_only=False)
        new[1:] |= numbers[1:] != numbers[:-1]
    at_ms = milliseconds(rows.column("sampled_at").combine_chunks())
    new[1:] |= at_ms[1:] <= at_ms[:-1]
    lengths = rows.column("temperature_c").combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    new[1:] |= lengths[1:] != lengths[:-1]
    return [*np.flatnonzero(new).tolist(), len(rows)]


def _batch(unit_id: str, rows: pa.Table) -> ReceivedBatch:
    def column(name: str) -> pa.Array:
        return rows.column(name).combine_chunks()

    temperatures, voltages = column("temperature_c"), column("voltage_v")
    singles: dict[str, Any] = {
        name: None if (values := column(name)).null_count == len(rows) else floats(values) for name in SINGLE_CHANNELS
    }
    uncertainty = column("time_uncertainty_s")[0].as_py()
    batch = SampleBatch(
        unit_id=unit_id,
        boot_id=column("boot_id")[0].as_py(),
        frame=column("frame")[0].as_py(),
        provenance=Provenance(column("provenance")[0].as_py()),
        sampled_at_ms=milliseconds(column("sampled_at")),
        time_uncertainty_s=float("nan") if uncertainty is None else uncertainty,
        temperatures_c=matrix(temperatures, _widest(temperatures)),
        voltages_v=matrix(voltages, _widest(voltages)),
        quality=column("quality").to_numpy(),
        **singles,
    )
    return ReceivedBatch(
        batch=batch,
        fleet_id="",
        gateway_id=column("gateway_id")[0].as_py(),
        received_at_ms=int(milliseconds(column("received_at")[:1])[0]),
    )


def _widest(lists: pa.ListArray) -> int:
    return int(lists.value_lengths().to_numpy(zero_copy_only=False).max())
