"""Sparkplug's datatypes: which protobuf field carries each, and what its value means.

Source: Sparkplug 3.0, section 6.4.16 and following. Where the chapter's examples contradict its words (the FloatArray
example shows big-endian bytes, the DateTimeArray example six bytes a value), the words hold: packed, little-endian,
8 bytes a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from telemetry.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray


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


class ValueCodec(Protocol):
    """How values of one datatype travel. `name` is the metric's, for the words of an error."""

    @property
    def field(self) -> str:
        """The protobuf field of the metric's `value`."""

    def encode(self, value: Any, name: str) -> Any:
        """Return what goes into the field. Raises WireError "datatype" or "value_range"."""

    def decode(self, raw: Any, name: str) -> Any:
        """Return what the field's content means. Raises WireError, "array_length" too."""


def codec_of(datatype: DataType) -> ValueCodec | None:
    """Return how a datatype travels; None for those that nobody here reads: data sets, templates, property sets."""
    return _CODECS.get(datatype)


def _mismatch(name: str, value: object, wanted: str) -> WireError:
    return WireError("datatype", f"{name} is a {type(value).__name__}, not {wanted}")


@dataclass(frozen=True, slots=True)
class _Integer:
    bits: int
    signed: bool
    field: str

    def encode(self, value: Any, name: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise _mismatch(name, value, "an integer")
        self._refuse_outside(int(value), name)
        # A negative number goes out in two's complement, sign-extended to the width of the field.
        return int(value) & (0xFFFF_FFFF_FFFF_FFFF if self.field == "long_value" else 0xFFFF_FFFF)

    def decode(self, raw: Any, name: str) -> int:
        if type(raw) is not int:
            raise _mismatch(name, raw, "an integer")
        if not self.signed:
            self._refuse_outside(raw, name)
            return raw
        # Some senders extend the sign to the width of the field and some do not; the field may be the wrong one of two.
        for width in (self.bits, 32, 64):
            value = raw - (1 << width) if raw >> (width - 1) == 1 else raw
            if self._low <= value <= self._high:
                return value
        self._refuse_outside(raw, name)
        return raw

    @property
    def _low(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def _high(self) -> int:
        return (1 << (self.bits - self.signed)) - 1

    def _refuse_outside(self, value: int, name: str) -> None:
        if not self._low <= value <= self._high:
            raise WireError("value_range", f"{name} is {value}, outside {self._low}..{self._high}")


@dataclass(frozen=True, slots=True)
class _Real:
    field: str

    def encode(self, value: Any, name: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise _mismatch(name, value, "a number")
        return float(value)

    def decode(self, raw: Any, name: str) -> float:
        if type(raw) is not float:
            raise _mismatch(name, raw, "a floating-point number")
        return raw


@dataclass(frozen=True, slots=True)
class _Plain:
    """Booleans, texts and byte strings: protobuf's own."""

    kind: type
    field: str

    def encode(self, value: Any, name: str) -> Any:
        return self.decode(value, name)

    def decode(self, raw: Any, name: str) -> Any:
        if not isinstance(raw, self.kind):
            raise _mismatch(name, raw, f"a {self.kind.__name__}")
        return raw


def _bytes_of(raw: Any, name: str) -> bytes:
    if type(raw) is not bytes:
        raise _mismatch(name, raw, "a byte string")
    return raw


@dataclass(frozen=True, slots=True)
class _Array:
    """Packed little-endian elements."""

    dtype: np.dtype[Any]
    field: str = "bytes_value"

    def encode(self, value: ArrayLike, name: str) -> bytes:
        try:
            return np.ascontiguousarray(value, self.dtype).tobytes()
        except (TypeError, ValueError, OverflowError) as error:
            raise WireError("datatype", f"{name}: {error}") from error

    def decode(self, raw: Any, name: str) -> NDArray[Any]:
        packed = _bytes_of(raw, name)
        if len(packed) % self.dtype.itemsize:
            raise WireError(
                "array_length", f"{name} has {len(packed)} bytes, not whole elements of {self.dtype.itemsize}"
            )
        return np.frombuffer(packed, self.dtype)


@dataclass(frozen=True, slots=True)
class _BooleanArray:
    """A 4-byte count, then bits from the high end of each byte."""

    field: str = "bytes_value"

    def encode(self, value: ArrayLike, name: str) -> bytes:
        bits = np.asarray(value)
        if bits.ndim != 1 or (bits.size and bits.dtype != np.bool_):
            raise _mismatch(name, value, "a list of booleans")
        return bits.size.to_bytes(4, "little") + np.packbits(bits.astype(np.bool_)).tobytes()

    def decode(self, raw: Any, name: str) -> NDArray[np.bool_]:
        packed = _bytes_of(raw, name)
        count = int.from_bytes(packed[:4], "little")
        if len(packed) < 4 or len(packed) - 4 != (count + 7) // 8:
            raise WireError("array_length", f"{name} declares {count} booleans in {len(packed)} bytes")
        bits: NDArray[np.bool_] = np.unpackbits(np.frombuffer(packed, np.uint8, offset=4), count=count).view(np.bool_)
        bits.flags.writeable = False
        return bits


@dataclass(frozen=True, slots=True)
class _StringArray:
    """Strings, each ended by a zero byte."""

    field: str = "bytes_value"

    def encode(self, value: Sequence[str], name: str) -> bytes:
        for text in value:
            if not isinstance(text, str):
                raise _mismatch(name, text, "a text")
            if "\0" in text:
                raise WireError("value_range", f"a text of {name} holds a zero, which would end it")
        return "".join(text + "\0" for text in value).encode()

    def decode(self, raw: Any, name: str) -> tuple[str, ...]:
        packed = _bytes_of(raw, name)
        if not packed:
            return ()
        if not packed.endswith(b"\0"):
            raise WireError("array_length", f"the last text of {name} does not end")
        try:
            return tuple(packed[:-1].decode().split("\0"))
        except UnicodeDecodeError as error:
            raise WireError("value_range", f"a text of {name} is not UTF-8") from error


_CODECS: Final[Mapping[DataType, ValueCodec]] = {
    DataType.INT8: _Integer(8, signed=True, field="int_value"),
    DataType.INT16: _Integer(16, signed=True, field="int_value"),
    DataType.INT32: _Integer(32, signed=True, field="int_value"),
    DataType.INT64: _Integer(64, signed=True, field="long_value"),
    DataType.UINT8: _Integer(8, signed=False, field="int_value"),
    DataType.UINT16: _Integer(16, signed=False, field="int_value"),
    DataType.UINT32: _Integer(32, signed=False, field="int_value"),
    DataType.UINT64: _Integer(64, signed=False, field="long_value"),
    DataType.FLOAT: _Real("float_value"),
    DataType.DOUBLE: _Real("double_value"),
    DataType.BOOLEAN: _Plain(bool, "boolean_value"),
    DataType.STRING: _Plain(str, "string_value"),
    DataType.DATE_TIME: _Integer(64, signed=False, field="long_value"),
    DataType.TEXT: _Plain(str, "string_value"),
    DataType.UUID: _Plain(str, "string_value"),
    DataType.BYTES: _Plain(bytes, "bytes_value"),
    DataType.FILE: _Plain(bytes, "bytes_value"),
    DataType.INT8_ARRAY: _Array(np.dtype("<i1")),
    DataType.INT16_ARRAY: _Array(np.dtype("<i2")),
    DataType.INT32_ARRAY: _Array(np.dtype("<i4")),
    DataType.INT64_ARRAY: _Array(np.dtype("<i8")),
    DataType.UINT8_ARRAY: _Array(np.dtype("<u1")),
    DataType.UINT16_ARRAY: _Array(np.dtype("<u2")),
    DataType.UINT32_ARRAY: _Array(np.dtype("<u4")),
    DataType.UINT64_ARRAY: _Array(np.dtype("<u8")),
    DataType.FLOAT_ARRAY: _Array(np.dtype("<f4")),
    DataType.DOUBLE_ARRAY: _Array(np.dtype("<f8")),
    DataType.BOOLEAN_ARRAY: _BooleanArray(),
    DataType.STRING_ARRAY: _StringArray(),
    # Times are unsigned on the wire; read as signed they fit everyone's arithmetic, and none reaches 2**63.
    DataType.DATE_TIME_ARRAY: _Array(np.dtype("<i8")),
}
