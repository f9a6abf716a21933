"""Exports from InfluxDB: rows stream from the server into the file, a piece at a time."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ingest.stores.contents import Contents
from ingest.stores.contract import ExportFormat, ExportSummary, StoreUnavailableError
from ingest.stores.influx_reading import EARLIEST_MS, LATEST_MS, blocks, contents
from telemetry.samples import SINGLE_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ingest.stores.contract import UnitSpan
    from ingest.stores.influx_reading import Block, Window
    from ingest.stores.influx_server import InfluxServer

    Windows = Callable[[int, int], Sequence[Window]]

_ROW_GROUP = 100_000
"""Rows that Parquet packs together: 24 channels are 10 MB. **assumed**"""


def export(
    server: InfluxServer, windows: Windows, spans: Sequence[UnitSpan], path: Path, file_format: ExportFormat
) -> ExportSummary:
    """Write the spans' samples to `path`; whole, or not at all.

    Parquet names the provenances in the file's metadata, under `packwatch.provenance`, comma separated.
    """
    found = Contents()
    for span in spans:
        found = found.united(contents(server, span.unit_id, windows(span.start_ms, span.end_ms)))
    names = (
        "sampled_at",
        *(f"temperature_{number}_c" for number in range(1, found.temperatures + 1)),
        *(f"voltage_{number}_v" for number in range(1, found.voltages + 1)),
        *(name for name in SINGLE_CHANNELS if name in found.singles),
    )
    unfinished = path.with_name(path.name + ".unfinished")
    rows = 0
    try:
        writer: _Writer
        match file_format:
            case ExportFormat.CSV:
                writer = _CsvWriter(unfinished, names)
            case ExportFormat.PARQUET:
                writer = _ParquetWriter(unfinished, names, ",".join(sorted(found.provenances)))
        try:
            for block in _ordered(server, windows, spans, found):
                writer.write(block)
                rows += len(block.at_ms)
        finally:
            writer.close()
        unfinished.replace(path)
    except OSError as error:
        raise StoreUnavailableError(f"the export cannot be written: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return ExportSummary(rows=rows, columns=names, provenances=found.provenances)


def _ordered(server: InfluxServer, windows: Windows, spans: Sequence[UnitSpan], found: Contents) -> Iterator[Block]:
    """All rows in order of time: between two ends of spans the same units are wanted, and the server merges them."""
    bounds = [(max(span.start_ms, EARLIEST_MS), min(span.end_ms, LATEST_MS)) for span in spans]
    edges = sorted({edge for bound in bounds for edge in bound})
    for start_ms, end_ms in itertools.pairwise(edges):
        unit_ids = sorted(
            {
                span.unit_id
                for span, (first, last) in zip(spans, bounds, strict=True)
                if first <= start_ms and end_ms <= last
            }
        )
        if not unit_ids:
            continue
        for window in windows(start_ms, end_ms):
            for block in blocks(server, unit_ids, window, found):
                order = np.lexsort((np.array(block.units), block.at_ms))
                yield block._replace(at_ms=block.at_ms[order], values=block.values[order])


class _Writer(Protocol):
    def write(self, block: Block) -> None: ...

    def close(self) -> None: ...


class _CsvWriter:
    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._names = names
        self._file = path.open("wb")
        self._file.write((",".join(names) + "\n").encode())
        self._options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")

    def write(self, block: Block) -> None:
        times = np.char.add(np.datetime_as_string(block.at_ms.view("datetime64[ms]")), "Z")
        pyarrow.csv.write_csv(_table(self._names, pa.array(times), block.values), self._file, self._options)

    def close(self) -> None:
        self._file.close()


class _ParquetWriter:
    def __init__(self, path: Path, names: tuple[str, ...], provenances: str) -> None:
        self._names = names
        fields = [pa.field("sampled_at", pa.timestamp("us", tz="UTC")), *(pa.field(n, pa.float32()) for n in names[1:])]
        self._schema = pa.schema(fields, metadata={"packwatch.provenance": provenances})
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[pa.Table] = []

    def write(self, block: Block) -> None:
        times = pa.array(block.at_ms * 1000, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
        self._waiting.append(_table(self._names, times, block.values).cast(self._schema))
        if sum(map(len, self._waiting)) >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting))
            self._waiting = []


def _table(names: tuple[str, ...], times: pa.Array, values: NDArray[np.float32]) -> pa.Table:
    columns = [pa.array(np.ascontiguousarray(values[:, column]), from_pandas=True) for column in range(values.shape[1])]
    return pa.table([times, *columns], names=list(names))
