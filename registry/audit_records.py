"""The records of the audit log: its rows, and where it ends."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLAlchemy reads it
from enum import StrEnum
from typing import Annotated

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from registry.records import Base, Claimed, Slug

DETAIL_LENGTH = 262_144
"""Characters: fifty reasons of 500 characters each, all of them escaped six for one, and room beside them."""

Detail = Annotated[str, mapped_column(String(DETAIL_LENGTH))]


class ActorKind(StrEnum):
    """Who acts."""

    PERSON = "person"
    RULE = "rule"
    """The alert engine, by its rules."""
    DEVICE = "device"
    """A gateway, a siren, a phone that shows a message."""
    DELIVERY = "delivery"
    """A channel that hands messages over."""
    PROGRAM = "program"
    """Packwatch for whoever may run its commands; nobody signed in."""


class AuditRow(Base, kw_only=True):
    """One action, chained to the row before it. Only ever added; the database refuses UPDATE and DELETE."""

    __tablename__ = "audit_log"
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """From 1, without gaps."""
    at: Mapped[datetime]
    actor_kind: Mapped[ActorKind]
    actor_id: Mapped[Claimed]
    actor_role: Mapped[Claimed | None] = mapped_column(default=None)
    """The role in which a person acted."""
    action: Mapped[Slug]
    subject: Mapped[Claimed] = mapped_column(index=True)
    """What was acted on: its kind, a slash and its id."""
    detail: Mapped[Detail]
    """A JSON object in its canonical form."""
    previous: Mapped[Slug]
    """The hash of the row before; 64 zeros: it is the first."""
    hash: Mapped[Slug]
    """SHA-256 over the row's canonical form, hexadecimal."""


class AuditHead(Base, kw_only=True):
    """One row: the last row of the log. Whoever appends holds its lock; rows cut off the end are missed by it."""

    __tablename__ = "audit_head"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sequence: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[Slug]
