"""How much each evidence says: grades of everything that the columns hold. Pure: only reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alerts.detector.jumps import SUPPORT_S
from alerts.detector.kinds import Fault, Grade
from alerts.detector.lanes import any_in_row, count_in_row
from alerts.detector.readings import resolution
from alerts.detector.spatial import scale_c
from alerts.detector.voltages import scale_among_others, sinks_alone

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alerts.detector.filters import Floats
    from alerts.detector.rules import DetectorRules, GradeRules
    from alerts.detector.states import Columns

    Grades = NDArray[np.int8]

_COLLAPSED_ROWS = 2
_GAS_HINT = 0.2
_SMALL_C = np.float32(0.35)
"""A wander of a probe by which a slow growth can be told from it. **assumed**"""
_CALM_C = 3.0
"""A pack that is no further from its mean of an hour is neither in use nor in the sun. **assumed**"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graded:
    """Grades of B packs."""

    spatial: Grades
    """(B, T)"""
    slope: Grades
    """(B, T)"""
    sum: Grades
    """(B, T)"""
    quick: Grades
    """(B, T)"""
    heat: Grades
    """(B,)"""
    rise: Grades
    """(B,)"""
    voltage: Grades
    """(B, V)"""
    collapse: Grades
    """(B, V)"""
    gas: Grades
    """(B, 3)"""
    sinking: NDArray[np.bool_]
    """(B,) a voltage has been sinking alone for long: strongly, or where probes see less, see `_sinking`."""
    growing: NDArray[np.bool_]
    """(B,) a probe has been above the others for long, and still rises; or is far above them at rest."""


def caution(c: Columns, rules: DetectorRules, *, ease: float = 1.0) -> tuple[Floats, Floats]:
    """(B,) what thresholds on temperatures, and on voltages, are divided by; `ease`: the share of them that holds."""
    factors = np.array([(each.caution, each.voltage_caution) for each in rules.profiles], np.float32)
    return factors[c.profile, 0] / np.float32(ease), factors[c.profile, 1] / np.float32(ease)


def grade(value: Floats, scale: Floats, rules: GradeRules) -> Grades:
    """Both the sigmas and the plain figure must be passed; half of clear is a hint. NaN is no evidence."""
    sigmas = value / scale
    clear = (sigmas >= rules.clear_sigmas) & (value >= rules.clear_at)
    strong = (sigmas >= rules.strong_sigmas) & (value >= rules.strong_at)
    hint = (sigmas >= rules.clear_sigmas / 2) & (value >= rules.clear_at / 2)
    graded: Grades = hint.astype(np.int8) + clear + (strong & clear)
    return graded


def lasting_rise_c(c: Columns) -> Floats:
    """(B, T) the lowest of the latest three rises, since a loose contact may read high twice.

    Of the latest two where a voltage moved with them: then it is no contact.
    """
    alone_c = np.minimum(np.minimum(c.quick_c, c.quick_was_c), c.quick_third_c)
    moved = (c.moved_s <= np.float32(SUPPORT_S))[:, None]
    lasting_c: Floats = np.where(moved, np.minimum(c.quick_c, c.quick_was_c / np.float32(0.6)), alone_c)
    return lasting_c


def grade_quick(c: Columns, rules: DetectorRules, careful: Floats) -> Grades:
    """(B, T) by what lasts of a rise."""
    quick = rules.quick
    lower_c = lasting_rise_c(c)
    coarse = lower_c >= (np.float32(quick.resolutions) * resolution(c))[:, None]
    return np.where(coarse, grade(lower_c * careful[:, None], c.probe_noise_c, quick.grades), np.int8(0))


def speaks(c: Columns, rules: DetectorRules) -> NDArray[np.bool_]:
    """(B,) whether anything is far enough to be graded at all: nearly all packs are calm nearly always."""
    careful, volt_careful = caution(c, rules)
    half_c = (np.float32(rules.spatial.grades.clear_at / 2) / careful)[:, None]
    half_permille = (np.float32(-rules.voltage.grades.clear_at / 2) / volt_careful)[:, None]
    found = any_in_row((c.short_c >= half_c) | (c.quick_c >= half_c) | c.died)
    found |= any_in_row(c.sum_h > 0) | any_in_row((c.volt_permille <= half_permille) | (c.volt_low > 0))
    found |= any_in_row(c.volt_sinks_s >= np.float32(rules.voltage.sinking_s))
    found |= any_in_row(c.gas_log - c.gas_base_log >= np.float32(_GAS_HINT))
    found |= (c.heat_c_per_h >= 0.5) | (np.fmax(c.heat_short_c, c.base_c) - c.heat_long_c >= 5)
    return found


def grade_all(c: Columns, rules: DetectorRules, *, ease: float = 1.0) -> Graded:
    """Everything, for some packs, as if their thresholds were `ease` times as high."""
    careful, volt_careful = caution(c, rules, ease=ease)
    scale = scale_c(c, rules.spatial)
    wide = careful[:, None]
    risen_c = c.short_c - np.maximum(c.long_c, 0)  # back from below the others is no heat
    rise_c = c.heat_short_c - c.heat_long_c
    rise_c = np.maximum(rise_c, c.base_c - c.heat_long_c) * careful
    rise = np.where(rise_c >= rules.heat.rise_clear_c, Grade.CLEAR, Grade.NONE).astype(np.int8)
    rise[(rise_c >= rules.heat.rise_strong_c) & (c.base_c * careful >= rules.heat.rise_strong_above_c)] = Grade.STRONG
    volts = -c.volt_permille * volt_careful[:, None]
    total = c.sum_h * wide
    spatial = grade(c.short_c * wide, scale, rules.spatial.grades)
    voltage = grade(volts, scale_among_others(c, rules.voltage), rules.voltage.grades)
    sinking = _sinking(c, rules, spatial, volts)
    voltage[sinking] = np.maximum(voltage[sinking], Grade.CLEAR)
    calm = np.abs(c.base_c - c.heat_long_c) <= np.float32(_CALM_C)
    far = (np.minimum(c.short_c, c.long_c) * wide >= rules.spatial.lasting_c) & calm[:, None]
    growing = (c.short_c * wide >= rules.spatial.growing_c) & (scale <= _SMALL_C)
    growing &= c.short_c * wide >= rules.spatial.grades.clear_sigmas * scale
    growing &= (total >= rules.sum.clear_sigma_hours) & (risen_c * wide >= rules.slope.grades.clear_at / 2)
    return Graded(
        spatial=spatial,
        slope=grade(risen_c * wide, scale, rules.slope.grades),
        sum=(
            (total >= rules.sum.clear_sigma_hours / 2).astype(np.int8)
            + (total >= rules.sum.clear_sigma_hours)
            + (total >= rules.sum.strong_sigma_hours)
        ),
        quick=grade_quick(c, rules, careful),
        heat=np.minimum(
            grade(c.heat_c_per_h * careful, np.maximum(c.heat_scale_c_per_h, np.float32(0.3)), rules.heat.grades),
            Grade.STRONG,
        ),
        rise=rise,
        voltage=voltage,
        collapse=np.where(c.volt_low >= _COLLAPSED_ROWS, Grade.STRONG, Grade.NONE).astype(np.int8),
        gas=_grade_gas(c, rules),
        sinking=any_in_row(sinking),
        growing=any_in_row(far | growing),
    )


def _sinking(c: Columns, rules: DetectorRules, spatial: Grades, volts: Floats) -> NDArray[np.bool_]:
    """(B, V) voltages that sink alone, and far enough to tell of a short by themselves.

    Strongly in a pack whose probes all measure and see nothing. A hint is enough where a probe is warm, or is broken or
    may be stuck, since it may be the one beside the short; half a hint where too few are left for a median.
    volts: (B, V) thousandths below the others, times the caution.
    """
    lost = (c.fault == Fault.OPEN) | (c.fault == Fault.OUT_OF_RANGE) | (c.fault == Fault.STUCK)
    left_behind = np.abs(c.base_c[:, None] - c.base_then_c) >= resolution(c)[:, None]
    lost |= left_behind & (c.still_s >= rules.fault.stuck_after_s)
    lost &= np.isfinite(c.last_c)
    left = count_in_row(np.isfinite(c.last_c) & ~lost)
    twice = np.where(left < rules.spatial.fewest_probes, np.float32(2), np.float32(1))[:, None]
    less = any_in_row(lost) | any_in_row(spatial >= Grade.HINT)
    least = np.where(less, Grade.HINT, Grade.STRONG)[:, None]
    found: NDArray[np.bool_] = sinks_alone(c, rules.voltage)
    return found & (grade(volts * twice, scale_among_others(c, rules.voltage), rules.voltage.grades) >= least)


def _grade_gas(c: Columns, rules: DetectorRules) -> Grades:
    gas = rules.gas
    clear_ppm = np.array([gas.clear_hydrogen_ppm, gas.clear_carbon_monoxide_ppm, gas.clear_voc_ppm], np.float32)
    strong_ppm = np.array([gas.strong_hydrogen_ppm, gas.strong_carbon_monoxide_ppm, gas.strong_voc_ppm], np.float32)
    ratio = np.exp(c.gas_log - c.gas_base_log)
    above_ppm = np.expm1(c.gas_log) - np.expm1(c.gas_base_log)
    clear = (ratio >= gas.clear_ratio) & (above_ppm >= clear_ppm)
    strong = (ratio >= gas.strong_ratio) & (above_ppm >= strong_ppm)
    hint = (ratio >= gas.clear_ratio / 1.5) & (above_ppm >= clear_ppm / 2)
    graded: Grades = hint.astype(np.int8) + clear + (strong & clear)
    return graded
