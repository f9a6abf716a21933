"""Rows in, levels out: cuts rows into blocks that fit the cache, and takes the k-th row of every slot together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from alerts.detector.doubts import doubt_c
from alerts.detector.evidence import Snapshot
from alerts.detector.filters import share
from alerts.detector.forecast import forecast_s
from alerts.detector.fusion import hold, quick_rank, slow_rank, sum_up
from alerts.detector.gases import learn_gases, take_gases
from alerts.detector.grading import caution, grade_quick, speaks
from alerts.detector.heat import follow_heat
from alerts.detector.jumps import rise_quickly, set_jumps_aside
from alerts.detector.kinds import Grade
from alerts.detector.lanes import any_in_row
from alerts.detector.readings import TICK_S, all_measured, flag_faults, take_all_readings, take_readings
from alerts.detector.rows import Judgement
from alerts.detector.spatial import learn_habits, residuals_of, scale_c, smooth_residuals
from alerts.detector.states import NAMES
from alerts.detector.voltages import all_alive, learn_voltages, take_all_voltages, take_voltages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alerts.detector.filters import Floats
    from alerts.detector.rows import Rows
    from alerts.detector.rules import DetectorRules
    from alerts.detector.states import Columns

BLOCK = 16_384
"""Slots at a time: fewer and each step's overhead weighs more, more and its columns leave the cache."""

_OF_EACH_ROW = (
    "newest_ms",
    "profile",
    "known_s",
    "interval_s",
    "resolution_c",
    "held",
    "ease_s",
    "last_c",
    "age_s",
    "still_s",
    "probe_noise_c",
    "step_c",
    "quick_c",
    "quick_was_c",
    "quick_third_c",
    "jump_c",
    "jump_s",
    "volt_low",
    "volt_now_v",
    "moved_s",
)
_OF_A_MINUTE = tuple(name for name in NAMES if name not in _OF_EACH_ROW)
"""Columns that the look at the slow evidence may change."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Step:
    """One row of each of B packs."""

    sampled_at_ms: NDArray[np.int64]
    temperatures_c: Floats
    voltages_v: Floats
    ambient_c: Floats | None
    """None = nobody measures it."""
    gases_ppm: Floats | None

    def __getitem__(self, at: NDArray[np.intp]) -> _Step:
        return _Step(
            sampled_at_ms=self.sampled_at_ms[at],
            temperatures_c=self.temperatures_c[at],
            voltages_v=self.voltages_v[at],
            ambient_c=None if self.ambient_c is None else self.ambient_c[at],
            gases_ppm=None if self.gases_ppm is None else self.gases_ppm[at],
        )


class Remembers(Protocol):
    """Who keeps the columns of the packs."""

    @property
    def layout(self) -> tuple[int, int]:
        """Temperature and voltage channels."""

    def columns(self) -> Columns:
        """Of all slots, to be changed in place."""


def judge(
    states: Remembers, rules: DetectorRules, rows: Rows, *, ceiling_c: float = np.inf, explain: bool = False
) -> Judgement:
    """Take rows in: changes `states`, returns a level and faults for each row.

    A row older than its slot's newest, or that measured nothing, changes nothing and has the level that stands.
    How rows were cut into calls changes nothing, and no pack changes another's judgement.
    ceiling_c: readings at or above it are doubted in packs whose median probe is less than that.
    Raises ValueError when the channels are not those of `states`.
    """
    if (rows.temperatures_c.shape[1], rows.voltages_v.shape[1]) != states.layout:
        raise ValueError(
            f"rows have {rows.temperatures_c.shape[1]} + {rows.voltages_v.shape[1]} channels, states {states.layout}"
        )
    n, probes = rows.temperatures_c.shape
    rank = np.zeros(n, np.int8)
    forecast = np.full((n, 2), np.nan, np.float32)
    fault = np.zeros((n, probes), np.uint8)
    doubt = np.zeros((n, probes), np.float32)
    risen: dict[int, Snapshot] = {}
    values: dict[str, NDArray[np.float32]] = {}
    columns = states.columns()
    begins = np.flatnonzero(np.diff(rows.slot, prepend=-1)) if n else np.zeros(0, np.intp)
    counts = np.diff(begins, append=n)
    for first in range(0, len(begins), BLOCK):
        block_begins, block_counts = begins[first : first + BLOCK], counts[first : first + BLOCK]
        done = 0
        for end in np.unique(block_counts):
            going_on = block_begins[block_counts >= end]
            slots = _slice_if_whole(rows.slot[going_on])
            c = columns.take(slots)
            for k in range(done, int(end)):
                at = _slice_if_whole(going_on + k)
                before = c.held.copy()
                _take_step(c, rules, _step_of(rows, at))
                rank[at] = c.held
                fault[at] = c.fault
                warm = np.flatnonzero(any_in_row(c.last_c >= np.float32(ceiling_c)) & (c.base_c < ceiling_c))
                if len(warm):
                    doubt[going_on[warm] + k] = doubt_c(c.take(warm), rules)
                standing = np.flatnonzero(c.held)
                if len(standing) or explain:
                    where = np.arange(n)[at]
                    told = c.take(standing)
                    forecast[where[standing]] = forecast_s(told, rules)
                    for place in np.flatnonzero((c.held > before) | explain):
                        risen[int(where[place])] = Snapshot(columns=_copy(c.take(slice(place, place + 1))), rules=rules)
                if explain:
                    _explain(values, c, rules, at, n)
            if not isinstance(slots, slice):
                columns.put(slots, c)
            done = int(end)
    return Judgement(rank=rank, forecast_s=forecast, fault=fault, doubt_c=doubt, risen=risen, values=values)


def _take_step(c: Columns, rules: DetectorRules, step: _Step) -> None:
    """One row of each of some packs, in place; packs whose row is late or empty stay as they are."""
    counts = _measures(step) & (step.sampled_at_ms >= c.newest_ms)
    if not counts.all():
        at = np.flatnonzero(counts)
        if not len(at):
            return
        some = c.take(at)
        _take_step(some, rules, step[at])
        c.put(at, some)
        return
    elapsed_ms = np.where(c.newest_ms < 0, 0, step.sampled_at_ms - c.newest_ms)
    dt_s = (elapsed_ms / 1000).astype(np.float32)
    c.newest_ms[:] = step.sampled_at_ms
    c.known_s += dt_s
    c.tick_s += dt_s
    _take_measured(c, rules, step, dt_s)

    now = c.slow_rank.copy()
    lively = np.flatnonzero(any_in_row(c.quick_c >= np.float32(rules.quick.grades.clear_at / 2)))
    due = (c.tick_s >= TICK_S) | (c.held > 0)
    if len(lively):
        some = c.take(lively)
        careful, _ = caution(some, rules)
        quick = grade_quick(some, rules, careful)
        by_quick = quick_rank(some, rules, quick, careful)
        now[lively] = np.maximum(now[lively], by_quick)
        due[lively] |= quick.max(axis=1, initial=0) >= Grade.CLEAR
    if due.any():
        whole = bool(due.all())
        at = np.flatnonzero(due)
        some = c if whole else c.take(at)
        ambient_c = np.full(len(at), np.nan, np.float32) if step.ambient_c is None else step.ambient_c[at]
        _tick(some, rules, ambient_c)
        if not whole:
            c.put(at, some, _OF_A_MINUTE)
        now[at] = np.maximum(now[at], some.slow_rank)
    hold(c, rules.fusion, now, dt_s)


def _take_measured(c: Columns, rules: DetectorRules, step: _Step, dt_s: Floats) -> None:
    """Take in what was measured. Packs of which all was, nearly all, need nothing picked out."""
    whole = all_measured(c, rules, step.temperatures_c, dt_s) & all_alive(c, step.voltages_v)
    if whole.all():
        _follow_rows(c, rules, step, dt_s, whole=True)
        return
    odd = np.flatnonzero(~whole)
    if len(odd) > len(whole) // 2:
        _follow_rows(c, rules, step, dt_s, whole=False)
        return
    some = c.take(odd)
    _follow_rows(some, rules, step[odd], dt_s[odd], whole=False)
    with np.errstate(all="ignore"):  # of those, nonsense, which is then replaced
        _follow_rows(c, rules, step, dt_s, whole=True)
    c.put(odd, some)


def _follow_rows(c: Columns, rules: DetectorRules, step: _Step, dt_s: Floats, *, whole: bool) -> None:
    if whole:
        readings = take_all_readings(c, rules.fault, step.temperatures_c, dt_s)
        take_all_voltages(c, rules.voltage, step.voltages_v, dt_s)
    else:
        readings = take_readings(c, rules.fault, step.temperatures_c, dt_s)
        take_voltages(c, rules.voltage, step.voltages_v, dt_s)
    if step.gases_ppm is not None:
        take_gases(c, rules.gas, step.gases_ppm, dt_s)
    residuals = residuals_of(c, rules, readings)
    set_jumps_aside(c, rules.fault, residuals, dt_s)
    rise_quickly(c, residuals, share(dt_s, rules.quick.window_s))
    smooth_residuals(c, rules, residuals, dt_s)


def _measures(step: _Step) -> NDArray[np.bool_]:
    """(B,) whether a row holds anything at all: a lost frame does not."""
    measures = any_in_row(np.isfinite(step.temperatures_c))
    if not measures.all():
        measures |= any_in_row(np.isfinite(step.voltages_v))
        if step.gases_ppm is not None:
            measures |= any_in_row(np.isfinite(step.gases_ppm))
    return measures


def _tick(c: Columns, rules: DetectorRules, ambient_c: Floats) -> None:
    """Look at the slow evidence, and learn."""
    elapsed_s = np.where(np.isfinite(c.tick_s), c.tick_s, np.float32(0))
    c.tick_s[:] = 0
    scale = scale_c(c, rules.spatial)
    sum_up(c, rules, scale, elapsed_s)
    suspicious_c = np.float32(rules.spatial.grades.clear_sigmas / 2) * scale
    frozen = (c.short_c > suspicious_c) | (c.held >= 2)[:, None] | (c.sum_h > rules.sum.clear_sigma_hours / 2)
    learn_habits(c, rules.spatial, elapsed_s, frozen=frozen)
    learn_voltages(c, rules.voltage, elapsed_s)
    learn_gases(c, rules.gas, elapsed_s)
    follow_heat(c, rules.heat, ambient_c, elapsed_s)
    flag_faults(c, rules, elapsed_s)
    c.slow_rank[:] = 0
    at = np.flatnonzero(speaks(c, rules))
    if len(at):
        some = c if len(at) == len(c.held) else c.take(at)
        c.slow_rank[at] = slow_rank(some, rules)


def _step_of(rows: Rows, at: Any) -> _Step:
    return _Step(
        sampled_at_ms=rows.sampled_at_ms[at],
        temperatures_c=_some(rows.temperatures_c, at),
        voltages_v=_some(rows.voltages_v, at),
        ambient_c=None if rows.ambient_c is None else rows.ambient_c[at],
        gases_ppm=_gases_of(rows, at),
    )


def _gases_of(rows: Rows, at: Any) -> Floats | None:
    """(B, 3) of one row of each pack; None when nobody measures any."""
    gases = (rows.hydrogen_ppm, rows.carbon_monoxide_ppm, rows.voc_ppm)
    if all(gas is None for gas in gases):
        return None
    unknown = np.full(len(rows.sampled_at_ms[at]), np.nan, np.float32)
    return np.stack([unknown if gas is None else gas[at] for gas in gases], axis=1)


def _some(values: Floats, at: Any) -> Floats:
    """`values[at]`, in a third of the time where `at` is no slice."""
    return values[at] if isinstance(at, slice) else values.take(at, axis=0)


def _slice_if_whole(at: NDArray[np.intp]) -> Any:
    """The same rows as a slice when they lie together: views instead of copies."""
    return slice(int(at[0]), int(at[-1]) + 1) if len(at) and at[-1] - at[0] == len(at) - 1 else at


def _copy(c: Columns) -> Columns:
    return c.take(np.arange(len(c.held)))


def _explain(values: dict[str, NDArray[np.float32]], c: Columns, rules: DetectorRules, at: Any, n: int) -> None:
    scale = scale_c(c, rules.spatial)
    told = {
        "expected_c": c.base_c[:, None] + c.offset_c + c.jump_c,
        "above_others_c": c.short_c,
        "above_others_sigmas": c.short_c / scale,
        "quick_c": c.quick_c,
        "sum_sigma_hours": c.sum_h,
        "offset_c": c.offset_c,
        "below_others_permille": -c.volt_permille,
        "heat_c_per_h": c.heat_c_per_h,
        "gas_ratio": np.exp(c.gas_log - c.gas_base_log),
    }
    for name, value in told.items():
        if name not in values:
            values[name] = np.full((n, *value.shape[1:]), np.nan, np.float32)
        values[name][at] = value
