"""Sparkplug payloads: metrics from and to protobuf bytes. Source: Sparkplug 3.0, chapter 6."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from telemetry.errors import WireError
from telemetry.sparkplug.datatypes import DataType, codec_of
from telemetry.sparkplug.schema import OutlineMessage, PayloadMessage

__all__ = [
    "MAX_METRICS",
    "MAX_PAYLOAD_BYTES",
    "DataType",
    "Metric",
    "Payload",
    "decode_payload",
    "encode_payload",
    "resolve_metric",
    "typed_value",
]

MAX_PAYLOAD_BYTES = 1_048_576
"""The embedded broker lets 1,000,000 bytes through; others may let more, and 1 MiB is plenty."""
MAX_METRICS = 16_384
"""**Assumed**: a birth of the largest third-party edge node; one of ours has some 40 metrics."""
_OUTLINE_ABOVE_BYTES = 65_536
"""A payload of empty metrics grows some hundredfold when it is parsed: above this size they are counted first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Metric:
    """One metric. In data messages of ours the alias stands for name and datatype, which the birth told."""

    name: str | None = None
    alias: int | None = None
    datatype: DataType | None = None
    """None where the message does not say; `value` is then as raw as protobuf had it, until `resolve_metric`."""
    value: Any = None
    """int, float, bool, str or bytes; a read-only array for the array types (bool for BooleanArray, int64 for
    DateTimeArray), a tuple of str for StringArray. None = null, or a type that nobody here reads (data sets)."""
    timestamp_ms: int | None = None
    """UTC, ms since 1970, when the value was captured."""
    is_historical: bool = False
    is_null: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Payload:
    """One message's content."""

    timestamp_ms: int | None = None
    """UTC, ms since 1970, when it was published."""
    seq: int | None = None
    """0..255; absent in NDEATH, NCMD and DCMD."""
    metrics: tuple[Metric, ...] = ()


def encode_payload(payload: Payload, *, with_datatypes: bool = True) -> bytes:
    """Encode a payload. `with_datatypes=False` for NDATA, DDATA, NCMD and DCMD, which should not repeat them.

    Raises WireError "datatype" or "value_range" for a value that its datatype cannot carry.
    """
    message = PayloadMessage()
    if payload.timestamp_ms is not None:
        message.timestamp = payload.timestamp_ms
    for metric in payload.metrics:
        item = message.metrics.add()
        if metric.name is not None:
            item.name = metric.name
        if metric.alias is not None:
            item.alias = metric.alias
        if metric.timestamp_ms is not None:
            item.timestamp = metric.timestamp_ms
        if with_datatypes and metric.datatype is not None:
            item.datatype = int(metric.datatype)
        if metric.is_historical:
            item.is_historical = True
        if metric.is_null or metric.value is None:
            item.is_null = True
        else:
            _set_value(item, metric)
    if payload.seq is not None:
        message.seq = payload.seq
    encoded: bytes = message.SerializeToString()
    return encoded


def decode_payload(payload: bytes) -> Payload:
    """Decode a payload. Arrays are read-only views of the metric's bytes.

    Raises WireError: "payload_oversize", "payload_metrics" above MAX_METRICS, "protobuf_malformed", "array_length" for
    bytes that are no whole elements, "datatype" and "value_range" for a value that its datatype does not allow.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise WireError("payload_oversize", f"the payload has {len(payload)} bytes, more than {MAX_PAYLOAD_BYTES}")
    try:
        if len(payload) > _OUTLINE_ABOVE_BYTES:
            _refuse_crowd(len(OutlineMessage.FromString(payload).metrics))
        message = PayloadMessage.FromString(payload)
        _refuse_crowd(len(message.metrics))
        return Payload(
            timestamp_ms=message.timestamp if message.HasField("timestamp") else None,
            seq=message.seq if message.HasField("seq") else None,
            metrics=tuple([_metric(item) for item in message.metrics]),
        )
    except (DecodeError, UnicodeDecodeError) as error:
        raise WireError("protobuf_malformed", f"not the protobuf of a Sparkplug payload: {error}") from error


def typed_value(metric: Metric, datatype: DataType) -> Any:
    """Return a metric's value; one that the message left raw gets the meaning of `datatype`. None = null.

    Raises WireError as `decode_payload` does.
    """
    if metric.datatype is not None or metric.value is None:
        return metric.value
    codec = codec_of(datatype)
    return None if codec is None else codec.decode(metric.value, metric.name or f"alias {metric.alias}")


def resolve_metric(metric: Metric, *, name: str, datatype: DataType | None) -> Metric:
    """Give a data message's metric the name and datatype of its birth, and its raw value the meaning of that type.

    A datatype that the message states itself holds. Raises WireError as `decode_payload` does.
    """
    return Metric(
        name=name,
        alias=metric.alias,
        datatype=metric.datatype if metric.datatype is not None else datatype,
        value=metric.value if datatype is None else typed_value(metric, datatype),
        timestamp_ms=metric.timestamp_ms,
        is_historical=metric.is_historical,
        is_null=metric.is_null,
    )


def _refuse_crowd(count: int) -> None:
    if count > MAX_METRICS:
        raise WireError("payload_metrics", f"the payload has {count} metrics, more than {MAX_METRICS}")


def _metric(item: Any) -> Metric:
    name = item.name if item.HasField("name") else None
    alias = item.alias if item.HasField("alias") else None
    datatype = _datatype(item.datatype) if item.HasField("datatype") else None
    is_null = item.is_null
    which = None if is_null else item.WhichOneof("value")
    value = None if which is None else getattr(item, which)
    if datatype is not None and value is not None:
        codec = codec_of(datatype)
        value = None if codec is None else codec.decode(value, name or f"alias {alias}")
    return Metric(
        name=name,
        alias=alias,
        datatype=datatype,
        value=value,
        timestamp_ms=item.timestamp if item.HasField("timestamp") else None,
        is_historical=item.is_historical,
        is_null=is_null,
    )


def _datatype(number: int) -> DataType:
    try:
        return DataType(number)
    except ValueError:  # a later standard's: whoever needs the metric refuses it, the others are still good
        return DataType.UNKNOWN


def _set_value(item: Any, metric: Metric) -> None:
    name = metric.name or f"alias {metric.alias}"
    codec = None if metric.datatype is None else codec_of(metric.datatype)
    if codec is None:
        raise WireError("datatype", f"{name}: nothing says how to write its value")
    setattr(item, codec.field, codec.encode(metric.value, name))
