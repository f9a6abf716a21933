"""What one decoded Sparkplug message says of samples, positions, refusals, and its gateway's outbox."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson
from google.protobuf.message import DecodeError

from ingest.events import (
    BatchReceived,
    CabActed,
    NothingToStore,
    OnBoardTold,
    OutboxDeclared,
    PositionReceived,
    Refused,
    SamplesDropped,
)
from ingest.positions import LATITUDE, position_from_values
from ingest.stores.contract import OutboxRange
from telemetry.cab_report import CAB_ACTION, CabTold, decode_cab_report
from telemetry.errors import WireError
from telemetry.limits import MAX_INTEGER
from telemetry.on_board import OnBoardReport, on_board_of, on_board_values
from telemetry.samples import ReceivedBatch
from telemetry.sparkplug.acknowledgement import (
    OUTBOX_ID,
    OUTBOX_REPLACED,
    acknowledgement_from_metrics,
    drop_from_metrics,
)
from telemetry.sparkplug.batches import OUTBOX_SEQUENCE, TIME, batch_from_metrics
from telemetry.sparkplug.salvage import salvage_batches, salvage_metrics
from telemetry.sparkplug.scalars import batches_from_scalars
from telemetry.sparkplug.schema import PayloadMessage
from telemetry.sparkplug.topics import MessageType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.events import Event
    from ingest.sessions import Births, DeviceSession, NodeSession
    from telemetry.samples import SampleBatch
    from telemetry.sparkplug.acknowledgement import DropRecord
    from telemetry.sparkplug.payload import Metric, Payload
    from telemetry.sparkplug.topics import Topic

COMES_AGAIN = ("birth_missing", "alias_unknown")
"""Refusals that a rebirth mends: the gateway must not forget what was in the message."""
REFUSED_BY_GATEWAY = "Health/Refused"
"""A gateway's word on a message that it refused: JSON with topic, reason and detail."""
_SLUG = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of an edge node or device, with its payload taken apart."""

    where: Topic
    topic: str
    raw: bytes
    received_at_ms: int
    payload: Payload
    outbox_id: str | None
    """Of the node's birth."""

    def refused(self, reason: str, detail: str) -> Refused:
        return Refused(
            reason=reason,
            detail=detail,
            topic=self.topic,
            payload=self.raw,
            fleet_id=self.where.fleet_id,
            gateway_id=self.where.gateway_id,
            unit_id=self.where.unit_id,
        )


def birth_samples(message: Message, metrics: Sequence[Metric], device: DeviceSession) -> list[BatchReceived]:
    """The samples that a device's birth holds: a node that reports by exception tells its first values there only."""
    return samples(message, [metric for metric in metrics if metric.value is not None], device)


def samples(message: Message, metrics: Sequence[Metric], device: DeviceSession | None) -> list[BatchReceived]:
    """The samples of a device's resolved metrics, as arrays or as scalars. Raises what their decoders raise."""
    unit_id = message.where.unit_id or ""
    temperature_channels = None if device is None else device.temperature_channels
    voltage_channels = None if device is None else device.voltage_channels
    if any(metric.name == TIME for metric in metrics):
        batch, sequence = batch_from_metrics(
            metrics, unit_id=unit_id, temperature_channels=temperature_channels, voltage_channels=voltage_channels
        )
        return [_received(message, batch, sequence)]
    batches = batches_from_scalars(
        metrics,
        unit_id=unit_id,
        temperature_channels=temperature_channels,
        voltage_channels=voltage_channels,
        payload_timestamp_ms=message.payload.timestamp_ms,
    )
    return [_received(message, batch, None) for batch in batches]


def on_board_told(message: Message, metrics: Sequence[Metric], device: DeviceSession) -> list[OnBoardTold]:
    """What a device's resolved metrics add to what its vehicle says of it. Raises WireError."""
    values = on_board_values(metrics)
    if not values:
        return []
    device.on_board |= values
    status = on_board_of(device.on_board)
    if status is None:
        return []
    report = OnBoardReport(
        fleet_id=message.where.fleet_id,
        gateway_id=message.where.gateway_id,
        unit_id=message.where.unit_id or "",
        received_at_ms=message.received_at_ms,
        status=status,
    )
    return [OnBoardTold(report=report)]


def salvaged(refused: Refused, where: Topic, node: NodeSession, received_at_ms: int) -> list[Event]:
    """What of a refused message can be an alarm, as batches, and the refusal after them.

    Its record is settled by the store then. One that comes again whole, after a rebirth, is neither settled nor taken
    for the same frame.
    """
    if where.message_type not in (MessageType.DDATA, MessageType.DBIRTH) or where.unit_id is None:
        return [refused]
    device = node.devices.get(where.unit_id)
    births = None if device is None else device.births
    metrics = salvage_metrics(
        refused.payload,
        {} if births is None else {alias: born.name for alias, born in births.by_alias.items()},
        {} if births is None else {n: born.datatype for n, born in births.by_name.items() if born.datatype},
    )
    batches, sequence = salvage_batches(
        metrics,
        unit_id=where.unit_id,
        temperature_channels=None if device is None else device.temperature_channels,
        voltage_channels=None if device is None else device.voltage_channels,
        received_at_ms=received_at_ms,
    )
    if not batches:
        return [refused]
    if refused.reason in COMES_AGAIN:
        sequence, batches = None, tuple(replace(batch, boot_id=None, frame=None) for batch in batches)
    events: list[Event] = [
        BatchReceived(
            received=ReceivedBatch(
                batch=batch,
                fleet_id=where.fleet_id,
                gateway_id=where.gateway_id,
                received_at_ms=received_at_ms,
                outbox_sequence=sequence,
                outbox_id=node.outbox_id,
            ),
            topic=refused.topic,
            payload=refused.payload,
        )
        for batch in batches
    ]
    return [*events, refused if sequence is None else replace(refused, settles=None)]


NodeReport = PositionReceived | SamplesDropped | CabActed | NothingToStore | Refused


def node_reports(message: Message, metrics: Sequence[Metric]) -> list[NodeReport]:
    """What an edge node's resolved metrics say: what it refused, what its cab did, where it is, what it let go."""
    events: list[NodeReport] = [
        _refused_by_gateway(message, metric.value)
        for metric in metrics
        if metric.name == REFUSED_BY_GATEWAY and metric.value is not None
    ]
    values = {metric.name: metric.value for metric in metrics if metric.name is not None}
    stamps = {metric.name: metric.timestamp_ms for metric in metrics}
    told = values.get(OUTBOX_SEQUENCE)
    sequence = told if type(told) is int else None
    try:
        if values.get(OUTBOX_REPLACED) is not None:
            drop = drop_from_metrics(metrics)
            return [*events, *_dropped(message, drop)]
        if isinstance(action := values.get(CAB_ACTION), str):
            return [*events, _cab_acted(message, action, sequence)]
        fix = position_from_values(
            values,
            fleet_id=message.where.fleet_id,
            gateway_id=message.where.gateway_id,
            timestamp_ms=stamps.get(LATITUDE),
            received_at_ms=message.received_at_ms,
        )
    except WireError as error:
        return [*events, message.refused(error.reason, str(error))]
    if fix is not None:
        events.append(PositionReceived(fix=fix, outbox_sequence=sequence, outbox_id=message.outbox_id))
    elif (settles := _record(message.where, message.outbox_id, sequence)) is not None:
        events.append(NothingToStore(settles=settles))
    return events


def declared_outbox(message: Message) -> tuple[str | None, list[OutboxDeclared | Refused]]:
    """Which outbox a node's birth names, and what to make of it; a birth that words it wrongly is a birth even so."""
    metrics = message.payload.metrics
    if not any(metric.name == OUTBOX_ID and metric.value is not None for metric in metrics):
        return None, []
    try:
        told = acknowledgement_from_metrics(metrics)
    except WireError as error:
        return None, [message.refused(error.reason, str(error))]
    fleet_id, gateway_id = message.where.fleet_id, message.where.gateway_id
    ranges = [*([(1, told.floor)] if told.floor else []), *told.ranges]
    declared = OutboxDeclared(
        fleet_id=fleet_id,
        gateway_id=gateway_id,
        outbox_id=told.outbox_id,
        settled=tuple(OutboxRange(fleet_id, gateway_id, told.outbox_id, first, last) for first, last in ranges),
    )
    return told.outbox_id, [declared]


def record_of(where: Topic, raw: bytes, outbox_id: str | None, births: Births | None) -> OutboxRange | None:
    """The outbox record that a message is, by its number alone: the rest of it may be beyond reading."""
    if outbox_id is None:
        return None
    by_alias = {} if births is None else births.by_alias
    try:
        metrics = PayloadMessage.FromString(raw).metrics
    except (DecodeError, UnicodeDecodeError):
        return None
    for metric in metrics:
        born = by_alias.get(metric.alias) if metric.HasField("alias") else None
        if OUTBOX_SEQUENCE in (metric.name, born.name if born else None) and metric.WhichOneof("value") == "long_value":
            return _record(where, outbox_id, metric.long_value)
    return None


def _record(where: Topic, outbox_id: str | None, sequence: int | None) -> OutboxRange | None:
    if outbox_id is None or sequence is None or sequence > MAX_INTEGER:
        return None
    return OutboxRange(where.fleet_id, where.gateway_id, outbox_id, sequence, sequence)


def _cab_acted(message: Message, action: str, sequence: int | None) -> CabActed:
    """Raises WireError."""
    told = CabTold(
        fleet_id=message.where.fleet_id,
        gateway_id=message.where.gateway_id,
        received_at_ms=message.received_at_ms,
        report=decode_cab_report(action),
    )
    return CabActed(told=told, settles=_record(message.where, message.outbox_id, sequence))


def _dropped(message: Message, drop: DropRecord) -> list[SamplesDropped]:
    if message.outbox_id is None:  # nobody knows whose numbers these are: it comes again after the birth
        return []
    return [
        SamplesDropped(
            drop=drop,
            fleet_id=message.where.fleet_id,
            gateway_id=message.where.gateway_id,
            outbox_id=message.outbox_id,
            topic=message.topic,
            payload=message.raw,
        )
    ]


def _received(message: Message, batch: SampleBatch, sequence: int | None) -> BatchReceived:
    received = ReceivedBatch(
        batch=batch,
        fleet_id=message.where.fleet_id,
        gateway_id=message.where.gateway_id,
        received_at_ms=message.received_at_ms,
        outbox_sequence=sequence,
        outbox_id=message.outbox_id,
    )
    return BatchReceived(received=received, topic=message.topic, payload=message.raw)


def _refused_by_gateway(message: Message, text: object) -> Refused:
    try:
        told = orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError:
        told = None
    match told:
        case {"topic": str(topic), "reason": str(reason), "detail": str(detail)} if _SLUG.fullmatch(reason):
            return Refused(
                reason=reason,
                detail=f"refused by gateway {message.where.gateway_id}: {detail}",
                topic=topic,
                payload=b"",
                fleet_id=message.where.fleet_id,
                gateway_id=message.where.gateway_id,
                unit_id=_unit_of(topic),
            )
    return message.refused("refusal_malformed", f"{REFUSED_BY_GATEWAY} is not JSON with topic, reason and detail")


def _unit_of(local_topic: str) -> str | None:
    levels = local_topic.split("/")
    return levels[2] if levels[:2] == ["packwatch", "units"] and len(levels) > 2 else None
