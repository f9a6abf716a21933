"""Heat that comes back under a latch: the evidence as it would stand without it. Pure but for its `states`.

A latched level says nothing new by itself, so a pack that cooled and heats again would call nobody. Beside the latch,
each slot keeps which probes are hot: they passed the mildest alarming ceiling in a live row, and have not stayed below
it since, by its own hysteresis. The evidence has eased when no probe that still reports is hot; a probe that passes
after that renews. What is not known at the start counts as hot, and is decided by the first row that measures.

Packs that are latched are few, so their rows are looked at one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alerts.pack_states import NEVER_MS
from alerts.scans import last_true

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alerts.pack_states import PackStates


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stays:
    """(N, T) each probe against a ceiling that clears."""

    above: NDArray[np.bool_]
    """It passed the ceiling, and has not stayed below it since."""
    passes: NDArray[np.bool_]
    """It passes the ceiling in this row."""
    clears: NDArray[np.bool_]
    """It has stayed below for long enough."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Renewals:
    """Each row's evidence without the latch."""

    renewed: NDArray[np.bool_]
    """(N,) the pack is hot again, under a latch, after the evidence had eased."""
    hot: NDArray[np.bool_]
    """(N,) whether the evidence is, or may be, that of an alarm."""
    hot_before: NDArray[np.bool_]
    """(N,) the same one row earlier."""
    coolest_c: NDArray[np.float32]
    """(N, T) in a row that renews, each probe's lowest reading since one passed the ceiling; else NaN."""


def no_renewals(temperatures_c: NDArray[np.float32]) -> Renewals:
    """Of rules without a ceiling that clears, (N, T) readings: nothing says when the evidence has eased."""
    never = np.zeros(len(temperatures_c), bool)
    coolest_c = np.full(temperatures_c.shape, np.nan, np.float32)
    return Renewals(renewed=never, hot=never, hot_before=never, coolest_c=coolest_c)


def follow_renewals(
    states: PackStates,
    *,
    slot: NDArray[np.int64],
    t_ms: NDArray[np.int64],
    temperatures_c: NDArray[np.float32],
    measured: NDArray[np.bool_],
    stays: Stays,
    above_before: NDArray[np.bool_],
    latched: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> Renewals:
    """Judge rows of packs near a level, and remember. To be called before `states.latched` is set to what it is now.

    measured: (N, T) new live readings; rows without any, such as late ones, decide nothing. above_before: (G, T) of
    each group before its first row.
    """
    firsts = starts[ends]
    read_row = last_true(measured)
    read_ms = np.where(read_row >= starts[:, None], t_ms[np.maximum(read_row, 0)], states.reading_ms[slot])
    hot = np.asarray(stays.above.any(axis=1))
    hot_first = np.asarray(above_before.any(axis=1))
    renewed = np.zeros(len(slot), bool)
    coolest_c = np.full(temperatures_c.shape, np.nan, np.float32)
    for group in np.flatnonzero(latched[ends] > 0):
        which, first, last = int(slot[ends[group]]), int(firsts[group]), int(ends[group])
        if states.latched[which] > 0:
            first_latched = first
            hot_first[group] = states.eased_ms[which] == NEVER_MS
        else:
            first_latched = first + int(np.argmax(latched[first : last + 1] > 0))
            before = above_before[group] if first_latched == first else stays.above[first_latched - 1]
            states.begin_latch(which, hot=before & (read_ms[first_latched] != NEVER_MS))
        for row in range(first_latched, last + 1):
            if measured[row].any():
                passes = stays.passes[row] & measured[row]
                if _renews(states, which, int(t_ms[row]), passes):
                    renewed[row] = True
                    coolest_c[row] = states.coolest_c[which]
                states.hot[which] = (states.hot[which] | passes) & ~stays.clears[row]
                _ease(states, which, int(t_ms[row]), read_ms[row])
                cooler_c = np.fmin(states.coolest_c[which], np.where(measured[row], temperatures_c[row], np.nan))
                states.coolest_c[which] = np.nan if passes.any() else cooler_c
            hot[row] = states.eased_ms[which] == NEVER_MS
    hot_before = np.roll(hot, 1)
    hot_before[firsts] = hot_first
    return Renewals(renewed=renewed, hot=hot, hot_before=hot_before, coolest_c=coolest_c)


def _renews(states: PackStates, slot: int, t_ms: int, passes: NDArray[np.bool_]) -> bool:
    """Channels may come one by one, each with the same time: what is hot in the row that eased has not cooled."""
    eased_ms = int(states.eased_ms[slot])
    return eased_ms not in (NEVER_MS, t_ms) and bool((passes & ~states.hot[slot]).any())


def _ease(states: PackStates, slot: int, t_ms: int, read_ms: NDArray[np.int64]) -> None:
    # A hot probe that died would hide for good that the others heat again.
    reports = (read_ms == NEVER_MS) | (t_ms - read_ms <= states.longest_gap_ms[slot])
    if (states.hot[slot] & reports).any():
        states.eased_ms[slot] = NEVER_MS
    elif states.eased_ms[slot] == NEVER_MS:
        states.eased_ms[slot] = t_ms
