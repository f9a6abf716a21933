"""Parts of a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from telemetry.samples import SINGLE_CHANNELS

if TYPE_CHECKING:
    from telemetry.samples import SampleBatch


def rows_of(batch: SampleBatch, first: int, last: int | None = None) -> SampleBatch:
    """The rows from `first` up to, not including, `last` (None: to the end), as views."""
    span = slice(first, last)
    singles: dict[str, Any] = {
        name: None if (column := getattr(batch, name)) is None else column[span] for name in SINGLE_CHANNELS
    }
    return replace(
        batch,
        sampled_at_ms=batch.sampled_at_ms[span],
        temperatures_c=batch.temperatures_c[span],
        voltages_v=batch.voltages_v[span],
        quality=batch.quality[span],
        **singles,
    )
