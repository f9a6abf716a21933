"""The JSON of the API as OpenAPI describes it. Times are integer milliseconds UTC; null = not measured, not known."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from registry.kinds import AlertKind, AlertState, Chemistry, Level, PackClass, Role
from telemetry.samples import Provenance

Milliseconds = Annotated[int, Field(examples=[1796112000000])]
"""UTC, since 1970."""
Reading = float | None


class Model(BaseModel):
    """What all have in common: attribute docstrings are descriptions, and nothing unknown is taken."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")


class Problem(Model):
    """Why a request was refused."""

    detail: Annotated[str, Field(examples=["The alert was changed meanwhile: look at it again, then decide."])]
    """A sentence that says what was wrong and what to do."""


class Person(Model):
    """Who is signed in."""

    name: str
    display_name: str
    role: str
    account_id: str


class PackRow(Model):
    """One pack as its newest sample and its open alerts show it."""

    pack_id: str
    """`unit:ID` where a unit reports that watches no registered pack."""
    chemistry: Chemistry | None
    pack_class: PackClass | None
    vehicle_id: str | None
    vehicle_name: str | None
    gateway_id: str | None
    unit_id: str
    provenance: Provenance | None
    """null until the unit has reported."""
    level: Level | Literal["no_data"]
    """From the open alerts; `no_data` after 60 s without a sample."""
    reasons: list[str]
    hottest_c: Reading
    hottest_probe: int | None
    """The column of the hottest temperature, counted from 1."""
    coldest_c: Reading
    spread_c: Reading
    rise_c_per_min: Reading
    """The slope of the hottest temperature over the last five minutes (Theil-Sen); null below one minute of them."""
    ambient_c: Reading
    min_voltage_v: Reading
    """The lowest cell or module."""
    pack_voltage_v: Reading
    sampled_at_ms: int | None
    received_at_ms: int | None
    silent: bool
    """No report for three report intervals; of a damaged pack, for 60 s at most."""
    silent_since_ms: int | None
    """When the last report was sampled."""
    temperatures_c: list[Reading]
    suspect: bool
    """Some value of the newest sample is one that an instrument fault, or a fire, gives."""
    spark: list[Reading]
    """The hottest temperature of each 10 s, oldest first."""
    open_alert_id: str | None
    """The worst alert that stands."""
    unregistered: bool
    """Nobody said which pack the unit watches."""
    level_on_board: Level | None = None
    """By the vehicle's own engine; null where it says nothing of an alert that stands."""
    on_board_since_ms: int | None = None
    level_here: Level | None = None
    """By the cloud's engine, beside it; `level` is the higher of both."""
    fleet_id: str | None = None
    """The carrier's."""
    forecast_s: tuple[float, float] | None = None
    """Earliest and latest s from the newest sample to the next level, at the present trend; null: unknown."""


class Tunnel(Model):
    """A road tunnel that the operator's file names."""

    name: str
    state: Literal["inside", "ahead"]
    """`inside` also for a vehicle whose fixes ended before the portal, for as long as the tunnel takes."""
    distance_m: int
    """To its portal; 0 inside."""


class Vehicle(Model):
    """Where a vehicle was last."""

    vehicle_id: str
    name: str
    gateway_id: str
    latitude_deg: Reading
    longitude_deg: Reading
    speed_m_s: Reading
    heading_deg: Reading
    """Clockwise from true north."""
    fixed_at_ms: int | None
    online: bool
    """Something was heard of it within a minute."""
    tunnel: Tunnel | None = None
    """null: in none and before none, or nobody knows."""


class Alert(Model):
    """One pack, one cause, one life."""

    alert_id: str
    kind: AlertKind
    cause: str
    pack_id: str | None
    unit_id: str | None
    gateway_id: str | None
    vehicle_name: str | None
    """The vehicle that carries the gateway now."""
    level: Level
    peak_level: Level
    state: AlertState
    provenance: Provenance
    reasons: list[str]
    sampled_at_ms: int
    """The time of the sample that raised it."""
    raised_at_ms: int
    cleared_at_ms: int | None
    acknowledged_by: str | None
    acknowledged_at_ms: int | None
    acknowledgement_comment: str | None
    closed_by: str | None
    closed_at_ms: int | None
    close_reason: str | None
    version: int
    """Grows with each change; an action names the version that it was decided on."""
    acknowledged_roles: list[Role] = []
    """Who has seen it since it last rose. `acknowledged` is the dispatcher's; the others' move no state."""
    shelved_by: str | None = None
    shelved_until_ms: int | None = None
    """Nobody need hear of it before then; any rise takes it off."""
    shelf_reason: str | None = None
    releasing_authority: str | None = None
    """Who released the load, where it was `critical`."""
    level_on_board: Level | None = None
    """By the vehicle's own engine; null where it says nothing."""
    on_board_since_ms: int | None = None
    level_here: Level | None = None
    """By the cloud's engine, where the vehicle's says something as well."""


class Intake(Model):
    """What ingest took, refused and lost since it started."""

    messages: int
    batches: int
    values: int
    stored_rows: int
    duplicate_batches: int
    refused_by_reason: dict[str, int]
    dropped: int
    broker_oversize: int
    """Messages that the broker itself refused for their size."""
    broker_denied: int = 0
    """Messages and subscriptions that the broker refused, since the account may not use their topic."""
    broker_refused_sign_ins: int = 0
    """Connections that the broker refused, since name and password did not match."""
    sequence_gaps: int
    rebirths_requested: int
    queue_fill: Annotated[float, Field(ge=0, le=1)]
    store_ok: bool
    broker_ok: bool
    rules_in_force: str | None = None
    """Version and hash of the alert rules; null: no engine has told them."""
    rules_trouble: str | None = None
    """Why the rules file is not in force."""
    rules_refused: int = 0
    """Rules files that could not be used."""


class IncidentNews(Model):
    """Some incident changed: `/api/incidents` says how."""

    changes: int


class Board(Model):
    """Everything that the first page shows."""

    now_ms: Milliseconds
    simulation: bool
    """Some pack shown is not measured."""
    packs: list[PackRow]
    vehicles: list[Vehicle]
    alerts: list[Alert]
    """All that are not closed."""
    intake: Intake


class PackRecord(Model):
    """What the registry holds of a pack."""

    pack_id: str
    chemistry: Chemistry
    pack_class: PackClass
    class_assessed_by: str | None
    class_criteria: str | None
    class_outcome: str | None
    capacity_ah: float | None
    series_count: int | None
    max_operating_temperature_c: float | None
    state_of_charge_pct: float | None
    """As somebody noted it at enrolment."""
    passport_id: str | None
    passport_status: str | None
    description: str


class PackDetail(Model):
    """One pack: its record, its row on the board, and its alerts, newest first."""

    pack: PackRecord | None
    """null for a unit that watches no registered pack."""
    row: PackRow | None
    """null when no unit watches it now."""
    alerts: list[Alert]


class ChannelSeries(Model):
    """One array a channel, one value a bucket."""

    labels: list[str]
    min: list[list[Reading]]
    mean: list[list[Reading]]
    max: list[list[Reading]]


class SingleSeries(Model):
    """One value a bucket."""

    min: list[Reading]
    mean: list[Reading]
    max: list[Reading]


class PackSeries(Model):
    """A pack's history, in at most as many buckets as were asked for."""

    from_ms: Milliseconds
    to_ms: Milliseconds
    raw: bool
    """Nothing was reduced: every bucket is one sample."""
    t_ms: list[int]
    temperature: ChannelSeries
    """degC."""
    voltage: ChannelSeries
    """V."""
    ambient: SingleSeries | None
    """degC."""
    humidity: SingleSeries | None
    """%."""
    hydrogen: SingleSeries | None
    """ppm."""
    carbon_monoxide: SingleSeries | None
    """ppm."""
    voc: SingleSeries | None
    """ppm."""
    shock: SingleSeries | None
    """g."""
    provenance: list[Provenance]


class PackJudgement(Model):
    """What the detector makes of a pack's samples by the rules in force, or of the means of their buckets."""

    from_ms: Milliseconds
    to_ms: Milliseconds
    unit_id: str | None
    """null: no unit watched the pack in that time."""
    rules_version: int | None
    t_ms: list[int]
    level: list[Level]
    """Of the evidence alone; ceilings are apart."""
    expected: list[list[float | None]]
    """degC, for each probe at each time: the median of the others and what is usual for this one."""
    above_others: list[list[float | None]]
    """degC, for each probe: how far it stands above that, smoothed."""
    above_others_sigmas: list[list[float | None]]
    """The same in what is usual between the probes of this pack."""


class TripOfPack(Model):
    """A trip of a vehicle that carried the pack."""

    trip_id: str
    vehicle_id: str
    driver_name: str
    opened_at_ms: int
    closed_at_ms: int | None


class HotPack(Model):
    """A pack that was hotter than asked for."""

    pack_id: str
    hottest_c: float
    day_ms: int
    """When its hottest day begins, UTC."""
    days: int
    """On how many days it was that hot."""
    unit_id: str
    """Which measured it."""


class AlertEvent(Model):
    """One step in an alert's life."""

    alert_id: str
    at_ms: int
    sampled_at_ms: int | None
    action: str
    from_state: AlertState | None
    to_state: AlertState
    level: Level
    actor: str | None
    """null: the alert engine."""
    actor_role: Role | None = None
    comment: str | None
    reasons: list[str]


class QuarantineEntry(Model):
    """Something that could not be taken as it was, or at all."""

    id: int
    received_at_ms: int
    reason: str
    """A short, stable word for counting."""
    detail: str
    """A sentence that says what was wrong."""
    topic: str
    fleet_id: str | None
    gateway_id: str | None
    unit_id: str | None
    payload_size: int
    """Of the whole payload, bytes."""
    payload_preview_hex: str
    """Its first 256 bytes."""


class QuarantinePage(Model):
    """Entries, newest first, and how many there ever were."""

    entries: list[QuarantineEntry]
    counts: dict[str, int]
    """By reason, those included whose payload is gone."""
    total: int
    """All that there ever were; the registry keeps the newest."""


class BrokerLogin(Model):
    """An account at the broker."""

    username: str
    password: str


class MqttAddress(Model):
    """Where the broker listens."""

    host: str
    port: int


class Enrolled(Model):
    """How the enrolled unit and its gateway reach the broker."""

    fleet_id: str
    gateway: BrokerLogin
    unit: BrokerLogin
    mqtt: MqttAddress


class Position(Model):
    """Where a vehicle was."""

    latitude_deg: float
    longitude_deg: float
    fixed_at_ms: Milliseconds
