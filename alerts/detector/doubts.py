"""How much of a reading may be its instrument's doing: what a fixed ceiling must not take for heat. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alerts.detector.kinds import Fault
from alerts.detector.lanes import count_in_row
from alerts.detector.readings import resolution
from alerts.detector.spatial import scale_c

if TYPE_CHECKING:
    from alerts.detector.filters import Floats
    from alerts.detector.rules import DetectorRules
    from alerts.detector.states import Columns

_FURTHEST_C = 20.0
"""degC. No instrument is doubted by more. **Assumed**."""
_SIGMAS = np.float32(2.66)
"""Times the mean change from reading to reading: three standard deviations, of which that is 1.13."""


def doubt_c(c: Columns, rules: DetectorRules) -> Floats:
    """(B, T) by how much a reading may be above the truth: noise, a step, and a jump that was an instrument's.

    Also a jump that is not decided yet. 0 where the evidence cannot say: in packs not known for long or with too few
    probes to compare, and of a probe that stands out beyond all that. The offset of a probe that never misbehaved may
    be heat that was there from the beginning: it explains nothing.
    """
    lost = (c.fault == Fault.OPEN) | (c.fault == Fault.OUT_OF_RANGE) | (c.fault == Fault.STUCK)
    known = (c.known_s >= rules.spatial.settle_s) & (count_in_row(~lost) >= rules.spatial.fewest_probes)
    stands_out_c = np.float32(rules.spatial.grades.clear_sigmas / 2) * scale_c(c, rules.spatial)
    calm = known[:, None] & (c.short_c < stands_out_c) & ~c.died
    jumped_c = np.where(np.isfinite(c.sound_s), np.maximum(c.offset_c, 0), 0) + np.maximum(c.jump_c, 0)
    doubted_c = jumped_c + _SIGMAS * c.probe_noise_c + resolution(c)[:, None]
    doubted: Floats = np.where(calm, np.minimum(doubted_c, np.float32(_FURTHEST_C)), np.float32(0))
    return doubted
