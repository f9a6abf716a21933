"""Reduces samples to minimum, mean and maximum per bucket of time, chunk by chunk, in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ingest.stores.contract import Band

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Buckets:
    """Buckets of equal length over [start_ms, end_ms); at most `points` of them.

    Memory depends on buckets and channels alone. NaN = not measured, and counts nowhere.
    """

    def __init__(self, *, start_ms: int, end_ms: int, points: int, channels: int) -> None:
        """Raises ValueError for an empty span or no points."""
        if end_ms <= start_ms or points < 1:
            raise ValueError(f"no bucket fits {points} points between {start_ms} and {end_ms} ms")
        self.length_ms = -(-(end_ms - start_ms) // points)
        count = -(-(end_ms - start_ms) // self.length_ms)
        self.at_ms: NDArray[np.int64] = start_ms + self.length_ms * np.arange(count, dtype=np.int64)
        self.quality: NDArray[np.uint32] = np.zeros(count, np.uint32)
        self._start_ms = start_ms
        self._minimum = np.full((count, channels), np.inf, np.float32)
        self._maximum = np.full((count, channels), -np.inf, np.float32)
        # Means are summed in double: a year of 1 s samples keeps 1e-9 of the value, where float32 would keep 1 %.
        self._sum = np.zeros((count, channels), np.float64)
        self._measured = np.zeros((count, channels), np.int64)

    def add(self, at_ms: NDArray[np.int64], values: NDArray[np.float32], quality: NDArray[np.uint32]) -> None:
        """Take n samples: times within the span in any order, values (n, channels), quality (n,)."""
        if not len(at_ms):
            return
        bucket = (at_ms - self._start_ms) // self.length_ms
        if bool(np.any(np.diff(bucket) < 0)):
            order = np.argsort(bucket, kind="stable")
            bucket, values, quality = bucket[order], values[order], quality[order]
        starts = np.concatenate(([0], np.flatnonzero(np.diff(bucket)) + 1))
        hit = bucket[starts]
        measured = ~np.isnan(values)
        self._minimum[hit] = np.minimum(
            self._minimum[hit], np.minimum.reduceat(np.where(measured, values, np.float32(np.inf)), starts, axis=0)
        )
        self._maximum[hit] = np.maximum(
            self._maximum[hit], np.maximum.reduceat(np.where(measured, values, np.float32(-np.inf)), starts, axis=0)
        )
        self._sum[hit] += np.add.reduceat(np.where(measured, values, 0.0).astype(np.float64), starts, axis=0)
        self._measured[hit] += np.add.reduceat(measured.astype(np.int64), starts, axis=0)
        self.quality[hit] |= np.bitwise_or.reduceat(quality, starts)

    def band(self) -> Band:
        """All channels, (p, channels)."""
        empty = self._measured == 0
        mean = np.full(self._sum.shape, np.nan)
        np.divide(self._sum, self._measured, out=mean, where=~empty)
        nothing = np.float32(np.nan)
        return Band(
            minimum=np.where(empty, nothing, self._minimum),
            mean=mean.astype(np.float32),
            maximum=np.where(empty, nothing, self._maximum),
        )
