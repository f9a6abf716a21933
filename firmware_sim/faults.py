"""An internal short: a parallel resistance inside a cell that falls with time, so its heat grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalShort:
    """Heat V^2/R in one module, R falling by a factor e in every `growth_s`."""

    pack: int
    """Index of the pack in its scenario."""
    module: int
    """Index of the module in its pack."""
    starts_at_s: float
    """Seconds after the scenario's start."""
    heat_w: float
    """Heat at the start of the short, at full voltage."""
    growth_s: float
    limit_w: float
    """The most that the cells can push through the short."""

    def full_voltage_heat_w(self, elapsed_s: float) -> float:
        """Heat at `elapsed_s` after the scenario's start while the module still holds its voltage."""
        age_s = elapsed_s - self.starts_at_s
        if age_s < 0:
            return 0.0
        # The exponent is bounded so that a short which has burned for days cannot overflow.
        return min(self.limit_w, self.heat_w * float(np.exp(min(age_s / self.growth_s, 700.0))))


def short_heat_w(
    shorts: Sequence[InternalShort], elapsed_s: float, voltage_factor: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(P, M) W at `elapsed_s`. voltage_factor: (P, M) present module voltage over resting voltage; heat goes as V^2."""
    heat_w = np.zeros_like(voltage_factor)
    for short in shorts:
        factor = float(voltage_factor[short.pack, short.module])
        heat_w[short.pack, short.module] += short.full_voltage_heat_w(elapsed_s) * factor**2
    return heat_w
