"""The last minutes of each unit's hottest temperature, in slots of ten seconds: the spark line and the rise."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SLOT_MS = 10_000
"""One slot per normal report (design: 10 s on vehicle power)."""
SLOTS = 60
"""Ten minutes of spark line. **assumed**: long enough to see a trend, short enough to draw in a table row."""
RISE_WINDOW_MS = 300_000
"""The rise is taken over five minutes, so that a step of the wire (0.05 degC) shows as 0.01 degC/min. **assumed**
The page names it."""
RISE_SPAN_MIN_MS = 60_000
"""Below a minute of history a rise is mostly noise and is not shown. **assumed**"""
JUMP_C = 10.0
"""A newest slot this far from the one before it waits for the next one to confirm it: it may be one wild reading.
**assumed**"""
AGREE_C_PER_MIN = 0.5
"""Slopes over short and over all distances that differ by more have a step between them. **assumed**"""
_WINDOW_SLOTS = RISE_WINDOW_MS // SLOT_MS + 1
_EARLIER, _LATER = np.triu_indices(_WINDOW_SLOTS, k=1)
_APART_MIN: NDArray[np.float32] = ((_LATER - _EARLIER) * (SLOT_MS / 60_000)).astype(np.float32)
"""Of each pair of slots in the window, min."""
_SHORT: NDArray[np.bool_] = (_APART_MIN > 0.4) & (_APART_MIN < 1.6)
"""Pairs 30 to 90 s apart: of those in a full window a step crosses a quarter, and of all pairs up to half."""
_ROWS_AT_ONCE = 256
"""Units whose rise is worked out together: half a megabyte of slopes. **assumed**"""
_NEVER = -(2**62)
"""The slot of what nobody offered yet."""


class Recent(NamedTuple):
    """What the last minutes of a unit look like."""

    spark: tuple[float | None, ...] = ()
    """Hottest degC per slot, oldest first, without the empty slots before the first measured one."""
    rise_c_per_min: float | None = None
    """None with less than a minute of history."""


class ShortHistories:
    """The short history of every unit, a place each: offers of many units are worked in together.

    A place is a ring: slot s lies at s modulo SLOTS. Late samples fill their own slot.
    """

    def __init__(self) -> None:
        self._hottest_c: NDArray[np.float32] = np.full((16, SLOTS), np.nan, np.float32)
        """(places, SLOTS) degC; NaN = nothing measured."""
        self._slot: NDArray[np.int64] = np.full((16, SLOTS), _NEVER, np.int64)
        """(places, SLOTS) the slot that each value is of."""
        self._newest_slot: NDArray[np.int64] = np.full(16, _NEVER, np.int64)
        self._used = 0
        self._free: list[int] = []

    def add(self) -> int:
        """An empty place."""
        if self._free:
            return self._free.pop()
        if self._used == len(self._newest_slot):
            self._hottest_c = np.concatenate([self._hottest_c, np.full_like(self._hottest_c, np.nan)])
            self._slot = np.concatenate([self._slot, np.full_like(self._slot, _NEVER)])
            self._newest_slot = np.concatenate([self._newest_slot, np.full_like(self._newest_slot, _NEVER)])
        self._used += 1
        return self._used - 1

    def free(self, place: int) -> None:
        """Forget a place's history; the place will be given out again."""
        self._slot[place] = self._newest_slot[place] = _NEVER
        self._hottest_c[place] = np.nan
        self._free.append(place)

    def offer(
        self, places: NDArray[np.int64], sampled_at_ms: NDArray[np.int64], temperatures_c: NDArray[np.float32]
    ) -> None:
        """Samples in any order. places, sampled_at_ms: (n,), UTC. temperatures_c: (n, T) degC, NaN = not measured."""
        if not temperatures_c.size:
            return
        slots = sampled_at_ms // SLOT_MS
        np.maximum.at(self._newest_slot, places, slots)
        recent = np.flatnonzero(slots > self._newest_slot[places] - SLOTS)
        # Of the recent slots of one place no two lie at the same cell, so the order of rows does not matter.
        slots = slots[recent]
        cells = places[recent] * SLOTS + slots % SLOTS
        held, hottest_c = self._slot.reshape(-1), self._hottest_c.reshape(-1)
        hottest_c[cells[held[cells] != slots]] = np.nan
        held[cells] = slots
        np.fmax.at(hottest_c, cells, np.fmax.reduce(temperatures_c, axis=1)[recent])

    def recent(self, places: Sequence[int]) -> list[Recent]:
        """The last minutes of each place."""
        return [
            recent
            for first in range(0, len(places), _ROWS_AT_ONCE)
            for recent in self._recent(np.array(places[first : first + _ROWS_AT_ONCE], np.int64))
        ]

    def _recent(self, places: NDArray[np.int64]) -> Iterator[Recent]:
        slots = self._newest_slot[places][:, None] + np.arange(1 - SLOTS, 1)
        cells = places[:, None], slots % SLOTS
        line_c = np.where(self._slot[cells] == slots, self._hottest_c[cells], np.float32(np.nan))
        shown_c = np.round(line_c.astype(np.float64), 2)  # float32 in float64: the product by 100 is exact
        firsts = np.where((~np.isnan(line_c)).any(axis=1), np.argmax(~np.isnan(line_c), axis=1), SLOTS)
        rises = _rises_c_per_min(line_c[:, -_WINDOW_SLOTS:])
        for values, first, rise in zip(shown_c.tolist(), firsts.tolist(), rises.tolist(), strict=True):
            yield Recent(tuple([None if c != c else c for c in values[first:]]), None if rise != rise else rise)  # noqa: PLR0124 - NaN


def _rises_c_per_min(window_c: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, _WINDOW_SLOTS) the hottest temperatures -> (n,) their slopes, degC/min: the median over pairs of slots.

    A step from one plateau to another is no slope. In the middle of the window it would be the median of all pairs
    all the same; then the pairs that are near each other are believed, most of which do not cross it. NaN with
    less than a minute of history. Source: Theil-Sen, Sen (1968).
    """
    rows = np.arange(len(window_c))
    last = _last_measured(window_c)
    without_last = window_c.copy()
    without_last[rows, last] = np.nan
    before = _last_measured(without_last)
    jumps = np.abs(window_c[rows, last] - window_c[rows, before]) > JUMP_C
    window_c = np.where(jumps[:, None], without_last, window_c)
    last = np.where(jumps, before, last)
    first = np.argmax(~np.isnan(window_c), axis=1)

    slopes = (window_c[:, _LATER] - window_c[:, _EARLIER]) / _APART_MIN
    near = _medians(slopes[:, _SHORT])
    rises = _medians(slopes)
    rises = np.where(np.abs(rises - near) > AGREE_C_PER_MIN, near, rises)
    return np.where((last - first) * SLOT_MS < RISE_SPAN_MIN_MS, np.nan, np.round(rises.astype(np.float64), 2))


def _last_measured(window_c: NDArray[np.float32]) -> NDArray[np.int64]:
    """(n,) the last slot with a value in each row; the last slot of all where there is none."""
    last: NDArray[np.int64] = window_c.shape[1] - 1 - np.argmax(~np.isnan(window_c)[:, ::-1], axis=1)
    return last


def _medians(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m) -> (n,), over what is not NaN; NaN where nothing is."""
    ordered = np.sort(values, axis=1)  # NaN goes last
    count = (~np.isnan(values)).sum(axis=1)
    rows, low = np.arange(len(values)), np.maximum(count - 1, 0) // 2
    medians: NDArray[np.float32] = (ordered[rows, low] + ordered[rows, count // 2]) / np.float32(2)
    return medians
