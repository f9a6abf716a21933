"""What the Sparkplug host makes of a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.stores.contract import OutboxRange
    from telemetry.cab_report import CabTold
    from telemetry.on_board import OnBoardReport
    from telemetry.samples import PositionFix, ReceivedBatch
    from telemetry.sparkplug.acknowledgement import DropRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReceived:
    """A unit's samples, decoded and not yet inspected."""

    received: ReceivedBatch
    topic: str
    payload: bytes
    """As it came, for the quarantine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReceived:
    """Where a vehicle was."""

    fix: PositionFix
    outbox_sequence: int | None
    """The message's number in its gateway's outbox; None from a plain edge node."""
    outbox_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesDropped:
    """A gateway let records of its outbox go."""

    drop: DropRecord
    fleet_id: str
    gateway_id: str
    outbox_id: str
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingToStore:
    """A record of an outbox that holds nothing for the store: it is settled with its receipt."""

    settles: OutboxRange


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxDeclared:
    """A birth told which outbox its gateway has, and what of it is settled as far as the gateway knows."""

    fleet_id: str
    gateway_id: str
    outbox_id: str
    settled: tuple[OutboxRange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBorn:
    """A gateway's session began, or was told again."""

    fleet_id: str
    gateway_id: str
    at_ms: int
    """When the host heard of it, UTC, ms since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDied:
    """A gateway's session ended, and with it those of its units."""

    fleet_id: str
    gateway_id: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBorn:
    """A gateway hears a unit."""

    fleet_id: str
    gateway_id: str
    unit_id: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDied:
    """A gateway no longer hears a unit."""

    fleet_id: str
    gateway_id: str
    unit_id: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBoardTold:
    """A gateway told what the vehicle's own engine says of a unit."""

    report: OnBoardReport


@dataclass(frozen=True, slots=True, kw_only=True)
class CabActed:
    """A gateway told what the box in its cab did."""

    told: CabTold
    settles: OutboxRange | None
    """The record of an outbox that this was: settled once somebody has kept what it tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceGap:
    """Messages of an edge node are missing before this one."""

    fleet_id: str
    gateway_id: str
    missing: int
    """Modulo 256: the sequence number has 8 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebirthWanted:
    """An edge node must be asked to tell its births again."""

    fleet_id: str
    gateway_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDenied:
    """Someone said that this host is offline: it must say at once that it is not."""

    timestamp_ms: int
    """Of that STATE, UTC, ms since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A message, or what a gateway says of a message to it, that cannot be taken."""

    reason: str
    """A short stable slug."""
    detail: str
    """A sentence: what is wrong."""
    topic: str
    payload: bytes
    fleet_id: str | None = None
    gateway_id: str | None = None
    unit_id: str | None = None
    settles: OutboxRange | None = None
    """The record of an outbox that this was, where its number could be read: settled once the quarantine has it."""


SessionEvent = NodeBorn | NodeDied | DeviceBorn | DeviceDied
Event = (
    BatchReceived
    | PositionReceived
    | SamplesDropped
    | NothingToStore
    | OutboxDeclared
    | SessionEvent
    | OnBoardTold
    | CabActed
    | SequenceGap
    | RebirthWanted
    | HostDenied
    | Refused
)
