"""One turn of the intake: what came from the broker, decoded, counted, inspected, and sorted by where it goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from ingest.events import (
    BatchReceived,
    CabActed,
    HostDenied,
    NothingToStore,
    OnBoardTold,
    OutboxDeclared,
    PositionReceived,
    RebirthWanted,
    Refused,
    SamplesDropped,
    SequenceGap,
)
from ingest.inbox import Arrival, LinkChange
from ingest.screening import inspect_all
from ingest.validation import possible_fix
from ingest.writer import StorePosition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.counters import Tally
    from ingest.events import Event, SessionEvent
    from ingest.host import SparkplugHost
    from ingest.quarantine import QuarantineDesk
    from ingest.stores.contract import OutboxRange
    from ingest.units import KnownUnits
    from telemetry.on_board import OnBoardReport
    from telemetry.samples import ReceivedBatch


@dataclass(slots=True, kw_only=True)
class Turn:
    """What one turn brought."""

    batches: list[BatchReceived] = field(default_factory=list)
    positions: list[StorePosition] = field(default_factory=list)
    sessions: list[SessionEvent] = field(default_factory=list)
    on_board: list[OnBoardReport] = field(default_factory=list)
    cab: list[CabActed] = field(default_factory=list)
    rebirths: list[RebirthWanted] = field(default_factory=list)
    settled: list[OutboxRange] = field(default_factory=list)
    """Records of outboxes that hold nothing for the store."""
    outboxes: list[OutboxDeclared] = field(default_factory=list)
    denied_ms: int | None = None
    """The latest time at which someone said that this host is offline; None = nobody did."""
    link_up: bool | None = None
    """The link's last change in this turn; None = it did not change."""

    def unknown_units(self, units: KnownUnits) -> set[str]:
        """Units of the batches that are not known to be registered."""
        return {unit_id for event in self.batches if units.of(unit_id := event.received.batch.unit_id) is None}


def decode_turn(items: Iterable[Arrival | LinkChange], host: SparkplugHost, desk: QuarantineDesk, tally: Tally) -> Turn:
    """Run messages through the host. What is refused goes to the desk at once."""
    turn = Turn()
    for is_message, group in groupby(items, key=lambda item: isinstance(item, Arrival)):
        if is_message:
            arrivals = [item for item in group if isinstance(item, Arrival)]
            tally.messages += len(arrivals)
            for arrival, events in zip(arrivals, host.receive_all(arrivals), strict=True):
                for event in events:
                    _sort(event, turn, arrival.received_at_ms, desk, tally)
            continue
        for change in group:
            if isinstance(change, LinkChange):
                _link_changed(change, turn, host)
    tally.batches += len(turn.batches)
    tally.positions += len(turn.positions)
    return turn


def _link_changed(change: LinkChange, turn: Turn, host: SparkplugHost) -> None:
    turn.link_up = change.up
    if change.up:
        turn.rebirths += host.missing_births(change.at_ms)
    else:
        host.forget()


def _sort(  # noqa: C901 - one case a kind of event
    event: Event, turn: Turn, received_at_ms: int, desk: QuarantineDesk, tally: Tally
) -> None:
    match event:
        case BatchReceived():
            turn.batches.append(event)
        case PositionReceived():
            fix = possible_fix(event.fix, received_at_ms)
            turn.positions.append(
                StorePosition(fix=fix, outbox_sequence=event.outbox_sequence, outbox_id=event.outbox_id)
            )
        case SamplesDropped():
            tally.refused["samples_dropped"] += 1
            desk.drop(event, received_at_ms)
        case OnBoardTold():
            turn.on_board.append(event.report)
        case CabActed():
            turn.cab.append(event)
        case NothingToStore():
            turn.settled.append(event.settles)
        case OutboxDeclared():
            turn.outboxes.append(event)
        case Refused():
            tally.refused[event.reason] += 1
            desk.refuse(event, received_at_ms)
        case RebirthWanted():
            turn.rebirths.append(event)
        case SequenceGap():
            tally.sequence_gaps += 1
        case HostDenied(timestamp_ms=at_ms):
            turn.denied_ms = max(at_ms, turn.denied_ms or 0)
        case _:
            turn.sessions.append(event)


def inspect_turn(turn: Turn, units: KnownUnits, desk: QuarantineDesk, tally: Tally) -> list[ReceivedBatch]:
    """The turn's batches with their flags set; what was found goes to the desk."""
    inspected = inspect_all(
        [event.received for event in turn.batches], [units.of(event.received.batch.unit_id) for event in turn.batches]
    )
    for event, found in zip(turn.batches, inspected, strict=True):
        tally.values += event.received.batch.values()
        for finding in found.findings:
            tally.flagged[finding.reason] += 1
            desk.note(finding, event.received, event.topic, event.payload)
    return [found.received for found in inspected]
