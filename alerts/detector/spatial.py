"""Each probe against its pack: residuals in each row, and what they are about, learnt slowly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alerts.detector.filters import median_of_others, share
from alerts.detector.kinds import Fault
from alerts.detector.lanes import ALL, count_in_row, put_where, sum_of_row
from alerts.detector.readings import resolution

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alerts.detector.filters import Floats
    from alerts.detector.readings import Readings
    from alerts.detector.rules import DetectorRules, SpatialRules
    from alerts.detector.states import Columns

_FEW_PROBES = 6
_COOLS_C = 4.0
"""degC. **assumed**"""
_NOISE_WINDOW_S = 900.0
_LARGEST_REVERSAL_C = np.float32(8.0)
_LARGEST_NOISE_STEP = 0.2
"""A mean over fewer than five changes would be no mean."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Residuals:
    """(B, T) of one row; NaN where there is none: not measured now, or too few probes."""

    now_c: Floats
    """Reading less offset, jump and median."""
    step_c: Floats
    """Against the probe's residual before."""
    base_step_c: Floats
    """(B,) and the median against the one before; NaN = unknown."""
    seen: NDArray[np.bool_]
    """Where there is one."""
    stepped: NDArray[np.bool_]
    """Where there was one before, too."""


def residuals_of(c: Columns, rules: DetectorRules, readings: Readings) -> Residuals:
    """Where each probe stands against the median of the others. A probe's first residual becomes its offset.

    The first offset is bounded: a pack may come with a hot probe.
    """
    was_c = c.base_c.copy()
    if readings.valid is ALL:
        level_c = c.last_c - c.offset_c
        ordered_c = np.sort(level_c, axis=1)
        probes = level_c.shape[1]
        c.base_c[:] = (ordered_c[:, (probes - 2) // 2] + ordered_c[:, (probes - 1) // 2]) * np.float32(0.5)
        most_c = _most_c(c, level_c)
        level_c -= c.base_c[:, None]
        if most_c is not None:
            level_c = np.fmin(level_c, most_c)
        return Residuals(
            now_c=level_c, step_c=level_c - c.residual_c, base_step_c=c.base_c - was_c, seen=ALL, stepped=ALL
        )
    count = count_in_row(readings.valid)
    enough = count >= rules.spatial.fewest_probes
    unknown = np.isnan(c.offset_c)
    if unknown.any():
        _begin_offsets(c, rules.spatial, readings, enough, unknown)
    level_c = c.last_c - c.offset_c - c.jump_c
    counted, number = _undisputed(c, rules.spatial, readings, count)
    base_c = median_of_others(np.where(counted, level_c, np.float32(np.inf)), number)
    c.base_c[:] = np.where(enough, base_c, _hottest(c, readings, count))
    seen = readings.fresh & readings.valid & enough[:, None]
    now_c = np.where(seen, level_c - base_c[:, None], np.float32(np.nan))
    most_c = _most_c(c, level_c)
    if most_c is not None:
        now_c = np.where(seen, np.fmin(now_c, most_c), np.float32(np.nan))
    step_c = now_c - np.where(np.isnan(c.residual_c), c.short_c, c.residual_c)
    return Residuals(
        now_c=now_c,
        step_c=step_c,
        base_step_c=c.base_c - was_c,
        seen=np.isfinite(now_c),
        stepped=np.isfinite(step_c),
    )


def _undisputed(
    c: Columns, rules: SpatialRules, readings: Readings, count: NDArray[np.intp]
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """(B, T) probes that the median is taken of, and (B,) how many: none that just jumped, if there are enough else."""
    calm = readings.valid & (c.jump_c == 0)
    number = count_in_row(calm)
    enough = number >= rules.fewest_probes
    return np.where(enough[:, None], calm, readings.valid), np.where(enough, number, count)


def _most_c(c: Columns, level_c: Floats) -> Floats | None:
    """(B, T) what a residual is at most in a pack of few probes; NaN = unknown, None = anything.

    Two broken probes of four take the median with them, and a healthy one seems hot at once: but it is no hotter than
    the pack was in the hour before. The allowance is more than a pack cools in an hour.
    """
    if level_c.shape[1] >= _FEW_PROBES:
        return None
    most_c: Floats = level_c - c.heat_long_c[:, None] + np.float32(_COOLS_C)
    return most_c


def _begin_offsets(
    c: Columns, rules: SpatialRules, readings: Readings, enough: NDArray[np.bool_], unknown: NDArray[np.bool_]
) -> None:
    at = np.flatnonzero((unknown & readings.fresh & readings.valid).any(axis=1) & enough)
    if not len(at):
        return
    begins = unknown[at] & readings.fresh[at] & readings.valid[at]
    known_c = np.where(unknown[at], c.last_c[at], c.last_c[at] - c.offset_c[at])
    valid = readings.valid[at]
    middle_c = median_of_others(np.where(valid, known_c, np.float32(np.inf)), valid.sum(axis=1))
    largest = np.float32(rules.largest_first_offset_c)
    above_c = c.last_c[at] - middle_c[:, None]
    begins &= (np.abs(above_c) <= largest) | (c.known_s[at] > 0)[:, None]  # a pack's first row may hold a code
    c.offset_c[at] = np.where(begins, np.clip(above_c, -largest, largest), c.offset_c[at])


def _hottest(c: Columns, readings: Readings, count: NDArray[np.intp]) -> Floats:
    """(B,) what stands for the pack when too few probes are there to compare: the hottest."""
    if not c.last_c.shape[1]:
        return np.full(len(count), np.nan, np.float32)
    hottest = np.where(readings.valid, c.last_c, np.float32(-np.inf)).max(axis=1)
    return np.where(count > 0, hottest, np.float32(np.nan))


def smooth_residuals(c: Columns, rules: DetectorRules, residuals: Residuals, dt_s: Floats) -> None:
    """Move the means of each row, and the noise from reading to reading."""
    now_c, seen = residuals.now_c, residuals.seen
    _learn_noise(c, residuals, dt_s)
    still = c.still_s > rules.fault.stuck_after_s
    if still.any():  # a reading that stands still does not rise because the others fall: it may be stuck
        now_c = np.where(still, np.fmin(now_c, c.last_c - c.offset_c - c.jump_c - c.base_then_c), now_c)
    for mean, window_s in ((c.short_c, rules.spatial.window_s), (c.long_c, rules.slope.window_s)):
        began = mean if seen is ALL else np.where(np.isnan(mean), now_c, mean)
        moved_c = now_c - began
        moved_c *= share(dt_s, window_s)[:, None]
        moved_c += began
        put_where(seen, mean, moved_c)
    put_where(seen, c.residual_c, residuals.now_c)


def _learn_noise(c: Columns, residuals: Residuals, dt_s: Floats) -> None:
    """What goes up and straight down again is noise, and is learnt at once: heat does not do that."""
    step_c = residuals.step_c
    change_c = np.abs(step_c)
    noise_c = 4 * c.probe_noise_c
    noise_c += np.float32(0.02)
    np.minimum(change_c, noise_c, out=noise_c)
    noise_c -= c.probe_noise_c
    noise_c *= np.minimum(share(dt_s, _NOISE_WINDOW_S), np.float32(_LARGEST_NOISE_STEP))[:, None]
    noise_c += c.probe_noise_c
    both_c = step_c * c.step_c
    at = np.flatnonzero(both_c < -4 * np.square(c.probe_noise_c))
    if len(at):
        lower_c = np.minimum(np.minimum(change_c.ravel()[at], np.abs(c.step_c.ravel()[at])), _LARGEST_REVERSAL_C)
        flat_c = noise_c.ravel()
        flat_c[at] = np.maximum(flat_c[at], np.float32(0.5) * lower_c)
    put_where(residuals.stepped, c.probe_noise_c, noise_c)
    put_where(residuals.stepped, c.step_c, step_c)


def scale_c(c: Columns, rules: SpatialRules) -> Floats:
    """(B, T) what a residual of nothing wrong is like: the probe's or the pack's wander, floored at the resolution.

    A pack that is not known yet has the prior's.
    """
    prior = np.float32(rules.scale_prior_c)
    floor_c = np.fmax(np.float32(rules.scale_at_least_c), np.float32(rules.scale_at_least_resolutions) * resolution(c))
    pack_c = np.where(np.isnan(c.spread_c), prior, c.spread_c)
    own_c = np.where(np.isnan(c.wander_c), prior, c.wander_c)
    if own_c.shape[1] < _FEW_PROBES:  # a median of few wanders itself
        valid = np.maximum(count_in_row((c.fault != Fault.OPEN) & (c.fault != Fault.STUCK)), 1)
        floor_c = floor_c * np.sqrt(1 + 3 / valid.astype(np.float32))
    rise_c = np.abs(c.base_c - c.heat_long_c)
    common_c = np.float32(rules.scale_of_common_rise) * np.where(np.isnan(rise_c), np.float32(0), rise_c)
    drive_c = np.float32(rules.scale_of_drive) * np.abs(c.ambient_c - c.base_c)
    common_c = np.hypot(common_c, np.where(np.isnan(drive_c), np.float32(0), drive_c))
    pack_c = np.hypot(np.maximum(pack_c, floor_c), common_c)
    most_c = np.maximum(np.float32(rules.scale_at_most_of_pack) * pack_c, np.float32(rules.scale_at_most_c))
    own_c = np.minimum(own_c, most_c[:, None])
    scale: Floats = np.maximum(np.maximum(own_c, np.float32(rules.scale_of_noise) * c.probe_noise_c), pack_c[:, None])
    return _doubted(c, rules, scale)


def _doubted(c: Columns, rules: SpatialRules, scale: Floats) -> Floats:
    """(B, T) the scale, wider where a probe misbehaved lately: its offset and contact are less sure than its pack's.

    Never wider than `doubt_at_most_c`, so that heat of several degrees that grows is told all the same.
    """
    doubted = (c.sound_s < np.float32(rules.doubt_hours * 3600)) & ~c.died
    if not doubted.any():
        return scale
    wider: Floats = np.minimum(np.float32(rules.doubt_times) * scale, np.float32(rules.doubt_at_most_c))
    return np.where(doubted, np.maximum(scale, wider), scale)


def learn_habits(c: Columns, rules: SpatialRules, elapsed_s: Floats, *, frozen: NDArray[np.bool_]) -> None:
    """Learn offsets and scales from the smoothed residuals. Shares are small, so that a slow fault is not learnt.

    frozen: (B, T) what is suspicious is learnt a twentieth as fast.
    """
    deviation_c = c.short_c
    known = np.isfinite(deviation_c) & (c.age_s <= np.fmax(c.interval_s, 60)[:, None]) & (c.fault != Fault.STUCK)
    day_s = np.float32(86_400)
    settled = c.known_s > rules.settle_s
    grown_s = np.clip(c.known_s, day_s / 2, np.float32(rules.offset_days) * day_s)
    window_s = np.where(settled, grown_s, np.maximum(c.known_s, 60))
    slowed = np.where(frozen, np.float32(0.05), np.float32(1.0))
    moved_c = np.where(known, share(elapsed_s, window_s)[:, None] * slowed * deviation_c, np.float32(0))
    c.offset_c += moved_c
    for mean in (c.short_c, c.long_c, c.before_c, c.residual_c):
        np.subtract(mean, moved_c, out=mean)
    scale = scale_c(c, rules)
    bounded_c = np.minimum(np.abs(deviation_c), np.float32(2.5) * scale) * np.float32(1.25)  # mean |x| to sigma
    memory_s = np.clip(c.known_s, np.float32(rules.scale_prior_hours) * 3600, day_s)
    moved = share(elapsed_s, memory_s)[:, None] * slowed
    began = np.where(np.isnan(c.wander_c), np.float32(rules.scale_prior_c), c.wander_c)
    c.wander_c[:] = np.where(known & settled[:, None], began + moved * (bounded_c - began), began)
    counted = np.isfinite(c.residual_c)
    number = count_in_row(counted)
    least = np.maximum(number, 1).astype(np.float32)
    c.spread_c[:] = _spread_c(c, counted, least)
    bounded_c = np.where(counted, np.minimum(c.probe_noise_c, 2 * c.noise_c[:, None]), np.float32(0))
    mean_c = np.fmax(sum_of_row(bounded_c) / least, np.float32(0.005))
    c.noise_c[:] = np.where(number > 0, mean_c, c.noise_c)


def _spread_c(c: Columns, counted: NDArray[np.bool_], least: Floats) -> Floats:
    """(B,) the mean wander of the pack's probes, without noisy ones: they would hide the heat of the others."""
    sound = counted & (c.fault != Fault.NOISY)
    number = count_in_row(sound)
    some = number > 0
    mean_c: Floats = sum_of_row(np.where(np.where(some[:, None], sound, counted), c.wander_c, np.float32(0)))
    mean_c /= np.where(some, number, least).astype(np.float32)
    return mean_c
