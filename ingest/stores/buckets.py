"""Where a reduction's buckets of time lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Buckets:
    """Buckets of equal length over [start_ms, end_ms); at most `points` of them.

    With `step_ms` their edges are multiples of it, but for the first bucket, which begins at `start_ms` all the same.
    """

    def __init__(self, *, start_ms: int, end_ms: int, points: int, step_ms: int | None = None) -> None:
        """Raises ValueError for an empty span or no points."""
        if end_ms <= start_ms or points < 1:
            raise ValueError(f"no bucket fits {points} points between {start_ms} and {end_ms} ms")
        step = 1 if step_ms is None else step_ms
        self.origin_ms = start_ms // step * step
        self.length_ms = -(-(end_ms - self.origin_ms) // (points * step)) * step
        count = -(-(end_ms - self.origin_ms) // self.length_ms)
        self.at_ms: NDArray[np.int64] = self.origin_ms + self.length_ms * np.arange(count, dtype=np.int64)
        self.at_ms[0] = start_ms

    def of(self, at_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """In which bucket each time of the span lies."""
        return (at_ms - self.origin_ms) // self.length_ms
