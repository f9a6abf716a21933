"""What goes wrong inside P packs, one fault each: shorts and their electricity, heat from chemistry or from outside.

A short is a resistance parallel to the cell that falls by a factor e in every `growth_s`. It draws I = U / (R0 + R)
from the cell's open-circuit voltage U, so the terminal voltage is U - I R0, the cell warms by U I, and its charge
falls by I dt. A short whose metal melts opens for good.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NEVER_S = np.inf


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ailments:
    """One fault in each of P packs; all arrays (P,), times from the recording's start."""

    onset_s: Floats
    """When it begins; NEVER_S in a healthy pack."""
    start_ohm: Floats
    """Of the short at its onset; infinite where there is none."""
    growth_s: Floats
    """In which the short's resistance falls by a factor e."""
    least_ohm: Floats
    opens_at_s: Floats
    """When the short burns open, or the heater is switched off."""
    inner_ohm: Floats
    """R0 of the cells in parallel that feed the short."""
    capacity_c: Floats
    """Their charge when full, coulomb."""
    chemical_w: Floats
    """Heat that cells make by themselves at the onset, growing by a factor e in every chemical_growth_s."""
    chemical_growth_s: Floats
    chemical_most_w: Floats
    heater_w: Floats
    """Heat from outside into the cell."""

    def some(self, packs: NDArray[np.intp]) -> Ailments:
        """The packs of these indices alone."""
        return Ailments(**{field.name: getattr(self, field.name)[packs] for field in fields(self)})


def healthy(packs: int) -> Ailments:
    """Nothing wrong in any of them."""
    none, never, one = np.zeros(packs), np.full(packs, NEVER_S), np.ones(packs)
    return Ailments(
        onset_s=never,
        start_ohm=never,
        growth_s=one,
        least_ohm=one,
        opens_at_s=never,
        inner_ohm=one,
        capacity_c=one,
        chemical_w=none,
        chemical_growth_s=one,
        chemical_most_w=none,
        heater_w=none,
    )


def short_ohm(ailments: Ailments, time_s: Floats) -> Floats:
    """(P,) resistance of the short at time_s (P,); infinite before its onset and once it has burnt open."""
    age_s = np.maximum(time_s - ailments.onset_s, 0.0)
    ohm = np.maximum(ailments.least_ohm, ailments.start_ohm * np.exp(-np.minimum(age_s / ailments.growth_s, 700.0)))
    return np.where((time_s >= ailments.onset_s) & (time_s < ailments.opens_at_s), ohm, np.inf)


def short_current_a(ailments: Ailments, time_s: Floats, open_circuit_v: Floats) -> Floats:
    """(P,) what the cells feed into their short; open_circuit_v (P,)."""
    return open_circuit_v / (ailments.inner_ohm + short_ohm(ailments, time_s))


def own_heat_w(ailments: Ailments, time_s: Floats) -> tuple[Floats, Floats]:
    """(P,) W of chemistry and (P,) W of a heater at time_s (P,)."""
    age_s = time_s - ailments.onset_s
    begun = age_s >= 0
    growth = np.exp(np.minimum(np.maximum(age_s, 0.0) / ailments.chemical_growth_s, 700.0))
    chemical_w = np.where(begun, np.minimum(ailments.chemical_w * growth, ailments.chemical_most_w), 0.0)
    return chemical_w, np.where(begun & (time_s < ailments.opens_at_s), ailments.heater_w, 0.0)
