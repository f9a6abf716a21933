"""Jumps of one probe: an instrument's, or the first look at a crushed cell.

A cell heats through several readings, and cools gradually; an instrument jumps once and stays flat, or jumps back.
So a jump is set aside until what follows tells which it was. Ceilings are above this: they count every reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alerts.detector.lanes import ALL, any_in_row, put_where
from alerts.detector.readings import resolution

if TYPE_CHECKING:
    from alerts.detector.filters import Floats
    from alerts.detector.rules import FaultRules
    from alerts.detector.spatial import Residuals
    from alerts.detector.states import Columns

_CODE_C = 20.0
"""degC. A step of so much may be to a code: as alerts/rules.py's leap. **assumed**"""
_LEAST_C = 0.3
"""degC. Less after a jump is no heat that goes on. **assumed**"""
_SPIKE_NOISE_C = 1.0
"""degC. A probe that jumped and came back is noisy for a while. **assumed**"""
_FLICKER = 0.7
"""Steps. A probe that flickers between two of them changes by no more in the mean. **assumed**"""
_FLICKER_STEPS = 2.5
"""And its readings by no more than two. **assumed**"""
SUPPORT_S = 60.0
"""A voltage that moved so shortly before supports a jump or a quick rise. **assumed**"""


def set_jumps_aside(c: Columns, rules: FaultRules, residuals: Residuals, dt_s: Floats) -> None:
    """Begin, decide and end jumps; changes `residuals` in place where one is set aside or given back."""
    c.jump_s += dt_s[:, None]
    step_c = residuals.step_c
    sure_c = np.float32(rules.jump_c)
    least_c = np.maximum(sure_c, _noise_c(rules, c.probe_noise_c, resolution(c)[:, None]))
    at = np.flatnonzero(any_in_row((np.abs(step_c) >= least_c) | (c.jump_c != 0)))
    if not len(at):
        return
    now_c, step_c = residuals.now_c[at], step_c[at]
    jump_c, since_s, before_c = c.jump_c[at], c.jump_s[at], c.before_c[at]
    noise_c, quick_c = c.probe_noise_c[at], c.quick_c[at]
    res = resolution(c)[at][:, None]
    seen = np.isfinite(step_c)
    pending = jump_c != 0

    # What follows a jump.
    sign = np.sign(jump_c)
    onward_c = (now_c - before_c) * sign
    size_c = np.abs(jump_c)
    least_c = np.maximum(
        np.maximum(np.float32(rules.jump_goes_on) * size_c, 5 * noise_c),
        np.maximum(np.float32(_FLICKER_STEPS) * res, np.float32(_LEAST_C)),
    )
    # What leaps on may be a code of a probe that had jumped: it goes on when a second reading is as high.
    goes_on = pending & seen & (sign > 0) & (onward_c >= least_c)
    goes_on &= np.where(quick_c >= least_c, onward_c >= np.float32(0.5) * quick_c, (step_c > 0) & (step_c < _CODE_C))
    returns = pending & seen & (onward_c <= -np.float32(0.5) * size_c) & (step_c * sign <= -np.float32(0.3) * size_c)
    gradual = np.abs(step_c) < np.float32(0.3) * size_c
    cools = pending & seen & (sign > 0) & gradual & (since_s >= 30)
    # In the mean of two readings: the first look at a noisy probe may be too high.
    cools &= (onward_c + quick_c * sign) / 2 <= -np.maximum(
        np.float32(rules.jump_cools) * size_c, np.maximum(4 * noise_c, 2 * res)
    )
    supported = pending & (sign > 0) & (c.moved_s[at] <= SUPPORT_S)[:, None]
    due = pending & seen & (since_s >= rules.jump_decided_s)
    returns |= due & (sign < 0) & (onward_c <= -np.float32(0.3) * size_c)
    lapsed = due & (since_s - dt_s[at][:, None] >= rules.jump_decided_s)  # it has been silent meanwhile
    heat = (goes_on | cools | supported) & ~returns & ~lapsed
    over = due & ~heat & ~returns & ~lapsed
    anew = returns | lapsed
    now_c = np.where(heat | anew, now_c + jump_c, now_c)
    c.offset_c[at] += np.where(over, jump_c, 0)
    jump_c = np.where(heat | anew | over, 0, jump_c)
    c.jump_s[at] = np.where(heat, np.float32(np.inf), since_s)
    spike_c = np.minimum(np.float32(0.3) * size_c, np.float32(_SPIKE_NOISE_C))
    c.probe_noise_c[at] = np.where(returns, np.maximum(noise_c, spike_c), noise_c)

    # A new one: it comes out of the flat.
    large_c = np.maximum(np.maximum(sure_c, _noise_c(rules, noise_c, res)), np.float32(rules.jump_resolutions) * res)
    step_c = np.where(anew, now_c - before_c, step_c)  # back, or from one code to another
    flat = np.abs(quick_c) < np.maximum(np.float32(0.25) * np.abs(step_c), np.float32(1.2) * res)
    begins = seen & (~pending | anew) & (np.abs(step_c) >= large_c) & flat
    sign, half_c = np.sign(step_c), np.float32(0.5) * np.abs(step_c)
    begins &= ((step_c + residuals.base_step_c[at][:, None]) * sign >= half_c) | anew  # else the median moved
    away = now_c * sign >= half_c  # else it comes back to where it usually is, such as from having been stuck
    c.before_c[at] = np.where(begins & ~away, now_c, before_c)
    begins &= away
    # Against the mean: the reading before may have been the top of a flicker, and the next would seem to go on.
    jump_c, now_c = np.where(begins, now_c - before_c, jump_c), np.where(begins, before_c, now_c)
    c.jump_s[at] = np.where(begins, 0, c.jump_s[at])
    c.jump_c[at] = jump_c
    residuals.now_c[at] = now_c
    residuals.step_c[at] = np.where(begins, 0, step_c)


def rise_quickly(c: Columns, residuals: Residuals, moved: Floats) -> None:
    """Each probe's rise above its residual of the last minute or two; `moved`: (B,) share of that window."""
    now_c, seen = residuals.now_c, residuals.seen
    rise_c = now_c - c.before_c
    put_where(seen, c.quick_third_c, c.quick_was_c)
    put_where(seen, c.quick_was_c, c.quick_c)
    put_where(seen, c.quick_c, rise_c)
    rise_c *= moved[:, None]
    rise_c += c.before_c
    # While a jump is undecided, what follows is held against what was before it.
    follows = seen if not (c.jump_c != 0).any() else seen & (c.jump_c == 0)
    if seen is ALL:
        put_where(follows, c.before_c, rise_c)
        return
    first = np.isnan(c.short_c)
    put_where(follows, c.before_c, np.where(first, now_c, rise_c))
    if first.any():
        c.quick_c[first] = 0
        c.quick_was_c[first] = 0
        c.quick_third_c[first] = 0


def _noise_c(rules: FaultRules, noise_c: Floats, res: Floats) -> Floats:
    """(B, T) what noise may do between two readings; of a probe that only flickers it is little more than two steps."""
    most_c = np.float32(rules.jump_sigmas) * noise_c
    return np.where(noise_c <= np.float32(_FLICKER) * res, np.minimum(most_c, np.float32(_FLICKER_STEPS) * res), most_c)
