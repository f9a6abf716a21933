"""Lone readings that leap to a ceiling: a code of an instrument, or the first look at a crushed cell.

A code stands alone: it comes in one step, no other probe rises and no voltage falls with it, and then it is gone, or
stays exactly what it is. A fire moves. So such a reading counts only from the probe's next one on that is hot and
different, or from the row in which anything else of the pack moves. Where nothing else of the pack was measured,
nobody says that the reading is alone, and it counts at once. Pure but for its `states`.

Packs with a leap are few, so their rows are looked at one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alerts.pack_states import PackStates
    from alerts.rules import LeapRule

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

_ALIVE_V = 0.1
"""Below it a channel is not connected. **assumed**"""
_COMPARABLE = 1.6
"""A voltage beyond this factor of its reference is a code. **assumed**"""
_ALIKE = 1.2
"""References of one pack differ by less. **assumed**"""
_FEWEST = 3
"""Of fewer there is no median: their own changes count."""


def lone_leaps(
    states: PackStates,
    rule: LeapRule,
    *,
    lowest_c: float,
    slot: NDArray[np.int64],
    temperatures_c: Floats,
    before_c: Floats,
    measured: Mask,
    trusted: Mask,
    late: Mask,
    voltages_v: Floats,
    references_v: Floats,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> Mask:
    """(N, T) the readings at or above `lowest_c` that do not count yet.

    before_c: (N, T) each probe's latest live reading before the row. measured, trusted: (N, T) it is a new live
    reading, and the gap before it is short. late: (N,) rows older than the newest of their pack; they count alone only
    where the row's other probes are hot too. references_v: (N, V) of live rows, else NaN.
    """
    held_back = np.zeros(temperatures_c.shape, bool)
    hot = temperatures_c >= lowest_c
    leaps = hot & ~(temperatures_c - before_c < rule.leap_c) & np.isfinite(before_c)
    strange = hot & late[:, None] & (before_c < lowest_c)
    firsts = starts[ends]
    looked_at = np.logical_or.reduceat((leaps | strange).any(axis=1), firsts)
    looked_at |= np.isfinite(states.leap_c[slot[ends]]).any(axis=1)
    if not looked_at.any():
        return held_back
    for group in np.flatnonzero(looked_at):
        which = int(slot[ends[group]])
        for row in range(int(firsts[group]), int(ends[group]) + 1):
            held_back[row] = _take(
                states,
                rule,
                which,
                reading_c=temperatures_c[row],
                before_c=before_c[row],
                hot=hot[row],
                measured=measured[row],
                trusted=trusted[row],
                late=bool(late[row]),
                falls=_falls(rule, voltages_v[row], references_v[row]),
            )
    return held_back


def _take(
    states: PackStates,
    rule: LeapRule,
    slot: int,
    *,
    reading_c: Floats,
    before_c: Floats,
    hot: Mask,
    measured: Mask,
    trusted: Mask,
    late: bool,
    falls: bool,
) -> Mask:
    """(T,) what of one row does not count."""
    leap_c = states.leap_c[slot]  # a view
    waits = np.isfinite(leap_c)
    still = waits & ~(measured & ~hot)
    moves = falls
    if still.any():
        others = measured & ~waits
        moves |= bool(
            (_more_than_usual(reading_c[others] - states.leap_base_c[slot, others]) >= rule.others_rise_c).any()
        )
    new = _alone_in_row(rule, reading_c, hot) & (before_c < reading_c) if late else measured & hot
    new &= np.isfinite(before_c) & (reading_c - before_c >= rule.leap_c) & ~waits
    if new.any() and not late:
        others = measured & trusted & ~waits & ~new
        moves |= new.sum() > 1 or not others.any()
        moves |= bool((reading_c[others] - before_c[others] >= rule.others_rise_c).any())

    ends = waits & ((measured & ~hot) | (hot & ((reading_c != leap_c) | moves)))
    leap_c[ends] = np.nan
    begins = new & (not moves)
    if begins.any():
        if not still.any():
            states.leap_base_c[slot] = np.where(measured, reading_c, before_c)
        leap_c[begins] = reading_c[begins]
    held_back: Mask = hot & np.isfinite(leap_c)
    return held_back


def _alone_in_row(rule: LeapRule, reading_c: Floats, hot: Mask) -> Mask:
    """(T,) hot probes of a late row of which every other one is far cooler, and at least one is there."""
    read = np.isfinite(reading_c)
    if hot.sum() != 1 or read.sum() < 2:
        return np.zeros(len(hot), bool)
    others_c = reading_c[read & ~hot].max()
    alone: Mask = hot & (reading_c - others_c >= rule.leap_c)
    return alone


def _more_than_usual(risen_c: Floats) -> Floats:
    """Less what all of them rose by: weather is no support."""
    known = risen_c[np.isfinite(risen_c)]
    return known - np.median(known) if len(known) >= _FEWEST else known


def _falls(rule: LeapRule, voltages_v: Floats, references_v: Floats) -> bool:
    """Whether a tap is below its slow reference by more than the pack's others are."""
    known = (voltages_v > _ALIVE_V) & (voltages_v < _COMPARABLE * references_v)
    if known.sum() >= _FEWEST:  # a code may have become a channel's reference
        known &= references_v < _ALIKE * np.median(references_v[known])
    if not known.any():
        return False
    share = voltages_v[known] / references_v[known]
    usual = float(np.median(share)) if len(share) >= _FEWEST else 1.0
    return bool(share.min() < usual - rule.voltage_fall_permille / 1000)
