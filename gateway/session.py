"""A Sparkplug B 3.0 edge node: births, deaths, sequence numbers, rebirths, and the primary host's STATE. Pure.

Calls return the messages to publish, in the order of the calls: the sequence number is given when a message is made.
Source: Sparkplug 3.0, chapters 4 (topics), 5 (operational behaviour) and 6 (payloads).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.node_metrics import (
    BD_SEQ,
    NODE_DATATYPES,
    REBIRTH,
    NodeMetrics,
    node_metrics,
    position_values,
)
from gateway.records import CabRecord, FrameRecord, PositionRecord
from gateway.session_states import TRANSITIONS, IllegalTransitionError, SessionAct, SessionEvent, SessionState
from telemetry.cab_report import CAB_ACTION, encode_cab_report
from telemetry.errors import WireError
from telemetry.on_board import COMMANDS, ON_BOARD_ALIASES, DeviceCommand, OnBoard, on_board_metrics, on_board_values
from telemetry.samples import SINGLE_CHANNELS
from telemetry.sparkplug.acknowledgement import (
    OUTBOX_ID,
    OUTBOX_SEQUENCE,
    Acknowledgement,
    acknowledgement_from_metrics,
    drop_metrics,
)
from telemetry.sparkplug.batches import ALIASES_PER_DEVICE, batch_metrics, device_birth_metrics
from telemetry.sparkplug.payload import Metric, Payload, decode_payload, encode_payload, resolve_metric
from telemetry.sparkplug.topics import (
    NAMESPACE,
    MessageType,
    StateTopic,
    Topic,
    decode_state,
    format_topic,
    parse_topic,
    state_topic,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from gateway.records import OutboxEntry
    from telemetry.samples import SampleBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to publish."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    """On the vehicle's broker alone: Sparkplug retains no message of an edge node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """What a received message asks for."""

    messages: tuple[Outgoing, ...] = ()
    acknowledgement: Acknowledgement | None = None
    command: DeviceCommand | None = None
    """For a unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceShape:
    """What a unit measures: a change means a new DBIRTH."""

    temperatures: int
    voltages: int
    singles: tuple[str, ...]
    """Names of SINGLE_CHANNELS."""

    @classmethod
    def of(cls, batch: SampleBatch) -> DeviceShape:
        """The shape of a batch."""
        fitted = tuple(name for name in SINGLE_CHANNELS if getattr(batch, name) is not None)
        return cls(temperatures=batch.temperatures_c.shape[1], voltages=batch.voltages_v.shape[1], singles=fitted)


@dataclass(slots=True)
class _Device:
    alias_base: int
    shape: DeviceShape
    data_topic: str
    talking: bool = True
    born_as: DeviceShape | None = None


class EdgeNodeSession:
    """One edge node and its devices. Times are UTC, ms since 1970. Call it from one thread."""

    def __init__(
        self, *, fleet_id: str, gateway_id: str, host_id: str | None, outbox_id: str, last_bd_seq: int | None = None
    ) -> None:
        """`host_id` None = no primary host to wait for. `last_bd_seq`: of the last CONNECT before this process."""
        self.state = SessionState.OFFLINE
        self.bd_seq = -1 if last_bd_seq is None else last_bd_seq
        self.metrics = NodeMetrics()
        self.metrics.tell_outbox(Acknowledgement(outbox_id=outbox_id, floor=0))
        self._fleet_id = fleet_id
        self._gateway_id = gateway_id
        self._host_id = host_id
        self._host_timestamp_ms: int | None = None
        self._seq = 0
        self._devices: dict[str, _Device] = {}
        self._on_board: Callable[[str], OnBoard] | None = None
        self._data_topic = self._topic(MessageType.NDATA)

    def subscriptions(self) -> tuple[str, ...]:
        """Topics to subscribe to with QoS 1 after every connect, before `connected`."""
        to_devices = f"{NAMESPACE}/{self._fleet_id}/{MessageType.DCMD}/{self._gateway_id}/+"
        commands = (self._topic(MessageType.NCMD), to_devices)
        return commands if self._host_id is None else (*commands, state_topic(self._host_id))

    def tell_by(self, on_board: Callable[[str], OnBoard]) -> None:
        """Who knows what the vehicle says of a unit: each DBIRTH tells it, beside the unit's samples."""
        self._on_board = on_board

    def connect(self, now_ms: int) -> Outgoing:
        """A CONNECT is about to be sent; returns its will. Keep `bd_seq`, which has just been raised, over restarts."""
        self._move(SessionEvent.CONNECT)
        self.bd_seq = (self.bd_seq + 1) % 256
        return self._death(now_ms)

    def connected(self, now_ms: int) -> tuple[Outgoing, ...]:
        """The broker took the CONNECT and the subscriptions."""
        self._move(SessionEvent.CONNECTED)
        return self._fire(SessionEvent.HOST_ONLINE, now_ms) if self._host_id is None else ()

    def lost(self) -> None:
        """The connection is gone. The broker publishes the will."""
        self._move(SessionEvent.LOST)
        for device in self._devices.values():
            device.born_as = None

    def stop(self, now_ms: int) -> tuple[Outgoing, ...]:
        """Die on purpose: publish this, then disconnect, after which the broker drops the will."""
        return self._fire(SessionEvent.STOP, now_ms)

    def receive(self, topic: str, payload: bytes, now_ms: int) -> Reaction:
        """A message on one of the subscriptions. When it leaves the state OFFLINE, publish and then disconnect.

        Raises WireError for what is no STATE and no command; nothing changed then.
        """
        parsed = parse_topic(topic)
        if isinstance(parsed, StateTopic):
            if parsed.host_id != self._host_id:
                raise WireError("topic", f"the STATE of {parsed.host_id!r}, which is not this node's primary host")
            return Reaction(messages=self._host_said(payload, now_ms))
        if (parsed.fleet_id, parsed.gateway_id) != (self._fleet_id, self._gateway_id):
            raise WireError("topic", f"{topic!r} is for another edge node")
        match parsed.message_type:
            case MessageType.NCMD:
                return self._commanded(payload, now_ms)
            case MessageType.DCMD:
                return Reaction(command=self._device_commanded(parsed.unit_id or "", payload))
        raise WireError("topic", f"{topic!r} is no command to an edge node or a unit")

    def settled(self, known: Acknowledgement) -> None:
        """What of which outbox is settled now: the next birth tells it."""
        self.metrics.tell_outbox(known)

    def rebirth(self, now_ms: int) -> tuple[Outgoing, ...]:
        """Births that nobody commanded, since the outbox is another one; none unless the node is born."""
        return self._births(now_ms) if self.state is SessionState.BORN else ()

    def device_heard(self, unit_id: str, batch: SampleBatch) -> None:
        """A unit sent a frame: it is part of the next birth."""
        device = self._device(unit_id, batch)
        device.shape = DeviceShape.of(batch)
        device.talking = True

    def device_silent(self, unit_id: str, now_ms: int) -> tuple[Outgoing, ...]:
        """A unit fell silent: its DDEATH, unless it is not born."""
        device = self._devices.get(unit_id)
        if device is None:
            return ()
        device.talking = False
        if self.state is not SessionState.BORN or device.born_as is None:
            return ()
        device.born_as = None
        return (self._outgoing(self._topic(MessageType.DDEATH, unit_id), (), now_ms),)

    def publish(self, entry: OutboxEntry, now_ms: int) -> tuple[Outgoing, ...]:
        """A record of the outbox, after the device's birth where that is due. Only in state BORN.

        What a record without a form on the wire raises leaves the session as it was.
        """
        self._require_born()
        record = entry.record
        if isinstance(record, PositionRecord):
            values = position_values(record.fix)
            if not entry.historical:
                self.metrics.remember(values)
            values[OUTBOX_SEQUENCE] = entry.sequence
            metrics = node_metrics(values, record.fix.fixed_at_ms, historical=entry.historical)
            return (self._outgoing(self._data_topic, metrics, now_ms, birth=False),)
        if isinstance(record, CabRecord):
            values = {CAB_ACTION: encode_cab_report(record.report), OUTBOX_SEQUENCE: entry.sequence}
            metrics = node_metrics(values, record.report.at_ms, historical=entry.historical)
            return (self._outgoing(self._data_topic, metrics, now_ms, birth=False),)
        if not isinstance(record, FrameRecord):
            metrics = drop_metrics(record.drop, timestamp_ms=record.accepted_at_ms, historical=entry.historical)
            return (self._outgoing(self._data_topic, metrics, now_ms, birth=False),)
        batch = record.batch
        device = self._device(batch.unit_id, batch)
        messages = []
        shape = DeviceShape.of(batch)
        seq, born_as = self._seq, device.born_as
        try:
            if born_as != shape:
                device.shape = shape
                messages.append(self._device_birth(batch.unit_id, device, now_ms))
            metrics = batch_metrics(
                batch, outbox_sequence=entry.sequence, alias_base=device.alias_base, historical=entry.historical
            )
            messages.append(self._outgoing(device.data_topic, metrics, now_ms, birth=False))
        except Exception:
            self._seq, device.born_as = seq, born_as  # the birth is not sent either
            raise
        return tuple(messages)

    def device_report(self, unit_id: str, now_ms: int) -> tuple[Outgoing, ...]:
        """A DDATA with what the vehicle says of a unit; none while it is not born: its birth will tell."""
        device = self._devices.get(unit_id)
        if self.state is not SessionState.BORN or device is None or device.born_as is None or self._on_board is None:
            return ()
        status = self._on_board(unit_id)
        metrics = on_board_metrics(status, alias_base=device.alias_base, timestamp_ms=now_ms, born=False)
        return (self._outgoing(device.data_topic, metrics, now_ms, birth=False),)

    def report(self, values: Mapping[str, Any], now_ms: int) -> Outgoing:
        """An NDATA with the node's own metrics. Only in state BORN."""
        self._require_born()
        self.metrics.remember(values)
        return self._outgoing(self._data_topic, node_metrics(values, now_ms), now_ms, birth=False)

    def _host_said(self, payload: bytes, now_ms: int) -> tuple[Outgoing, ...]:
        online, timestamp_ms = decode_state(payload)
        if self._host_timestamp_ms is not None and timestamp_ms < self._host_timestamp_ms:
            return ()  # the will of a connection that the host has replaced since
        self._host_timestamp_ms = timestamp_ms
        return self._fire(SessionEvent.HOST_ONLINE if online else SessionEvent.HOST_OFFLINE, now_ms)

    def _commanded(self, payload: bytes, now_ms: int) -> Reaction:
        metrics = [
            # Other names are none of this node's, and no harm.
            resolve_metric(metric, name=name, datatype=NODE_DATATYPES[name])
            for metric in decode_payload(payload).metrics
            if (name := metric.name or "") in NODE_DATATYPES
        ]
        values = {metric.name: metric.value for metric in metrics}
        acknowledgement = acknowledgement_from_metrics(metrics) if values.get(OUTBOX_ID) is not None else None
        messages = self._fire(SessionEvent.REBIRTH, now_ms) if values.get(REBIRTH) is True else ()
        return Reaction(messages=messages, acknowledgement=acknowledgement)

    def _device_commanded(self, unit_id: str, payload: bytes) -> DeviceCommand | None:
        """By name, or by the alias of the unit's birth. Other metrics are none of this node's, and no harm."""
        device = self._devices.get(unit_id)
        by_alias = {} if device is None else {device.alias_base + n: name for name, n in ON_BOARD_ALIASES.items()}
        named = [
            replace(metric, name=metric.name or by_alias.get(metric.alias or -1))
            for metric in decode_payload(payload).metrics
        ]
        values = on_board_values(metric for metric in named if metric.name in COMMANDS)
        return DeviceCommand(unit_id=unit_id, values=values) if values else None

    def _move(self, event: SessionEvent) -> SessionAct:
        try:
            self.state, act = TRANSITIONS[self.state, event]
        except KeyError:
            raise IllegalTransitionError(f"{event} cannot happen while {self.state}") from None
        return act

    def _fire(self, event: SessionEvent, now_ms: int) -> tuple[Outgoing, ...]:
        match self._move(event):
            case SessionAct.NOTHING:
                return ()
            case SessionAct.BIRTH:
                return self._births(now_ms)
            case SessionAct.DIE:
                return (self._death(now_ms),)

    def _births(self, now_ms: int) -> tuple[Outgoing, ...]:
        self._seq = 0
        for device in self._devices.values():
            device.born_as = None
        births = [
            self._outgoing(
                self._topic(MessageType.NBIRTH), self.metrics.birth(bd_seq=self.bd_seq, now_ms=now_ms), now_ms
            )
        ]
        births += [
            self._device_birth(unit_id, device, now_ms) for unit_id, device in self._devices.items() if device.talking
        ]
        return tuple(births)

    def _device_birth(self, unit_id: str, device: _Device, now_ms: int) -> Outgoing:
        device.born_as = device.shape
        metrics = device_birth_metrics(
            device.shape.temperatures,
            device.shape.voltages,
            device.shape.singles,
            alias_base=device.alias_base,
            timestamp_ms=now_ms,
        )
        if self._on_board is not None:
            status = self._on_board(unit_id)
            metrics += on_board_metrics(status, alias_base=device.alias_base, timestamp_ms=now_ms, born=True)
        return self._outgoing(self._topic(MessageType.DBIRTH, unit_id), metrics, now_ms)

    def _death(self, now_ms: int) -> Outgoing:
        metric = Metric(name=BD_SEQ, datatype=NODE_DATATYPES[BD_SEQ], value=self.bd_seq, timestamp_ms=now_ms)
        payload = encode_payload(Payload(timestamp_ms=now_ms, metrics=(metric,)))
        return Outgoing(topic=self._topic(MessageType.NDEATH), payload=payload, qos=1)

    def _outgoing(self, topic: str, metrics: tuple[Metric, ...], now_ms: int, *, birth: bool = True) -> Outgoing:
        payload = Payload(timestamp_ms=now_ms, seq=self._seq, metrics=metrics)
        outgoing = Outgoing(topic=topic, payload=encode_payload(payload, with_datatypes=birth))
        self._seq = (self._seq + 1) % 256
        return outgoing

    def _device(self, unit_id: str, batch: SampleBatch) -> _Device:
        device = self._devices.get(unit_id)
        if device is None:
            device = self._devices[unit_id] = _Device(
                alias_base=(len(self._devices) + 1) * ALIASES_PER_DEVICE,
                shape=DeviceShape.of(batch),
                data_topic=self._topic(MessageType.DDATA, unit_id),
            )
        return device

    def _topic(self, message_type: MessageType, unit_id: str | None = None) -> str:
        return format_topic(
            Topic(fleet_id=self._fleet_id, message_type=message_type, gateway_id=self._gateway_id, unit_id=unit_id)
        )

    def _require_born(self) -> None:
        if self.state is not SessionState.BORN:
            raise IllegalTransitionError(f"data cannot be published while {self.state}")
