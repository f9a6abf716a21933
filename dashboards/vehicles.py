"""The vehicles on the board, by the gateway that each of them carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.motion import step
from dashboards.rows import VehicleRow
from dashboards.trails import Trails
from dashboards.tunnels import Tunnels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dashboards.motion import Motion
    from dashboards.tunnels import Passage
    from telemetry.samples import PositionFix

ONLINE_WITHIN_MS = 60_000
"""A vehicle that was heard of within a minute is online; as long as a pack may go unheard. **assumed**"""


class Vehicles:
    """Names come from the registry, fixes and signs of life from the wire; rows are made when somebody looks."""

    __slots__ = ("_fixes", "_heard_ms", "_motions", "_moved", "_names", "_passages", "_tunnels", "rows", "trails")

    def __init__(self, tunnels: Tunnels | None = None) -> None:
        self.rows: dict[str, VehicleRow] = {}
        self.trails = Trails()
        self._names: dict[str, tuple[str, str]] = {}
        self._fixes: dict[str, PositionFix] = {}
        self._motions: dict[str, Motion] = {}
        self._heard_ms: dict[str, int] = {}
        self._moved: set[str] = set()
        """Gateways whose vehicle's row is out of date."""
        self._tunnels = tunnels or Tunnels()
        self._passages: dict[str, Passage] = {}
        """By gateway, of vehicles in a tunnel or before one."""

    def rename(self, names: Mapping[str, tuple[str, str]]) -> list[str]:
        """Take over (vehicle id, name) by gateway. Returns the gateways whose rows are gone."""
        self._names = dict(names)
        self._moved.update(self._names)
        gone = [gateway_id for gateway_id in self.rows if gateway_id not in self._names]
        for gateway_id in gone:
            del self.rows[gateway_id]
        return gone

    def hear(self, gateway_id: str, at_ms: int) -> None:
        """Something of the gateway arrived."""
        self._heard_ms[gateway_id] = max(at_ms, self._heard_ms.get(gateway_id, 0))

    def move(self, fix: PositionFix) -> bool:
        """Keep the fix if it is the newest of its gateway; whether it is."""
        known = self._fixes.get(fix.gateway_id)
        if known is not None and fix.fixed_at_ms < known.fixed_at_ms:
            return False
        self._fixes[fix.gateway_id] = fix
        self.trails.add(fix)
        self._motions[fix.gateway_id] = step(self._motions.get(fix.gateway_id), fix)
        self._moved.add(fix.gateway_id)
        return True

    def motion(self, gateway_id: str) -> Motion | None:
        """How the gateway's vehicle moves; None without a fix."""
        return self._motions.get(gateway_id)

    def of(self, gateway_id: str | None) -> tuple[str, str] | None:
        """Id and name of the vehicle that carries the gateway. May be asked from any thread."""
        return None if gateway_id is None else self._names.get(gateway_id)

    def nameless(self) -> set[str]:
        """Gateways that were heard but whose vehicle is not known."""
        return self._heard_ms.keys() - self._names.keys()

    def make_rows(self, now_ms: int) -> Iterable[str]:
        """Bring `rows` up to now_ms; the gateways whose rows changed."""
        self._pass_tunnels()
        changed = []
        for gateway_id, (vehicle_id, name) in self._names.items():
            online = now_ms - self._heard_ms.get(gateway_id, -ONLINE_WITHIN_MS - 1) <= ONLINE_WITHIN_MS
            known = self.rows.get(gateway_id)
            passage = self._passages.get(gateway_id)
            if known is not None and known.online == online and passage is None and gateway_id not in self._moved:
                continue
            fix = self._fixes.get(gateway_id)
            row = VehicleRow(
                vehicle_id=vehicle_id,
                name=name,
                gateway_id=gateway_id,
                latitude_deg=None if fix is None else round(fix.latitude_deg, 6),  # 0.1 m
                longitude_deg=None if fix is None else round(fix.longitude_deg, 6),
                speed_m_s=None if fix is None else _tenths(fix.speed_m_s),
                heading_deg=None if fix is None else _tenths(fix.heading_deg),
                fixed_at_ms=None if fix is None else fix.fixed_at_ms,
                online=online,
                tunnel=None if passage is None else passage.at(now_ms),
            )
            if row != known:
                self.rows[gateway_id] = row
                changed.append(gateway_id)
        self._moved.clear()
        return changed

    def _pass_tunnels(self) -> None:
        """What the newest fixes say of tunnels."""
        moved = [gateway_id for gateway_id in self._moved if gateway_id in self._fixes]
        passages = self._tunnels.passages([self._fixes[gateway_id] for gateway_id in moved])
        for gateway_id, passage in zip(moved, passages, strict=True):
            if passage is None:
                self._passages.pop(gateway_id, None)
            else:
                self._passages[gateway_id] = passage


def _tenths(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
