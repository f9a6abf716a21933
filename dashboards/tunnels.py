"""Whether a vehicle is in a road tunnel, or comes to one.

A receiver sees nothing inside, so that a fix lost before a portal tells.

Which tunnels there are is the operator's file. Pure but for reading it: fixes come in, and `now` is an argument.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date  # noqa: TC003  pydantic reads it
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dashboards.rows import TunnelRow
from registry.response_kinds import Situation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from telemetry.samples import PositionFix

AHEAD_M = 5_000.0
"""**assumed**: three minutes of a truck's way; a driver who stops before it must have heard in time."""
AHEAD_WITHIN_DEG = 45.0
"""**assumed**: who heads farther off than this does not come to the portal on this road."""
DETOUR_M = 50.0
"""**assumed**: over a place in the tunnel the way from portal to portal is longer than the tunnel by this at most."""
LOST_AFTER_MS = 20_000
"""**assumed**: a gateway tells its place every 10 s; one report may be late."""
QUEUE_FACTOR = 0.5
"""**assumed**: of the last speed, in the tunnel. Longer than that takes nobody knows where the vehicle is."""
MOVING_FROM_M_S = 1.5
"""As `dashboards.motion` has it."""
_METRES_A_DEGREE = 111_195.0
"""Of a great circle on the mean sphere, IUGG."""

Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]


class TunnelsError(ValueError):
    """A file of tunnels that may not be used. One line a mistake."""


class Tunnel(BaseModel):
    """A road tunnel."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    road: Annotated[str, Field(min_length=1, max_length=40)]
    portals_deg: tuple[tuple[Latitude, Longitude], tuple[Latitude, Longitude]]
    """Latitude and longitude of both ends."""
    length_m: Annotated[float, Field(gt=0, le=60_000)]
    source: Annotated[str, Field(min_length=1)]
    checked_on: date

    @model_validator(mode="after")
    def _is_no_shorter_than_straight(self) -> Self:
        ends = np.array(self.portals_deg)
        straight_m = float(np.hypot(*_metres(ends[1] - ends[0], ends[0, 0])))
        if straight_m > 1.1 * self.length_m + DETOUR_M:
            raise ValueError(f"its portals lie {straight_m:.0f} m apart, but it is {self.length_m:.0f} m long")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    tunnel: tuple[Tunnel, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What one fix says of the tunnel that it is in or before."""

    name: str
    inside: bool
    distance_m: float
    """To the portal ahead; 0 inside."""
    fixed_at_ms: int
    speed_m_s: float | None
    length_m: float

    def at(self, now_ms: int) -> TunnelRow | None:
        """What holds at `now_ms`, when no newer fix has come. None: nobody knows any more."""
        waited_ms = now_ms - self.fixed_at_ms
        if waited_ms <= LOST_AFTER_MS:
            return TunnelRow(
                name=self.name, state="inside" if self.inside else "ahead", distance_m=_tens(self.distance_m)
            )
        if not self._moves:
            # it stands where it was last seen: outside its receiver would go on
            return TunnelRow(name=self.name, state="inside", distance_m=0) if self.inside else None
        speed_m_s = self.speed_m_s or 0.0
        if waited_ms * speed_m_s < self.distance_m * 1000.0:
            return TunnelRow(name=self.name, state="ahead", distance_m=_tens(self.distance_m))
        out_ms = (self.distance_m + self.length_m) / (speed_m_s * QUEUE_FACTOR) * 1000.0
        if waited_ms > out_ms + LOST_AFTER_MS:
            return None
        return TunnelRow(name=self.name, state="inside", distance_m=0)

    @property
    def _moves(self) -> bool:
        return self.speed_m_s is not None and self.speed_m_s >= MOVING_FROM_M_S


class Tunnels:
    """All that the operator's file names."""

    def __init__(self, tunnels: Sequence[Tunnel] = ()) -> None:
        self._tunnels = tuple(tunnels)
        self._portals_deg = np.array([each.portals_deg for each in tunnels], np.float64).reshape(-1, 2, 2)
        self._lengths_m = np.array([each.length_m for each in tunnels], np.float64)

    @classmethod
    def read(cls, path: Path) -> Tunnels:
        """The file's; none without a file. Raises TunnelsError."""
        if not path.exists():
            return cls()
        try:
            return cls(_File.model_validate(tomllib.loads(path.read_text())).tunnel)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise TunnelsError(f"{path}: it is no TOML: {error}") from error
        except ValidationError as error:
            lines = (f"{path}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise TunnelsError("\n".join(lines)) from error

    def passages(self, fixes: Sequence[PositionFix]) -> list[Passage | None]:
        """Of each fix the tunnel that it is in, else the nearest that it comes to; None: neither."""
        if not self._tunnels or not fixes:
            return [None] * len(fixes)
        places_deg = np.array([(fix.latitude_deg, fix.longitude_deg) for fix in fixes])
        heading_deg = np.array([np.nan if fix.heading_deg is None else fix.heading_deg for fix in fixes])
        inside, ahead_m = self._seen_from(places_deg, heading_deg)
        distance_m = np.where(inside, 0.0, ahead_m)
        nearest = distance_m.argmin(axis=1)
        return [
            self._passage(fix, int(index), float(distance_m[row, index]), inside=bool(inside[row, index]))
            for row, (fix, index) in enumerate(zip(fixes, nearest, strict=True))
        ]

    def _seen_from(
        self, places_deg: NDArray[np.float64], heading_deg: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Of (n, 2) places and (n,) headings: inside (n, m), and metres to the portal ahead (n, m), inf: none."""
        latitude_deg = places_deg[:, 0, None, None]
        east_m, north_m = _metres(self._portals_deg[None] - places_deg[:, None, None], latitude_deg)
        to_portal_m = np.hypot(east_m, north_m)  # (n, m, 2)
        bearing_deg = np.degrees(np.arctan2(east_m, north_m))
        off_deg = np.abs((bearing_deg - heading_deg[:, None, None] + 180.0) % 360.0 - 180.0)
        # the portal that it meets first is the nearer one, and the other lies behind it
        first = to_portal_m.argmin(axis=2, keepdims=True)
        nearer_m = np.take_along_axis(to_portal_m, first, 2)[..., 0]
        both_off_deg = np.maximum(np.take_along_axis(off_deg, first, 2), np.take_along_axis(off_deg, 1 - first, 2))[
            ..., 0
        ]
        ahead = (nearer_m <= AHEAD_M) & (both_off_deg <= AHEAD_WITHIN_DEG)
        straight_m = np.hypot(east_m[..., 1] - east_m[..., 0], north_m[..., 1] - north_m[..., 0])
        # the two ways to the portals together are hardly longer than the tunnel
        inside = to_portal_m.sum(axis=2) <= np.maximum(straight_m, self._lengths_m) + DETOUR_M
        return inside, np.where(ahead, nearer_m, np.inf)

    def _passage(self, fix: PositionFix, index: int, distance_m: float, *, inside: bool) -> Passage | None:
        if not np.isfinite(distance_m):
            return None
        tunnel = self._tunnels[index]
        return Passage(
            name=f"{tunnel.name}, {tunnel.road}",
            inside=inside,
            distance_m=distance_m,
            fixed_at_ms=fix.fixed_at_ms,
            speed_m_s=fix.speed_m_s,
            length_m=tunnel.length_m,
        )


def situation_there(situation: Situation, tunnel: TunnelRow | None) -> Situation:
    """Who drives, and is inside a tunnel, is told to leave it first."""
    inside = tunnel is not None and tunnel.state == "inside"
    return Situation.TUNNEL if inside and situation is Situation.DRIVING else situation


def _metres(
    difference_deg: NDArray[np.float64], latitude_deg: NDArray[np.float64] | float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """East and north of (..., 2) differences of latitude and longitude: flat, near enough below a tunnel's length."""
    north_m = difference_deg[..., 0] * _METRES_A_DEGREE
    east_deg = (difference_deg[..., 1] + 180.0) % 360.0 - 180.0
    return east_deg * _METRES_A_DEGREE * np.cos(np.radians(latitude_deg)), north_m


def _tens(distance_m: float) -> int:
    return round(distance_m / 10.0) * 10
