"""Rows of plain edge nodes, which number no frames: kept once by (unit, channel, time).

Such a node may send each channel in a message of its own, so a row grows; what is stored is never overwritten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from telemetry.samples import SINGLE_CHANNELS, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from telemetry.samples import ReceivedBatch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GrownRows:
    """What must be written for one unit."""

    received: tuple[ReceivedBatch, ...]
    """New and grown rows, each with what the message said that brought its last value."""
    replaced_ms: NDArray[np.int64]
    """Times of stored rows that grew: to be deleted before `received` is written."""
    duplicate_batches: int


def grow_rows(stored: SampleBatch | None, incoming: Sequence[ReceivedBatch]) -> GrownRows:
    """Lay `incoming` batches of one unit, in order of arrival, over the unit's `stored` rows of the same times."""
    batches = [entry.batch for entry in incoming]
    everything = [*([stored] if stored is not None else []), *batches]
    widths = (
        max(batch.temperatures_c.shape[1] for batch in everything),
        max(batch.voltages_v.shape[1] for batch in everything),
    )
    rows: dict[int, NDArray[np.float32]] = {}
    quality: dict[int, int] = {}
    if stored is not None:
        rows = dict(zip(stored.sampled_at_ms.tolist(), _wide(stored, widths), strict=True))
        quality = dict(zip(stored.sampled_at_ms.tolist(), stored.quality.tolist(), strict=True))
    stored_at = set(rows)
    changed: dict[int, int] = {}
    duplicates = 0
    for number, batch in enumerate(batches):
        grew = [_lay(rows, at, row) for at, row in zip(batch.sampled_at_ms.tolist(), _wide(batch, widths), strict=True)]
        for at, bits, new in zip(batch.sampled_at_ms.tolist(), batch.quality.tolist(), grew, strict=True):
            if new:
                changed[at] = number
                quality[at] = quality.get(at, 0) | bits
        duplicates += not any(grew)
    brought: dict[int, list[int]] = {}
    for at, number in sorted(changed.items()):
        brought.setdefault(number, []).append(at)
    grown = []
    for number, times in brought.items():
        values = np.stack([rows[at] for at in times])
        bits = np.array([quality[at] for at in times], np.uint32)
        grown.append(replace(incoming[number], batch=_narrow(batches[number], times, values, bits, widths)))
    return GrownRows(
        received=tuple(grown),
        replaced_ms=np.array(sorted(changed.keys() & stored_at), np.int64),
        duplicate_batches=duplicates,
    )


def _lay(rows: dict[int, NDArray[np.float32]], at_ms: int, row: NDArray[np.float32]) -> bool:
    old = rows.get(at_ms)
    if old is None:
        rows[at_ms] = row
        return True
    fills = np.isnan(old) & ~np.isnan(row)
    if not fills.any():
        return False
    old[fills] = row[fills]
    return True


def _wide(batch: SampleBatch, widths: tuple[int, int]) -> NDArray[np.float32]:
    """(n, T + V + singles), a copy; NaN where the batch is narrower."""
    out = np.full((len(batch), sum(widths) + len(SINGLE_CHANNELS)), np.nan, np.float32)
    out[:, : batch.temperatures_c.shape[1]] = batch.temperatures_c
    out[:, widths[0] : widths[0] + batch.voltages_v.shape[1]] = batch.voltages_v
    for column, name in enumerate(SINGLE_CHANNELS, start=sum(widths)):
        if (values := getattr(batch, name)) is not None:
            out[:, column] = values
    return out


def _narrow(
    like: SampleBatch,
    times: list[int],
    values: NDArray[np.float32],
    quality: NDArray[np.uint32],
    widths: tuple[int, int],
) -> SampleBatch:
    last_voltage = sum(widths)
    singles: dict[str, Any] = {name: values[:, last_voltage + at] for at, name in enumerate(SINGLE_CHANNELS)}
    return SampleBatch(
        unit_id=like.unit_id,
        boot_id=None,
        frame=None,
        provenance=like.provenance,
        sampled_at_ms=np.array(times, np.int64),
        time_uncertainty_s=like.time_uncertainty_s,
        temperatures_c=values[:, : widths[0]],
        voltages_v=values[:, widths[0] : last_voltage],
        quality=quality,
        **singles,
    )
