"""Running values along the rows of many packs at once, each pack's rows apart: loops over time, without a loop.

Rows of one pack lie together, in their order. `starts[i]` is the row where row i's pack begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def group_starts(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) of a key per row, equal keys together -> (N,) the row where each row's group begins."""
    begins = np.ones(len(groups), bool)
    begins[1:] = groups[1:] != groups[:-1]
    return np.maximum.accumulate(np.where(begins, np.arange(len(groups)), 0))


def group_ends(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) -> (G,) the last row of each group, in order."""
    ends = np.ones(len(starts), bool)
    ends[:-1] = starts[1:] != starts[:-1]
    return np.flatnonzero(ends)


def last_true(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N, ...) -> the latest row up to each row, itself included, where `mask` held; -1 before the first.

    It looks back over group borders: the answer is of the row's own group only where it is not below `starts`.
    """
    rows = np.arange(len(mask)).reshape((-1,) + (1,) * (mask.ndim - 1))
    return np.maximum.accumulate(np.where(mask, rows, -1), axis=0)


def row_before(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N, ...) of row numbers -> what was known one row earlier; -1 at first."""
    earlier = np.full_like(rows, -1)
    earlier[1:] = rows[:-1]
    return earlier


def running_max(values: NDArray[np.int64], starts: NDArray[np.int64], carried: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N, ...) the highest value of each row's group so far, itself and `carried` (N, ...) included.

    Groups are put apart by a power of two, so that one plain running maximum serves all. Raises OverflowError when
    the range of values times the number of rows passes 62 bits.
    """
    if not values.size:
        return values
    lowest = int(values.min())
    above = np.maximum(values, carried) - lowest  # >= 0; a `carried` below its row's value drops out here
    bits = int(above.max()).bit_length()
    if bits + len(values).bit_length() > 62:
        raise OverflowError(f"{len(values)} rows whose values span {bits} bits are too many for one call")
    apart = (starts << bits).reshape((-1,) + (1,) * (values.ndim - 1))
    highest: NDArray[np.int64] = np.maximum.accumulate(above + apart, axis=0) - apart + lowest
    return highest
