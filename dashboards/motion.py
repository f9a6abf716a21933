"""Whether a vehicle drives. Halts in traffic count as driving (49 CFR 392.80, 392.82): standing still is not parked.

Pure: fixes come in, and `now` is an argument.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from registry.response_kinds import Situation

if TYPE_CHECKING:
    from telemetry.samples import PositionFix

MOVING_FROM_M_S = 1.5
"""**assumed**: 5 km/h; a receiver at rest says less."""
MOVED_FROM_M = 60.0
"""**assumed**: how far the fixes of a receiver at rest do not stray; who creeps in a queue gets farther."""
PARKED_AFTER_MS = 600_000
"""**assumed**: longer than a halt in traffic. A driver who has parked may say so at once."""
FIX_SPEAKS_FOR_MS = 300_000
"""**assumed**: without a newer fix nobody knows whether the vehicle still stands."""
WORD_HOLDS_MS = 1_800_000
"""**assumed**: how long what the driver said holds where no fix says anything."""
_METRES_A_DEGREE = 111_195.0
"""Of a great circle on the mean sphere, IUGG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """What a vehicle's fixes, up to the newest, say of its movement."""

    fixed_at_ms: int
    still_since_ms: int
    """The first fix since which it has not moved."""
    moved_at_ms: int | None
    """The newest fix that showed movement; None: none did."""
    anchor_deg: tuple[float, float]
    """Where it stood at `still_since_ms`: latitude, longitude."""

    @property
    def moving(self) -> bool:
        """At the newest fix."""
        return self.moved_at_ms == self.fixed_at_ms


def step(motion: Motion | None, fix: PositionFix) -> Motion:
    """The motion with one more fix, which is not older than those before."""
    place = (fix.latitude_deg, fix.longitude_deg)
    if motion is None:
        moving = (fix.speed_m_s or 0.0) >= MOVING_FROM_M_S
        moved_at_ms = fix.fixed_at_ms if moving else None
        return Motion(
            fixed_at_ms=fix.fixed_at_ms, still_since_ms=fix.fixed_at_ms, moved_at_ms=moved_at_ms, anchor_deg=place
        )
    if (fix.speed_m_s or 0.0) >= MOVING_FROM_M_S or _distance_m(motion.anchor_deg, place) >= MOVED_FROM_M:
        return Motion(
            fixed_at_ms=fix.fixed_at_ms, still_since_ms=fix.fixed_at_ms, moved_at_ms=fix.fixed_at_ms, anchor_deg=place
        )
    return replace(motion, fixed_at_ms=fix.fixed_at_ms)


def situation_of(motion: Motion | None, *, said: Situation | None, said_at_ms: int | None, now_ms: int) -> Situation:
    """Where the driver is; driving wherever nothing says otherwise.

    said: what the driver said at `said_at_ms`. It holds until a later fix shows movement; without fixes, for a while.
    """
    if said is not None and said_at_ms is not None and said is not Situation.DRIVING:
        moved_since = motion is not None and motion.moved_at_ms is not None and motion.moved_at_ms > said_at_ms
        heard_ms = said_at_ms if motion is None else max(said_at_ms, motion.fixed_at_ms)
        if not moved_since and now_ms - heard_ms <= WORD_HOLDS_MS:
            return said
    if motion is None or motion.moving or now_ms - motion.fixed_at_ms > FIX_SPEAKS_FOR_MS:
        return Situation.DRIVING
    if said is Situation.DRIVING and said_at_ms is not None and said_at_ms >= motion.still_since_ms:
        since_ms = said_at_ms  # about to set off: what stood before does not count
    else:
        since_ms = motion.still_since_ms
    return Situation.PARKED if motion.fixed_at_ms - since_ms >= PARKED_AFTER_MS else Situation.DRIVING


def _distance_m(one_deg: tuple[float, float], other_deg: tuple[float, float]) -> float:
    """Flat, which is near enough below a kilometre."""
    north_m = (other_deg[0] - one_deg[0]) * _METRES_A_DEGREE
    east_deg = (other_deg[1] - one_deg[1] + 180.0) % 360.0 - 180.0
    east_m = east_deg * _METRES_A_DEGREE * math.cos(math.radians(one_deg[0]))
    return math.hypot(north_m, east_m)
