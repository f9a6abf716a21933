"""What escalation goes by: people and their channels, what happened, the policy, and the pages that follow."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from registry.kinds import Level, Role
from registry.paging_kinds import Channel  # noqa: TC001  part of this vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Somebody on duty in a role."""

    id: str
    role: Role
    channels: tuple[tuple[Channel, ...], ...]
    """In order; those of one group start together. At least one."""
    from_s: float = -inf
    until_s: float = inf
    """On duty in [from_s, until_s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """A pack's alert was raised, worsened, or is hot again."""

    at_s: float
    pack_id: str
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Somebody said in a role that this level was seen."""

    at_s: float
    role: Role
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """Somebody recorded in a role what was done: "driver called, pulls over"."""

    at_s: float
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The recipient's device reported that it showed, or rang with, a page. Nothing else counts as shown."""

    at_s: float
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flagged:
    """A recipient was found unreachable, or (`why` None) reachable again."""

    at_s: float
    recipient_id: str
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The case was closed. A later Raised opens it again."""

    at_s: float


Happening = Raised | Acknowledged | Acted | Shown | Flagged | Closed
"""`at_s` is when the alert service recorded it, UTC seconds. It bears upon what is due after that instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One alert or incident: who may be paged about it, and all that happened, in the order of recording."""

    id: str
    recipients: tuple[Recipient, ...]
    happenings: tuple[Happening, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A role is paged so long after the case began."""

    role: Role
    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who is paged when, from a level on."""

    from_level: Level
    steps: tuple[Step, ...]
    """In order of `after_s`."""
    receipt_within_s: float
    """A channel whose device has not answered by then is followed by the next one."""
    again_after_s: float
    """Without an acknowledgement of a role it is paged again; without a recorded action all roles are."""


CRITICAL_POLICY = Policy(
    from_level=Level.CRITICAL,
    steps=(
        Step(role=Role.DRIVER, after_s=0.0),
        Step(role=Role.DISPATCHER, after_s=0.0),
        Step(role=Role.SAFETY_LEAD, after_s=60.0),
        Step(role=Role.EMERGENCY_CONTACT, after_s=180.0),
    ),
    receipt_within_s=10.0,
    again_after_s=180.0,
)
"""The product's own figures. There is no delay to group alerts at `critical`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One message to one recipient on one channel."""

    key: str
    """The same however often it is worked out: what is in the outbox already is not sent again."""
    at_s: float
    """Due."""
    recipient_id: str
    role: Role
    channel: Channel
    level: Level
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something about the paging itself that people must see."""

    at_s: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was due up to now."""

    pages: tuple[Page, ...]
    """All since the case began, those sent long ago included, in order of `at_s`."""
    notices: tuple[Notice, ...]
    next_s: float | None
    """When the next page is due if nothing happens; None: none is."""
