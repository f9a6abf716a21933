"""The Sparkplug host: topics and payloads in, events out. Pure. Source: Sparkplug 3.0, chapters 4 to 6.

Order across topics is the broker's: the reorder timeout of chapter 5 is zero, and a gap asks for a rebirth at once.
What can be decoded is decoded even so: an alarm does not wait for a session to be in order.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from ingest.events import (
    BatchReceived,
    DeviceBorn,
    DeviceDied,
    HostDenied,
    NodeBorn,
    NodeDied,
    RebirthWanted,
    Refused,
    SequenceGap,
)
from ingest.messages import (
    COMES_AGAIN,
    Message,
    birth_samples,
    declared_outbox,
    node_reports,
    on_board_told,
    record_of,
    salvaged,
    samples,
)
from ingest.sessions import Births, DeviceSession, NodeSession, resolve
from ingest.stencils import Candidate, Stencils, read_all
from telemetry.errors import WireError
from telemetry.samples import ReceivedBatch, ShapeError
from telemetry.sparkplug.acknowledgement import acknowledgement_metrics
from telemetry.sparkplug.payload import DataType, Metric, Payload, decode_payload, encode_payload
from telemetry.sparkplug.topics import MessageType, StateTopic, Topic, decode_state, parse_topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ingest.events import Event
    from ingest.inbox import Arrival
    from ingest.stencils import Read
    from telemetry.sparkplug.acknowledgement import Acknowledgement

REBIRTH_EVERY_MS = 5_000
"""A node is asked for its births at most this often: longer than a birth takes to arrive, short against what is lost
meanwhile. **Assumed**."""
_BULK_BYTES = 65_536
"""Larger messages take the general path, which bounds how many metrics it lets protobuf make."""
_BD_SEQ = "bdSeq"
_COMMANDS = (MessageType.NCMD, MessageType.DCMD)

_parsed = lru_cache(maxsize=65_536)(parse_topic)


class SparkplugHost:
    """All sessions that one connection to a broker has heard of. Times are UTC, ms since 1970."""

    def __init__(self, *, host_id: str) -> None:
        self._host_id = host_id
        self._nodes: dict[tuple[str, str], NodeSession] = {}
        self._stencils = Stencils()

    def receive_all(self, arrivals: Sequence[Arrival]) -> list[list[Event]]:
        """What `receive` makes of each message, in order; those that look alike are decoded together."""
        places: list[int | None] = []
        candidates: list[Candidate] = []
        devices: list[tuple[Topic, DeviceSession]] = []
        for arrival in arrivals:
            found = self._device_of(arrival)
            by = None if found is None else found[1].stencils.get(len(arrival.payload))
            if found is None or by is None:
                places.append(None)
                continue
            places.append(len(candidates))
            candidates.append(Candidate(arrival.payload, found[0].unit_id or "", by))
            devices.append(found)
        read = read_all(candidates)
        events: list[list[Event]] = []
        for arrival, place in zip(arrivals, places, strict=True):
            told = None if place is None else read[place]
            taken = None if place is None or told is None else self._take(arrival, told, *devices[place])
            events.append(self._receive_and_learn(arrival) if taken is None else [taken])
        return events

    def receive(self, topic: str, payload: bytes, received_at_ms: int) -> list[Event]:
        """Take one message. Whatever a peer sends, this returns; what cannot be taken is among the events."""
        where: Topic | StateTopic | None = None
        try:
            where = _parsed(topic)
            if isinstance(where, StateTopic):
                state = decode_state(payload)
                denied = where.host_id == self._host_id and not state.online
                return [HostDenied(timestamp_ms=state.timestamp_ms)] if denied else []
            if where.message_type in _COMMANDS:  # to nodes, our own among them
                return []
            decoded = decode_payload(payload)
            node = self._nodes.setdefault((where.fleet_id, where.gateway_id), NodeSession())
            return self._on_message(
                node,
                Message(
                    where=where,
                    topic=topic,
                    raw=payload,
                    received_at_ms=received_at_ms,
                    payload=decoded,
                    outbox_id=node.outbox_id,
                ),
            )
        except WireError as error:
            refused = Refused(reason=error.reason, detail=str(error), topic=topic, payload=payload)
            if not isinstance(where, Topic):
                return [refused]
            known = self._nodes.get((where.fleet_id, where.gateway_id), NodeSession())
            named = replace(refused, fleet_id=where.fleet_id, gateway_id=where.gateway_id, unit_id=where.unit_id)
            return salvaged(_with_record(named, known, where), where, known, received_at_ms)

    def forget(self) -> None:
        """The connection was lost: births may have been missed, so no session is known any more."""
        for node in self._nodes.values():
            node.end()

    def missing_births(self, now_ms: int) -> list[RebirthWanted]:
        """The connection is back: which nodes to ask for their births."""
        wanted = []
        for (fleet_id, gateway_id), node in self._nodes.items():
            if node.births is None:
                node.rebirth_asked_ms = now_ms
                wanted.append(RebirthWanted(fleet_id=fleet_id, gateway_id=gateway_id, why="the host was disconnected"))
        return wanted

    def _device_of(self, arrival: Arrival) -> tuple[Topic, DeviceSession] | None:
        """Whose data a message is, if it is data of a device that is read in bulk."""
        try:
            where = _parsed(arrival.topic)
        except WireError:
            return None
        if not isinstance(where, Topic) or where.message_type is not MessageType.DDATA:
            return None
        node = self._nodes.get((where.fleet_id, where.gateway_id))
        device = None if node is None or node.births is None else node.devices.get(where.unit_id or "")
        if device is None or device.layout is None or len(arrival.payload) > _BULK_BYTES:
            return None
        return where, device

    def _take(self, arrival: Arrival, read: Read, where: Topic, device: DeviceSession) -> BatchReceived | None:
        """The message as a batch, its sequence number taken; None, and nothing taken, for the general path."""
        node = self._nodes[where.fleet_id, where.gateway_id]
        # A birth or a death among the messages before it changes what this one means.
        if node.devices.get(where.unit_id or "") is not device or not node.is_next(read.seq):
            return None
        node.follow(read.seq)
        received = ReceivedBatch(
            batch=read.batch,
            fleet_id=where.fleet_id,
            gateway_id=where.gateway_id,
            received_at_ms=arrival.received_at_ms,
            outbox_sequence=read.record,
            outbox_id=node.outbox_id,
        )
        return BatchReceived(received=received, topic=arrival.topic, payload=arrival.payload)

    def _receive_and_learn(self, arrival: Arrival) -> list[Event]:
        events = self.receive(*arrival)
        if len(events) == 1 and isinstance(event := events[0], BatchReceived):
            found = self._device_of(arrival)
            if found is not None and (device := found[1]).layout is not None:
                self._stencils.learn(arrival.payload, event.received.batch, device.layout, device.stencils)
        return events

    def _on_message(self, node: NodeSession, message: Message) -> list[Event]:
        match message.where.message_type:
            case MessageType.NBIRTH:
                return self._node_born(node, message)
            case MessageType.NDEATH:
                return self._node_died(node, message)
        events: list[Event] = []
        if missing := node.follow(message.payload.seq):
            events.append(
                SequenceGap(fleet_id=message.where.fleet_id, gateway_id=message.where.gateway_id, missing=missing)
            )
            events += _rebirth(node, message, f"{missing} messages are missing before this one")
        if node.births is None:
            events += _rebirth(node, message, "the node's birth was not received")
        for event in _told(message, self._session_message(node, message)):
            if isinstance(event, Refused) and event.reason in COMES_AGAIN:
                events += _rebirth(node, message, event.detail)
            elif isinstance(event, Refused):
                event = _with_record(event, node, message.where)  # noqa: PLW2901 - the same refusal, said in full
            if isinstance(event, Refused):
                events += salvaged(event, message.where, node, message.received_at_ms)
            else:
                events.append(event)
        return events

    def _session_message(self, node: NodeSession, message: Message) -> Iterator[Event]:
        where, unit_id, metrics = message.where, message.where.unit_id or "", message.payload.metrics
        of_unit = {
            "fleet_id": where.fleet_id,
            "gateway_id": where.gateway_id,
            "unit_id": unit_id,
        }
        match where.message_type:
            case MessageType.NDATA:
                yield from node_reports(message, resolve(metrics, node.births))
            case MessageType.DBIRTH:
                device = node.devices[unit_id] = DeviceSession.born(metrics)
                yield DeviceBorn(**of_unit, at_ms=message.received_at_ms)
                yield from birth_samples(message, metrics, device)
                yield from on_board_told(message, metrics, device)
            case MessageType.DDEATH:
                node.devices.pop(unit_id, None)
                yield DeviceDied(**of_unit, at_ms=message.received_at_ms)
            case _:
                known = node.devices.get(unit_id)
                resolved = resolve(metrics, None if known is None else known.births)
                yield from samples(message, resolved, known)
                if known is not None:
                    yield from on_board_told(message, resolved, known)

    def _node_born(self, node: NodeSession, message: Message) -> list[Event]:
        births = Births(message.payload.metrics)
        outbox_id, declared = declared_outbox(message)
        node.begin(births, bd_seq=_bd_seq(message.payload), seq=message.payload.seq, outbox_id=outbox_id)
        where = message.where
        return [
            NodeBorn(fleet_id=where.fleet_id, gateway_id=where.gateway_id, at_ms=message.received_at_ms),
            *declared,
            *node_reports(message, message.payload.metrics),
        ]

    def _node_died(self, node: NodeSession, message: Message) -> list[Event]:
        bd_seq = _bd_seq(message.payload)
        if bd_seq is None:
            raise WireError("bd_seq_missing", "the death certificate does not say whose birth it ends")
        if node.births is not None and node.bd_seq not in (None, bd_seq):
            return []  # the will of a connection that the node has replaced since
        node.end()
        where = message.where
        return [NodeDied(fleet_id=where.fleet_id, gateway_id=where.gateway_id, at_ms=message.received_at_ms)]


def _with_record(refused: Refused, node: NodeSession, where: Topic) -> Refused:
    """The refusal with the outbox record that it settles, if the message was one whose number can be read."""
    if where.message_type not in (MessageType.NDATA, MessageType.DDATA):
        return refused
    device = node.devices.get(where.unit_id or "")
    births = device.births if device is not None else node.births
    return replace(refused, settles=record_of(where, refused.payload, node.outbox_id, births))


def rebirth_command(now_ms: int) -> bytes:
    """The payload of an NCMD that asks an edge node for its births."""
    metric = Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=True, timestamp_ms=now_ms)
    return encode_payload(Payload(timestamp_ms=now_ms, metrics=(metric,)))


def acknowledgement_command(acknowledgement: Acknowledgement, now_ms: int) -> bytes:
    """The payload of an NCMD that tells an edge node what its outbox may forget."""
    metrics = acknowledgement_metrics(acknowledgement, timestamp_ms=now_ms)
    return encode_payload(Payload(timestamp_ms=now_ms, metrics=metrics))


def _told(message: Message, events: Iterable[Event]) -> Iterator[Event]:
    """The events up to an error, and the error as the last."""
    try:
        yield from events
    except WireError as error:
        yield message.refused(error.reason, str(error))
    except ShapeError as error:
        yield message.refused("array_length", str(error))


def _bd_seq(payload: Payload) -> int | None:
    value = next((metric.value for metric in payload.metrics if metric.name == _BD_SEQ), None)
    return value if type(value) is int else None


def _rebirth(node: NodeSession, message: Message, why: str) -> list[Event]:
    asked_ms = node.rebirth_asked_ms
    if asked_ms is not None and 0 <= message.received_at_ms - asked_ms < REBIRTH_EVERY_MS:
        return []
    node.rebirth_asked_ms = message.received_at_ms
    return [RebirthWanted(fleet_id=message.where.fleet_id, gateway_id=message.where.gateway_id, why=why)]
