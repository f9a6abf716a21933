"""The registry's records. Outside the registry they are detached values: changing one changes nothing until saved.

Times are aware and UTC. Every value is checked when it is set; a value that breaks its column's rule raises
RefusedError at once, on SQLite as on PostgreSQL. Ids that came with a rule are of `telemetry.identifiers`.
"""

from datetime import datetime
from enum import Enum as AnyEnum
from typing import Annotated, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Double,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.orm import ColumnProperty, DeclarativeBase, Mapped, MappedAsDataclass, QueryableAttribute, mapped_column

from registry.columns import Clipped, Identifier, UtcDateTime, admitted
from registry.kinds import AlertKind, AlertState, ChannelKind, Chemistry, Level, PackClass, Quantity, Role
from telemetry.samples import Provenance

Name = Annotated[str, mapped_column(String(200))]
Line = Annotated[str, mapped_column(String(1000))]
"""What a person writes: refused when longer, so that nothing is lost unseen."""
Secret = Annotated[str, mapped_column(String(500))]
Slug = Annotated[str, mapped_column(Clipped(64))]
Claimed = Annotated[str, mapped_column(Clipped(200))]
"""An id as the wire named it: not checked against the registry, since an alarm for an unknown unit is an alarm."""
Told = Annotated[str, mapped_column(Clipped(2000))]
SerialId = Annotated[int, mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)]
"""SQLite counts up an INTEGER only."""


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    """Constraint names are fixed, so that a later migration can name them on either database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy's own declaration: a plain dict
        datetime: UtcDateTime(),
        float: Double(),
        bytes: LargeBinary(),
        list[str]: JSON(),
        AnyEnum: Enum(
            AnyEnum, native_enum=False, length=32, values_callable=lambda kinds: [kind.value for kind in kinds]
        ),
    }


@event.listens_for(Base, "attribute_instrument", propagate=True)
def _check_when_set(record: type[Base], key: str, attribute: QueryableAttribute[Any]) -> None:
    if not isinstance(attribute.property, ColumnProperty):
        return
    column = attribute.property.columns[0]
    where = f"{record.__name__}.{key}"

    @event.listens_for(attribute, "set", retval=True)
    def check(_record: Base, value: object, _old: object, _initiator: object) -> object:
        return admitted(value, column, where)


class Organisation(Base, kw_only=True):
    """A carrier, shipper or recycler. Who may see what will hang on it."""

    __tablename__ = "organisations"
    organisation_id: Mapped[str] = mapped_column(Identifier("organisation"), primary_key=True)
    name: Mapped[Name]


class Fleet(Base, kw_only=True):
    """Vehicles under one dispatch; a Sparkplug group."""

    __tablename__ = "fleets"
    fleet_id: Mapped[str] = mapped_column(Identifier("fleet"), primary_key=True)
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisations.organisation_id"), default=None)


class Vehicle(Base, kw_only=True):
    """A truck or trailer."""

    __tablename__ = "vehicles"
    vehicle_id: Mapped[str] = mapped_column(Identifier("vehicle"), primary_key=True)
    fleet_id: Mapped[str] = mapped_column(ForeignKey("fleets.fleet_id"), index=True)
    name: Mapped[Name]
    driver_name: Mapped[Name | None] = mapped_column(default=None)


class Gateway(Base, kw_only=True):
    """The box on a vehicle; a Sparkplug edge node."""

    __tablename__ = "gateways"
    gateway_id: Mapped[str] = mapped_column(Identifier("gateway"), primary_key=True)
    fleet_id: Mapped[str] = mapped_column(ForeignKey("fleets.fleet_id"), index=True)
    vehicle_id: Mapped[str | None] = mapped_column(ForeignKey("vehicles.vehicle_id"), index=True, default=None)


class Pack(Base, kw_only=True):
    """A battery pack and its class, with the evidence for the class: 49 CFR 173.185(f) asks for it when damaged."""

    __tablename__ = "packs"
    pack_id: Mapped[str] = mapped_column(Identifier("pack"), primary_key=True)
    chemistry: Mapped[Chemistry]
    pack_class: Mapped[PackClass]
    class_assessed_by: Mapped[Name | None] = mapped_column(default=None)
    class_criteria: Mapped[Line | None] = mapped_column(default=None)
    class_outcome: Mapped[Line | None] = mapped_column(default=None)
    capacity_ah: Mapped[float | None] = mapped_column(default=None)
    series_count: Mapped[int | None] = mapped_column(default=None)
    max_operating_temperature_c: Mapped[float | None] = mapped_column(default=None)
    state_of_charge_pct: Mapped[float | None] = mapped_column(default=None)
    """As somebody noted it at `state_of_charge_at`: no sensor unit measures it."""
    state_of_charge_at: Mapped[datetime | None] = mapped_column(default=None)
    passport_id: Mapped[Name | None] = mapped_column(default=None)
    """The battery passport's identifier, EU 2023/1542."""
    passport_status: Mapped[Name | None] = mapped_column(default=None)
    description: Mapped[Line] = mapped_column(default="")


class SensorUnit(Base, kw_only=True):
    """A sensor unit on a container. `simulated`: its samples are not measured, and may not pass for it."""

    __tablename__ = "sensor_units"
    unit_id: Mapped[str] = mapped_column(Identifier("unit"), primary_key=True)
    temperature_channels: Mapped[int]
    voltage_channels: Mapped[int]
    report_interval_s: Mapped[float] = mapped_column(default=10.0)
    simulated: Mapped[bool] = mapped_column(default=False)


class Channel(Base, kw_only=True):
    """What one column of a unit's table looks at. `column` counts from 1, as probes are named."""

    __tablename__ = "channels"
    unit_id: Mapped[str] = mapped_column(ForeignKey("sensor_units.unit_id"), primary_key=True)
    kind: Mapped[Quantity] = mapped_column(primary_key=True)
    column: Mapped[int] = mapped_column(primary_key=True)
    measures: Mapped[ChannelKind]
    label: Mapped[Name]


class Binding(Base, kw_only=True):
    """A unit watches a pack from an instant to another; open while `bound_to` is None. Made by Registry.bind."""

    __tablename__ = "bindings"
    __table_args__ = (
        CheckConstraint("bound_to IS NULL OR bound_to >= bound_from", name="ends_after_it_begins"),
        Index(
            "uq_bindings_open_unit",
            "unit_id",
            unique=True,
            sqlite_where=text("bound_to IS NULL"),
            postgresql_where=text("bound_to IS NULL"),
        ),
    )
    id: Mapped[SerialId] = mapped_column(init=False)
    unit_id: Mapped[str] = mapped_column(ForeignKey("sensor_units.unit_id"), index=True)
    pack_id: Mapped[str] = mapped_column(ForeignKey("packs.pack_id"), index=True)
    gateway_id: Mapped[str | None] = mapped_column(ForeignKey("gateways.gateway_id"), default=None)
    bound_from: Mapped[datetime]
    bound_to: Mapped[datetime | None] = mapped_column(default=None)


class Shipment(Base, kw_only=True):
    """Packs that travel together. A real one departs only with an emergency number (49 CFR 172.604)."""

    __tablename__ = "shipments"
    shipment_id: Mapped[str] = mapped_column(Identifier("shipment"), primary_key=True)
    origin: Mapped[Name]
    destination: Mapped[Name]
    vehicle_id: Mapped[str | None] = mapped_column(ForeignKey("vehicles.vehicle_id"), default=None)
    emergency_number: Mapped[Name | None] = mapped_column(default=None)
    simulated: Mapped[bool] = mapped_column(default=False)
    departed_at: Mapped[datetime | None] = mapped_column(default=None)
    closed_at: Mapped[datetime | None] = mapped_column(default=None)


class ShipmentPack(Base, kw_only=True):
    """A pack in a shipment."""

    __tablename__ = "shipment_packs"
    shipment_id: Mapped[str] = mapped_column(ForeignKey("shipments.shipment_id"), primary_key=True)
    pack_id: Mapped[str] = mapped_column(ForeignKey("packs.pack_id"), primary_key=True, index=True)


class Alert(Base, kw_only=True):
    """One pack (or unit), one cause, one life. `version` grows by one with each change: optimistic locking.

    The subject's ids refer to nothing: an alert about what the registry does not know must be kept too.
    """

    __tablename__ = "alerts"
    __table_args__ = (Index(None, "pack_id", "raised_at"),)
    alert_id: Mapped[str] = mapped_column(Identifier("alert"), primary_key=True)
    kind: Mapped[AlertKind]
    cause: Mapped[Claimed]
    fleet_id: Mapped[Claimed]
    pack_id: Mapped[Claimed | None] = mapped_column(default=None)
    unit_id: Mapped[Claimed | None] = mapped_column(default=None)
    gateway_id: Mapped[Claimed | None] = mapped_column(default=None)
    level: Mapped[Level]
    peak_level: Mapped[Level]
    state: Mapped[AlertState] = mapped_column(index=True)
    provenance: Mapped[Provenance]
    reasons: Mapped[list[str]]
    level_here: Mapped[Level | None] = mapped_column(default=None)
    """By the cloud's engine, where the vehicle's says something as well; `level` is the higher of both."""
    level_on_board: Mapped[Level | None] = mapped_column(default=None)
    """By the vehicle's own engine; None: it says nothing."""
    on_board_since: Mapped[datetime | None] = mapped_column(default=None)
    sampled_at: Mapped[datetime]
    """The time of the sample that raised it: the unit's clock, corrected."""
    raised_at: Mapped[datetime] = mapped_column(index=True)
    """The cloud's clock when it was raised."""
    cleared_at: Mapped[datetime | None] = mapped_column(default=None)
    acknowledged_by: Mapped[Name | None] = mapped_column(default=None)
    acknowledged_at: Mapped[datetime | None] = mapped_column(default=None)
    acknowledgement_comment: Mapped[Line | None] = mapped_column(default=None)
    """These three are the dispatcher's; what each role said is in the alert's events."""
    acknowledged_roles: Mapped[list[str]] = mapped_column(nullable=True, default_factory=list)
    """Roles that have acknowledged it since it last rose."""
    shelved_by: Mapped[Name | None] = mapped_column(default=None)
    """Who owns the shelf."""
    shelved_until: Mapped[datetime | None] = mapped_column(default=None)
    """It is shelved before this instant; any rise takes it off."""
    shelf_reason: Mapped[Line | None] = mapped_column(default=None)
    closed_by: Mapped[Name | None] = mapped_column(default=None)
    closed_at: Mapped[datetime | None] = mapped_column(default=None)
    close_reason: Mapped[Line | None] = mapped_column(default=None)
    releasing_authority: Mapped[Line | None] = mapped_column(default=None)
    """Who released the load, where it was `critical`: the fire service, a named person of safety."""
    version: Mapped[int] = mapped_column(default=1)


class AlertEvent(Base, kw_only=True):
    """One step in an alert's life. Only ever added, with the change that it tells of, in one transaction."""

    __tablename__ = "alert_events"
    id: Mapped[SerialId] = mapped_column(init=False)
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.alert_id"), index=True)
    at: Mapped[datetime]
    action: Mapped[Slug]
    from_state: Mapped[AlertState | None] = mapped_column(default=None)
    """None: the alert began here."""
    to_state: Mapped[AlertState]
    level: Mapped[Level]
    sampled_at: Mapped[datetime | None] = mapped_column(default=None)
    actor: Mapped[Name | None] = mapped_column(default=None)
    """The person; None: the engine."""
    actor_role: Mapped[Role | None] = mapped_column(default=None)
    """In which the person acted; None at an event before roles were kept: dispatcher."""
    comment: Mapped[Line | None] = mapped_column(default=None)
    reasons: Mapped[list[str]] = mapped_column(default_factory=list)


class QuarantineEntry(Base, kw_only=True):
    """Something the wire brought that could not be taken as it was, or at all. Its texts are cut, never refused."""

    __tablename__ = "quarantine"
    id: Mapped[SerialId] = mapped_column(init=False)
    received_at: Mapped[datetime]
    reason: Mapped[Slug]
    detail: Mapped[Told]
    topic: Mapped[Told]
    payload: Mapped[bytes] = mapped_column(repr=False)
    """The first 64 KiB."""
    payload_size: Mapped[int]
    """Of the whole payload, bytes."""
    fleet_id: Mapped[Claimed | None] = mapped_column(default=None)
    gateway_id: Mapped[Claimed | None] = mapped_column(default=None)
    unit_id: Mapped[Claimed | None] = mapped_column(default=None)


class QuarantineCount(Base, kw_only=True):
    """How many entries a reason ever had, those included whose payload is gone."""

    __tablename__ = "quarantine_counts"
    reason: Mapped[Slug] = mapped_column(primary_key=True)
    entries: Mapped[int] = mapped_column(BigInteger)


class MissingSamples(Base, kw_only=True):
    """Samples that a unit took and that its gateway let go: its outbox was full. Kept once, told often."""

    __tablename__ = "missing_samples"
    __table_args__ = (
        UniqueConstraint(
            "fleet_id", "gateway_id", "outbox_id", "outbox_sequence", "entry", name="uq_missing_samples_record"
        ),
    )
    id: Mapped[SerialId] = mapped_column(init=False)
    reported_at: Mapped[datetime]
    """When ingest heard of it."""
    fleet_id: Mapped[Claimed]
    gateway_id: Mapped[Claimed]
    outbox_id: Mapped[Claimed]
    outbox_sequence: Mapped[int] = mapped_column(BigInteger)
    """The record of the outbox that tells of it."""
    entry: Mapped[int]
    """Which of the stretches that the record tells of, from 0."""
    unit_id: Mapped[Claimed | None] = mapped_column(index=True, default=None)
    """None: positions of the vehicle."""
    boot_id: Mapped[Claimed | None] = mapped_column(default=None)
    first_frame: Mapped[int | None] = mapped_column(BigInteger, default=None)
    last_frame: Mapped[int | None] = mapped_column(BigInteger, default=None)
    """The samples lay between these frames of the boot; not every frame between need be concerned."""
    samples_lost: Mapped[int] = mapped_column(BigInteger)
    kept_period_ms: Mapped[int | None] = mapped_column(BigInteger, default=None)
    """The stretch was thinned to one sample in that time; None: nothing of it is kept."""
    from_at: Mapped[datetime]
    to_at: Mapped[datetime]
    why: Mapped[Told]


class Lease(Base, kw_only=True):
    """Who may write for a group ("*" = all), until when. A lease that has run out is whoever's comes first."""

    __tablename__ = "leases"
    group: Mapped[Name] = mapped_column(primary_key=True)
    holder: Mapped[Name]
    fence: Mapped[int] = mapped_column(BigInteger)
    """Grows over all groups with every change of hands."""
    expires_at: Mapped[datetime]


class RulesChange(Base, kw_only=True):
    """The alert rules changed: who did it, when, and what. Only ever added; each names the one that it follows."""

    __tablename__ = "rules_changes"
    id: Mapped[SerialId] = mapped_column(init=False)
    follows: Mapped[int] = mapped_column(BigInteger, unique=True, init=False)
    """The id of the change before; 0: it is the first. Set by Registry.add_rules_change."""
    at: Mapped[datetime]
    """When the alert service took the rules on."""
    actor: Mapped[Claimed]
    """The author whom the file names, else the owner of the file."""
    source: Mapped[Told]
    """The file."""
    version: Mapped[int]
    """The number that the file gives itself."""
    content_hash: Mapped[Slug]
    """SHA-256 of the file, hexadecimal."""
    changes: Mapped[list[str]]
    """Each key that differs from the rules before, with both values; the first of them."""
    note: Mapped[Line | None] = mapped_column(default=None)
    """Why, as the file says."""
    content: Mapped[bytes] = mapped_column(repr=False)
    """The file."""


class Account(Base, kw_only=True):
    """A person who may sign in once a password is set. A session of an older `session_epoch` is over."""

    __tablename__ = "accounts"
    account_id: Mapped[str] = mapped_column(Identifier("account"), primary_key=True)
    name: Mapped[Name] = mapped_column(unique=True)
    """The name to sign in with, case-folded by the registry."""
    display_name: Mapped[Name]
    created_at: Mapped[datetime]
    role: Mapped[Name] = mapped_column(default="administrator")
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisations.organisation_id"), default=None)
    password_hash: Mapped[Secret | None] = mapped_column(default=None, repr=False)
    session_epoch: Mapped[int] = mapped_column(default=0)


class ClaimLink(Base, kw_only=True):
    """A one-time link by which an account gets its password. Only the token's hash is kept."""

    __tablename__ = "claim_links"
    token_hash: Mapped[Secret] = mapped_column(primary_key=True, repr=False)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.account_id"), index=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None] = mapped_column(default=None)


class Revision(Base, kw_only=True):
    """One row, whose number grows with every change of what `assignments` tells. Writers of such take its lock."""

    __tablename__ = "revision"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger)
