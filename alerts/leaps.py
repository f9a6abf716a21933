"""Lone readings that leap to the hottest ceiling: a code of an instrument, or the first look at a crushed cell.

A code comes in one step, no voltage falls with it, and then it is gone, or stays exactly what it is. A fire moves. So
such a reading counts only from the probe's next one on that is hot and different, or from the row in which a voltage
falls or others of the pack rise. Where the next is far from it both may be codes, and the third counts. A next reading
after a gap in which the others went on is a new leap: an open probe may give several codes. What others read in the row
of the leap itself says nothing: loose contacts and coarse steps do as much. Where nothing else of the pack is heard of,
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
_APART_C = 50.0
"""Two readings running that are further apart may be two codes. **assumed**"""
_FEWEST = 3
"""Of fewer there is no median: their own changes count."""
_SLICE_MS = 600_000
"""Others that move with a leap do so within one slice of time; over hours, weather drives them apart. **assumed**"""


def lone_leaps(
    states: PackStates,
    rule: LeapRule,
    *,
    hottest_c: float,
    slot: NDArray[np.int64],
    t_ms: NDArray[np.int64],
    temperatures_c: Floats,
    before_c: Floats,
    measured: Mask,
    lately: Mask,
    newest_before_ms: NDArray[np.int64],
    voltages_v: Floats,
    references_v: Floats,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> Mask:
    """(N, T) the readings at or above `hottest_c`, the hottest ceiling, that do not count yet.

    before_c: (N, T) each probe's latest live reading before the row. measured: (N, T) it is a new live reading.
    lately: (N, T) the gap since `before_c` is short. newest_before_ms: (N,) of the pack; a row older than it is late.
    references_v: (N, V) of live rows, else NaN.
    """
    held_back = np.zeros(temperatures_c.shape, bool)
    hot = temperatures_c >= hottest_c
    leaps = hot & _far_above(rule, temperatures_c, before_c, hottest_c, late=(t_ms < newest_before_ms)[:, None])
    first = hot & measured & np.isnan(before_c)
    if first.any():
        leaps |= first & _far_above_others(rule, temperatures_c, measured)
    firsts = starts[ends]
    looked_at = np.logical_or.reduceat(leaps.any(axis=1), firsts)
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
                t_ms=int(t_ms[row]),
                reading_c=temperatures_c[row],
                before_c=before_c[row],
                hot=hot[row],
                leaps=leaps[row],
                measured=measured[row],
                lately=lately[row],
                newest_before_ms=int(newest_before_ms[row]),
                falls=_falls(rule, voltages_v[row], references_v[row]),
            )
    return held_back


def _take(
    states: PackStates,
    rule: LeapRule,
    slot: int,
    *,
    t_ms: int,
    reading_c: Floats,
    before_c: Floats,
    hot: Mask,
    leaps: Mask,
    measured: Mask,
    lately: Mask,
    newest_before_ms: int,
    falls: bool,
) -> Mask:
    """(T,) what of one row does not count."""
    leap_c, base_c, apart = states.leap_c[slot], states.leap_base_c[slot], states.leapt_apart[slot]  # views
    late = t_ms < newest_before_ms
    waits = np.isfinite(leap_c)
    new = leaps & ~waits & (measured | late)
    others = measured & ~waits & ~new
    moves = falls or (waits.any() and _others_rise(reading_c[others] - base_c[others], rule))

    follows = late | (measured & (lately | ~(measured & lately).any()))
    moved_c = np.abs(reading_c - leap_c)
    confirms = follows & (moved_c > 0) & ((moved_c < _APART_C) | (apart & (not late)))
    ends = waits & ((measured & ~hot) | (hot & (confirms | moves)))
    apart[measured] = (waits & follows & (apart | (moved_c >= _APART_C)))[measured]
    apart[ends] = False
    leap_c[ends] = np.nan
    heard = measured | lately
    begins = (new & (not falls) & (heard.sum() > heard)) | (waits & measured & ~ends)
    leap_c[begins] = reading_c[begins]
    if t_ms // _SLICE_MS > newest_before_ms // _SLICE_MS or (begins.any() and not waits.any()):
        base_c[:] = np.where(measured, reading_c, before_c)
    held_back: Mask = hot & np.isfinite(leap_c)
    return held_back


def _far_above(rule: LeapRule, reading_c: Floats, before_c: Floats, hottest_c: float, *, late: Mask) -> Mask:
    """(N, T) far above the reading before; a late one has none, so it is enough that the probe is cool now."""
    far: Mask = np.where(late, before_c < hottest_c, reading_c - before_c >= rule.leap_c)
    return far


def _far_above_others(rule: LeapRule, reading_c: Floats, measured: Mask) -> Mask:
    """(N, T) far above all others of the row, if there are two: then one broken probe alone holds none back."""
    known_c = np.where(measured, reading_c, np.float32(-np.inf))
    ordered_c = np.sort(known_c, axis=1)
    hottest_c, second_c = ordered_c[:, -1:], ordered_c[:, -2:][:, :1]
    others_c = np.where(known_c == hottest_c, second_c, hottest_c)
    far: Mask = (reading_c - others_c >= rule.leap_c) & (measured.sum(axis=1) >= _FEWEST)[:, None]
    return far


def _others_rise(risen_c: Floats, rule: LeapRule) -> bool:
    """Whether two of them, or the only one, rose more than the rest: one may be broken too, and weather lifts all."""
    known = np.sort(risen_c[np.isfinite(risen_c)])
    usual_c = float(np.median(known[:-2])) if len(known) >= _FEWEST else 0.0
    return bool(len(known)) and float(known[-2:][0]) - usual_c >= rule.others_rise_c


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
