"""The JSON of trips and of the driver's page; see `dashboards.models`."""

from dashboards.models import Milliseconds, Model, Position
from registry.kinds import Level
from registry.response_kinds import Language, Situation, Stage


class UnacknowledgedAlert(Model):
    """An alert that waits for the driver's word."""

    alert_id: str
    version: int
    level: Level


class AskedGuardianship(Model):
    """Somebody asked the driver to be called first about a vehicle, or a trailer that was dropped."""

    guardian_id: int
    vehicle_name: str
    proposed_by: str


class TripState(Model):
    """All that the driver's page shows, but for its words."""

    now_ms: Milliseconds
    trip_id: str
    driver_name: str
    language: Language
    vehicle_name: str
    custody_signed: bool
    """The trip goes on for its open incidents alone."""
    stage: Stage
    situation: Situation
    """`driving` wherever nothing says otherwise; halts in traffic included."""
    moving: bool
    """At the vehicle's newest fix."""
    evaluated_at_ms: int | None
    """The oldest of the packs' newest samples; null where a pack has none. After 60 s nothing may be green."""
    simulation: bool
    unacknowledged: list[UnacknowledgedAlert]
    position: Position | None
    emergency_number: str | None
    """On the shipping paper (49 CFR 172.604)."""
    dispatch_number: str | None
    guardianships: list[AskedGuardianship]
    """That wait for the driver's answer; none while driving."""


class TripTexts(Model):
    """The response table."""

    version: int
    push_key: str | None
    """By which a browser subscribes to web push; null: this installation sends none."""
    texts: dict[Language, dict[Stage, dict[Situation, tuple[str, str]]]]
    """Sentence and action."""


class TripRow(Model):
    """A trip as staff see it."""

    trip_id: str
    vehicle_id: str
    driver_name: str
    language: Language
    phone: str | None
    opened_at_ms: Milliseconds
    link_until_ms: Milliseconds
    situation: Situation | None
    custody_signed_by: str | None
    custody_signed_at_ms: int | None
    closed_at_ms: int | None
    draft_texts: bool
    """What the driver is told in this language still waits for a safety lead or a native speaker."""


class TripLink(Model):
    """A trip with the link that opens the driver's page. Whoever has the link has the page."""

    trip: TripRow
    path: str
    """Behind the address that drivers reach this service at."""
    qr_uri: str
    """The link as a QR code: a picture as a data address."""
