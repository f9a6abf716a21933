"""Across the channels of each pack: numpy's own reductions over a short last axis cost more than all else in a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

_WORD = 8
ALL: NDArray[np.bool_] = np.array(True)  # noqa: FBT003
"""A mask that holds for every channel of every pack: then nothing has to be picked out."""
_ONES = np.uint64(0x0101010101010101)


def any_in_row(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each row of (B, N) holds a True: (B,)."""
    words = _words(mask)
    if words is None:
        few: NDArray[np.bool_] = np.logical_or.reduce(mask, axis=1)
        return few
    found = words[:, 0]
    for lane in range(1, words.shape[1]):
        found = found | words[:, lane]
    holds: NDArray[np.bool_] = found != 0
    return holds


def all_in_row(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each row of (B, N) holds only Trues: (B,)."""
    words = _words(mask)
    if words is None:
        few: NDArray[np.bool_] = np.logical_and.reduce(mask, axis=1)
        return few
    found = words[:, 0]
    for lane in range(1, words.shape[1]):
        found = found & words[:, lane]
    whole: NDArray[np.bool_] = found == _ONES
    return whole


def count_in_row(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """How many of each row of (B, N) are True: (B,)."""
    words = _words(mask)
    if words is None:
        few: NDArray[np.intp] = np.add.reduce(mask, axis=1, dtype=np.intp)
        return few
    total = np.zeros(len(mask), np.intp)
    for lane in range(words.shape[1]):
        total += ((words[:, lane] * _ONES) >> np.uint64(56)).astype(np.intp)
    return total


def sum_of_row(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum of each row of (B, N), added in the same order whatever B is: (B,)."""
    total = np.zeros(len(values), np.float32)
    for lane in range(values.shape[1]):
        total += values[:, lane]
    return total


def put_where(mask: NDArray[np.bool_], column: NDArray[Any], value: Any) -> None:
    """Set those channels of a column."""
    if mask is ALL:
        column[...] = value
    else:
        np.copyto(column, value, where=mask)


def _words(mask: NDArray[np.bool_]) -> NDArray[np.uint64] | None:
    """Eight channels a word, each byte 0 or 1."""
    if mask.shape[1] == 0 or mask.shape[1] % _WORD or not mask.flags.c_contiguous:
        return None
    return mask.view(np.uint64)
