"""Ways to a person, and where a page is on its way. Their values are what the database, the API and the exports say."""

from __future__ import annotations

from enum import StrEnum


class Channel(StrEnum):
    """A way to a person, or (the last two) to another system."""

    SIREN = "siren"
    VOICE = "voice"
    PUSH = "push"
    SMS = "sms"
    BOARD = "board"
    """The dispatcher's page, while it sounds."""
    EMAIL = "e-mail"
    CHAT = "chat"
    WEBHOOK = "webhook"
    MQTT = "mqtt"


class PageKind(StrEnum):
    """Why somebody is told."""

    ALERT = "alert"
    """Escalation says so."""
    TOLD = "told"
    """Another system is told what happened."""
    DRILL = "drill"
    """A test of the way to a person."""


class PageState(StrEnum):
    """How far a page has come."""

    QUEUED = "queued"
    """To be handed over at its `next_at`."""
    HANDED_OVER = "handed over"
    """The channel has it and has not said yet whether it takes it."""
    ACCEPTED = "accepted"
    """The channel took it. Nobody need have seen it."""
    SHOWN = "shown"
    """The recipient's device says that it showed it, or rang."""
    ACKNOWLEDGED = "acknowledged"
    """The recipient answered it."""
    FAILED = "failed"
    """It is not tried any more; `why` says why."""
