"""Reviews and time lines, as requests bring them and as the API tells them."""

from typing import Annotated, Any

from pydantic import Field

from dashboards.bodies import Identifier
from dashboards.models import Milliseconds, Model
from dashboards.parameters import TIME_MAX_MS
from dashboards.timeline import ItemKind
from registry.review_records import CauseClass, EntryKind, ReviewState

Moment = Annotated[int, Field(ge=0, le=TIME_MAX_MS)]
Words = Annotated[str, Field(max_length=10_000)]
RULES_MAX_CHARACTERS = 48_000
"""A rules file, and room for the JSON around it in a body of 64 KiB. **assumed**"""


class CauseBody(Model):
    """What set it off. null: not known yet."""

    version: Annotated[int, Field(ge=0)]
    cause: CauseClass | None
    note: Words = ""


class EntryBody(Model):
    """What somebody writes down. `version`: of the entry that is changed; left out, it is a new one."""

    kind: EntryKind
    text: Words
    version: Annotated[int, Field(ge=0)] | None = None
    at_ms: Moment | None = None
    pack_id: Identifier | None = None
    probe: Annotated[int, Field(ge=1, le=1024)] | None = None
    owner_id: Identifier | None = None
    due_at_ms: Moment | None = None
    done: bool = False


class ReopenBody(Model):
    """Why signatures are taken off."""

    version: Annotated[int, Field(ge=0)]
    reason: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]


class RerunBody(Model):
    """Which rules on which time; left out, those in force, and from a day before to a day after the alerts."""

    rules: Annotated[str, Field(max_length=RULES_MAX_CHARACTERS)] | None = None
    from_ms: Moment | None = None
    to_ms: Moment | None = None


class ReviewEntry(Model):
    """One annotation, finding or corrective action."""

    entry_id: str
    kind: EntryKind
    text: str
    at_ms: int | None
    pack_id: str | None
    probe: int | None
    owner_id: str | None
    owner: str | None
    due_at_ms: int | None
    done_at_ms: int | None
    done_by: str | None
    written_by: str
    written_at_ms: Milliseconds
    version: int


class Attachment(Model):
    """A file of the incident."""

    sha256: str
    name: str
    media_type: str
    size: int
    added_by: str
    added_at_ms: Milliseconds


class Rerun(Model):
    """What other rules would have raised."""

    rerun_id: str
    at_ms: Milliseconds
    by: str
    rules_version: int
    rules_hash: str
    from_ms: Milliseconds
    to_ms: Milliseconds
    outcome: dict[str, Any]


class Review(Model):
    """The review of an incident as it stands."""

    incident_id: str
    state: ReviewState
    cause: CauseClass | None
    cause_note: str
    signed_by: str | None
    signed_by_you: bool
    """Somebody else has to sign second."""
    signed_at_ms: int | None
    countersigned_by: str | None
    countersigned_at_ms: int | None
    version: int
    entries: list[ReviewEntry]
    attachments: list[Attachment]
    reruns: list[Rerun]
    may_write: bool
    may_sign: bool


class TimelineItem(Model):
    """One happening."""

    at_ms: Milliseconds
    kind: ItemKind
    what: str
    subject: str
    pack_id: str | None
    level: str | None
    actor: str | None
    role: str | None
    text: str
    source: str


class Fix(Model):
    """Where a vehicle was."""

    gateway_id: str
    at_ms: Milliseconds
    latitude_deg: float
    longitude_deg: float
    speed_m_s: float | None


class Timeline(Model):
    """One page of an incident's time line, with what was measured in its time."""

    incident_id: str
    title: str
    provenance: str
    first_ms: Milliseconds
    """Where the incident's whole time begins: 24 h before, or with the trip."""
    last_ms: Milliseconds
    from_ms: Milliseconds
    to_ms: Milliseconds
    packs: list[str]
    items: list[TimelineItem]
    more_after: int | None
    """The `after` of the next page; null: there is none."""
    series: dict[str, dict[str, Any]]
    """By pack: what /api/packs/{pack_id}/series tells, in buckets; packs beyond the eighth are asked for there."""
    positions: list[Fix]
    """Evenly chosen among all of the time."""
