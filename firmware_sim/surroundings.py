"""What surrounds P packs minute by minute, as course.py reads it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MINUTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surroundings:
    """One value for every minute of the recording; all (P, F) unless said otherwise."""

    outside_c: Floats
    """The air that comes in by an open door."""
    door_w_per_k: Floats
    """How well it does; 0 with closed doors."""
    skin_c: Floats
    """Mean sol-air temperature of the container's skin."""
    skin_w_per_k: Floats
    side_c: Floats
    """(P, F, 2) inner temperature of the side walls that the halves of the case look at."""
    current_a: Floats
    """Out of the pack; negative while it charges."""
    coolant_c: Floats
    coolant_w_per_k: Floats
    """From each module to the coolant; 0 while no pump runs."""

    def table(self) -> Floats:
        """(P, F, 9) all of it, columns in the order of COLUMNS."""
        flat = [getattr(self, field.name) for field in fields(self) if field.name != "side_c"]
        return np.concatenate((np.stack(flat, axis=-1), self.side_c), axis=-1)


OUTSIDE, DOOR, SKIN, SKIN_W, CURRENT, COOLANT, COOLANT_W = range(7)
SIDES = slice(7, 9)
"""Columns of Surroundings.table()."""


def still(packs: int, minutes: int, temperature_c: float, *, skin_w_per_k: float = 300.0) -> Surroundings:
    """Everything at one temperature, nothing moving."""
    same, none = np.full((packs, minutes), temperature_c), np.zeros((packs, minutes))
    return Surroundings(
        outside_c=same,
        door_w_per_k=none,
        skin_c=same,
        skin_w_per_k=np.full((packs, minutes), skin_w_per_k),
        side_c=np.repeat(same[:, :, None], 2, axis=2),
        current_a=none,
        coolant_c=same,
        coolant_w_per_k=none,
    )
