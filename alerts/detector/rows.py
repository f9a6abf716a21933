"""What goes in and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from alerts.detector.evidence import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """N samples of any packs with the same channels, sorted by slot, and by time within a slot. NaN = not measured."""

    slot: NDArray[np.intp]
    """(N,)"""
    sampled_at_ms: NDArray[np.int64]
    """(N,) UTC, ms since 1970, or any other count of ms that is not negative."""
    temperatures_c: NDArray[np.float32]
    """(N, T)"""
    voltages_v: NDArray[np.float32]
    """(N, V)"""
    ambient_c: NDArray[np.float32] | None = None
    """(N,); None = nobody measures it."""
    hydrogen_ppm: NDArray[np.float32] | None = None
    carbon_monoxide_ppm: NDArray[np.float32] | None = None
    voc_ppm: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """How many samples."""
        return len(self.slot)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement:
    """One entry a row."""

    rank: NDArray[np.int8]
    """(N,) rank of the level that the evidence holds."""
    forecast_s: NDArray[np.float32]
    """(N, 2) s to the next level, earliest and latest; NaN = unknown."""
    fault: NDArray[np.uint8]
    """(N, T) Fault."""
    doubt_c: NDArray[np.float32]
    """(N, T) by how much a reading may be above the truth (`doubt_c`); 0 where nobody asked."""
    risen: Mapping[int, Snapshot]
    """The rows at which the rank rose (every row with `explain`), with what was known then."""
    values: Mapping[str, NDArray[np.float32]]
    """For plots, with `explain` only: name -> (N,) or (N, T)."""

    def part(self, first: int, last: int) -> Judgement:
        """Of the rows `first` up to, not including, `last`."""
        return Judgement(
            rank=self.rank[first:last],
            forecast_s=self.forecast_s[first:last],
            fault=self.fault[first:last],
            doubt_c=self.doubt_c[first:last],
            risen={row - first: snapshot for row, snapshot in self.risen.items() if first <= row < last},
            values={name: value[first:last] for name, value in self.values.items()},
        )
