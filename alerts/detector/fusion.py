"""From graded evidences to a level. Up at once; down one level at a time, after the evidence has been gone for long.

| level | what it takes |
|---|---|
| watch | one clear evidence of any kind, or two hints at one probe |
| warning | a strong evidence at a probe, or hydrogen, or a flood of another gas |
| | two clear ones of different kinds, one of them of heat or gas |
| | a probe above the others that goes on rising for long, or rises quickly; a voltage that sinks on, or collapses |
| critical | a probe far above the others, or one that rises so quickly; or strong evidences of two kinds |
| runaway | a probe very far above the others that rises by 1 degC/s or more |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alerts.detector.grading import caution, grade_all, lasting_rise_c
from alerts.detector.kinds import Grade
from alerts.detector.lanes import any_in_row
from registry.kinds import Level

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alerts.detector.filters import Floats
    from alerts.detector.grading import Grades
    from alerts.detector.rules import DetectorRules, FusionRules
    from alerts.detector.states import Columns

    Ranks = NDArray[np.int8]

_FLOOD = 10.0
"""Times what is strong: no exhaust or cleaning agent that passes leaves so much; a vented cell leaves a hundredfold.
**assumed**"""
_MOVED_S = 120.0
"""A voltage that moved so shortly before belongs to a quick rise. **assumed**"""


def slow_rank(c: Columns, rules: DetectorRules) -> Ranks:
    """(B,) by all that changes slowly. What stands is held by less than what raised it."""
    rank = _rank_by(c, rules, ease=1.0)
    at = np.flatnonzero(rank < c.held)
    if len(at):
        some = c.take(at)
        rank[at] = np.maximum(rank[at], np.minimum(_rank_by(some, rules, ease=rules.fusion.ease_share), some.held))
    return rank


def _rank_by(c: Columns, rules: DetectorRules, *, ease: float) -> Ranks:
    graded = grade_all(c, rules, ease=ease)
    careful, _ = caution(c, rules, ease=ease)
    moves = np.maximum(graded.slope, graded.sum)
    pack = _highest(graded.voltage)
    collapse = _highest(graded.collapse)
    gas = _highest(graded.gas)
    died = (c.died & (graded.spatial >= Grade.HINT)).any(axis=1)
    own_died = (c.died & (graded.spatial >= Grade.CLEAR)).any(axis=1)
    quick = _highest(graded.quick)
    heat = np.maximum(graded.heat, graded.rise)
    any_spatial = _highest(graded.spatial)
    both = ((graded.spatial >= Grade.CLEAR) & (graded.slope >= Grade.CLEAR)).any(axis=1)
    both |= ((graded.spatial >= Grade.HINT) & (graded.slope >= Grade.STRONG)).any(axis=1)
    hints = ((graded.spatial >= Grade.HINT) & (moves >= Grade.HINT)).any(axis=1)

    support = (
        (pack >= Grade.CLEAR).astype(np.int8)
        + (gas >= Grade.CLEAR)
        + (heat >= Grade.CLEAR)
        + (collapse >= Grade.CLEAR)
        + died
    )
    clear = any_spatial >= Grade.CLEAR
    strong = any_spatial >= Grade.STRONG
    watch = clear | hints | (support > 0) | (quick >= Grade.CLEAR)
    warning = strong | both | (quick >= Grade.STRONG) | (graded.rise >= Grade.STRONG)
    warning |= (clear | (quick >= Grade.CLEAR)) & (support > 0)
    warning |= graded.growing | graded.sinking | (collapse >= Grade.STRONG)
    warning |= (quick >= Grade.HINT) & (pack >= Grade.STRONG) & (c.moved_s <= _MOVED_S)
    strong_ppm = np.array([rules.gas.strong_carbon_monoxide_ppm, rules.gas.strong_voc_ppm], np.float32)
    floods = (graded.gas[:, 1:] >= Grade.STRONG) & (np.expm1(c.gas_log[:, 1:]) >= np.float32(_FLOOD) * strong_ppm)
    warning |= floods.any(axis=1)
    hydrogen = graded.gas[:, 0]  # the others are in exhaust too
    warning |= (hydrogen >= Grade.STRONG) | ((gas >= Grade.STRONG) & (any_spatial >= Grade.HINT))
    warning |= ((hydrogen >= Grade.CLEAR) & (any_spatial >= Grade.HINT)) | (
        (gas >= Grade.CLEAR) & (heat >= Grade.CLEAR)
    )
    above_c = np.where(np.isfinite(c.short_c), np.minimum(c.short_c, c.residual_c), 0) * careful[:, None]
    rising = graded.slope >= Grade.CLEAR
    critical = ((above_c >= rules.fusion.critical_c) & rising).any(axis=1)
    critical |= (above_c >= rules.fusion.critical_any_c).any(axis=1)
    critical |= (strong | (quick >= Grade.STRONG)) & ((gas >= Grade.STRONG) | (collapse >= Grade.STRONG) | own_died)
    rank = np.where(watch, Level.WATCH.rank, 0)
    rank = np.where(warning, Level.WARNING.rank, rank)
    return np.where(critical, Level.CRITICAL.rank, rank).astype(np.int8)


def quick_rank(c: Columns, rules: DetectorRules, quick: Grades, careful: Floats) -> Ranks:
    """(B,) by what rises within a minute: judged in each row."""
    lower_c = lasting_rise_c(c) * careful[:, None]
    best = _highest(quick)
    rank = np.where(best >= Grade.CLEAR, Level.WATCH.rank, 0)
    above_c = np.minimum(c.residual_c, c.residual_c - c.step_c) * careful[:, None]
    far = any_in_row((quick >= Grade.CLEAR) & (above_c >= rules.quick.above_c))
    rank = np.where((best >= Grade.STRONG) | far, Level.WARNING.rank, rank)
    strong = quick >= Grade.STRONG
    critical = strong & (lower_c >= rules.quick.critical_c)
    critical |= strong & (c.residual_c * careful[:, None] >= rules.fusion.critical_c)
    rank = np.where(critical.any(axis=1), Level.CRITICAL.rank, rank)
    # A steady rise of r degC/s stands r * window above the mean of the window.
    runaway = critical & (lower_c >= np.float32(rules.quick.runaway_c_per_s * rules.quick.window_s))
    runaway &= c.residual_c >= rules.quick.runaway_c
    return np.where(runaway.any(axis=1), Level.RUNAWAY.rank, rank).astype(np.int8)


def hold(c: Columns, rules: FusionRules, now: Ranks, dt_s: Floats) -> None:
    """Let the level that stands follow the evidence `now`."""
    if not (c.held.any() or now.any()):  # nearly always
        c.ease_s[:] = 0
        return
    below = (now < c.held) & ~((c.held >= Level.WARNING.rank) & any_in_row(c.died))
    c.ease_s[:] = np.where(below, c.ease_s + dt_s, 0)
    after_s = np.array(
        [0, rules.watch_eases_s, rules.warning_eases_s, rules.critical_eases_s, rules.critical_eases_s], np.float32
    )
    eases = below & (c.ease_s >= after_s[c.held])
    c.ease_s[eases] = 0
    c.held[:] = np.where(eases, c.held - 1, np.maximum(c.held, now))


def sum_up(c: Columns, rules: DetectorRules, scale: Floats, elapsed_s: Floats) -> None:
    """CUSUM of the smoothed residuals over a drift, in sigma-hours; and for how long each has been rising."""
    over = c.short_c / scale - np.float32(rules.sum.drift_sigmas)
    hours = np.minimum(elapsed_s, 600)[:, None] / np.float32(3600)
    most = np.float32(2 * rules.sum.strong_sigma_hours)
    total = np.clip(c.sum_h + np.minimum(over, 10) * hours, 0, most)
    np.copyto(c.sum_h, total, where=np.isfinite(over))
    lag_min = np.float32((rules.slope.window_s - rules.spatial.window_s) / 60)
    rising = (c.short_c - c.long_c) / lag_min >= rules.slope.rising_c_per_min
    c.rising_s[:] = np.where(rising, c.rising_s + elapsed_s[:, None], 0)


def _highest(grades: Grades) -> Grades:
    highest: Grades = grades.max(axis=1, initial=0)
    return highest
