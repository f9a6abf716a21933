"""CBOR maps as the unit's link uses them: definite lengths, text keys once each, no tags but RFC 8746's arrays.

cbor2 reads the bytes; what it would turn into dates, bignums, patterns or shared references is refused before it is
built, since no message of ours holds any and each is a way to make a reader work.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, NoReturn

import cbor2
import numpy as np

from telemetry.errors import WireError
from telemetry.identifiers import IdentifierError, parse_identifier

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAG_UINT16_LITTLE = 69
"""RFC 8746 section 2.1: 0b010_f_s_e_ll with f=0 (integer), s=0 (unsigned), e=1 (little-endian), ll=1 (16 bit)."""
TAG_INT16_LITTLE = 77
"""The same with s=1 (signed)."""
TAG_ROW_MAJOR = 40
"""RFC 8746 section 3.1.1: [dimensions, elements], row-major."""

_MAX_DEPTH = 4
"""Map, tag 40, its array, the dimensions: no message of ours is deeper."""

_BUILT_IN_TAGS = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 43, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)
"""The tags that cbor2 6 gives a meaning."""


def _refuse_tag(_decoder: object, _immutable: object = None) -> NoReturn:
    raise ValueError("this tag is not part of the unit's link")


_REFUSED = dict.fromkeys(_BUILT_IN_TAGS, _refuse_tag)


def encode_map(fields: dict[str, object]) -> bytes:
    """Encode a map, leaving out fields that are None; lengths and integers take their shortest form."""
    return cbor2.dumps({key: value for key, value in fields.items() if value is not None})


def decode_map(payload: bytes, *, limit: int, truncated: str = "cbor_malformed") -> dict[str, object]:
    """Decode one map with text keys and nothing after it.

    Raises WireError: "payload_oversize" above `limit` bytes, `truncated` where the bytes end early, "cbor_malformed"
    otherwise.
    """
    if len(payload) > limit:
        raise WireError("payload_oversize", f"the message has {len(payload)} bytes, more than {limit}")
    stream = io.BytesIO(payload)
    try:
        decoded = cbor2.CBORDecoder(
            stream,
            semantic_decoders=_REFUSED,
            max_depth=_MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        ).decode()
    except cbor2.CBORDecodeEOF as error:
        raise WireError(truncated, "the CBOR item ends before it is complete") from error
    except (cbor2.CBORDecodeError, ValueError, RecursionError) as error:
        raise WireError("cbor_malformed", f"not the CBOR of a unit's message: {error}") from error
    if not isinstance(decoded, dict):
        raise WireError("cbor_malformed", f"the CBOR item is a {type(decoded).__name__}, not a map")
    if any(type(key) is not str for key in decoded):
        raise WireError("cbor_malformed", "a key of the map is not text")
    if (surplus := len(payload) - stream.tell()) > 0:
        raise WireError("cbor_malformed", f"{surplus} bytes follow the CBOR map")
    return decoded


def integer(fields: dict[str, object], key: str, low: int, high: int, *, default: int | None = None) -> int:
    """Return an integer field within low..high. Raises WireError "field_missing", "field_type" or "field_range"."""
    value = fields.get(key, default)
    if value is None:
        raise WireError("field_missing", f"the field {key} is missing")
    if type(value) is not int:
        raise WireError("field_type", f"the field {key} is a {type(value).__name__}, not an integer")
    if not low <= value <= high:
        raise WireError("field_range", f"the field {key} is {value}, outside {low}..{high}")
    return value


def real(fields: dict[str, object], key: str, low: float, high: float) -> float | None:
    """Return a finite number within low..high, or None where it is missing. Raises WireError as `integer` does."""
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WireError("field_type", f"the field {key} is a {type(value).__name__}, not a number")
    if not low <= value <= high:  # NaN neither
        raise WireError("field_range", f"the field {key} is {value}, outside {low}..{high}")
    return float(value)


def text(fields: dict[str, object], key: str) -> str:
    """Return a text field. Raises WireError "field_missing" or "field_type"."""
    value = fields.get(key)
    if value is None:
        raise WireError("field_missing", f"the field {key} is missing")
    if type(value) is not str:
        raise WireError("field_type", f"the field {key} is a {type(value).__name__}, not text")
    return value


def identifier(fields: dict[str, object], key: str) -> str:
    """Return an identifier. Raises WireError as `text` does, and "field_range" where the text cannot be one."""
    try:
        return parse_identifier(text(fields, key), key)
    except IdentifierError as error:
        raise WireError("field_range", str(error)) from error


def typed_array(column: NDArray[Any]) -> object:
    """Return the CBOR item of a one- or two-dimensional int16 or uint16 array."""
    tag = TAG_INT16_LITTLE if column.dtype.kind == "i" else TAG_UINT16_LITTLE
    elements = cbor2.CBORTag(tag, np.ascontiguousarray(column, column.dtype.newbyteorder("<")).tobytes())
    return elements if column.ndim == 1 else cbor2.CBORTag(TAG_ROW_MAJOR, [list(column.shape), elements])


def vector(fields: dict[str, object], key: str, tag: int) -> NDArray[Any] | None:
    """Return a one-dimensional typed array as a read-only view, or None where it is missing.

    Raises WireError "array_type" for any other item, "array_length" for bytes that are no whole elements.
    """
    item = fields.get(key)
    return None if item is None else _elements(key, item, tag)


def matrix(fields: dict[str, object], key: str, tag: int, max_rows: int, max_columns: int) -> NDArray[Any] | None:
    """Return a two-dimensional typed array (tag 40) as a read-only view, or None where it is missing.

    Raises WireError "array_type" for any other item, "array_rank" for other than two dimensions, "array_limit" for a
    dimension outside 1..max, "array_length" where dimensions and bytes disagree. Nothing is allocated from what the
    dimensions merely claim.
    """
    item = fields.get(key)
    if item is None:
        return None
    if not isinstance(item, cbor2.CBORTag) or item.tag != TAG_ROW_MAJOR:
        raise WireError("array_type", f"the field {key} is not a row-major array (tag {TAG_ROW_MAJOR})")
    if not isinstance(item.value, list | tuple) or len(item.value) != 2 or not isinstance(item.value[0], list | tuple):
        raise WireError("array_type", f"the field {key} is not a pair of dimensions and elements")
    shape, typed = item.value
    if len(shape) != 2:
        raise WireError("array_rank", f"the field {key} has {len(shape)} dimensions, not rows and channels")
    if any(type(extent) is not int for extent in shape):
        raise WireError("array_type", f"a dimension of {key} is not an integer")
    rows, columns = shape
    if not (1 <= rows <= max_rows and 1 <= columns <= max_columns):
        raise WireError(
            "array_limit", f"the field {key} is {rows} x {columns}, outside 1..{max_rows} x 1..{max_columns}"
        )
    elements = _elements(key, typed, tag)
    if elements.size != math.prod(shape):
        raise WireError(
            "array_length", f"the field {key} declares {rows} x {columns} but holds {elements.size} elements"
        )
    return elements.reshape(rows, columns)


def _elements(key: str, item: object, tag: int) -> NDArray[Any]:
    if not isinstance(item, cbor2.CBORTag) or item.tag != tag or type(item.value) is not bytes:
        shown = f"tag {item.tag}" if isinstance(item, cbor2.CBORTag) else type(item).__name__
        raise WireError("array_type", f"the field {key} is a {shown}, not a typed array with tag {tag}")
    if len(item.value) % 2:
        raise WireError("array_length", f"the field {key} has {len(item.value)} bytes, not whole 16-bit elements")
    return np.frombuffer(item.value, np.dtype("<i2" if tag == TAG_INT16_LITTLE else "<u2"))
