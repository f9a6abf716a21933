"""The JSON of the critical minute; see `dashboards.models`."""

from typing import Literal

from dashboards.emergency_models import EmergencySheet
from dashboards.incident_models import Incident
from dashboards.models import Alert, Milliseconds, Model
from registry.kinds import CallOutcome, CallTo, Role
from registry.response_kinds import Language, Situation, Stage


class Say(Model):
    """What to tell the driver, from the response table: the same as the driver's page shows."""

    stage: Stage
    situation: Situation
    language: Language
    sentence: str
    action: str
    english: tuple[str, str] | None
    """Sentence and action, where the driver's language is another one."""
    draft: bool
    """Not approved yet by a safety lead and a native speaker."""


class DriverSaw(Model):
    """How far the alarm has come to the driver."""

    seen: Literal["acknowledged", "shown", "sent", "failed", "not told"]
    at_ms: int | None
    channel: str | None
    why: str | None


class MinuteCall(Model):
    """A call, and what came of it."""

    to: CallTo
    outcome: CallOutcome
    at_ms: Milliseconds
    by: str | None
    note: str | None


class ToldPlace(Model):
    """Where it is, as somebody there said."""

    text: str
    at_ms: Milliseconds
    by: str | None


class Told(Model):
    """Somebody who was paged, and how far that came."""

    name: str
    role: Role | None
    channel: str
    state: str
    at_ms: int | None


class CriticalMinute(Model):
    """One alert with all that a dispatcher needs within a minute."""

    now_ms: Milliseconds
    alert: Alert
    incident: Incident
    sheet: EmergencySheet
    say: Say
    driver_saw: DriverSaw
    moving: bool | None
    """At the vehicle's newest fix; null without one."""
    still_since_ms: int | None
    told_place: ToldPlace | None
    confidence: list[str]
    calls: list[MinuteCall]
    """The newest first."""
    told: list[Told]
    """The newest first."""
