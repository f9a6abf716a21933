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
"""The rise is taken over five minutes, so that a step of the wire (0.05 degC) shows as 0.01 degC/min. **assumed**"""
RISE_SPAN_MIN_MS = 60_000
"""Below a minute of history a rise is mostly noise and is not shown. **assumed**"""
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
        """The newest slot's hottest minus that of the oldest slot of the window, over their distance; degC/min.

        A difference, not a fitted slope: a crushed cell's minute must show at once (a median of slopes would hide it).
        None with less than a minute of history.
        """
        self._work_in()
        window = self._hottest_c[-(RISE_WINDOW_MS // SLOT_MS + 1) :]
        measured = np.flatnonzero(~np.isnan(window))
        if measured.size < 2:
            return None
        first, last = int(measured[0]), int(measured[-1])
        span_ms = (last - first) * SLOT_MS
        if span_ms < RISE_SPAN_MIN_MS:
            return None
        return round(float(window[last] - window[first]) * 60_000 / span_ms, 2)

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
