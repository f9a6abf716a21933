"""What people watch packs with today: four fixed rules to compare with, each over the rows of all packs at once.

They take the rows that the detector takes, and say a level for each: `warning` where the rule holds, else `normal`.
They remember nothing beyond what they are given, so a call takes whole recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from registry.kinds import Level

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alerts.detector import Rows


class Baseline(Protocol):
    """A rule that knows only rows."""

    @property
    def name(self) -> str:
        """What people call it, with its figure."""

    def ranks(self, rows: Rows) -> NDArray[np.int8]:
        """(N,) the level's rank, row by row. `rows` are sorted by slot, and by time within a slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedThreshold:
    """A probe at or above a temperature."""

    at_c: float = 60.0
    """degC. Above 57 degC, the hottest closed container measured on land (Xerox study, second hand), and the usual
    upper limit of discharge in data sheets of cells."""

    @property
    def name(self) -> str:
        return f"fixed {self.at_c:g} degC"

    def ranks(self, rows: Rows) -> NDArray[np.int8]:
        return _warning((rows.temperatures_c >= self.at_c).any(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class RateOfRise:
    """A probe that rose fast over the last minutes, whatever the others do."""

    at_c_per_min: float = 1.0
    """degC/min. **assumed**: the slow end of what data sheets of monitors offer; a sixtieth of the rate of GB 38031."""
    window_s: float = 300.0
    """s. **assumed**: shorter ones alarm at noise, longer ones are late. The rate is against the latest row that is at
    least so old, and at most twice as old."""

    @property
    def name(self) -> str:
        return f"rate of {self.at_c_per_min:g} degC/min over {self.window_s / 60:g} min"

    def ranks(self, rows: Rows) -> NDArray[np.int8]:
        slot, at_ms = rows.slot, rows.sampled_at_ms
        if not len(slot):
            return np.zeros(0, np.int8)
        span_ms = int(at_ms.max() - at_ms.min()) + int(4 * self.window_s * 1000)
        key = slot * span_ms + (at_ms - at_ms.min())
        before = np.searchsorted(key, key - int(self.window_s * 1000), side="right") - 1
        known = (before >= 0) & (slot[before] == slot)
        age_ms = at_ms - at_ms[before]
        known &= age_ms <= 2 * self.window_s * 1000
        enough_c = (age_ms / 60_000 * self.at_c_per_min).astype(np.float32)
        risen_c = rows.temperatures_c - rows.temperatures_c[before]
        return _warning(known & (risen_c >= enough_c[:, None]).any(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class AmbientDifference:
    """A probe far above the air. Silent where the air is not measured."""

    above_c: float = 10.0
    """degC. What a maker of standby batteries allows a unit above its surroundings before it is taken for running away
    (C&D Technologies, DCS-100HIT manual: 18 degF); for packs on the road **assumed**."""

    @property
    def name(self) -> str:
        return f"{self.above_c:g} degC above ambient"

    def ranks(self, rows: Rows) -> NDArray[np.int8]:
        if rows.ambient_c is None:
            return np.zeros(len(rows.slot), np.int8)
        return _warning((rows.temperatures_c - rows.ambient_c[:, None] >= self.above_c).any(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeSigma:
    """A probe that stands out from the pack's probes of the same row.

    Of n probes none can be more than sqrt(n - 1) standard deviations from their mean: below eleven it never speaks.
    """

    sigmas: float = 3.0
    """The rule's name, and custom."""
    least_sigma_c: float = 0.5
    """degC. **assumed**: below the steps of a common probe a deviation is none; without it two probes that read alike
    and a third one a step higher would be an alarm."""

    @property
    def name(self) -> str:
        return f"{self.sigmas:g}-sigma of the pack's probes"

    def ranks(self, rows: Rows) -> NDArray[np.int8]:
        temperatures_c = rows.temperatures_c
        measured = np.isfinite(temperatures_c)
        count = np.maximum(measured.sum(axis=1, dtype=np.float32), 1)
        mean_c = np.where(measured, temperatures_c, 0).sum(axis=1) / count
        above_c = np.where(measured, temperatures_c - mean_c[:, None], 0)
        sigma_c = np.sqrt(np.square(above_c).sum(axis=1) / count)
        return _warning(above_c.max(axis=1, initial=0) > self.sigmas * np.maximum(sigma_c, self.least_sigma_c))


BASELINES: tuple[Baseline, ...] = (FixedThreshold(), RateOfRise(), AmbientDifference(), ThreeSigma())
"""Those that a detector must beat."""


def _warning(holds: NDArray[np.bool_] | np.bool_) -> NDArray[np.int8]:
    return np.where(holds, np.int8(Level.WARNING.rank), np.int8(0))
