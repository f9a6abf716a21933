"""Smoothing in event time: the same for one step of five minutes as for 300 of a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


def share(elapsed_s: Floats, window_s: Floats | float) -> Floats:
    """(B,) how far a mean over `window_s` moves towards a new value after `elapsed_s`: 1 - exp(-elapsed / window)."""
    moved: Floats = -np.expm1(-elapsed_s / np.asarray(window_s, np.float32))
    return moved


def follow(mean: Floats, value: Floats, moved: Floats) -> Floats:
    """The mean moved towards the value by the share; a NaN value leaves it, a NaN mean begins at the value."""
    step = mean + moved * (value - mean)
    return np.where(np.isnan(value), mean, np.where(np.isnan(mean), value, step))


def median_of_others(values: Floats, count: NDArray[np.intp]) -> Floats:
    """(B, N) with `inf` where there is none, and (B,) how many there are -> (B,) median of all but the highest.

    It is what any value above the middle has as the median of the others; one below gets a slightly lower one.
    A sort of so few costs a twentieth of `nanmedian`. NaN where there are fewer than two.
    """
    if not values.shape[1]:
        return np.full(len(values), np.nan, np.float32)
    ordered = np.sort(values, axis=1)
    row = np.arange(len(values))
    low = ordered[row, np.maximum(count - 2, 0) // 2]
    high = ordered[row, np.maximum(count - 1, 0) // 2]
    middle: Floats = (low + high) * np.float32(0.5)
    middle[count < 2] = np.nan
    return middle
