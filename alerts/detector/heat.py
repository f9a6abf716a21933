"""The pack as a whole against its own thermal model: heat that neither the ambient nor its habit explains.

d(pack)/dt = k (ambient - pack) + q is fitted on line, by moments that fade; the ambient is the mean of the air and of
a slower wall. What the present rate has left over is heat of its own. Sun on a pack looks the same, so this alone is
never strong; it supports what a probe says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alerts.detector.filters import follow, share

if TYPE_CHECKING:
    from alerts.detector.filters import Floats
    from alerts.detector.rules import HeatRules
    from alerts.detector.states import Columns

_SHORT_S = 900.0
_AMBIENT_S = 600.0
_WALL_S = 7200.0
"""Windows of the pack, the air and the wall. **assumed**: minutes for air, hours for a container's steel and wood."""
_FASTEST_PER_H = 6.0
"""A pack follows its ambient no faster than in ten minutes. **assumed**"""


def follow_heat(c: Columns, rules: HeatRules, ambient_c: Floats, elapsed_s: Floats) -> None:
    """Take the pack's temperature and the ambient (B,) in at a tick; the fit learns nothing while the pack is hot."""
    c.heat_short_c[:] = follow(c.heat_short_c, c.base_c, share(elapsed_s, _SHORT_S))
    c.heat_long_c[:] = follow(c.heat_long_c, c.base_c, share(elapsed_s, rules.rise_window_s))
    c.ambient_c[:] = follow(c.ambient_c, ambient_c, share(elapsed_s, _AMBIENT_S))
    c.wall_c[:] = follow(c.wall_c, ambient_c, share(elapsed_s, _WALL_S))
    lag_h = np.float32((rules.rise_window_s - _SHORT_S) / 3600)
    rate = (c.heat_short_c - c.heat_long_c) / lag_h
    drive = np.float32(0.5) * (c.ambient_c + c.wall_c) - np.float32(0.5) * (c.heat_short_c + c.heat_long_c)
    known = np.isfinite(rate) & np.isfinite(drive)
    rate, drive = np.where(known, rate, 0), np.where(known, drive, 0)
    spread = np.maximum(c.fit_xx - c.fit_x * c.fit_x, 0) + np.float32(0.5)
    k = np.clip((c.fit_xy - c.fit_x * c.fit_y) / spread, 0, _FASTEST_PER_H)
    left = rate - c.fit_y - k * (drive - c.fit_x)
    ready = known & (c.known_s >= rules.fit_after_hours * 3600)
    c.heat_c_per_h[:] = np.where(ready, left, 0)
    memory_s = np.clip(c.known_s, 3600, np.float32(rules.fit_hours * 3600))
    moved = share(elapsed_s, memory_s) * (known & (c.held < 2))
    bounded = np.minimum(np.abs(left), 3 * c.heat_scale_c_per_h) * np.float32(1.25)
    c.heat_scale_c_per_h += moved * (bounded - c.heat_scale_c_per_h) * ready
    c.fit_x += moved * (drive - c.fit_x)
    c.fit_y += moved * (rate - c.fit_y)
    c.fit_xx += moved * (drive * drive - c.fit_xx)
    c.fit_xy += moved * (drive * rate - c.fit_xy)
