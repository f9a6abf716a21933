"""The JSON of the emergency papers; see `dashboards.models`."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from dashboards.models import Milliseconds, Model, Position, Reading
from registry.kinds import Chemistry, Level, PackClass


class Calling(Model):
    """How help is called by somebody who is not there: 911 reaches the caller's own county."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, populate_by_name=True)

    first: str
    otherwise: Annotated[str, Field(alias="else")]
    county: str | None
    number: str | None
    """Of the county's 911 centre, as E.164."""
    number_checked_on: str | None
    citation: str


class Fact(Model):
    """A fact with its paragraph."""

    key: str
    text: str
    citation: str


class Packing(Model):
    """How a pack is packed, by its class."""

    text: str
    citation: str


class SheetPack(Model):
    """A pack as responders need it."""

    pack_id: str
    concerned: bool
    """The incident is about it."""
    level: str | None
    chemistry: Chemistry | None
    pack_class: PackClass | None
    energy_kwh: Reading
    """When full, by nominal voltage."""
    state_of_charge_pct: Reading
    """As somebody noted it; null: nobody did."""
    state_of_charge_at_ms: int | None
    min_voltage_v: Reading
    pack_voltage_v: Reading
    hottest_c: Reading
    measured_at_ms: int | None
    packing: Packing | None
    place: str | None
    """In the trailer, as whoever loaded it says."""
    unit_id: str | None


class EmergencySheet(Model):
    """One page for responders."""

    incident_id: str
    title: str
    level: Level
    simulation: bool
    prepared_at_ms: Milliseconds
    vehicle_name: str | None
    driver_name: str | None
    driver_phone: str | None
    emergency_number: str | None
    position: Position | None
    calling: Calling
    packs: list[SheetPack]
    more_packs: int
    facts: list[Fact]
    facts_as_of: str
    facts_checked: str | None
    """The safety lead who held the facts against the rules, and when; null: nobody did, they are a draft."""


class SheetLink(Model):
    """A link for responders. Whoever has it has the sheet, until it ends."""

    path: str
    until_ms: Milliseconds


class DutyCondition(Model):
    """A question with its answer."""

    key: str
    citation: str
    question: str
    answer: Literal["yes", "no", "unknown"] | None
    by: str | None
    at_ms: int | None


class DutyReport(Model):
    """A report to an authority."""

    key: str
    title: str
    citation: str
    how: str
    runs_from: Literal["occurrence", "discovery"]
    state: Literal["ask", "proposed", "not due", "confirmed", "rejected", "reported"]
    due_at_ms: Milliseconds
    left_s: float
    by: str | None
    at_ms: int | None
    comment: str | None


class NotAsked(Model):
    """A condition that a load of batteries cannot meet."""

    citation: str
    why: str


class DutyChecklist(Model):
    """What 49 CFR 171.15 and 171.16 ask after an incident."""

    incident_id: str
    now_ms: Milliseconds
    simulation: bool
    occurred_at_ms: Milliseconds
    discovered_at_ms: Milliseconds
    conditions: list[DutyCondition]
    not_asked: list[NotAsked]
    reports: list[DutyReport]
    as_of: str
    sources: str
    draft: bool
    """No safety lead has held the facts against the rules."""
