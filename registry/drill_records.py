"""Drills as records: a message that asks a person to prove that it arrives, one way after the other."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLAlchemy reads it
from enum import StrEnum

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from registry.paging_kinds import Channel, PageState
from registry.records import Base, Name, Told


class DrillState(StrEnum):
    """How a drill stands."""

    RUNNING = "running"
    PROVED = "proved"
    """The person's device, or the person, answered."""
    MISSED = "missed"
    """No way brought an answer in time. One that comes later makes it proved all the same."""
    PUT_OFF = "put off"
    """It was ended before it told anything: an incident opened."""


class Drill(Base, kw_only=True):
    """One drill of one recipient. `drill_id` names the recipient and the day, or instant: there is never a second."""

    __tablename__ = "drills"
    __table_args__ = (Index(None, "recipient_id", "started_at"), Index(None, "state"))
    drill_id: Mapped[Name] = mapped_column(primary_key=True)
    recipient_id: Mapped[str] = mapped_column(ForeignKey("recipients.recipient_id"))
    started_by: Mapped[Name]
    started_at: Mapped[datetime]
    steps: Mapped[list[str]]
    """In order, one text a step, its channels separated by commas."""
    step: Mapped[int] = mapped_column(default=0)
    """Which of them was sent last."""
    step_at: Mapped[datetime]
    state: Mapped[DrillState] = mapped_column(default=DrillState.RUNNING)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    proved_on: Mapped[Channel | None] = mapped_column(default=None)
    why: Mapped[Told | None] = mapped_column(default=None)
    """Why it began, went on, or ended as it did: the last word."""


def drill_page_key(drill_id: str, channel: Channel) -> str:
    """What the outbox calls the message of a drill on a channel."""
    return f"drill/{drill_id}/{channel}"


def drill_of_page(key: str) -> str:
    """The drill whose message the outbox calls so."""
    return key.removeprefix("drill/").rpartition("/")[0]


def proves(channel: Channel, state: PageState) -> bool:
    """Whether a receipt proves that a person is reached: a call may be answered by a machine, a pressed key is not."""
    return state is PageState.ACKNOWLEDGED if channel is Channel.VOICE else state in _ANSWERED


_ANSWERED = (PageState.SHOWN, PageState.ACKNOWLEDGED)
