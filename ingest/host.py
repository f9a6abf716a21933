"""The Sparkplug host: topics and payloads in, events out. Pure. Source: Sparkplug 3.0, chapters 4 to 6.

Order across topics is the broker's: the reorder timeout of chapter 5 is zero, and a gap asks for a rebirth at once.
What can be decoded is decoded even so: an alarm does not wait for a session to be in order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from ingest.events import DeviceBorn, DeviceDied, HostDenied, NodeBorn, NodeDied, RebirthWanted, Refused, SequenceGap
from ingest.messages import Message, birth_samples, node_reports, samples
from ingest.sessions import Births, DeviceSession, NodeSession, resolve
from telemetry.errors import WireError
from telemetry.samples import ShapeError
from telemetry.sparkplug.payload import DataType, Metric, Payload, decode_payload, encode_payload
from telemetry.sparkplug.topics import MessageType, StateTopic, decode_state, parse_topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.events import Event
    from telemetry.sparkplug.topics import Topic

REBIRTH_EVERY_MS = 5_000
"""A node is asked for its births at most this often: longer than a birth takes to arrive, short against what is lost
meanwhile. **Assumed**."""
_BD_SEQ = "bdSeq"
_COMMANDS = (MessageType.NCMD, MessageType.DCMD)

_parsed = lru_cache(maxsize=65_536)(parse_topic)


class SparkplugHost:
    """All sessions that one connection to a broker has heard of. Times are UTC, ms since 1970."""

    def __init__(self, *, host_id: str) -> None:
        self._host_id = host_id
        self._nodes: dict[tuple[str, str], NodeSession] = {}

    def receive(self, topic: str, payload: bytes, received_at_ms: int) -> list[Event]:
        """Take one message. Whatever a peer sends, this returns; what cannot be taken is among the events."""
        where: Topic | StateTopic | None = None
        try:
            where = _parsed(topic)
            if isinstance(where, StateTopic):
                denied = where.host_id == self._host_id and not decode_state(payload).online
                return [HostDenied()] if denied else []
            if where.message_type in _COMMANDS:  # to nodes, our own among them
                return []
            decoded = decode_payload(payload)
            return self._on_message(
                Message(where=where, topic=topic, raw=payload, received_at_ms=received_at_ms, payload=decoded)
            )
        except WireError as error:
            ids = {}
            if where is not None and not isinstance(where, StateTopic):
                ids = {"fleet_id": where.fleet_id, "gateway_id": where.gateway_id, "unit_id": where.unit_id}
            return [Refused(reason=error.reason, detail=str(error), topic=topic, payload=payload, **ids)]

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

    def _on_message(self, message: Message) -> list[Event]:
        node = self._nodes.setdefault((message.where.fleet_id, message.where.gateway_id), NodeSession())
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
        try:
            events += self._session_message(node, message)
        except WireError as error:
            if error.reason in ("birth_missing", "alias_unknown"):
                events += _rebirth(node, message, str(error))
            events.append(message.refused(error.reason, str(error)))
        except ShapeError as error:
            events.append(message.refused("array_length", str(error)))
        return events

    def _session_message(self, node: NodeSession, message: Message) -> Sequence[Event]:
        where, unit_id, metrics = message.where, message.where.unit_id or "", message.payload.metrics
        match where.message_type:
            case MessageType.NDATA:
                return node_reports(message, resolve(metrics, node.births))
            case MessageType.DBIRTH:
                device = node.devices[unit_id] = DeviceSession.born(metrics)
                born = DeviceBorn(
                    fleet_id=where.fleet_id, gateway_id=where.gateway_id, unit_id=unit_id, at_ms=message.received_at_ms
                )
                return [born, *birth_samples(message, metrics, device)]
            case MessageType.DDEATH:
                node.devices.pop(unit_id, None)
                return [
                    DeviceDied(
                        fleet_id=where.fleet_id,
                        gateway_id=where.gateway_id,
                        unit_id=unit_id,
                        at_ms=message.received_at_ms,
                    )
                ]
            case _:
                known = node.devices.get(unit_id)
                return samples(message, resolve(metrics, None if known is None else known.births), known)

    def _node_born(self, node: NodeSession, message: Message) -> list[Event]:
        births = Births(message.payload.metrics)
        node.begin(births, bd_seq=_bd_seq(message.payload), seq=message.payload.seq)
        where = message.where
        return [
            NodeBorn(fleet_id=where.fleet_id, gateway_id=where.gateway_id, at_ms=message.received_at_ms),
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


def rebirth_command(now_ms: int) -> bytes:
    """The payload of an NCMD that asks an edge node for its births."""
    metric = Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=True, timestamp_ms=now_ms)
    return encode_payload(Payload(timestamp_ms=now_ms, metrics=(metric,)))


def _bd_seq(payload: Payload) -> int | None:
    value = next((metric.value for metric in payload.metrics if metric.name == _BD_SEQ), None)
    return value if type(value) is int else None


def _rebirth(node: NodeSession, message: Message, why: str) -> list[Event]:
    asked_ms = node.rebirth_asked_ms
    if asked_ms is not None and 0 <= message.received_at_ms - asked_ms < REBIRTH_EVERY_MS:
        return []
    node.rebirth_asked_ms = message.received_at_ms
    return [RebirthWanted(fleet_id=message.where.fleet_id, gateway_id=message.where.gateway_id, why=why)]
