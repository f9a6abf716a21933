"""Batches as InfluxDB line protocol, a column at a time: DuckDB's engine formats, no loop touches a value.

A line is one sample: measurement `samples`, tag `unit`, and its channels as fields. Python's own formatting takes
11 us a line of 24 channels, this 2 us, and other threads run meanwhile.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from ingest.stores.duckdb_file import registered, told_apart
from telemetry.samples import SINGLE_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from telemetry.samples import PositionFix, ReceivedBatch, SampleBatch

NO_FRAME = -1
"""`frame` of a row that came without one: every row has the field, so that a row without any value is there too."""


class LineEntry(NamedTuple):
    """A batch and the lane of its unit that it goes to; see `influx_places`."""

    received: ReceivedBatch
    lane: int


class LineFormatter:
    """Turns batches into line protocol. One call at a time."""

    def __init__(self) -> None:
        self._engine = duckdb.connect(
            ":memory:",
            config={"threads": 1, "autoinstall_known_extensions": False, "autoload_known_extensions": False},
        )

    def format(self, entries: Sequence[LineEntry]) -> bytes:
        """All rows of all batches, each line with its newline. Raises StoreRefusedError for what has no form."""
        groups: dict[tuple[object, ...], list[LineEntry]] = {}
        for entry in entries:
            if len(entry.received.batch):
                groups.setdefault(_shape(entry.received.batch), []).append(entry)
        with told_apart():
            return b"".join(chain.from_iterable(self._format_alike(alike) for alike in groups.values()))

    def close(self) -> None:
        self._engine.close()

    def _format_alike(self, entries: list[LineEntry]) -> list[bytes]:
        """Lines of batches that have the same channels."""
        batches = [entry.received.batch for entry in entries]
        lengths = np.array([len(batch) for batch in batches], np.int64)
        names, values = _channels(batches)
        columns: dict[str, Any] = {
            "head": _repeated([line_head(entry) for entry in entries], lengths),
            "origin": _origins(entries, lengths),
            "quality": _quality(batches),
            "at_ms": pa.array(np.concatenate([batch.sampled_at_ms for batch in batches])),
        }
        for column in range(len(names)):
            columns[f"c{column}"] = pa.array(np.ascontiguousarray(values[:, column]), from_pandas=True)
        # A null makes its piece null, and concat leaves null pieces out: so a value that is missing writes no field.
        fields = [f"',{name}=' || c{column}" for column, name in enumerate(names)]
        pieces = ", ".join(["head", *fields, "',quality=' || quality || 'i'", "origin", "' '", "at_ms", "chr(10)"])
        with registered(self._engine, "samples", pa.table(columns)):
            lines = self._engine.sql(f"SELECT concat({pieces}) AS line FROM samples").to_arrow_table()
        return [_bytes(chunk) for chunk in lines.column("line").chunks]


def line_head(entry: LineEntry) -> str:
    """How every line of the batch begins: series, frame, boot and provenance."""
    batch = entry.received.batch
    boot = "" if batch.boot_id is None else f",boot={field_text(batch.boot_id)}"
    frame = NO_FRAME if batch.frame is None else batch.frame
    series = f"samples,unit={tag_text(batch.unit_id)}{f',lane={entry.lane}' if entry.lane else ''}"
    return f"{series} frame={frame}i{boot},provenance={field_text(batch.provenance.value)}"


def position_lines(fixes: Sequence[PositionFix]) -> bytes:
    """Positions of vehicles: measurement `positions`, tag `gateway`."""
    lines = []
    for fix in fixes:
        fields = [
            f"fleet={field_text(fix.fleet_id)}",
            f"latitude={float(fix.latitude_deg)!r}",
            f"longitude={float(fix.longitude_deg)!r}",
        ]
        for name, value in (("speed", fix.speed_m_s), ("heading", fix.heading_deg), ("accuracy", fix.accuracy_m)):
            if value is not None:
                fields.append(f"{name}={float(value)!r}")
        lines.append(f"positions,gateway={tag_text(fix.gateway_id)} {','.join(fields)} {fix.fixed_at_ms}\n")
    return "".join(lines).encode()


def tag_text(text: str) -> str:
    """A tag's value, escaped. Raises ValueError for what no tag can hold."""
    if not text or "\n" in text or text.endswith("\\"):
        raise ValueError(f"{text!r} cannot be a tag of InfluxDB")
    return text.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")


def field_text(text: str) -> str:
    """A string field's value, quoted."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def channel_fields(temperatures: int, voltages: int) -> tuple[str, ...]:
    """Names of the channels' fields: t1, t2, ..., v1, v2, ..."""
    return (
        *(f"t{number}" for number in range(1, temperatures + 1)),
        *(f"v{number}" for number in range(1, voltages + 1)),
    )


def _shape(batch: SampleBatch) -> tuple[object, ...]:
    fitted = tuple(getattr(batch, name) is not None for name in SINGLE_CHANNELS)
    return batch.temperatures_c.shape[1], batch.voltages_v.shape[1], fitted


def _channels(batches: Sequence[SampleBatch]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Field names and (n, channels) of batches of one shape."""
    first = batches[0]
    singles = tuple(name for name in SINGLE_CHANNELS if getattr(first, name) is not None)
    names = (*channel_fields(first.temperatures_c.shape[1], first.voltages_v.shape[1]), *singles)
    columns = [
        np.concatenate([batch.temperatures_c for batch in batches]),
        np.concatenate([batch.voltages_v for batch in batches]),
        *(np.concatenate([getattr(batch, name) for batch in batches])[:, None] for name in singles),
    ]
    return names, np.concatenate(columns, axis=1)


def _quality(batches: Sequence[SampleBatch]) -> pa.Array:
    """Null where all is good: most rows need no such field."""
    quality = np.concatenate([batch.quality for batch in batches])
    return pa.array(quality, mask=quality == 0)


def _origins(entries: Sequence[LineEntry], lengths: NDArray[np.int64]) -> pa.Array:
    """What holds for a whole frame is written in its first line alone; rows that may grow one by one all have it."""
    texts = [_origin(entry.received) for entry in entries]
    numbers = np.arange(len(entries), dtype=np.int32)
    absent = np.ones(int(lengths.sum()), np.bool_)
    absent[np.cumsum(lengths) - lengths] = False
    for entry, end, length in zip(entries, np.cumsum(lengths).tolist(), lengths.tolist(), strict=True):
        if entry.received.batch.frame is None:
            absent[end - length : end] = False
    indices = pa.array(np.repeat(numbers, lengths), mask=absent)
    return pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()))


def _origin(received: ReceivedBatch) -> str:
    batch = received.batch
    uncertainty = float(np.float32(batch.time_uncertainty_s))
    known = f",uncertainty={np.float32(uncertainty)!s}" if np.isfinite(uncertainty) else ""
    return (
        f",temperatures={batch.temperatures_c.shape[1]}i,voltages={batch.voltages_v.shape[1]}i"
        f",gateway={field_text(received.gateway_id)},received={received.received_at_ms}i{known}"
    )


def _repeated(texts: Sequence[str], lengths: NDArray[np.int64]) -> pa.Array:
    codes = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(texts, pa.string()))


def _bytes(lines: pa.StringArray) -> bytes:
    """The array's text, joined: lines end with newlines already."""
    _, offsets, text = lines.buffers()
    width = np.int64 if pa.types.is_large_string(lines.type) else np.int32
    bounds = np.frombuffer(offsets, width)[lines.offset : lines.offset + len(lines) + 1]
    return b"" if text is None else text.slice(int(bounds[0]), int(bounds[-1] - bounds[0])).to_pybytes()
