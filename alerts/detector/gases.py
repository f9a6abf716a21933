"""Each gas against its own rolling baseline, on a logarithm: a tenfold rise is as far from 1 ppm as from 10."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alerts.detector.filters import follow, share

if TYPE_CHECKING:
    from alerts.detector.filters import Floats
    from alerts.detector.rules import GasRules
    from alerts.detector.states import Columns


def take_gases(c: Columns, rules: GasRules, gases_ppm: Floats, dt_s: Floats) -> None:
    """Take one row of each pack in, (B, 3)."""
    known = np.isfinite(gases_ppm) & (gases_ppm >= 0)
    if not known.any():
        return
    value = np.where(known, np.log1p(np.where(known, gases_ppm, 0)), np.float32(np.nan))
    c.gas_log[:] = follow(c.gas_log, value, share(dt_s, rules.window_s)[:, None])
    np.copyto(c.gas_base_log, value, where=np.isnan(c.gas_base_log) & known)


def learn_gases(c: Columns, rules: GasRules, elapsed_s: Floats) -> None:
    """Move the baseline at a tick, a twentieth as fast while the gas is up."""
    up = (c.gas_log - c.gas_base_log) > np.log(np.float32(2))
    slowed = np.where(up | (c.held > 0)[:, None], np.float32(0.05), np.float32(1))
    window_s = np.clip(c.known_s, 600, np.float32(rules.baseline_hours * 3600))
    c.gas_base_log[:] = follow(c.gas_base_log, c.gas_log, share(elapsed_s, window_s)[:, None] * slowed)
