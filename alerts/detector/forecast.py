"""The time to the next level at the present trend, as a band. An estimate, no promise: a failure accelerates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alerts.detector.spatial import scale_c
from registry.kinds import Level

if TYPE_CHECKING:
    from alerts.detector.filters import Floats
    from alerts.detector.rules import DetectorRules
    from alerts.detector.states import Columns

_NEXT_C = (np.inf, 60.0, 80.0, 150.0, np.inf)
"""degC of a probe at which the level after this rank stands at the latest: the ceilings, and the lowest trigger of NMC
and NCA packs (../rules.py; 150 degC from literature)."""
_ACCELERATES = 1.3
"""The earliest time is by a trend so much steeper than what lagging means show. **assumed**"""
_FARTHEST_S = 86_400.0
"""A trend says nothing about the day after."""


def forecast_s(c: Columns, rules: DetectorRules) -> Floats:
    """(B, 2) earliest and latest s until the next level; NaN = no trend towards it, or none in sight.

    The trend is the slope of the residual, or the quick rise if that is faster; its uncertainty that of the wander.
    """
    lag_s = np.float32(rules.slope.window_s - rules.spatial.window_s)
    scale = scale_c(c, rules.spatial)
    slow = (c.short_c - c.long_c) / lag_s
    quick = np.minimum(c.quick_c, c.quick_was_c) / np.float32(rules.quick.window_s)
    steep = quick >= np.float32(2 * rules.quick.grades.clear_at / rules.quick.window_s)
    speed = np.where(steep, np.maximum(slow, quick), slow)
    doubt = np.where(steep, 2 * c.probe_noise_c / np.float32(rules.quick.window_s), 2 * scale / lag_s)
    strong_c = np.maximum(rules.spatial.grades.strong_sigmas * scale, np.float32(rules.spatial.grades.strong_at))
    rank = c.held[:, None]
    by_others_c = np.where(rank < Level.WARNING.rank, strong_c, np.float32(rules.fusion.critical_c)) - c.short_c
    by_others_c = np.where(rank >= Level.CRITICAL.rank, np.float32(np.inf), by_others_c)
    by_itself_c = np.array(_NEXT_C, np.float32)[c.held][:, None] - c.last_c
    gap_c = np.maximum(np.fmin(by_others_c, by_itself_c), 0)
    good = np.isfinite(speed) & np.isfinite(gap_c) & (speed > doubt / 2)
    fastest = np.where(good, np.float32(_ACCELERATES) * speed + doubt, np.float32(1e-9))
    slowest = np.where(good, np.maximum(speed - doubt, speed / 4), np.float32(1e-9))
    far = np.float32(np.inf)
    earliest = np.where(good, gap_c / fastest, far)
    if not earliest.shape[1]:
        return np.full((len(rank), 2), np.nan, np.float32)
    first = earliest.argmin(axis=1)
    row = np.arange(len(first))
    latest = np.where(good, gap_c / slowest, far)[row, first]
    band = np.stack([earliest[row, first], latest], axis=1)
    band[band[:, 0] > _FARTHEST_S] = np.nan
    band[~np.isfinite(band)] = np.nan
    return band.astype(np.float32)
