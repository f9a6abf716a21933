"""Why a level stands: typed evidences with their numbers, for the words of `alerts/reasons.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alerts.detector.grading import grade_all
from alerts.detector.kinds import EvidenceKind, Fault, Grade
from alerts.detector.spatial import scale_c
from alerts.detector.states import GASES
from alerts.detector.voltages import scale_among_others

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from alerts.detector.rows import Judgement
    from alerts.detector.rules import DetectorRules
    from alerts.detector.states import Columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One reason. What its numbers are is said by `evidences_of`, one kind after the other."""

    kind: EvidenceKind
    channel: int | None
    """Of the probe, the voltage or the gas (GASES), from 0; None = the pack."""
    grade: Grade
    numbers: Mapping[str, float]
    """Each name ends in its unit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """What was known of one pack at one row."""

    columns: Columns
    """Of one pack."""
    rules: DetectorRules


def reason_numbers(judgement: Judgement, row: int) -> list[Evidence]:
    """Why the rank rose at the row, strongest first. Raises KeyError when it did not rise there."""
    snapshot = judgement.risen[row]
    return evidences_of(snapshot.columns, snapshot.rules)


def evidences_of(c: Columns, rules: DetectorRules) -> list[Evidence]:
    """All evidences of one pack that are at least hints beside something clear, strongest first."""
    found = list(_evidences(c, rules))
    found.sort(key=lambda each: -each.grade)
    clear = [each for each in found if each.grade >= Grade.CLEAR]
    return clear or found


def _evidences(c: Columns, rules: DetectorRules) -> Iterator[Evidence]:
    graded = grade_all(c, rules)
    scale = scale_c(c, rules.spatial)[0]
    lag_min = (rules.slope.window_s - rules.spatial.window_s) / 60
    for probe in _from_highest(graded.quick[0], c.quick_c[0]):
        yield Evidence(
            kind=EvidenceKind.QUICK,
            channel=probe,
            grade=Grade(graded.quick[0, probe]),
            numbers={
                "reading_c": float(c.last_c[0, probe]),
                "risen_c": float(c.quick_c[0, probe]),
                "above_others_c": float(c.residual_c[0, probe]),
                "window_s": rules.quick.window_s,
            },
        )
    for probe in _from_highest(np.maximum(graded.spatial[0], np.minimum(graded.slope[0], 1)), c.short_c[0]):
        yield Evidence(
            kind=EvidenceKind.SPATIAL,
            channel=probe,
            grade=Grade(graded.spatial[0, probe]),
            numbers={
                "reading_c": float(c.last_c[0, probe]),
                "above_others_c": float(c.short_c[0, probe]),
                "usual_c": float(scale[probe]),
                "rate_c_per_min": float((c.short_c[0, probe] - c.long_c[0, probe]) / lag_min),
                "rising_min": float(c.rising_s[0, probe] / 60),
            },
        )
    for probe in _from_highest(graded.sum[0], c.sum_h[0]):
        if graded.spatial[0, probe] < Grade.CLEAR:
            yield Evidence(
                kind=EvidenceKind.SUM,
                channel=probe,
                grade=Grade(graded.sum[0, probe]),
                numbers={
                    "reading_c": float(c.last_c[0, probe]),
                    "above_others_c": float(c.short_c[0, probe]),
                    "usual_c": float(scale[probe]),
                    "sigma_hours": float(c.sum_h[0, probe]),
                },
            )
    for probe in np.flatnonzero(c.died[0]).tolist():
        yield Evidence(
            kind=EvidenceKind.DIED,
            channel=probe,
            grade=Grade.CLEAR,
            numbers={
                "reading_c": float(c.last_c[0, probe]),
                "above_others_c": float(c.short_c[0, probe]),
                "silent_s": float(
                    max(c.age_s[0, probe], c.still_s[0, probe] if c.fault[0, probe] == Fault.STUCK else 0)
                ),
            },
        )
    for gas in _from_highest(graded.gas[0], c.gas_log[0]):
        yield Evidence(
            kind=EvidenceKind.GAS,
            channel=gas,
            grade=Grade(graded.gas[0, gas]),
            numbers={
                "now_ppm": float(np.expm1(c.gas_log[0, gas])),
                "usual_ppm": float(np.expm1(c.gas_base_log[0, gas])),
            },
        )
    yield from _voltages(c, rules)
    if graded.rise[0]:
        yield Evidence(
            kind=EvidenceKind.RISE,
            channel=None,
            grade=Grade(graded.rise[0]),
            numbers={
                "now_c": float(c.base_c[0]),
                "risen_c": float(c.base_c[0] - c.heat_long_c[0]),
                "window_min": rules.heat.rise_window_s / 60,
            },
        )
    if graded.heat[0]:
        yield Evidence(
            kind=EvidenceKind.HEAT,
            channel=None,
            grade=Grade(graded.heat[0]),
            numbers={
                "unexplained_c_per_h": float(c.heat_c_per_h[0]),
                "usual_c_per_h": float(c.heat_scale_c_per_h[0]),
                "now_c": float(c.base_c[0]),
                "ambient_c": float(c.ambient_c[0]),
            },
        )


def _voltages(c: Columns, rules: DetectorRules) -> Iterator[Evidence]:
    graded = grade_all(c, rules)
    scale = scale_among_others(c, rules.voltage)[0]
    for channel in _from_highest(np.maximum(graded.voltage[0], graded.collapse[0]), -c.volt_permille[0]):
        collapsed = bool(graded.collapse[0, channel])
        yield Evidence(
            kind=EvidenceKind.COLLAPSE if collapsed else EvidenceKind.VOLTAGE,
            channel=channel,
            grade=Grade(max(graded.voltage[0, channel], graded.collapse[0, channel])),
            numbers={
                "below_others_permille": float(-c.volt_permille[0, channel]),
                "usual_permille": float(scale[channel]),
                "sinking_min": float(c.volt_sinks_s[0, channel] / 60),
            },
        )


def _from_highest(grades: np.ndarray[tuple[int], np.dtype[np.int8]], values: np.ndarray) -> list[int]:
    at = np.flatnonzero(grades > 0)
    return [int(channel) for channel in at[np.lexsort((-np.nan_to_num(values[at]), -grades[at]))]]


def fault_names() -> Mapping[int, str]:
    """What each code is called: "open", "stuck", ..."""
    return {int(fault): fault.name.lower().replace("_", " ") for fault in Fault}


def gas_name(channel: int) -> str:
    """What people call it: "hydrogen", "carbon monoxide", "voc"."""
    return GASES[channel].replace("_", " ")
