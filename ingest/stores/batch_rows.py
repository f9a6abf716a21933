"""Some rows of a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from telemetry.samples import SINGLE_CHANNELS

if TYPE_CHECKING:
    from telemetry.samples import SampleBatch


def part_of(batch: SampleBatch, rows: slice) -> SampleBatch:
    """The batch with these rows alone."""
    singles: dict[str, Any] = {
        name: None if (column := getattr(batch, name)) is None else column[rows] for name in SINGLE_CHANNELS
    }
    return replace(
        batch,
        sampled_at_ms=batch.sampled_at_ms[rows],
        temperatures_c=batch.temperatures_c[rows],
        voltages_v=batch.voltages_v[rows],
        quality=batch.quality[rows],
        **singles,
    )
