"""Whom to page on which way, who is on duty, and the outbox: each page, how far it has come, and what it came from."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLAlchemy reads it
from typing import Annotated

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from registry.columns import Identifier
from registry.kinds import Level, Role  # noqa: TC001  SQLAlchemy reads them
from registry.paging_kinds import Channel, PageKind, PageState
from registry.records import Base, Claimed, Line, Name, Secret, SerialId, Slug, Told

Address = Annotated[str, mapped_column(String(2000))]
"""It may hold a password, as the addresses of chat rooms do."""


class Recipient(Base, kw_only=True):
    """A person who may be paged in a role, or (`role` None) another system that is told what happens."""

    __tablename__ = "recipients"
    recipient_id: Mapped[str] = mapped_column(Identifier("recipient"), primary_key=True)
    name: Mapped[Name]
    role: Mapped[Role | None]
    language: Mapped[Slug] = mapped_column(default="en")
    """ISO 639-1."""
    time_zone: Mapped[Name] = mapped_column(default="UTC")
    """Of the IANA database."""
    fleet_id: Mapped[Claimed | None] = mapped_column(default=None)
    """None: every fleet."""
    vehicle_id: Mapped[Claimed | None] = mapped_column(default=None)
    """None: every vehicle; for a driver, none but those that he or she is guardian of."""
    account_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.account_id"), default=None)
    """Who it is at the pages; None: nobody who signs in."""
    always_on_duty: Mapped[bool] = mapped_column(default=True)
    """False: by the roster only."""
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None] = mapped_column(default=None)
    unreachable_since: Mapped[datetime | None] = mapped_column(default=None)
    unreachable_why: Mapped[Told | None] = mapped_column(default=None)


class RecipientChannel(Base, kw_only=True):
    """A way to a recipient. Those of one step start together; the next step follows when no device answered."""

    __tablename__ = "recipient_channels"
    __table_args__ = (UniqueConstraint("recipient_id", "channel", name="uq_recipient_channels_channel"),)
    id: Mapped[SerialId] = mapped_column(init=False)
    recipient_id: Mapped[str] = mapped_column(ForeignKey("recipients.recipient_id"))
    step: Mapped[int]
    """From 0."""
    channel: Mapped[Channel]
    address: Mapped[Address] = mapped_column(default="", repr=False)
    """A phone number as E.164, an e-mail address, a URL; empty where the channel needs none."""
    secret: Mapped[Secret | None] = mapped_column(default=None, repr=False)
    """By which a webhook's messages are signed."""
    tested_at: Mapped[datetime | None] = mapped_column(default=None)
    """When the recipient last proved that it arrives there."""
    failed_at: Mapped[datetime | None] = mapped_column(default=None)
    failed_why: Mapped[Told | None] = mapped_column(default=None)


class PushDevice(Base, kw_only=True):
    """A browser that a recipient let subscribe to web push (RFC 8030, RFC 8291)."""

    __tablename__ = "push_devices"
    device_id: Mapped[str] = mapped_column(Identifier("device"), primary_key=True)
    """SHA-256 of the endpoint, hexadecimal."""
    recipient_id: Mapped[str] = mapped_column(ForeignKey("recipients.recipient_id"), index=True)
    endpoint: Mapped[Address] = mapped_column(repr=False)
    p256dh: Mapped[Secret] = mapped_column(repr=False)
    auth: Mapped[Secret] = mapped_column(repr=False)
    label: Mapped[Name]
    added_at: Mapped[datetime]
    failed_at: Mapped[datetime | None] = mapped_column(default=None)
    """Since when pushes to it fail; None: they do not."""
    failed_why: Mapped[Told | None] = mapped_column(default=None)


class Duty(Base, kw_only=True):
    """A recipient is on duty in [from_at, until_at)."""

    __tablename__ = "duties"
    __table_args__ = (CheckConstraint("until_at > from_at", name="ends_after_it_begins"),)
    id: Mapped[SerialId] = mapped_column(init=False)
    recipient_id: Mapped[str] = mapped_column(ForeignKey("recipients.recipient_id"), index=True)
    from_at: Mapped[datetime]
    until_at: Mapped[datetime] = mapped_column(index=True)
    entered_by: Mapped[Name]


class Guardian(Base, kw_only=True):
    """Who is called about a vehicle, or a trailer that was dropped. A new one takes over by accepting."""

    __tablename__ = "guardians"
    __table_args__ = (
        Index(
            "uq_guardians_in_charge",
            "vehicle_id",
            unique=True,
            sqlite_where=text("accepted_at IS NOT NULL AND ended_at IS NULL"),
            postgresql_where=text("accepted_at IS NOT NULL AND ended_at IS NULL"),
        ),
    )
    id: Mapped[SerialId] = mapped_column(init=False)
    vehicle_id: Mapped[Claimed]
    recipient_id: Mapped[str] = mapped_column(ForeignKey("recipients.recipient_id"), index=True)
    proposed_by: Mapped[Name]
    proposed_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)


class PagingCase(Base, kw_only=True):
    """How far an incident's escalation has been planned. Its row's lock lets one planner at it."""

    __tablename__ = "paging_cases"
    case_id: Mapped[str] = mapped_column(Identifier("incident"), primary_key=True)
    planned_at: Mapped[datetime]
    """All that was due up to this instant is in the outbox."""
    next_at: Mapped[datetime | None] = mapped_column(index=True, default=None)
    """When the next page is due if nothing happens; None: none is."""
    notices: Mapped[list[str]] = mapped_column(default_factory=list)
    """What people must know about the paging itself."""


class CaseRecipient(Base, kw_only=True):
    """Somebody who may be paged about a case, for one time of duty. Only ever added, or ended."""

    __tablename__ = "case_recipients"
    __table_args__ = (UniqueConstraint("case_id", "recipient_id", "role", "source", name="uq_case_recipients_source"),)
    id: Mapped[SerialId] = mapped_column(init=False)
    case_id: Mapped[str] = mapped_column(ForeignKey("paging_cases.case_id"))
    recipient_id: Mapped[str] = mapped_column(ForeignKey("recipients.recipient_id"))
    role: Mapped[Role]
    source: Mapped[Slug]
    """Where the time is from: "always", or a number of the roster."""
    channels: Mapped[list[str]]
    """One text a step, its channels separated by commas."""
    from_at: Mapped[datetime | None] = mapped_column(default=None)
    until_at: Mapped[datetime | None] = mapped_column(default=None)


class CaseHappening(Base, kw_only=True):
    """What escalation goes by, in the order in which it was taken notice of. Only ever added."""

    __tablename__ = "case_happenings"
    __table_args__ = (UniqueConstraint("case_id", "source", name="uq_case_happenings_source"),)
    id: Mapped[SerialId] = mapped_column(init=False)
    case_id: Mapped[str] = mapped_column(ForeignKey("paging_cases.case_id"))
    source: Mapped[Slug]
    """Tells one happening from any other of the case."""
    at: Mapped[datetime]
    """Never before what was planned already: it bears upon what is due later."""
    kind: Mapped[Slug]
    role: Mapped[Role | None] = mapped_column(default=None)
    level: Mapped[Level | None] = mapped_column(default=None)
    regarding: Mapped[Claimed | None] = mapped_column(default=None)
    """The pack that was raised, the page that was shown, the recipient who was flagged."""
    why: Mapped[Told | None] = mapped_column(default=None)


class Page(Base, kw_only=True):
    """One message to one recipient on one channel. `key` is what escalation calls it: there is never a second."""

    __tablename__ = "pages"
    __table_args__ = (Index(None, "state", "next_at"), Index(None, "case_id", "state"))
    key: Mapped[Name] = mapped_column(primary_key=True)
    page_id: Mapped[Slug] = mapped_column(unique=True)
    """Derived from the key, without its blanks and slashes: what receivers see."""
    kind: Mapped[PageKind]
    case_id: Mapped[Claimed | None] = mapped_column(default=None)
    recipient_id: Mapped[str] = mapped_column(ForeignKey("recipients.recipient_id"), index=True)
    role: Mapped[Role | None]
    channel: Mapped[Channel]
    level: Mapped[Level]
    reason: Mapped[Told]
    due_at: Mapped[datetime]
    created_at: Mapped[datetime]
    state: Mapped[PageState] = mapped_column(default=PageState.QUEUED)
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime | None]
    """When it is tried (again); of one handed over, when the channel's silence counts as a failure."""
    why: Mapped[Told | None] = mapped_column(default=None)
    """Why the last try failed."""
    may_repeat: Mapped[bool] = mapped_column(default=False)
    """A try ended without an answer: the channel may have taken it, and the recipient may get it again."""
    message_id: Mapped[Slug | None] = mapped_column(index=True, default=None)
    """The message that it goes in: fixed with its first try, from the keys of all pages in it. Receipts name it."""
    holder: Mapped[Name | None] = mapped_column(default=None)
    """The sender that has it."""
    handed_over_at: Mapped[datetime | None] = mapped_column(default=None)
    accepted_at: Mapped[datetime | None] = mapped_column(default=None)
    shown_at: Mapped[datetime | None] = mapped_column(default=None)
    acknowledged_at: Mapped[datetime | None] = mapped_column(default=None)


class PageEvent(Base, kw_only=True):
    """One step of a page. Only ever added, with the change that it tells of, in one transaction."""

    __tablename__ = "page_events"
    id: Mapped[SerialId] = mapped_column(init=False)
    key: Mapped[str] = mapped_column(ForeignKey("pages.key"), index=True)
    at: Mapped[datetime]
    state: Mapped[PageState]
    attempt: Mapped[int]
    detail: Mapped[Told | None] = mapped_column(default=None)


class BoardHeartbeat(Base, kw_only=True):
    """A dispatcher's page that is open: whether it would be heard."""

    __tablename__ = "board_heartbeats"
    board_id: Mapped[str] = mapped_column(Identifier("board"), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.account_id"), index=True)
    at: Mapped[datetime]
    sounding: Mapped[bool]
    why: Mapped[Line | None] = mapped_column(default=None)
    """Why it would not be heard."""
