"""Whom a level is about, and how it changes: what the engine tells the book of alerts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from registry.kinds import AlertKind, Level
    from telemetry.samples import Provenance


class Subject(NamedTuple):
    """Whom a level is about. What is replayed or simulated never mixes with what is measured: neither may hide it."""

    kind: AlertKind
    id: str
    """Of the pack; of the unit if that is unregistered, or silent."""
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A subject's level changed at a row, or at an instant; or it is latched, and the subject is hot again."""

    subject: Subject
    before: Level
    level: Level
    cause: str
    """A short word for the rule: "ceiling", "evidence", "runaway", "silence"."""
    reasons: tuple[str, ...]
    sampled_at_ms: int
    """Event time: when the row was sampled, UTC."""
    pack_id: str | None
    unit_id: str
    gateway_id: str | None
    fleet_id: str
    renewed: bool = False
    """The level stays, since it is latched; but the subject had cooled, and is hot again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A level that a subject has."""

    level: Level
    peak: Level
    since_ms: int
    """Event time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A subject's latest alert that ended: what was sampled from..until raises nothing up to `peak` again."""

    from_ms: int
    until_ms: int
    peak: Level
