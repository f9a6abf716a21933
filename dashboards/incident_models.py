"""What the API tells of incidents."""

from dashboards.models import Alert, Milliseconds, Model
from registry.kinds import IncidentState, Level, Role
from telemetry.samples import Provenance


class PersonHere(Model):
    """Somebody who may work on incidents."""

    account_id: str
    display_name: str
    role: str


class Incident(Model):
    """Alerts with one cause, and who works on them."""

    incident_id: str
    title: str
    cause: str
    vehicle_id: str | None
    """null: on no known vehicle, or on several."""
    provenance: Provenance
    state: IncidentState
    level: Level
    """The worst that its alerts had since it opened."""
    assigned_to: PersonHere | None
    handover_to: PersonHere | None
    """Until that person accepts it stays with who has it."""
    opened_at_ms: Milliseconds
    closed_at_ms: int | None
    closed_by: str | None
    close_reason: str | None
    releasing_authority: str | None
    alerts: list[Alert]
    """Oldest first, closed ones included."""
    version: int


class IncidentEvent(Model):
    """One step in an incident's life."""

    at_ms: Milliseconds
    action: str
    level: Level
    actor: str | None
    """null: the rules."""
    actor_role: Role | None
    regarding: str | None
    """The alert that joined or closed it, or the account that it was assigned or handed to."""
    comment: str | None


class ReignitionWatch(Model):
    """A pack whose `critical` was closed: a fire may come back for weeks (ERG 2024, Guide 147)."""

    alert_id: str
    pack_id: str | None
    unit_id: str | None
    provenance: Provenance
    level: Level
    from_ms: Milliseconds
    until_ms: Milliseconds
    released_by: str
    releasing_authority: str
