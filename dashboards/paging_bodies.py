"""What requests about paging bring."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from dashboards.bodies import Identifier, Name
from dashboards.models import Model
from registry.kinds import Role
from registry.paging_kinds import Channel


class Receipt(Model):
    """What a device did with a message."""

    state: Literal["shown", "acknowledged"]
    device: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")] = None
    """Which of the person's devices: the SHA-256 of its subscription's endpoint."""


class CallReport(Model):
    """What came of a call or text message."""

    event: Literal["answered", "delivered", "key", "failed"]
    key: Annotated[str | None, Field(max_length=1, examples=["1"])] = None
    reason: Annotated[str | None, Field(max_length=200, examples=["busy"])] = None
    """Why it failed."""


class WayBody(Model):
    """A channel of a recipient. Those of one step start together."""

    step: Annotated[int, Field(ge=0, le=9)] = 0
    channel: Channel
    address: Annotated[str, Field(max_length=2000)] = ""
    """A phone number with its country, an e-mail address, a URL; empty for web push and the board."""
    secret: Annotated[str | None, Field(min_length=16, max_length=500)] = None
    """By which a webhook's messages are signed."""


class NewRecipient(Model):
    """Somebody who is paged, or (role null) another system that is told."""

    recipient_id: Identifier
    name: Name
    role: Role | None
    language: Literal["en", "es", "fr"] = "en"
    time_zone: Annotated[str, Field(max_length=64, examples=["America/Chicago"])] = "UTC"
    fleet_id: Identifier | None = None
    vehicle_id: Identifier | None = None
    account: Name | None = None
    """The name by which the person signs in."""
    channels: Annotated[list[WayBody], Field(max_length=9)]


class NewDuty(Model):
    """A time on the roster."""

    from_at: AwareDatetime
    until_at: AwareDatetime


class NewGuardian(Model):
    """Who shall be called first about a vehicle."""

    vehicle_id: Identifier
    recipient_id: Identifier


class Subscription(Model):
    """A browser's subscription to web push, as `PushSubscription.toJSON()` tells it."""

    endpoint: Annotated[str, Field(max_length=2000, pattern=r"^https?://")]
    p256dh: Annotated[str, Field(min_length=80, max_length=100)]
    auth: Annotated[str, Field(min_length=20, max_length=40)]
    label: Name


class Heartbeat(Model):
    """A dispatcher's page says whether it would be heard."""

    board_id: Identifier
    sounding: bool
    why: Annotated[str | None, Field(max_length=200)] = None
