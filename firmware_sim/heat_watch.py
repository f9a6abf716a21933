"""How a unit sees heat by itself: one small fixed rule, so that a crushed cell is told every second.

A crushed cell takes a minute from +5 degC to 150 degC (median of punched cells), and at a report in ten seconds half of
the samples that matter would never be taken. Pure: every time is an argument, in seconds of one monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HOLD_S = 300.0
"""Heat counts for so long after it was last seen. **assumed**"""
COOLER_K = 5.0
"""... where it is last seen while the hottest probe is less than this below `hot_c`. **assumed**"""
REFERENCE_S = 30.0
"""A probe's rise is over what it read one to two such spans ago. **assumed**"""
RISING_LOOKS = 2
"""A rise counts when so many looks in a row saw it: one wild reading is no heat. **assumed**"""
PROBES_FOR_A_MEDIAN = 3
"""With fewer, a probe is compared with itself alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatRule:
    """What counts as heat. Both can be set over the wire."""

    hot_c: float = 50.0
    """degC: any probe at or above. **assumed**: 10 degC below `warning`, and seldom reached by sun alone (containers on
    land: up to 57 degC)."""
    hot_rise_k: float = 2.5
    """degC within a minute beyond what the pack's other probes rose. **assumed**: sun, doors and weather move all
    probes of a pack together; one digit of a 1 degC probe is not enough for it."""


class HeatWatch:
    """One unit's probes, looked at as often as it senses."""

    def __init__(self, rule: HeatRule | None = None) -> None:
        self.rule = HeatRule() if rule is None else rule
        self._hot_until_s: float | None = None
        self._references: list[Floats] = []
        """Readings at the start of the present span and of the one before."""
        self._span_began_s = 0.0
        self._rising_looks = 0

    @property
    def hot(self) -> bool:
        """Whether heat was seen lately, as of the last look."""
        return self._hot_until_s is not None

    def look(self, temperatures_c: Floats, now_s: float) -> None:
        """Take in one reading of every probe (T,), NaN = not measured; times must not run backward.

        A unit that has gone blind keeps its pace: missing probes never make things look better.
        """
        if not np.isfinite(temperatures_c).any():
            return
        hottest_c = float(np.nanmax(temperatures_c))
        stays_hot = self.hot and hottest_c >= self.rule.hot_c - COOLER_K
        self._rising_looks = self._rising_looks + 1 if self._rise_k(temperatures_c) >= self.rule.hot_rise_k else 0
        if hottest_c >= self.rule.hot_c or stays_hot or self._rising_looks >= RISING_LOOKS:
            self._hot_until_s = now_s + HOLD_S
        elif self._hot_until_s is not None and now_s >= self._hot_until_s:
            self._hot_until_s = None
        self._refer(temperatures_c, now_s)

    def _rise_k(self, temperatures_c: Floats) -> float:
        """The largest rise of a probe over its oldest reference, less the median rise; -inf where none is known."""
        if not self._references or self._references[0].shape != temperatures_c.shape:
            return -np.inf
        rises_k = temperatures_c - self._references[0]
        known_k = rises_k[np.isfinite(rises_k)]
        if len(known_k) == 0:
            return -np.inf
        return float(known_k.max() - (np.median(known_k) if len(known_k) >= PROBES_FOR_A_MEDIAN else 0.0))

    def _refer(self, temperatures_c: Floats, now_s: float) -> None:
        if not self._references or now_s - self._span_began_s >= REFERENCE_S:
            self._references = [*self._references[-1:], temperatures_c.copy()]
            self._span_began_s = now_s
