"""Each cell or module against the median one, in thousandths of it: slow drift, steps, collapse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alerts.detector.filters import follow, share
from alerts.detector.lanes import ALL, all_in_row, any_in_row, count_in_row, put_where

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alerts.detector.filters import Floats
    from alerts.detector.rules import VoltageRules
    from alerts.detector.states import Columns

_FEWEST = 3
_COMMON_S = 3600.0
_SETTLE_S = 1800.0
_SCALE_PRIOR_S = 7200.0
"""Until then offsets are plain means; and for how long the prior of the scale weighs. **assumed**"""
_LEAST_RATIO = 0.03
_FIRST_PERMILLE = 100.0
"""More, in a pack's first row, may be a code: the next row tells. **assumed**"""
_LONG_S = 1800.0
"""What has lasted so long is no transient."""
_SINKS_SHARE = 0.2
"""A channel sinks while its mean of minutes is below that of half an hour by this share of what it has sunk: a short
whose resistance falls by e in less than two hours keeps that up, a step does for 50 min. **assumed**"""
_SINKS_SCALES = 0.1
"""And by so many scales. **assumed**"""
_STOPS = -1.0
"""How fast the time of sinking goes back while it does not. **assumed**"""
_ALONE_SHARE = 0.3
"""Of what one channel has sunk: if no other is off by more, it sinks alone. Channels under load are off all at once, in
proportion to their resistances. **assumed**"""
_ALIVE_V = 0.1
"""Below it a channel is not connected, or its cell is gone: a wild zero is no collapse."""


def all_alive(c: Columns, volts: Floats) -> NDArray[np.bool_]:
    """(B,) packs of which every voltage is measured and known: nearly all."""
    if volts.shape[1] < _FEWEST:
        return np.ones(len(volts), bool)
    fine = volts > _ALIVE_V
    fine &= np.isfinite(volts)
    fine &= np.isfinite(c.volt_offset_permille)
    fine &= np.isfinite(c.volt_permille)
    return all_in_row(fine)


def take_all_voltages(c: Columns, rules: VoltageRules, volts: Floats, dt_s: Floats) -> None:
    """`take_voltages` for packs of which all is measured."""
    c.moved_s += dt_s
    channels = volts.shape[1]
    if channels < _FEWEST:
        return
    ordered = np.sort(volts, axis=1)
    c.volt_now_v[:] = np.float32(0.5) * (ordered[:, (channels - 1) // 2] + ordered[:, channels // 2])
    ratio = volts / c.volt_now_v[:, None]
    comparable = (ratio < rules.comparable) & (ratio > _LEAST_RATIO)
    ratio -= 1
    ratio *= np.float32(1000)
    ratio -= c.volt_offset_permille
    seen = ALL
    if not comparable.all():
        seen = comparable
        ratio[~comparable] = np.nan
    _follow_voltages(c, rules, ratio, dt_s, seen=seen)


def take_voltages(c: Columns, rules: VoltageRules, volts: Floats, dt_s: Floats) -> None:
    """Take one row of each pack in, (B, V)."""
    c.moved_s += dt_s
    if volts.shape[1] < _FEWEST:
        return
    alive = (volts > _ALIVE_V) & np.isfinite(volts)
    middle = _median(np.where(alive, volts, np.float32(np.nan)))
    c.volt_now_v[:] = np.where(np.isnan(middle), c.volt_now_v, middle)
    ratio = volts / middle[:, None]
    comparable = alive & (ratio < rules.comparable) & (ratio > _LEAST_RATIO)
    deviation = np.where(comparable, (ratio - 1) * np.float32(1000), np.float32(np.nan))
    seen = np.isfinite(deviation)
    usual = ratio > 1 / np.float32(rules.comparable)
    usual &= (np.abs(deviation) <= np.float32(_FIRST_PERMILLE)) | (c.known_s > 0)[:, None]
    began = np.isnan(c.volt_offset_permille) & seen & usual
    np.copyto(c.volt_offset_permille, deviation, where=began)
    deviation -= c.volt_offset_permille
    seen = np.isfinite(deviation)
    np.copyto(c.volt_permille, deviation, where=np.isnan(c.volt_permille))
    _follow_voltages(c, rules, deviation, dt_s, seen=seen)


def _follow_voltages(
    c: Columns, rules: VoltageRules, deviation: Floats, dt_s: Floats, *, seen: NDArray[np.bool_]
) -> None:
    """Take deviations from the median in, (B, V); NaN where not `seen`."""
    fallen = deviation < np.float32(-1000 * rules.collapse)
    if fallen.any():
        rows = np.minimum(c.volt_low, 200) + (dt_s > 0)[:, None]
        put_where(seen, c.volt_low, np.where(fallen, rows, 0))
    else:
        put_where(seen, c.volt_low, 0)
    step = deviation - c.volt_permille
    far = ~(step >= -8 * c.volt_scale_permille)  # its scale is at least its own
    at = np.flatnonzero(any_in_row(step < np.float32(-rules.moved_permille)) & any_in_row(far))
    if len(at):
        some = c.take(at)
        fell = np.maximum(step[at], deviation[at])  # back from a code is no fall
        c.moved_s[at[any_in_row(fell < -8 * volt_scale(some, rules))]] = 0
    step *= share(dt_s, rules.window_s)[:, None]
    step += c.volt_permille
    put_where(seen, c.volt_permille, step)


def _median(values: Floats) -> Floats:
    """(B, V) -> (B,) median of what is not NaN; NaN where there are fewer than three."""
    channels = values.shape[1]
    if channels < _FEWEST:
        return np.full(len(values), np.nan, np.float32)
    count = count_in_row(np.isfinite(values))
    ordered = np.sort(values, axis=1)
    row = np.arange(len(values))
    middle = np.float32(0.5) * (
        ordered[row, np.maximum(count - 1, 0) // 2] + ordered[row, np.minimum(count // 2, channels - 1)]
    )
    return np.where(count >= _FEWEST, middle, np.float32(np.nan))


def volt_scale(c: Columns, rules: VoltageRules) -> Floats:
    """(B, V) thousandths: what a deviation of nothing wrong is like."""
    prior = np.float32(rules.scale_prior_permille)
    own = np.where(np.isnan(c.volt_scale_permille), prior, c.volt_scale_permille)
    change = np.abs(c.volt_now_v / c.volt_mean_v - 1) * np.float32(1000 * rules.scale_of_common_change)
    least = np.fmax(np.float32(rules.scale_at_least_permille), change)
    scale: Floats = np.maximum(own, least[:, None])
    return scale


def scale_among_others(c: Columns, rules: VoltageRules) -> Floats:
    """(B, V) thousandths: no less than what the pack's channels are off by now, as they are under load."""
    scale: Floats = np.fmax(volt_scale(c, rules), _median(np.abs(c.volt_permille))[:, None])
    return scale


def sinks_alone(c: Columns, rules: VoltageRules) -> NDArray[np.bool_]:
    """(B, V) channels that have been sinking for long while all others stand, in a pack at rest."""
    if c.volt_permille.shape[1] < _FEWEST:
        return np.zeros(c.volt_permille.shape, bool)
    off = np.sort(np.nan_to_num(np.abs(c.volt_permille)), axis=1)
    alone = np.float32(-_ALONE_SHARE) * c.volt_permille >= off[:, -2:-1]
    at_rest = np.abs(c.volt_now_v / c.volt_mean_v - 1) <= np.float32(rules.rest_permille / 1000)
    found: NDArray[np.bool_] = alone & at_rest[:, None] & (c.volt_sinks_s >= np.float32(rules.sinking_s))
    return found


def learn_voltages(c: Columns, rules: VoltageRules, elapsed_s: Floats) -> None:
    """Learn offsets and scales at a tick; slower while the channel or its pack is suspicious.

    What most channels are off by is the median's doing, since another channel took the middle: it is learnt at once.
    """
    c.volt_mean_v[:] = follow(c.volt_mean_v, c.volt_now_v, share(elapsed_s, _COMMON_S))
    deviation = c.volt_permille
    c.volt_long_permille[:] = follow(c.volt_long_permille, deviation, share(elapsed_s, _LONG_S)[:, None])
    common = np.nan_to_num(_median(deviation))[:, None]
    c.volt_offset_permille += common
    c.volt_permille -= common
    c.volt_long_permille -= common
    known = np.isfinite(deviation)
    scale = volt_scale(c, rules)
    _follow_sinking(c, scale, elapsed_s)
    slowed = np.where((c.held > 0)[:, None] | (np.abs(deviation) > 5 * scale), np.float32(0.05), np.float32(1))
    longest_s = np.float32(rules.offset_days * 86_400)
    window_s = np.where(c.known_s < _SETTLE_S, np.fmax(c.known_s, 300), np.clip(c.known_s, longest_s / 2, longest_s))
    moved = np.where(known, share(elapsed_s, window_s)[:, None] * slowed * deviation, np.float32(0))
    c.volt_offset_permille += moved
    c.volt_permille -= moved
    c.volt_long_permille -= moved
    bounded = np.minimum(np.abs(deviation), np.float32(2.5) * scale) * np.float32(1.25)
    memory_s = np.clip(c.known_s, _SCALE_PRIOR_S, np.float32(86_400))
    began = np.where(np.isnan(c.volt_scale_permille), np.float32(rules.scale_prior_permille), c.volt_scale_permille)
    learnt = began + share(elapsed_s, memory_s)[:, None] * slowed * (bounded - began)
    c.volt_scale_permille[:] = np.where(known, learnt, began)


def _follow_sinking(c: Columns, scale: Floats, elapsed_s: Floats) -> None:
    """What falls back from above the others, as after charging, does not sink."""
    lag = c.volt_long_permille - c.volt_permille
    least = np.float32(_SINKS_SCALES) * scale
    sinks = (lag >= np.maximum(np.float32(-_SINKS_SHARE) * c.volt_permille, least)) & (c.volt_long_permille <= least)
    step_s = np.minimum(elapsed_s, np.float32(600))[:, None] * np.where(sinks, np.float32(1), np.float32(_STOPS))
    np.clip(c.volt_sinks_s + step_s, 0, np.float32(2 * 3600), out=c.volt_sinks_s)
