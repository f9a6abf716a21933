"""The other messages of the unit's link (clock, stored, config, positions) and its topics. See docs/wire.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from telemetry import cbor
from telemetry.errors import WireError
from telemetry.identifiers import IdentifierError, parse_identifier
from telemetry.limits import MAX_INTEGER
from telemetry.samples import PositionFix

UnitMessage = Literal["frames", "clock", "stored", "config"]
"""The last level of a unit's topic."""

MAX_MESSAGE_BYTES = 4_096
"""Any of these messages; the longest, a position, has some 150 bytes."""
MAX_REPORT_INTERVAL_S = 86_400.0
"""One day."""
MAX_HOT_C = 60.0
"""degC: from `warning` on a unit reports fast, whatever it is told."""
_MAX_SPEED_M_S = 1_000.0
"""**Assumed**: above any vehicle; a receiver that says more is broken."""
_MAX_ACCURACY_M = 1e8
"""**Assumed**: above the size of the earth, since a receiver without a fix may report nonsense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockBeat:
    """What the unit's tick clock shows now. Sent every 10 s, so that the gateway can map ticks to UTC."""

    boot_id: str
    tick_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReceipt:
    """The gateway has taken this frame into its care; the unit may forget it."""

    boot_id: str
    frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitConfig:
    """What the cloud asks of a unit. None = as the unit thinks best."""

    report_interval_s: float | None = None
    hot_c: float | None = None
    """degC from which a probe counts as heat, so that the unit reports every second by itself."""
    hot_rise_k: float | None = None
    """degC that a probe rises within a minute beyond the pack's others, and counts as heat."""


def frames_topic(unit_id: str) -> str:
    """Where a unit sends frames. Raises IdentifierError."""
    return _unit_topic(unit_id, "frames")


def clock_topic(unit_id: str) -> str:
    """Where a unit sends clock beats. Raises IdentifierError."""
    return _unit_topic(unit_id, "clock")


def stored_topic(unit_id: str) -> str:
    """Where a gateway sends a unit its receipts. Raises IdentifierError."""
    return _unit_topic(unit_id, "stored")


def config_topic(unit_id: str) -> str:
    """Where a gateway sends a unit its configuration. Raises IdentifierError."""
    return _unit_topic(unit_id, "config")


def position_topic(gateway_id: str) -> str:
    """Where the vehicle's satellite receiver sends fixes to its gateway. Raises IdentifierError."""
    return f"packwatch/positions/{parse_identifier(gateway_id, 'gateway')}"


def parse_unit_topic(topic: str) -> tuple[str, UnitMessage]:
    """Return a unit topic's unit and kind of message. Raises WireError "topic"."""
    match topic.split("/"):
        case ["packwatch", "units", unit_id, "frames" | "clock" | "stored" | "config" as kind]:
            try:
                return parse_identifier(unit_id, "unit"), kind
            except IdentifierError as error:
                raise WireError("topic", str(error)) from error
    raise WireError("topic", f"{topic[:200]!r} is no topic of a unit")


def encode_clock_beat(beat: ClockBeat) -> bytes:
    """Encode a clock beat."""
    return cbor.encode_map({"boot": beat.boot_id, "tick_ms": beat.tick_ms})


def decode_clock_beat(payload: bytes) -> ClockBeat:
    """Decode a clock beat. Raises WireError as telemetry.cbor says."""
    fields = cbor.decode_map(payload, limit=MAX_MESSAGE_BYTES)
    return ClockBeat(boot_id=cbor.identifier(fields, "boot"), tick_ms=cbor.integer(fields, "tick_ms", 0, MAX_INTEGER))


def encode_stored_receipt(receipt: StoredReceipt) -> bytes:
    """Encode a receipt."""
    return cbor.encode_map({"boot": receipt.boot_id, "frame": receipt.frame})


def decode_stored_receipt(payload: bytes) -> StoredReceipt:
    """Decode a receipt. Raises WireError as telemetry.cbor says."""
    fields = cbor.decode_map(payload, limit=MAX_MESSAGE_BYTES)
    return StoredReceipt(boot_id=cbor.identifier(fields, "boot"), frame=cbor.integer(fields, "frame", 0, MAX_INTEGER))


def encode_unit_config(config: UnitConfig) -> bytes:
    """Encode a configuration."""
    return cbor.encode_map(
        {"report_interval_s": config.report_interval_s, "hot_c": config.hot_c, "hot_rise_k": config.hot_rise_k}
    )


def decode_unit_config(payload: bytes) -> UnitConfig:
    """Decode a configuration. Raises WireError as telemetry.cbor says."""
    fields = cbor.decode_map(payload, limit=MAX_MESSAGE_BYTES)
    return UnitConfig(
        report_interval_s=cbor.real(fields, "report_interval_s", 0.001, MAX_REPORT_INTERVAL_S),
        hot_c=cbor.real(fields, "hot_c", 0.0, MAX_HOT_C),
        hot_rise_k=cbor.real(fields, "hot_rise_k", 0.5, MAX_HOT_C),
    )


def encode_position(fix: PositionFix) -> bytes:
    """Encode a fix; fleet and gateway are told by whose gateway it is."""
    return cbor.encode_map(
        {
            "fixed_at_ms": fix.fixed_at_ms,
            "latitude_deg": fix.latitude_deg,
            "longitude_deg": fix.longitude_deg,
            "speed_m_s": fix.speed_m_s,
            "heading_deg": fix.heading_deg,
            "accuracy_m": fix.accuracy_m,
        }
    )


def decode_position(payload: bytes, fleet_id: str, gateway_id: str) -> PositionFix:
    """Decode a fix. Raises WireError as telemetry.cbor says."""
    fields = cbor.decode_map(payload, limit=MAX_MESSAGE_BYTES)
    latitude_deg = cbor.real(fields, "latitude_deg", -90.0, 90.0)
    longitude_deg = cbor.real(fields, "longitude_deg", -180.0, 180.0)
    if latitude_deg is None or longitude_deg is None:
        raise WireError("field_missing", "a position needs latitude_deg and longitude_deg")
    return PositionFix(
        fleet_id=fleet_id,
        gateway_id=gateway_id,
        fixed_at_ms=cbor.integer(fields, "fixed_at_ms", 0, MAX_INTEGER),
        latitude_deg=latitude_deg,
        longitude_deg=longitude_deg,
        speed_m_s=cbor.real(fields, "speed_m_s", 0.0, _MAX_SPEED_M_S),
        heading_deg=cbor.real(fields, "heading_deg", 0.0, 360.0),
        accuracy_m=cbor.real(fields, "accuracy_m", 0.0, _MAX_ACCURACY_M),
    )


def _unit_topic(unit_id: str, kind: UnitMessage) -> str:
    return f"packwatch/units/{parse_identifier(unit_id, 'unit')}/{kind}"
