"""Sparkplug payloads: metrics with their datatypes, from and to protobuf bytes.

Source: Sparkplug 3.0, chapter 6. Where the chapter's examples contradict its words (the FloatArray example shows
big-endian bytes, the DateTimeArray example six bytes a value), the words hold: packed, little-endian, 8 bytes a time.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError

from telemetry.errors import WireError
from telemetry.sparkplug.schema import OutlineMessage, PayloadMessage

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PAYLOAD_BYTES = 1_048_576
"""The embedded broker lets 1,000,000 bytes through; others may let more, and 1 MiB is plenty."""
MAX_METRICS = 16_384
"""**Assumed**: a birth of the largest third-party edge node; one of ours has some 40 metrics."""
_OUTLINE_ABOVE_BYTES = 65_536
"""A payload of empty metrics grows about fiftyfold when parsed: beyond this size they are counted first."""
_MAX_UINT64 = 2**64 - 1


class DataType(IntEnum):
    """The standard's datatypes and their numbers."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13
    TEXT = 14
    UUID = 15
    DATA_SET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21
    INT8_ARRAY = 22
    INT16_ARRAY = 23
    INT32_ARRAY = 24
    INT64_ARRAY = 25
    UINT8_ARRAY = 26
    UINT16_ARRAY = 27
    UINT32_ARRAY = 28
    UINT64_ARRAY = 29
    FLOAT_ARRAY = 30
    DOUBLE_ARRAY = 31
    BOOLEAN_ARRAY = 32
    STRING_ARRAY = 33
    DATE_TIME_ARRAY = 34


_SIGNED_BITS = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
_UNSIGNED_BITS = {
    DataType.UINT8: 8,
    DataType.UINT16: 16,
    DataType.UINT32: 32,
    DataType.UINT64: 64,
    DataType.DATE_TIME: 64,
}
_TEXTS = frozenset({DataType.STRING, DataType.TEXT, DataType.UUID})
_BLOBS = frozenset({DataType.BYTES, DataType.FILE})
_ARRAYS = {
    DataType.INT8_ARRAY: np.dtype("<i1"),
    DataType.INT16_ARRAY: np.dtype("<i2"),
    DataType.INT32_ARRAY: np.dtype("<i4"),
    DataType.INT64_ARRAY: np.dtype("<i8"),
    DataType.UINT8_ARRAY: np.dtype("<u1"),
    DataType.UINT16_ARRAY: np.dtype("<u2"),
    DataType.UINT32_ARRAY: np.dtype("<u4"),
    DataType.UINT64_ARRAY: np.dtype("<u8"),
    DataType.FLOAT_ARRAY: np.dtype("<f4"),
    DataType.DOUBLE_ARRAY: np.dtype("<f8"),
    # Times are unsigned on the wire. Read as signed they fit numpy's and everyone's arithmetic.
    DataType.DATE_TIME_ARRAY: np.dtype("<i8"),
}


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
    message = PayloadMessage()
    try:
        if len(payload) > _OUTLINE_ABOVE_BYTES:
            _refuse_crowd(len(OutlineMessage.FromString(payload).metrics))
        message.ParseFromString(payload)
        _refuse_crowd(len(message.metrics))
        metrics = tuple([_metric(item) for item in message.metrics])
    except (DecodeError, UnicodeDecodeError) as error:
        raise WireError("protobuf_malformed", f"not the protobuf of a Sparkplug payload: {error}") from error
    return Payload(
        timestamp_ms=message.timestamp if message.HasField("timestamp") else None,
        seq=message.seq if message.HasField("seq") else None,
        metrics=metrics,
    )


def resolve_metric(metric: Metric, *, name: str, datatype: DataType | None) -> Metric:
    """Give a data message's metric the name and datatype of its birth, and its raw value the meaning of that type.

    A datatype that the message states itself holds. Raises WireError as `decode_payload` does.
    """
    if metric.datatype is not None or datatype is None:
        return dataclasses.replace(metric, name=name)
    value = None if metric.is_null else _typed(datatype, metric.value, name)
    return dataclasses.replace(metric, name=name, datatype=datatype, value=value)


def _refuse_crowd(count: int) -> None:
    if count > MAX_METRICS:
        raise WireError("payload_metrics", f"the payload has {count} metrics, more than {MAX_METRICS}")


def _metric(item: Any) -> Metric:
    name = item.name if item.HasField("name") else None
    alias = item.alias if item.HasField("alias") else None
    datatype = _datatype(item.datatype) if item.HasField("datatype") else None
    which = None if item.is_null else item.WhichOneof("value")
    value = None if which is None else getattr(item, which)
    if datatype is not None and value is not None:
        value = _typed(datatype, value, name or f"alias {alias}")
    return Metric(
        name=name,
        alias=alias,
        datatype=datatype,
        value=value,
        timestamp_ms=item.timestamp if item.HasField("timestamp") else None,
        is_historical=item.is_historical,
        is_null=item.is_null,
    )


def _datatype(number: int) -> DataType:
    try:
        return DataType(number)
    except ValueError:  # a later standard's: whoever needs the metric refuses it, the others are still good
        return DataType.UNKNOWN


def _typed(datatype: DataType, raw: Any, name: str) -> Any:
    """Give a protobuf value the meaning of its datatype."""
    if (dtype := _ARRAYS.get(datatype)) is not None and type(raw) is bytes:
        if len(raw) % dtype.itemsize:
            raise WireError("array_length", f"{name} has {len(raw)} bytes, not whole elements of {dtype.itemsize}")
        return np.frombuffer(raw, dtype)
    match datatype:
        case DataType.FLOAT | DataType.DOUBLE if type(raw) is float:
            return raw
        case DataType.BOOLEAN if type(raw) is bool:
            return raw
        case DataType.BOOLEAN_ARRAY if type(raw) is bytes:
            return _unpack_booleans(raw, name)
        case DataType.STRING_ARRAY if type(raw) is bytes:
            return _split_strings(raw, name)
        case DataType.UNKNOWN | DataType.DATA_SET | DataType.TEMPLATE:
            return None
        case DataType.PROPERTY_SET | DataType.PROPERTY_SET_LIST:
            return None
    if datatype in _TEXTS and type(raw) is str:
        return raw
    if datatype in _BLOBS and type(raw) is bytes:
        return raw
    if (bits := _UNSIGNED_BITS.get(datatype)) is not None and type(raw) is int:
        if raw >> bits:
            raise WireError("value_range", f"{name} is {raw}, above {bits} bits")
        return raw
    if (bits := _SIGNED_BITS.get(datatype)) is not None and type(raw) is int:
        return _signed(raw, bits, name)
    raise WireError("datatype", f"{name} is declared {datatype.name} but carries a {type(raw).__name__}")


def _signed(raw: int, bits: int, name: str) -> int:
    """Read two's complement, whether the sender sign-extended it to the field's width or not."""
    for width in (bits, 32, 64):
        if raw >> width == 0:
            value = raw - (1 << width) if raw >> (width - 1) else raw
            if -(1 << (bits - 1)) <= value < 1 << (bits - 1):
                return value
    raise WireError("value_range", f"{name} is {raw}, which is no {bits}-bit integer")


def _unpack_booleans(raw: bytes, name: str) -> NDArray[np.bool_]:
    """A 4-byte count, then bits from the high end of each byte."""
    count = int.from_bytes(raw[:4], "little")
    if len(raw) < 4 or len(raw) - 4 != (count + 7) // 8:
        raise WireError("array_length", f"{name} declares {count} booleans in {len(raw)} bytes")
    bits = np.unpackbits(np.frombuffer(raw, np.uint8, offset=4), count=count).view(np.bool_)
    bits.flags.writeable = False
    return bits


def _split_strings(raw: bytes, name: str) -> tuple[str, ...]:
    """Strings, each ended by a zero byte."""
    if not raw:
        return ()
    if not raw.endswith(b"\0"):
        raise WireError("array_length", f"the last string of {name} does not end")
    return tuple(raw[:-1].decode().split("\0"))


def _set_value(item: Any, metric: Metric) -> None:
    """Put a value into the field that the standard names for its datatype."""
    datatype, value = metric.datatype, metric.value
    shown = metric.name or f"alias {metric.alias}"
    if datatype is None:
        raise WireError("datatype", f"{shown} has no datatype, so nothing says how to encode it")
    try:
        if (dtype := _ARRAYS.get(datatype)) is not None:
            item.bytes_value = np.ascontiguousarray(value, dtype).tobytes()
        elif datatype is DataType.BOOLEAN_ARRAY:
            bits = np.asarray(value, np.bool_)
            item.bytes_value = len(bits).to_bytes(4, "little") + np.packbits(bits).tobytes()
        elif datatype is DataType.STRING_ARRAY:
            if any("\0" in text for text in value):
                raise WireError("value_range", f"a string of {shown} holds a zero, which would end it")
            item.bytes_value = "".join(text + "\0" for text in value).encode()
        elif datatype is DataType.FLOAT:
            item.float_value = value
        elif datatype is DataType.DOUBLE:
            item.double_value = value
        elif datatype is DataType.BOOLEAN:
            item.boolean_value = value
        elif datatype in _TEXTS:
            item.string_value = value
        elif datatype in _BLOBS:
            item.bytes_value = value
        elif (bits_wide := _UNSIGNED_BITS.get(datatype)) is not None:
            _set_integer(item, value, bits_wide, 0, (1 << bits_wide) - 1, shown)
        elif (bits_wide := _SIGNED_BITS.get(datatype)) is not None:
            _set_integer(item, value, bits_wide, -(1 << (bits_wide - 1)), (1 << (bits_wide - 1)) - 1, shown)
        else:
            raise WireError("datatype", f"{shown}: nothing here writes {datatype.name}")
    except TypeError as error:
        raise WireError("datatype", f"{shown}: {error}") from error


def _set_integer(item: Any, value: int, bits: int, low: int, high: int, name: str) -> None:
    if not low <= value <= high:
        raise WireError("value_range", f"{name} is {value}, outside {low}..{high}")
    # A negative number goes out in two's complement, sign-extended to the field's width.
    if bits == 64:
        item.long_value = value & _MAX_UINT64
    else:
        item.int_value = value & 0xFFFFFFFF
