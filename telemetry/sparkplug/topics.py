"""Sparkplug topics and the host's STATE. Source: Sparkplug 3.0, chapter 4 (Topics) and section 6.4.25 (STATE)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import orjson

from telemetry.errors import WireError
from telemetry.identifiers import IdentifierError, parse_identifier
from telemetry.limits import MAX_INTEGER

NAMESPACE = "spBv1.0"
_MAX_STATE_BYTES = 4_096
"""A STATE has two short keys; **assumed** room for what a later standard adds."""


class MessageType(StrEnum):
    """The third level of a topic (the second, for STATE)."""

    NBIRTH = "NBIRTH"
    NDATA = "NDATA"
    NDEATH = "NDEATH"
    DBIRTH = "DBIRTH"
    DDATA = "DDATA"
    DDEATH = "DDEATH"
    NCMD = "NCMD"
    DCMD = "DCMD"
    STATE = "STATE"

    @property
    def of_device(self) -> bool:
        """Whether its topic names a device, that is a sensor unit."""
        return self in _OF_DEVICE


_OF_NODE = frozenset({MessageType.NBIRTH, MessageType.NDATA, MessageType.NDEATH, MessageType.NCMD})
_OF_DEVICE = frozenset({MessageType.DBIRTH, MessageType.DDATA, MessageType.DDEATH, MessageType.DCMD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """Group = fleet, edge node = gateway, device = sensor unit."""

    fleet_id: str
    message_type: MessageType
    gateway_id: str
    unit_id: str | None = None
    """None exactly for the edge node's own messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateTopic:
    """Where a host says whether it is online."""

    host_id: str


class HostState(NamedTuple):
    """What a host says of itself: retained, and by its will when it dies."""

    online: bool
    timestamp_ms: int
    """UTC, ms since 1970. A will carries the timestamp of its own session's birth: an older one is ignored."""


def parse_topic(topic: str) -> Topic | StateTopic:
    """Parse a topic of the namespace. Raises WireError "topic"."""
    try:
        match topic.split("/"):
            case [namespace, "STATE", host_id] if namespace == NAMESPACE:
                return StateTopic(host_id=parse_identifier(host_id, "host"))
            case [namespace, fleet_id, kind, gateway_id] if namespace == NAMESPACE and kind in _OF_NODE:
                unit_id = None
            case [namespace, fleet_id, kind, gateway_id, device] if namespace == NAMESPACE and kind in _OF_DEVICE:
                unit_id = parse_identifier(device, "unit")
            case _:
                raise WireError("topic", f"{topic[:300]!r} is no Sparkplug topic")
        return Topic(
            fleet_id=parse_identifier(fleet_id, "fleet"),
            message_type=MessageType(kind),
            gateway_id=parse_identifier(gateway_id, "gateway"),
            unit_id=unit_id,
        )
    except IdentifierError as error:
        raise WireError("topic", str(error)) from error


def format_topic(topic: Topic | StateTopic) -> str:
    """Return the topic's text. Raises WireError "topic" where type and device do not fit, or an id is none."""
    if isinstance(topic, StateTopic):
        return state_topic(topic.host_id)
    levels = [NAMESPACE, topic.fleet_id, topic.message_type.value, topic.gateway_id]
    text = "/".join(levels if topic.unit_id is None else [*levels, topic.unit_id])
    parse_topic(text)
    return text


def state_topic(host_id: str) -> str:
    """Return where the host's STATE is retained. Raises IdentifierError."""
    return f"{NAMESPACE}/STATE/{parse_identifier(host_id, 'host')}"


def encode_state(online: bool, timestamp_ms: int) -> bytes:  # noqa: FBT001  # the standard's two keys, in its order
    """Encode a STATE: the standard's JSON with exactly two keys."""
    return orjson.dumps({"online": online, "timestamp": timestamp_ms})


def decode_state(payload: bytes) -> HostState:
    """Decode a STATE. Raises WireError "state_malformed"."""
    if len(payload) > _MAX_STATE_BYTES:
        raise WireError("state_malformed", f"a STATE of {len(payload)} bytes")
    try:
        fields = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise WireError("state_malformed", f"the STATE is no JSON: {error}") from error
    match fields:
        case {"online": bool(online), "timestamp": int(timestamp_ms)} if (
            type(timestamp_ms) is int and 0 <= timestamp_ms <= MAX_INTEGER
        ):
            return HostState(online, timestamp_ms)
    raise WireError("state_malformed", "the STATE lacks a boolean online or an integer timestamp")
