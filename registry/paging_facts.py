"""What planning goes by, and what comes of it: values between the registry and whoever decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from registry.kinds import Level, Role
    from registry.paging_kinds import Channel, PageKind
    from registry.paging_records import CaseHappening, CaseRecipient

SHOWN = "shown"
FLAGGED = "flagged"
"""Kinds of happening besides those of `CaseEventKind`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Another system that is told what happens."""

    recipient_id: str
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFacts:
    """What is decided upon."""

    case_id: str
    recipients: tuple[CaseRecipient, ...]
    happenings: tuple[CaseHappening, ...]
    """All, in order."""
    fresh: tuple[CaseHappening, ...]
    """Those that nobody has decided upon yet."""
    systems: tuple[System, ...]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PageDraft:
    """A page that is due."""

    key: str
    kind: PageKind
    recipient_id: str
    role: Role | None
    channel: Channel
    level: Level
    reason: str
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is due up to now."""

    pages: tuple[PageDraft, ...]
    """Those that are kept already may be among them."""
    notices: tuple[str, ...]
    next_at: datetime | None
    """When the next page is due if nothing happens."""
    answered: tuple[tuple[Role, Level], ...] = ()
    """Roles whose pages, up to the level, need not be tried any more."""
    closed: bool = False
    """No page of the case need be tried any more."""
