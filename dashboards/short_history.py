"""The last minutes of one unit's hottest temperature, in slots of ten seconds: the spark line and the rise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
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
_PENDING_MAX = 64
"""Batches held back before they are worked in, so that a replay at full speed costs no memory."""


class ShortHistory:
    """Offers are cheap and only kept; `spark` and `rise_c_per_min` work them in. Late samples fill their own slot."""

    __slots__ = ("_hottest_c", "_newest_slot", "_pending")

    def __init__(self) -> None:
        self._hottest_c: NDArray[np.float32] = np.full(SLOTS, np.nan, np.float32)
        """(SLOTS,) degC, oldest slot first, the last one is `_newest_slot`; NaN = nothing measured."""
        self._newest_slot: int | None = None
        self._pending: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []

    def offer(self, sampled_at_ms: NDArray[np.int64], temperatures_c: NDArray[np.float32]) -> None:
        """sampled_at_ms: (n,) UTC, increasing. temperatures_c: (n, T) degC, NaN = not measured."""
        if temperatures_c.size == 0:
            return
        self._pending.append((sampled_at_ms, temperatures_c))
        if len(self._pending) >= _PENDING_MAX:
            self._work_in()

    def spark(self) -> tuple[float | None, ...]:
        """Hottest degC per slot, oldest first, without the empty slots before the first measured one."""
        self._work_in()
        measured = np.flatnonzero(~np.isnan(self._hottest_c))
        if measured.size == 0:
            return ()
        return tuple(None if math.isnan(c) else round(c, 2) for c in self._hottest_c[measured[0] :].tolist())

    def rise_c_per_min(self) -> float | None:
        """The slope of the hottest temperature over the window, degC/min: the median over pairs of slots.

        A step from one plateau to another is no slope. In the middle of the window it would be the median of all pairs
        all the same; then the pairs that are near each other are believed, most of which do not cross it. None with
        less than a minute of history. Source: Theil-Sen, Sen (1968).
        """
        self._work_in()
        window = self._hottest_c[-_WINDOW_SLOTS:]
        measured = np.flatnonzero(~np.isnan(window))
        if measured.size >= 2 and abs(window[measured[-1]] - window[measured[-2]]) > JUMP_C:
            window = window[: measured[-1]]
            measured = measured[:-1]
        if measured.size < 2 or (measured[-1] - measured[0]) * SLOT_MS < RISE_SPAN_MIN_MS:
            return None
        padded = np.full(_WINDOW_SLOTS, np.nan, np.float32)
        padded[: window.size] = window
        slopes = (padded[_LATER] - padded[_EARLIER]) / _APART_MIN
        found = ~np.isnan(slopes)
        rise_c_per_min = float(np.median(slopes[found]))
        near = slopes[found & _SHORT]
        if near.size and abs(rise_c_per_min - float(np.median(near))) > AGREE_C_PER_MIN:
            rise_c_per_min = float(np.median(near))
        return round(rise_c_per_min, 2)

    def _work_in(self) -> None:
        pending, self._pending = self._pending, []
        for sampled_at_ms, temperatures_c in pending:
            slots = sampled_at_ms // SLOT_MS
            newest_slot = self._advance(int(slots[-1]))
            offsets = slots - newest_slot + SLOTS - 1
            keep = offsets >= 0
            np.fmax.at(self._hottest_c, offsets[keep], np.fmax.reduce(temperatures_c[keep], axis=1))

    def _advance(self, slot: int) -> int:
        """Make room up to `slot`; returns the newest slot, which is later than a late one."""
        if self._newest_slot is None:
            self._newest_slot = slot
        step = slot - self._newest_slot
        if step > 0:
            moved = np.full(SLOTS, np.nan, np.float32)
            if step < SLOTS:
                moved[: SLOTS - step] = self._hottest_c[step:]
            self._hottest_c = moved
            self._newest_slot = slot
        return self._newest_slot
