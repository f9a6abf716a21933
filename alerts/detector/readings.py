"""Readings as they come: which are temperatures, how old, which probes are open, stuck or noisy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alerts.detector.kinds import Fault
from alerts.detector.lanes import ALL, all_in_row, any_in_row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alerts.detector.filters import Floats
    from alerts.detector.rules import DetectorRules, FaultRules
    from alerts.detector.states import Columns


TICK_S = 60.0
"""Slow evidence is looked at once a minute, and in every row while a level stands."""
_LARGEST_RESOLUTION_C = 1.0
_RESOLUTION_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """(B, T) of one row of each pack."""

    fresh: NDArray[np.bool_]
    """Measured now."""
    valid: NDArray[np.bool_]
    """Measured now or a moment ago, and not stuck: good for the pack's median."""
    dt_s: Floats
    """(B,) since the row before."""


def all_measured(c: Columns, rules: DetectorRules, temperatures_c: Floats, dt_s: Floats) -> NDArray[np.bool_]:
    """(B,) packs whose probes all measure now, and are known and in order: nearly all."""
    if temperatures_c.shape[1] < rules.spatial.fewest_probes:
        return np.zeros(len(dt_s), bool)
    fine = (temperatures_c >= rules.fault.lowest_c) & (temperatures_c <= rules.fault.highest_c)
    fine &= np.isfinite(c.residual_c)
    fine &= np.isfinite(c.short_c)
    fine &= np.isfinite(c.long_c)
    fine &= c.fault != Fault.STUCK
    fine &= c.jump_c == 0
    return all_in_row(fine) & (dt_s > 0)


def take_all_readings(c: Columns, rules: FaultRules, temperatures_c: Floats, dt_s: Floats) -> Readings:
    """`take_readings` for packs of which all was measured."""
    change_c = np.abs(temperatures_c - c.last_c)
    changed = change_c > np.float32(1e-4)
    _learn_resolution(c, changed, change_c)
    c.age_s[:] = 0
    c.still_s += dt_s[:, None]
    unseen = dt_s > open_after_s(c, rules)
    changed &= (change_c < rules.spike_c) | unseen[:, None] if unseen.any() else change_c < rules.spike_c
    c.still_s *= ~changed
    np.copyto(c.base_then_c, np.where(unseen, np.float32(np.nan), c.base_c)[:, None], where=changed)
    c.last_c[:] = temperatures_c
    _learn_interval(c, dt_s)
    return Readings(fresh=ALL, valid=ALL, dt_s=dt_s)


def take_readings(c: Columns, rules: FaultRules, temperatures_c: Floats, dt_s: Floats) -> Readings:
    """Take one row of each pack in; a probe that misses a moment keeps its latest reading meanwhile."""
    wild = (temperatures_c < rules.lowest_c) | (temperatures_c > rules.highest_c)
    fresh = np.isfinite(temperatures_c)
    if wild.any():
        fresh &= ~wild
        c.fault[wild] = Fault.OUT_OF_RANGE
    dt = dt_s[:, None]
    again = (dt_s == 0)[:, None] & (c.age_s == 0)
    if again.any():  # the same row once more
        fresh &= ~again
    change_c = np.abs(temperatures_c - c.last_c)
    changed = fresh & ~(change_c <= np.float32(1e-4))
    _learn_resolution(c, changed, change_c)
    c.age_s += dt
    c.still_s += dt
    unseen = c.age_s > open_after_s(c, rules)[:, None]
    moved = changed & (~(change_c >= rules.spike_c) | unseen)  # a wild value between two readings alike is no life
    c.still_s[moved] = 0
    np.copyto(c.base_then_c, np.where(unseen, np.float32(np.nan), c.base_c[:, None]), where=moved)
    np.copyto(c.last_c, temperatures_c, where=fresh)
    c.age_s[fresh] = 0
    _learn_interval(c, dt_s)
    valid = (c.age_s <= open_after_s(c, rules)[:, None]) & (c.fault != Fault.STUCK)
    return Readings(fresh=fresh, valid=valid, dt_s=dt_s)


def _learn_interval(c: Columns, dt_s: Floats) -> None:
    usual = c.interval_s + np.float32(0.2) * (np.minimum(dt_s, 4 * np.fmax(c.interval_s, 1)) - c.interval_s)
    c.interval_s[:] = np.where(dt_s > 0, np.where(np.isnan(usual), dt_s, usual), c.interval_s)


def _learn_resolution(c: Columns, changed: NDArray[np.bool_], change_c: Floats) -> None:
    """Learn the usual smallest change of a row: a step of a coarse sensor. The one that a jump makes is odd."""
    at = np.flatnonzero((c.tick_s >= TICK_S) & any_in_row(changed))
    if len(at):
        smallest_c = np.where(changed[at], change_c[at], np.float32(np.inf)).min(axis=1)
        known_c = c.resolution_c[at]
        moved_c = known_c + np.float32(_RESOLUTION_SHARE) * (np.minimum(smallest_c, 2 * known_c) - known_c)
        first_c = np.minimum(smallest_c, np.float32(_LARGEST_RESOLUTION_C))
        c.resolution_c[at] = np.where(np.isnan(known_c), first_c, moved_c)


def open_after_s(c: Columns, rules: FaultRules) -> Floats:
    """(B,) how long a probe may be missing before it is called open."""
    after: Floats = np.fmax(np.float32(rules.open_after_s), np.float32(rules.open_after_intervals) * c.interval_s)
    return after


def resolution(c: Columns) -> Floats:
    """(B,) degC. Until a pack's readings differed at all, 1 degC, the coarsest of field packs."""
    return np.where(np.isnan(c.resolution_c), np.float32(1.0), c.resolution_c)


def flag_faults(c: Columns, rules: DetectorRules, elapsed_s: Floats) -> None:
    """Judge each probe as an instrument, and remember which died while the pack was suspicious.

    A probe dies when it was good and is now open, out of range, or stuck. It is dead until it measures again, or its
    pack is calm.
    """
    fault = rules.fault
    gone = c.age_s > open_after_s(c, fault)[:, None]
    res = resolution(c)
    np.copyto(c.base_then_c, c.base_c[:, None], where=np.isnan(c.base_then_c))
    moved_c = np.abs(c.base_c[:, None] - c.base_then_c)
    far = np.fmax(np.float32(fault.stuck_while_others_move_c), np.float32(fault.stuck_resolutions) * res)[:, None]
    stuck = (c.still_s >= fault.stuck_after_s) & (moved_c >= far) & ~gone
    stuck |= (c.fault == Fault.STUCK) & (c.still_s > 0) & ~gone
    jumped = c.jump_s < fault.jump_shown_s
    noisy = (c.probe_noise_c > fault.noisy_c) & (c.probe_noise_c > np.float32(fault.noisy_times) * c.noise_c[:, None])
    wild = (c.fault == Fault.OUT_OF_RANGE) & (c.age_s > 0)
    now = np.select(
        [wild, gone, stuck, jumped, noisy],
        [
            np.uint8(Fault.OUT_OF_RANGE),
            np.uint8(Fault.OPEN),
            np.uint8(Fault.STUCK),
            np.uint8(Fault.JUMP),
            np.uint8(Fault.NOISY),
        ],
        np.uint8(Fault.OK),
    )
    lost = gone | stuck
    was_good = (c.fault == Fault.OK) | (c.fault == Fault.NOISY) | (c.fault == Fault.JUMP)
    suspicious = (c.held > 0)[:, None]
    died = lost & was_good & suspicious & np.isfinite(c.residual_c) & ~stuck
    c.died[:] = (c.died | died) & lost & suspicious
    began = (now == Fault.STUCK) & (c.fault != Fault.STUCK)
    c.residual_c[began] = np.nan  # what follows is no jump
    np.copyto(c.before_c, c.short_c, where=began)
    c.fault[:] = now
    # What is not decided, or happens while a warning stands, may be the pack's and no instrument's.
    misbehaves = (now != Fault.OK) & (now != Fault.NOISY) & (c.jump_c == 0) & (c.held < 2)[:, None]
    c.sound_s += elapsed_s[:, None]
    c.sound_s[misbehaves] = 0
