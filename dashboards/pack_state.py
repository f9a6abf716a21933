"""What the board knows of one unit, and the row it makes of that: levels, words, silence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from dashboards.rows import NO_DATA, PackRow, to_ms_or_none
from registry.enrolment import DEFAULT_REPORT_INTERVAL_S, SILENT_AFTER_INTERVALS
from registry.kinds import AlertKind, AlertState, ChannelKind, Level
from telemetry.samples import Provenance, Quality

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dashboards.short_history import Recent
    from registry.enrolment import Assignment
    from registry.records import Alert
    from telemetry.samples import ReceivedBatch

NO_DATA_AFTER_MS = 60_000
"""Without a sample for so long a pack is grey and says NO DATA (domain: what must never happen)."""

_SUSPECT = Quality.TEMPERATURE_SUSPECT | Quality.VOLTAGE_SUSPECT | Quality.INFINITY_REMOVED | Quality.OTHER_SUSPECT


class UnitState:
    """The newest sample of one unit, and where its short history is. A late batch is never the newest sample."""

    __slots__ = ("assignment", "first_known_ms", "gateway_id", "history_place", "newest", "newest_ms", "unit_id")

    def __init__(self, unit_id: str, *, first_known_ms: int, history_place: int) -> None:
        self.unit_id = unit_id
        self.history_place = history_place
        self.first_known_ms = first_known_ms
        self.assignment: Assignment | None = None
        self.gateway_id: str | None = None
        self.newest: ReceivedBatch | None = None
        self.newest_ms: int | None = None

    def observe(self, received: ReceivedBatch) -> None:
        """Keep the batch, which is not empty, if its last sample is the newest.

        A time ahead of its own receipt counts as the receipt.
        """
        last_ms = min(int(received.batch.sampled_at_ms[-1]), received.received_at_ms)
        if self.newest_ms is None or last_ms >= self.newest_ms:
            self.newest, self.newest_ms = received, last_ms
            self.gateway_id = received.gateway_id

    @property
    def pack_key(self) -> str:
        """The row this unit belongs to: its pack's id, or `unit:ID` (no pack id holds a colon) where it has no pack."""
        if self.assignment is not None and self.assignment.pack_id is not None:
            return self.assignment.pack_id
        return f"unit:{self.unit_id}"

    @property
    def unregistered(self) -> bool:
        """Nobody said which pack this unit watches."""
        return self.assignment is None or self.assignment.pack_id is None

    def fresh_at_ms(self) -> int | None:
        """The time that the newest sample speaks for.

        A replay's times are not now by design, so its receipt counts; all others by when they were sampled, since a
        green light on old data is what must never happen.
        """
        if self.newest is None:
            return None
        if self.newest.batch.provenance is Provenance.REPLAYED:
            return self.newest.received_at_ms
        return self.newest_ms

    def silent_after_ms(self) -> float:
        if self.assignment is None:
            return 1000 * SILENT_AFTER_INTERVALS * DEFAULT_REPORT_INTERVAL_S
        return 1000 * self.assignment.silent_after_s

    def due_ms(self, now_ms: int) -> float:
        """The next time at which silence or NO DATA changes the row by itself; infinity when neither can."""
        since_ms = self.fresh_at_ms()
        if since_ms is None:
            since_ms = self.first_known_ms
        deadlines = (since_ms + self.silent_after_ms(), since_ms + NO_DATA_AFTER_MS)
        return min((deadline for deadline in deadlines if deadline >= now_ms), default=math.inf)

    def hottest_c(self) -> float:
        """The newest sample's, in degC; -inf when nothing was measured. For choosing between units of one pack."""
        if self.newest is None:
            return -math.inf
        temperatures_c = self.newest.batch.temperatures_c[-1]
        return float(np.fmax.reduce(temperatures_c, initial=-np.inf))


def spokesman(units: Sequence[UnitState], now_ms: int) -> UnitState:
    """Which of a pack's units its row shows: the hottest of those with fresh data, else the one heard last.

    One that measured outranks any that did not: a replay never stands before what the pack says, or its silence.
    """

    def rank(unit: UnitState) -> tuple[bool, bool, float, int]:
        fresh_at_ms = unit.fresh_at_ms()
        if fresh_at_ms is None:
            return (False, False, -math.inf, 0)
        fresh = now_ms - fresh_at_ms <= NO_DATA_AFTER_MS
        measured = _provenance(unit) == Provenance.MEASURED
        return (measured, fresh, unit.hottest_c() if fresh else -math.inf, fresh_at_ms)

    return max(units, key=rank)


def pack_row(
    unit: UnitState,
    alerts: Iterable[Alert],
    *,
    vehicle: tuple[str | None, str | None],
    recent: Recent,
    forecast_s: tuple[float, float] | None = None,
    now_ms: int,
) -> PackRow:
    """The row of `unit`'s pack. alerts: those of the pack that are not closed. vehicle: id and name.

    What was measured is shown with the level of what was measured: a replay's alert is not this pack's state.
    """
    provenance = _provenance(unit)
    standing = sorted(
        (
            alert
            for alert in alerts
            if alert.state in (AlertState.RAISED, AlertState.ACKNOWLEDGED)
            and (provenance != Provenance.MEASURED or alert.provenance == Provenance.MEASURED)
        ),
        key=lambda alert: (-Level(alert.level).rank, alert.raised_at),
    )
    assignment = unit.assignment
    fresh_at_ms = unit.fresh_at_ms()
    since_ms = unit.first_known_ms if fresh_at_ms is None else fresh_at_ms
    silent = now_ms - since_ms > unit.silent_after_ms()
    facts = _newest_facts(unit)
    no_data = fresh_at_ms is None or now_ms - fresh_at_ms > NO_DATA_AFTER_MS or facts["hottest_c"] is None
    return PackRow(
        pack_id=unit.pack_key,
        chemistry=None if assignment is None or assignment.chemistry is None else str(assignment.chemistry),
        pack_class=None if assignment is None or assignment.pack_class is None else str(assignment.pack_class),
        vehicle_id=vehicle[0],
        vehicle_name=vehicle[1],
        gateway_id=unit.gateway_id or (None if assignment is None else assignment.gateway_id),
        unit_id=unit.unit_id,
        provenance=provenance,
        level=_level(standing, no_data=no_data),
        reasons=_reasons(unit, standing, silent=silent, no_data=no_data),
        rise_c_per_min=recent.rise_c_per_min,
        sampled_at_ms=None if unit.newest is None else int(unit.newest.batch.sampled_at_ms[-1]),
        received_at_ms=None if unit.newest is None else unit.newest.received_at_ms,
        silent=silent,
        silent_since_ms=since_ms if silent else None,
        spark=recent.spark,
        open_alert_id=standing[0].alert_id if standing else None,
        unregistered=unit.unregistered,
        fleet_id=_fleet(unit),
        forecast_s=None if no_data else forecast_s,
        **_on_board(standing),
        **facts,
    )


class _OnBoard(TypedDict):
    """What the vehicle's engine says, and what the cloud's."""

    level_on_board: str | None
    on_board_since_ms: int | None
    level_here: str | None


def _on_board(standing: Sequence[Alert]) -> _OnBoard:
    """Of the worst alert of which the vehicle says something."""
    told = next((alert for alert in standing if alert.level_on_board is not None), None)
    if told is None:
        return {"level_on_board": None, "on_board_since_ms": None, "level_here": None}
    return {
        "level_on_board": str(told.level_on_board),
        "on_board_since_ms": to_ms_or_none(told.on_board_since),
        "level_here": None if told.level_here is None else str(told.level_here),
    }


def _fleet(unit: UnitState) -> str | None:
    if unit.assignment is not None and unit.assignment.fleet_id is not None:
        return unit.assignment.fleet_id
    return None if unit.newest is None else unit.newest.fleet_id or None


def _provenance(unit: UnitState) -> str | None:
    """What the sample says; but a unit registered as simulated never looks real, whatever it says."""
    if unit.newest is None:
        return None
    said = unit.newest.batch.provenance
    simulated = unit.assignment is not None and unit.assignment.simulated
    return str(Provenance.SIMULATED if simulated and said is Provenance.MEASURED else said)


def _level(standing: Sequence[Alert], *, no_data: bool) -> str:
    """The worst standing alert; heat that was seen outlives the data, and nothing green does."""
    hot = [Level(alert.level) for alert in standing if not alert.kind.calm]
    quiet = [Level(alert.level) for alert in standing if alert.kind == AlertKind.SILENCE]
    worst = max(hot, key=lambda level: level.rank, default=Level.NORMAL)
    worst_quiet = max(quiet, key=lambda level: level.rank, default=Level.NORMAL)
    if no_data and worst_quiet.rank < Level.WARNING.rank and worst is Level.NORMAL:
        return NO_DATA
    return str(max(worst, worst_quiet, key=lambda level: level.rank))


def _reasons(unit: UnitState, standing: Sequence[Alert], *, silent: bool, no_data: bool) -> tuple[str, ...]:
    reasons = [reason for alert in standing for reason in alert.reasons]
    if unit.newest is None:
        reasons.append(f"unit {unit.unit_id} has not reported since the service started")
    elif silent:
        reasons.append(f"unit {unit.unit_id} is silent: no report for more than {unit.silent_after_ms() / 1000:g} s")
    elif no_data:
        if unit.hottest_c() == -math.inf:
            reasons.append(f"unit {unit.unit_id} reports, but none of its temperature probes measures")
        else:
            reasons.append("the newest sample is older than 60 s")
    if unit.assignment is None:
        reasons.append(f"unit {unit.unit_id} is not registered")
    elif unit.assignment.pack_id is None:
        reasons.append(f"unit {unit.unit_id} is bound to no pack")
    return tuple(dict.fromkeys(reasons))


class _Facts(TypedDict):
    """The columns of the row that the newest sample alone decides."""

    hottest_c: float | None
    hottest_probe: int | None
    coldest_c: float | None
    spread_c: float | None
    ambient_c: float | None
    min_voltage_v: float | None
    pack_voltage_v: float | None
    temperatures_c: tuple[float | None, ...]
    suspect: bool


def _newest_facts(unit: UnitState) -> _Facts:
    """One short row: plain lists are three times faster here than arrays."""
    temperatures_c: list[float] = []
    voltages_v: list[float] = []
    ambient_c, quality = math.nan, 0
    if unit.newest is not None:
        batch = unit.newest.batch
        temperatures_c, voltages_v = batch.temperatures_c[-1].tolist(), batch.voltages_v[-1].tolist()
        ambient_c = math.nan if batch.ambient_c is None else float(batch.ambient_c[-1])
        quality = int(batch.quality[-1])
    measured = [(value, column) for column, value in enumerate(temperatures_c, start=1) if math.isfinite(value)]
    hottest_c, hottest_probe = max(measured, key=lambda pair: pair[0], default=(math.nan, None))
    coldest_c, _ = min(measured, default=(math.nan, None))
    kinds = () if unit.assignment is None else unit.assignment.voltage_kinds
    of_pack = {column for column, kind in enumerate(kinds) if kind == ChannelKind.PACK}
    voltages = [(value, column in of_pack) for column, value in enumerate(voltages_v) if math.isfinite(value)]
    return {
        "hottest_c": _shown(hottest_c),
        "hottest_probe": hottest_probe,
        "coldest_c": _shown(coldest_c),
        "spread_c": _shown(hottest_c - coldest_c),
        "ambient_c": _shown(ambient_c),
        "min_voltage_v": _shown(min((v for v, whole in voltages if not whole), default=math.nan), digits=3),
        "pack_voltage_v": _shown(min((v for v, whole in voltages if whole), default=math.nan), digits=1),
        "temperatures_c": tuple(_shown(value) for value in temperatures_c),
        "suspect": bool(quality & _SUSPECT),
    }


def _shown(value: float, digits: int = 2) -> float | None:
    """Rounded below the wire's steps (0.05 degC, 1 mV, 0.1 V); None for what is not a number."""
    return round(value, digits) if math.isfinite(value) else None
