"""What requests bring, and how large it may be."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from dashboards.models import Model
from registry.kinds import CallOutcome, CallTo, ChannelKind, Chemistry, PackClass
from registry.response_kinds import Language, Situation
from registry.trip_records import DutyAction

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["pack-07"])]
Comment = Annotated[str, Field(max_length=1000, examples=["Driver called, pulls over at the next rest area."])]
Authority = Annotated[str, Field(max_length=1000, examples=["Reno Fire, Capt. Ortiz"])]
Name = Annotated[str, Field(min_length=1, max_length=200, examples=["ana"])]


class SignIn(Model):
    """A name and its password."""

    name: Name
    password: Annotated[str, Field(min_length=1, max_length=1000, examples=["four unrelated words here"])]


class Claim(Model):
    """The one-time link's token, and the name and password that the account shall have."""

    token: Annotated[str, Field(min_length=1, max_length=200)]
    name: Name
    password: Annotated[str, Field(max_length=1000, examples=["four unrelated words here"])]


class Acknowledge(Model):
    """Somebody has seen it. It silences nobody else."""

    version: Annotated[int, Field(ge=0)]
    comment: Comment | None = None


class Close(Model):
    """A person ends the alert and says why."""

    version: Annotated[int, Field(ge=0)]
    reason: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S", examples=["Fire service released it."])]
    authority: Authority = ""
    """Who released the load: needed where it was `critical`."""


class Shelve(Model):
    """A person wants to hear no more of it for a while, and owns that."""

    version: Annotated[int, Field(ge=0)]
    minutes: Annotated[int, Field(ge=1, le=1440)]
    reason: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]


class Version(Model):
    """The version that a step was decided on."""

    version: Annotated[int, Field(ge=0)]


class HandOver(Model):
    """To whom an incident is offered."""

    version: Annotated[int, Field(ge=0)]
    to: Identifier
    """An account's id, from `/api/people`."""


class Remark(Model):
    """What was done, or seen."""

    comment: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]


class Call(Model):
    """Whom somebody called, and what came of it."""

    to: CallTo
    outcome: CallOutcome
    note: Comment = ""


class ShiftOffer(Model):
    """To whom a shift is offered, and what that person has to know."""

    to: Identifier
    """An account's id, from `/api/people`."""
    note: Comment = ""


class Enrolment(Model):
    """A unit on a pack, behind a gateway. Doing it again changes nothing."""

    fleet_id: Identifier
    gateway_id: Identifier
    vehicle_id: Identifier | None = None
    vehicle_name: str | None = None
    pack_id: Identifier
    chemistry: Chemistry = Chemistry.UNKNOWN
    pack_class: PackClass
    capacity_ah: float | None = None
    series_count: int | None = None
    max_operating_temperature_c: float | None = None
    state_of_charge_pct: Annotated[float, Field(ge=0, le=100)] | None = None
    """As it is now; given again, it replaces what was noted before."""
    unit_id: Identifier
    report_interval_s: float = 10.0
    temperature_channels: int
    voltage_channels: int
    voltage_kinds: tuple[ChannelKind, ...] | None = None
    simulated: bool
    """Its samples are not measured now: simulated, synthetic or replayed."""
    class_assessed_by: str | None = None
    class_criteria: str | None = None
    class_outcome: str | None = None
    bound_from: AwareDatetime | None = None
    """Since when the unit watches the pack; ISO 8601. null: from now on."""


class TripAcknowledge(Model):
    """The driver has seen an alert."""

    alert_id: Identifier
    version: Annotated[int, Field(ge=0)]


class SituationSaid(Model):
    """Where the driver says they are."""

    situation: Situation


class TripOpening(Model):
    """A driver sets off with a vehicle."""

    vehicle_id: Identifier
    driver_name: Name
    language: Language = Language.EN
    phone: Annotated[str | None, Field(max_length=50, examples=["+1 303 555 0100"])] = None
    dispatch_number: Annotated[str | None, Field(max_length=50)] = None
    emergency_number: Annotated[str | None, Field(max_length=50)] = None
    """The number on the shipping paper, where no shipment names it."""


class CustodySigned(Model):
    """Who has the load now."""

    signed_by: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]


class DutyStep(Model):
    """A step about the reports that authorities are owed."""

    action: DutyAction
    item: Annotated[str, Field(max_length=64, examples=["hospital"])] = ""
    """The condition or the report; none for a time."""
    value: Annotated[str | None, Field(max_length=64, examples=["yes", "2026-11-24T14:02:00Z"])] = None
    comment: Comment | None = None
