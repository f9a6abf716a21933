"""What the response table is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Language(StrEnum):
    """ISO 639-1."""

    EN = "en"
    ES = "es"
    FR = "fr"


class Stage(StrEnum):
    """How bad it is for whoever is near: the levels, and three states that are no level."""

    NORMAL = "normal"
    WATCH = "watch"
    WARNING = "warning"
    CRITICAL = "critical"
    RUNAWAY = "runaway"
    HELD = "held"
    """It was critical, and nobody with the authority has released it."""
    LOST = "lost"
    """The probes were lost in an incident."""
    NO_DATA = "no_data"
    """No fresh evaluation, and nothing suspicious before."""


class Situation(StrEnum):
    """Where the driver and the load are."""

    DRIVING = "driving"
    """Halts in traffic included."""
    TUNNEL = "tunnel"
    PARKED = "parked"
    SLEEPING = "sleeping"
    LOADING = "loading"
    DROPPED = "dropped"
    """The trailer stands without its tractor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What somebody is told."""

    stage: Stage
    situation: Situation
    language: Language
    sentence: str
    action: str
