"""The live board: one row a pack, one a vehicle, the open alerts, and what changed since a version.

Pure and single-threaded: the event loop feeds it, time is an argument. `observe` only keeps the newest sample; rows are
made when somebody looks, at most once per `COALESCE_MS` however many look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dashboards.change_log import ChangeLog
from dashboards.pack_state import UnitState, pack_row, spokesman
from dashboards.rows import AlertRow, Board, IncidentNews, Intake, PackRow, VehicleRow, alert_row
from dashboards.short_history import ShortHistories
from dashboards.vehicles import Vehicles
from registry.kinds import AlertState
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dashboards.change_log import Key
    from dashboards.motion import Motion
    from dashboards.tunnels import Tunnels
    from registry.enrolment import Assignment
    from registry.records import Alert
    from telemetry.samples import PositionFix, ReceivedBatch

COALESCE_MS = 200
"""Rows are remade at most five times a second: a little faster than the stream sends, so that none waits twice."""
UNBOUND_MAX = 500
"""Units without a pack shown at most; the one met first goes. A broken gateway may invent ids. **assumed**"""
UNBOUND_SHOWN_MS = 600_000
"""A unit without a pack leaves the board ten minutes after its last sample. **assumed**"""
CLOSED_KEPT = 200
"""Closed alerts kept for readers that have not heard of the closing yet. **assumed**"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A row that is new since the version asked for."""

    key: Key
    version: int
    row: PackRow | VehicleRow | AlertRow | IncidentNews | Intake


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleView:
    """One vehicle, its packs, and the alerts of each that are not closed."""

    vehicles: tuple[VehicleRow, ...]
    """One for each gateway on it; none when it has none."""
    motion: Motion | None
    """By the gateway whose fix is the newest."""
    packs: tuple[tuple[PackRow, tuple[Alert, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a reader must take over to be at `version`. With `start_over` it takes a whole snapshot instead."""

    version: int
    rows: tuple[Change, ...]
    start_over: bool


class LiveBoard:
    """Feed it with `observe*` and `refresh_assignments`; read it with `snapshot` and `changes_since`."""

    def __init__(
        self,
        *,
        now_ms: int,
        tunnels: Tunnels | None = None,
        forecast_s: Callable[[str], tuple[float, float] | None] = lambda _unit_id: None,
    ) -> None:
        """forecast_s: of a unit, earliest and latest s from its newest sample to the next level; None = unknown."""
        self._forecast_s = forecast_s
        self._now_ms = now_ms
        self._log = ChangeLog()
        self._units: dict[str, UnitState] = {}
        self._histories = ShortHistories()
        self._crew: dict[str, list[UnitState]] = {}
        """The units of each pack row."""
        self._unbound: dict[str, None] = {}
        """The rows of units without a pack, the one met first in front."""
        self._rows: dict[str, PackRow] = {}
        self._due_ms: dict[str, float] = {}
        """When each row changes by the passing of time alone; -inf = remake it."""
        self._vehicles = Vehicles(tunnels)
        self._alerts: dict[str, Alert] = {}
        self._closed: dict[str, Alert] = {}
        self._alerts_of: dict[str, dict[str, Alert]] = {}
        """By pack row: its alerts that are not closed."""
        self._intake = Intake()
        self._incident_news = IncidentNews(changes=0)
        self._made_ms = -math.inf

    @property
    def version(self) -> int:
        return self._log.version

    def observe(self, batches: Sequence[ReceivedBatch]) -> None:
        """Take batches in any order, of any units; a duplicate or a late one changes no row."""
        of_width: dict[int, list[tuple[int, ReceivedBatch]]] = {}
        heard_ms: dict[str, int] = {}
        for received in batches:
            batch = received.batch
            unit = self._units.get(batch.unit_id)
            if unit is None:
                self._remember(of_width)  # the unit may push another one out, and get its place
                of_width = {}
                unit = self._meet_unbound(batch.unit_id)
            if len(batch):
                unit.observe(received)
                of_width.setdefault(batch.temperatures_c.shape[1], []).append((unit.history_place, received))
            self._due_ms[unit.pack_key] = -math.inf
            heard_ms[received.gateway_id] = max(received.received_at_ms, heard_ms.get(received.gateway_id, 0))
        self._remember(of_width)
        for gateway_id, at_ms in heard_ms.items():
            self._now_ms = max(self._now_ms, at_ms)
            self._vehicles.hear(gateway_id, at_ms)

    def observe_positions(self, fixes: Sequence[PositionFix]) -> None:
        """Keep the newest fix of each vehicle."""
        for fix in fixes:
            if self._vehicles.move(fix):
                self._vehicles.hear(fix.gateway_id, min(fix.fixed_at_ms, self._now_ms))

    def observe_alert(self, alert: Alert) -> None:
        """Take an alert's new state; an older version than the one known is ignored."""
        known = self._alerts.get(alert.alert_id) or self._closed.get(alert.alert_id)
        if known is not None and known.version > alert.version:
            return
        pack_key = self._alert_key(alert)
        if alert.state == AlertState.CLOSED:
            self._alerts.pop(alert.alert_id, None)
            open_ones = self._alerts_of.get(pack_key, {})
            open_ones.pop(alert.alert_id, None)
            if not open_ones:
                self._alerts_of.pop(pack_key, None)
            self._closed[alert.alert_id] = alert
            if len(self._closed) > CLOSED_KEPT:
                oldest = next(iter(self._closed))
                del self._closed[oldest]
                self._log.drop_seen(("alert", oldest))
        else:
            self._alerts[alert.alert_id] = alert
            self._alerts_of.setdefault(pack_key, {})[alert.alert_id] = alert
        self._log.touch(("alert", alert.alert_id))
        if pack_key in self._crew:
            self._due_ms[pack_key] = -math.inf
        self._made_ms = -math.inf  # an alert never waits for the next remaking

    def observe_intake(self, intake: Intake) -> None:
        if intake != self._intake:
            self._intake = intake
            self._log.touch(("intake", ""))

    def note_incident_change(self) -> None:
        """Something about an incident is another: readers ask for the incidents again."""
        self._incident_news = IncidentNews(changes=self._incident_news.changes + 1)
        self._log.touch(("incidents", ""))

    def refresh_assignments(
        self, assignments: Iterable[Assignment], vehicles: Mapping[str, tuple[str, str]], *, now_ms: int
    ) -> None:
        """Take over who watches what. vehicles: (vehicle id, name) by gateway, also of gateways without a unit yet."""
        self._now_ms = max(self._now_ms, now_ms)
        names = dict(vehicles)
        of_unit = {assignment.unit_id: assignment for assignment in assignments}
        for assignment in of_unit.values():
            if assignment.gateway_id and assignment.vehicle_id:
                names.setdefault(assignment.gateway_id, (assignment.vehicle_id, assignment.vehicle_name or ""))
            if assignment.pack_id is not None and assignment.unit_id not in self._units:
                self._units[assignment.unit_id] = self._unit(assignment.unit_id)
        crew: dict[str, list[UnitState]] = {}
        for unit in self._units.values():
            unit.assignment = of_unit.get(unit.unit_id)
            crew.setdefault(unit.pack_key, []).append(unit)
        self._crew = crew
        self._unbound = dict.fromkeys(unit.pack_key for unit in self._units.values() if unit.unregistered)
        for gone in [key for key in self._rows if key not in crew]:
            self._remove_row(gone)
        self._due_ms = dict.fromkeys(crew, -math.inf)
        for gateway_id in self._vehicles.rename(names):
            self._log.forget(("vehicle", gateway_id))
        self._made_ms = -math.inf

    def gateways_without_vehicle(self) -> set[str]:
        """Gateways that were heard but that no assignment names: the registry may know their vehicle."""
        return self._vehicles.nameless()

    def snapshot(self, now_ms: int) -> Board:
        """Everything, as it is at now_ms."""
        self._make_rows(now_ms)
        packs = tuple(self._rows.values())
        return Board(
            now_ms=now_ms,
            simulation=any(row.provenance not in (None, Provenance.MEASURED) for row in packs),
            packs=packs,
            vehicles=tuple(self._vehicles.rows.values()),
            alerts=tuple(self._alert_row(alert) for alert in self._alerts.values()),
            intake=self._intake,
        )

    def changes_since(self, version: int, now_ms: int) -> Changes:
        """The rows that changed after `version`, each once and as it is now: a slow reader skips what lies between."""
        if now_ms - self._made_ms >= COALESCE_MS or now_ms < self._made_ms:
            self._make_rows(now_ms)
        if version < self._log.readable_from or version > self._log.version:
            return Changes(version=self._log.version, rows=(), start_over=True)
        rows = tuple(Change(key=key, version=changed, row=self._row(key)) for key, changed in self._log.since(version))
        return Changes(version=self._log.version, rows=rows, start_over=False)

    def pack(self, pack_id: str, now_ms: int) -> PackRow | None:
        """One pack's row, as it is at now_ms."""
        self._make_rows(now_ms)
        return self._rows.get(pack_id)

    def vehicle(self, vehicle_id: str, now_ms: int) -> VehicleView:
        """One vehicle with what it carries, as it is at now_ms."""
        self._make_rows(now_ms)
        vehicles = tuple(row for row in self._vehicles.rows.values() if row.vehicle_id == vehicle_id)
        motions = [motion for row in vehicles if (motion := self._vehicles.motion(row.gateway_id)) is not None]
        packs = ((key, row) for key, row in self._rows.items() if row.vehicle_id == vehicle_id)
        return VehicleView(
            vehicles=vehicles,
            motion=max(motions, key=lambda motion: motion.fixed_at_ms, default=None),
            packs=tuple((row, tuple(self._alerts_of.get(key, {}).values())) for key, row in packs),
        )

    def has_row(self, pack_key: str) -> bool:
        """Whether the board shows this pack or unit. May be asked from any thread."""
        return pack_key in self._crew

    def channel_labels(self, unit_id: str) -> tuple[Sequence[str], Sequence[str]]:
        """What a registered unit's temperature and voltage columns are called. May be asked from any thread."""
        unit = self._units.get(unit_id)
        if unit is None or unit.assignment is None:
            return ((), ())
        numbered = enumerate(unit.assignment.voltage_kinds, start=1)
        return (unit.assignment.temperature_labels, [f"{kind} {column}" for column, kind in numbered])

    def trail(self, gateway_id: str) -> list[tuple[int, float, float]]:
        """Where the gateway's vehicle was lately: time, longitude, latitude, oldest first. From any thread."""
        return list(self._vehicles.trails.of(gateway_id))

    def vehicle_name(self, gateway_id: str | None) -> str | None:
        """The vehicle that carries the gateway now. May be asked from any thread."""
        vehicle = self._vehicles.of(gateway_id)
        return None if vehicle is None else vehicle[1]

    def _remember(self, of_width: Mapping[int, Sequence[tuple[int, ReceivedBatch]]]) -> None:
        """Batches with the place of their unit's history, by their number of temperatures."""
        for placed in of_width.values():
            lengths = [len(received.batch) for _, received in placed]
            received_at_ms = np.array([received.received_at_ms for _, received in placed], np.int64)
            self._histories.offer(
                np.repeat(np.array([place for place, _ in placed], np.int64), lengths),
                np.minimum(
                    np.concatenate([received.batch.sampled_at_ms for _, received in placed]),
                    np.repeat(received_at_ms, lengths),
                ),
                np.concatenate([received.batch.temperatures_c for _, received in placed]),
            )

    def _unit(self, unit_id: str) -> UnitState:
        return UnitState(unit_id, first_known_ms=self._now_ms, history_place=self._histories.add())

    def _meet_unbound(self, unit_id: str) -> UnitState:
        unit = self._units[unit_id] = self._unit(unit_id)
        self._crew[unit.pack_key] = [unit]
        self._unbound[unit.pack_key] = None
        if len(self._unbound) > UNBOUND_MAX:
            self._drop_unbound(next(iter(self._unbound)))
        return unit

    def _drop_unbound(self, pack_key: str) -> None:
        for unit in self._crew.pop(pack_key):
            del self._units[unit.unit_id]
            self._histories.free(unit.history_place)
        del self._unbound[pack_key]
        self._due_ms.pop(pack_key, None)
        self._remove_row(pack_key)

    def _remove_row(self, pack_key: str) -> None:
        if self._rows.pop(pack_key, None) is not None:
            self._log.forget(("pack", pack_key))

    def _make_rows(self, now_ms: int) -> None:
        self._now_ms = self._made_ms = now_ms
        stale = [key for key, due_ms in self._due_ms.items() if due_ms < now_ms]
        spokesmen = [spokesman(self._crew[key], now_ms) for key in stale]
        histories = self._histories.recent([unit.history_place for unit in spokesmen])
        for key, unit, recent in zip(stale, spokesmen, histories, strict=True):
            crew = self._crew[key]
            self._due_ms[key] = min(member.due_ms(now_ms) for member in crew)
            if key in self._unbound:
                leaves_ms = self._leaves_ms(unit)
                if leaves_ms < now_ms:
                    self._drop_unbound(key)
                    continue
                self._due_ms[key] = min(self._due_ms[key], leaves_ms)
            alerts = self._alerts_of.get(key, {}).values()
            row = pack_row(
                unit,
                alerts,
                vehicle=self._vehicle_of(unit),
                recent=recent,
                forecast_s=self._forecast_s(unit.unit_id),
                now_ms=now_ms,
            )
            if row != self._rows.get(key):
                self._rows[key] = row
                self._log.touch(("pack", key))
        for gateway_id in self._vehicles.make_rows(now_ms):
            self._log.touch(("vehicle", gateway_id))

    def _leaves_ms(self, unit: UnitState) -> float:
        """When a unit without a pack leaves the board; never while an alert stands."""
        if self._alerts_of.get(unit.pack_key):
            return math.inf
        return -math.inf if unit.newest is None else unit.newest.received_at_ms + UNBOUND_SHOWN_MS

    def _vehicle_of(self, unit: UnitState) -> tuple[str | None, str | None]:
        assignment = unit.assignment
        vehicle = self._vehicles.of(unit.gateway_id or (assignment.gateway_id if assignment else None))
        if vehicle is None and assignment is not None:
            return (assignment.vehicle_id, assignment.vehicle_name)
        return vehicle or (None, None)

    def _row(self, key: Key) -> PackRow | VehicleRow | AlertRow | IncidentNews | Intake:
        match key:
            case ("pack", pack_key):
                return self._rows[pack_key]
            case ("vehicle", gateway_id):
                return self._vehicles.rows[gateway_id]
            case ("alert", alert_id):
                return self._alert_row(self._alerts.get(alert_id) or self._closed[alert_id])
            case ("incidents", _):
                return self._incident_news
            case _:
                return self._intake

    def _alert_row(self, alert: Alert) -> AlertRow:
        return alert_row(alert, self.vehicle_name(alert.gateway_id))

    @staticmethod
    def _alert_key(alert: Alert) -> str:
        return alert.pack_id if alert.pack_id is not None else f"unit:{alert.unit_id}"
