"""Inspects many batches at once: one look at all values joined tells which few need a closer one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ingest.validation import OTHERS, TEMPERATURES_C, UNKNOWN_UNIT, Inspected, TimeLimits, inspect
from telemetry.samples import SINGLE_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ingest.validation import KnownUnit
    from telemetry.samples import ReceivedBatch


def inspect_all(
    received: Sequence[ReceivedBatch], units: Sequence[KnownUnit | None], limits: TimeLimits | None = None
) -> list[Inspected]:
    """What `inspect` says of each batch; `units[i]` is the unit of `received[i]`."""
    doubtful = _doubtful(received, units, limits or TimeLimits()).tolist()
    return [
        inspect(entry, unit, limits) if doubt else Inspected(received=entry)
        for entry, unit, doubt in zip(received, units, doubtful, strict=True)
    ]


def _doubtful(
    received: Sequence[ReceivedBatch], units: Sequence[KnownUnit | None], limits: TimeLimits
) -> NDArray[np.bool_]:
    """(batches,) whether a batch may have something wrong with it; a False is certain."""
    batches = [entry.batch for entry in received]
    doubtful = np.array([unit is None or not len(batch) for batch, unit in zip(batches, units, strict=True)], np.bool_)
    received_at_ms = np.array([entry.received_at_ms for entry in received], np.int64)
    first_ms = np.array([batch.sampled_at_ms[0] if len(batch) else 0 for batch in batches], np.int64)
    last_ms = np.array([batch.sampled_at_ms[-1] if len(batch) else 0 for batch in batches], np.int64)
    doubtful |= (first_ms < received_at_ms - limits.age_ms) | (last_ms > received_at_ms + limits.ahead_ms)

    temperatures = [batch.temperatures_c for batch in batches]
    _mark(doubtful, temperatures, _outside(_flat(temperatures), *TEMPERATURES_C))
    voltages = [batch.voltages_v for batch in batches]
    values = _flat(voltages)
    ceilings = _flat(
        [(unit or UNKNOWN_UNIT).ceilings_v(*part.shape) for unit, part in zip(units, voltages, strict=True)]
    )
    _mark(doubtful, voltages, (values <= 0) | (values > ceilings))
    for name in SINGLE_CHANNELS:
        fitted = [(at, column) for at, batch in enumerate(batches) if (column := getattr(batch, name)) is not None]
        if not fitted:
            continue
        columns = [column for _, column in fitted]
        here = np.zeros(len(fitted), np.bool_)
        _mark(here, columns, _outside(_flat(columns), *(TEMPERATURES_C if name == "ambient_c" else OTHERS[name])))
        if here.any():
            doubtful[[at for at, _ in fitted]] |= here
    return doubtful


def _flat(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate([part.reshape(-1) for part in parts]) if parts else np.zeros(0, np.float32)


def _outside(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.bool_]:
    """Infinities are outside; what was not measured is not."""
    return (values < low) | (values > high)


def _mark(doubtful: NDArray[np.bool_], parts: Sequence[NDArray[np.float32]], bad: NDArray[np.bool_]) -> None:
    if bad.any():
        owner = np.repeat(np.arange(len(parts)), [part.size for part in parts])
        doubtful[owner[bad]] = True
