"""What the page shows, as frozen rows: one of a pack, a vehicle, an alert, and the counters of the intake.

The field names are the JSON names that the front end reads; `models.py` describes the same rows to OpenAPI.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from registry.records import Alert

NO_DATA = "no_data"
"""The level of a pack that nothing was heard of lately: grey, never green."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRow:
    """One pack as its newest sample and its open alerts show it. `None` = not measured, or not known."""

    pack_id: str
    chemistry: str | None
    pack_class: str | None
    vehicle_id: str | None
    vehicle_name: str | None
    gateway_id: str | None
    unit_id: str
    provenance: str | None
    level: str
    """normal, watch, warning, critical, runaway, or no_data."""
    reasons: tuple[str, ...]
    hottest_c: float | None
    hottest_probe: int | None
    """The column of the hottest temperature, counted from 1."""
    coldest_c: float | None
    spread_c: float | None
    rise_c_per_min: float | None
    ambient_c: float | None
    min_voltage_v: float | None
    """The lowest cell or module; the pack's own voltage is apart."""
    pack_voltage_v: float | None
    sampled_at_ms: int | None
    received_at_ms: int | None
    silent: bool
    silent_since_ms: int | None
    temperatures_c: tuple[float | None, ...]
    suspect: bool
    spark: tuple[float | None, ...]
    """The hottest temperature of each 10 s, oldest first."""
    open_alert_id: str | None
    unregistered: bool
    level_on_board: str | None = None
    """By the vehicle's own engine, where an alert stands that it speaks of."""
    on_board_since_ms: int | None = None
    level_here: str | None = None
    """By the cloud's engine, beside it."""
    fleet_id: str | None = None
    forecast_s: tuple[float, float] | None = None
    """Earliest and latest s from the newest sample to the next level; None = unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelRow:
    """The tunnel that a vehicle is in, or comes to."""

    name: str
    state: str
    """inside, or ahead."""
    distance_m: int
    """To its portal; 0 inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleRow:
    """Where a vehicle was last, and whether anything was heard of it lately."""

    vehicle_id: str
    name: str
    gateway_id: str
    latitude_deg: float | None
    longitude_deg: float | None
    speed_m_s: float | None
    heading_deg: float | None
    fixed_at_ms: int | None
    online: bool
    tunnel: TunnelRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One alert; `vehicle_name` is the vehicle that carries it now."""

    alert_id: str
    kind: str
    cause: str
    pack_id: str | None
    unit_id: str | None
    gateway_id: str | None
    vehicle_name: str | None
    level: str
    peak_level: str
    state: str
    provenance: str
    reasons: tuple[str, ...]
    sampled_at_ms: int
    raised_at_ms: int
    cleared_at_ms: int | None
    acknowledged_by: str | None
    acknowledged_at_ms: int | None
    acknowledgement_comment: str | None
    closed_by: str | None
    closed_at_ms: int | None
    close_reason: str | None
    version: int
    acknowledged_roles: tuple[str, ...] = ()
    shelved_by: str | None = None
    shelved_until_ms: int | None = None
    shelf_reason: str | None = None
    releasing_authority: str | None = None
    level_on_board: str | None = None
    on_board_since_ms: int | None = None
    level_here: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What ingest took, refused and lost since it started."""

    messages: int = 0
    batches: int = 0
    values: int = 0
    stored_rows: int = 0
    duplicate_batches: int = 0
    refused_by_reason: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0
    broker_oversize: int = 0
    """Messages that the broker itself refused for their size."""
    broker_denied: int = 0
    """Messages and subscriptions that the broker refused, since the account may not use their topic."""
    broker_refused_sign_ins: int = 0
    """Connections that the broker refused, since name and password did not match."""
    sequence_gaps: int = 0
    rebirths_requested: int = 0
    queue_fill: float = 0.0
    """0 to 1, the fullest of ingest's queues."""
    store_ok: bool = True
    broker_ok: bool = True
    rules_in_force: str | None = None
    """Version and hash of the alert rules; None: no engine has told them."""
    rules_trouble: str | None = None
    """Why the rules file is not in force."""
    rules_refused: int = 0
    """Rules files that could not be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentNews:
    """Some incident changed: `GET /api/incidents` says how."""

    changes: int
    """How often one did since the service began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Everything that the first page shows."""

    now_ms: int
    simulation: bool
    """Some pack shown is not measured: the page says SIMULATION."""
    packs: tuple[PackRow, ...]
    vehicles: tuple[VehicleRow, ...]
    alerts: tuple[AlertRow, ...]
    intake: Intake


def to_ms(at: datetime) -> int:
    """Milliseconds UTC of an aware time."""
    return round(at.timestamp() * 1000)


def to_ms_or_none(at: datetime | None) -> int | None:
    """The same for a time that may not have come."""
    return None if at is None else to_ms(at)


def alert_row(alert: Alert, vehicle_name: str | None) -> AlertRow:
    """A registry record as the page's row."""
    return AlertRow(
        alert_id=alert.alert_id,
        kind=str(alert.kind),
        cause=alert.cause,
        pack_id=alert.pack_id,
        unit_id=alert.unit_id,
        gateway_id=alert.gateway_id,
        vehicle_name=vehicle_name,
        level=str(alert.level),
        peak_level=str(alert.peak_level),
        state=str(alert.state),
        provenance=str(alert.provenance),
        reasons=tuple(alert.reasons),
        sampled_at_ms=to_ms(alert.sampled_at),
        raised_at_ms=to_ms(alert.raised_at),
        cleared_at_ms=to_ms_or_none(alert.cleared_at),
        acknowledged_by=alert.acknowledged_by,
        acknowledged_at_ms=to_ms_or_none(alert.acknowledged_at),
        acknowledgement_comment=alert.acknowledgement_comment,
        closed_by=alert.closed_by,
        closed_at_ms=to_ms_or_none(alert.closed_at),
        close_reason=alert.close_reason,
        version=alert.version,
        acknowledged_roles=tuple(alert.acknowledged_roles),
        shelved_by=alert.shelved_by,
        shelved_until_ms=to_ms_or_none(alert.shelved_until),
        shelf_reason=alert.shelf_reason,
        releasing_authority=alert.releasing_authority,
        level_on_board=None if alert.level_on_board is None else str(alert.level_on_board),
        on_board_since_ms=to_ms_or_none(alert.on_board_since),
        level_here=None if alert.level_here is None else str(alert.level_here),
    )
