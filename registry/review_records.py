"""What safety writes down about an incident afterwards, and the files that belong to it."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLAlchemy reads it
from enum import StrEnum
from typing import Annotated

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from registry.columns import Identifier
from registry.records import Base, Claimed, Name, SerialId, Slug

Essay = Annotated[str, mapped_column(String(10_000))]
"""What a person writes: refused when longer."""
Outcome = Annotated[str, mapped_column(String(1_000_000))]
"""JSON of a re-run: its pages of levels are bounded by whoever makes it."""


class ReviewState(StrEnum):
    """How far a review has come. Which steps are legal is the table of registry.review_steps."""

    OPEN = "open"
    """Nothing was signed, or something changed since."""
    SIGNED = "signed once"
    """One person of safety has signed it as it stands."""
    CLOSED = "closed"
    """A second one has."""


class CauseClass(StrEnum):
    """What set it off, as far as is known."""

    CELL_DEFECT = "cell defect"
    MECHANICAL_DAMAGE = "mechanical damage"
    ELECTRICAL_ABUSE = "electrical abuse"
    EXTERNAL_HEAT = "external heat"
    WATER = "water"
    INSTRUMENT = "instrument"
    """The pack was well; what measured it was not."""
    FALSE_ALARM = "false alarm"
    UNDETERMINED = "undetermined"


class EntryKind(StrEnum):
    """What somebody wrote down."""

    ANNOTATION = "annotation"
    """A remark at a moment, on a pack or a probe."""
    FINDING = "finding"
    ACTION = "corrective action"
    """It has an owner, and is done or not."""


class Review(Base, kw_only=True):
    """The review of one incident. `version` grows by one with each change."""

    __tablename__ = "reviews"
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.incident_id"), primary_key=True)
    state: Mapped[ReviewState] = mapped_column(default=ReviewState.OPEN)
    cause: Mapped[CauseClass | None] = mapped_column(default=None)
    cause_note: Mapped[Essay] = mapped_column(default="")
    signed_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.account_id"), default=None)
    signed_by: Mapped[Name | None] = mapped_column(default=None)
    signed_at: Mapped[datetime | None] = mapped_column(default=None)
    countersigned_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.account_id"), default=None)
    countersigned_by: Mapped[Name | None] = mapped_column(default=None)
    countersigned_at: Mapped[datetime | None] = mapped_column(default=None)
    version: Mapped[int] = mapped_column(default=1)


class ReviewEntry(Base, kw_only=True):
    """One annotation, finding or corrective action. What it said before stands in the audit log."""

    __tablename__ = "review_entries"
    entry_id: Mapped[str] = mapped_column(Identifier("entry"), primary_key=True)
    incident_id: Mapped[str] = mapped_column(ForeignKey("reviews.incident_id"), index=True)
    kind: Mapped[EntryKind]
    text: Mapped[Essay]
    at: Mapped[datetime | None] = mapped_column(default=None)
    """The moment that it is about; None: the whole incident."""
    pack_id: Mapped[Claimed | None] = mapped_column(default=None)
    probe: Mapped[int | None] = mapped_column(default=None)
    """From 1."""
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.account_id"), default=None)
    """Who does it, of a corrective action."""
    due_at: Mapped[datetime | None] = mapped_column(default=None)
    done_at: Mapped[datetime | None] = mapped_column(default=None)
    done_by: Mapped[Name | None] = mapped_column(default=None)
    written_by: Mapped[Name]
    """Who wrote it last."""
    written_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)


class Attachment(Base, kw_only=True):
    """A file that belongs to an incident; its bytes lie in the data directory under their hash."""

    __tablename__ = "attachments"
    incident_id: Mapped[str] = mapped_column(ForeignKey("reviews.incident_id"), primary_key=True)
    sha256: Mapped[Slug] = mapped_column(primary_key=True)
    name: Mapped[Name]
    """As whoever brought it called it."""
    media_type: Mapped[Name]
    """By its first bytes, not by its name."""
    size: Mapped[int] = mapped_column(BigInteger)
    """Bytes."""
    added_by: Mapped[Name]
    added_at: Mapped[datetime]


class Rerun(Base, kw_only=True):
    """What other rules would have raised on the data of an incident's packs. Only ever added."""

    __tablename__ = "reruns"
    rerun_id: Mapped[str] = mapped_column(Identifier("re-run"), primary_key=True)
    incident_id: Mapped[str] = mapped_column(ForeignKey("reviews.incident_id"), index=True)
    at: Mapped[datetime]
    by: Mapped[Name]
    rules_version: Mapped[int]
    rules_hash: Mapped[Slug]
    """SHA-256 of the rules, hexadecimal."""
    rules: Mapped[Outcome] = mapped_column(repr=False)
    """The rules file; empty: the rules in force."""
    from_at: Mapped[datetime]
    to_at: Mapped[datetime]
    outcome: Mapped[Outcome] = mapped_column(repr=False)
    """JSON: for each pack, when its level changed, and what was raised in fact."""


class TimeStamp(Base, kw_only=True):
    """A stamp of a time-stamp authority (RFC 3161) over the end of the audit log. Only ever added."""

    __tablename__ = "time_stamps"
    id: Mapped[SerialId] = mapped_column(init=False)
    sequence: Mapped[int] = mapped_column(BigInteger, index=True)
    hash: Mapped[Slug]
    """Of that row of the audit log: what was stamped is SEQUENCE:HASH."""
    authority: Mapped[Name]
    """Its address."""
    stamped_at: Mapped[datetime]
    """By the authority's clock."""
    response: Mapped[bytes] = mapped_column(repr=False)
    """The TimeStampResp, DER."""
