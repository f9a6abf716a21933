"""Batches joined into Arrow columns, and Arrow columns taken apart into arrays: no loop over samples either way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from telemetry.samples import SINGLE_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from telemetry.samples import ReceivedBatch


def samples_table(received: Sequence[ReceivedBatch]) -> pa.Table:
    """All batches' rows, in the column order of the `samples` table; NaN becomes null.

    Raises OverflowError or pyarrow.ArrowInvalid for a value that its column cannot hold.
    """
    batches = [entry.batch for entry in received]
    lengths = np.array([len(batch) for batch in batches], np.int64)
    rows = int(lengths.sum())
    columns: dict[str, Any] = {
        "unit_id": _dictionary([batch.unit_id for batch in batches], lengths),
        "boot_id": _dictionary([batch.boot_id for batch in batches], lengths),
        "frame": _repeated([batch.frame for batch in batches], lengths, np.uint64),
        "gateway_id": _dictionary([entry.gateway_id for entry in received], lengths),
        "sampled_at": _timestamps(np.concatenate([batch.sampled_at_ms for batch in batches])),
        "received_at": _timestamps(np.repeat(np.array([e.received_at_ms for e in received], np.int64), lengths)),
        "time_uncertainty_s": pa.array(
            np.repeat(np.array([batch.time_uncertainty_s for batch in batches], np.float32), lengths), from_pandas=True
        ),
        "provenance": _dictionary([batch.provenance.value for batch in batches], lengths),
        "temperature_c": _lists([batch.temperatures_c for batch in batches], lengths),
        "voltage_v": _lists([batch.voltages_v for batch in batches], lengths),
    }
    for name in SINGLE_CHANNELS:
        columns[name] = _single([getattr(batch, name) for batch in batches], lengths, rows)
    columns["quality"] = pa.array(np.concatenate([batch.quality for batch in batches]))
    return pa.table(columns)


def matrix(lists: pa.ListArray, width: int) -> NDArray[np.float32]:
    """A column of float lists as (n, width), NaN where a list is shorter or holds null; none may be longer."""
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    values = floats(lists.flatten())
    rows = len(lists)
    if rows and width and bool(np.all(lengths == width)):
        return values.reshape(rows, width)
    out = np.full((rows, width), np.nan, np.float32)
    out[np.arange(width) < lengths[:, None]] = values
    return out


def floats(column: pa.Array) -> NDArray[np.float32]:
    """A float column as an array; null is NaN."""
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float32)


def milliseconds(column: pa.Array) -> NDArray[np.int64]:
    """A TIMESTAMP_MS column as ms since 1970."""
    return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)


def _timestamps(at_ms: NDArray[np.int64]) -> pa.Array:
    return pa.array(at_ms.view("datetime64[ms]"))


def _dictionary(texts: Sequence[str | None], lengths: NDArray[np.int64]) -> pa.Array:
    codes: dict[str | None, int] = {}
    code_of_batch = np.array([codes.setdefault(text, len(codes)) for text in texts], np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(code_of_batch, lengths)), pa.array(list(codes), pa.string())
    )


def _repeated(numbers: Sequence[int | None], lengths: NDArray[np.int64], dtype: type[np.uint64]) -> pa.Array:
    absent = np.repeat(np.array([number is None for number in numbers], np.bool_), lengths)
    values = np.repeat(np.array([number or 0 for number in numbers], dtype), lengths)
    return pa.array(values, mask=absent)


def _lists(matrices: Sequence[NDArray[np.float32]], lengths: NDArray[np.int64]) -> pa.ListArray:
    widths = np.repeat(np.array([matrix.shape[1] for matrix in matrices], np.int64), lengths)
    offsets = np.zeros(len(widths) + 1, np.int64)
    np.cumsum(widths, out=offsets[1:])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f"{offsets[-1]} channel values do not fit one append")
    values = np.concatenate([matrix.reshape(-1) for matrix in matrices])
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values, from_pandas=True))


def _single(columns: Sequence[NDArray[np.float32] | None], lengths: NDArray[np.int64], rows: int) -> pa.Array:
    if all(column is None for column in columns):
        return pa.nulls(rows, pa.float32())
    filled = [
        np.full(length, np.nan, np.float32) if column is None else column
        for column, length in zip(columns, lengths.tolist(), strict=True)
    ]
    return pa.array(np.concatenate(filled), from_pandas=True)
