"""Column types that carry their rule, so that SQLite and PostgreSQL keep, and refuse, the same values."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import singledispatch
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import JSON, BigInteger, Boolean, DateTime, Double, Enum, Integer, LargeBinary, String
from sqlalchemy.types import TypeDecorator

from registry.errors import RefusedError
from registry.limits import PAYLOAD_KEPT_BYTES
from telemetry.identifiers import IdentifierError, parse_identifier

if TYPE_CHECKING:
    from sqlalchemy import Dialect
    from sqlalchemy.sql.elements import NamedColumn

_T = TypeVar("_T")

REASONS_KEPT = 50
"""**Assumed**: reasons kept for an alert; more than a person reads at once."""
REASON_LENGTH = 500


class Identifier(String):
    """An id of the wire's alphabet (telemetry.identifiers); `kind` names it in refusals."""

    def __init__(self, kind: str, length: int = 64) -> None:
        super().__init__(length)
        self.kind = kind


class Clipped(String):
    """Text from the wire or from a machine: cut to fit and cleaned, since an alarm or a finding is never refused."""


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware on both sides, UTC inside. SQLite keeps no zone, so there the text is UTC by contract."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuses a time without a zone, in queries as in records."""
        if value is None:
            return None
        instant = as_utc(value)
        return instant.replace(tzinfo=None) if dialect.name == "sqlite" else instant

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC, whatever zone the database session has."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def as_utc(value: datetime) -> datetime:
    """The same instant in UTC. Raises RefusedError for a time without a zone."""
    if value.tzinfo is None:
        raise RefusedError(f"the time {value.isoformat()} has no time zone")
    return value.astimezone(UTC)


def clipped(text: str, length: int) -> str:
    """`text` as both databases can keep it: no NUL, no lone surrogates, at most `length` characters."""
    clean = text[:length].encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return clean if len(text) <= length else clean[:-1] + "\N{HORIZONTAL ELLIPSIS}"


def admitted(value: Any, column: NamedColumn[Any], where: str) -> Any:
    """`value` as `column` keeps it. Raises RefusedError, which says what is wrong with `where`."""
    if value is None:
        if column.nullable:
            return None
        raise RefusedError(f"{where} is missing")
    return _admitted_by(column.type, value, where)


@singledispatch
def _admitted_by(kind: Any, _value: Any, where: str) -> Any:
    """The rule of a column's type, found by the type: a subclass has its own rule, or its parent's."""
    raise TypeError(f"{where}: no rule for columns of {kind!r}")


@_admitted_by.register
def _(kind: Identifier, value: Any, where: str) -> str:
    try:
        return parse_identifier(_of(str, value, where), kind.kind)
    except IdentifierError as error:
        raise RefusedError(f"{where}: {error}") from None


@_admitted_by.register
def _(kind: Enum, value: Any, where: str) -> Any:
    kinds: Any = kind.enum_class
    try:
        return kinds(value)
    except ValueError:
        known = ", ".join(each.value for each in kinds)
        raise RefusedError(f"{where} is {value!r}, not one of {known}") from None


@_admitted_by.register
def _(kind: Clipped, value: Any, where: str) -> str:
    return clipped(_of(str, value, where), kind.length or 0)


@_admitted_by.register
def _(kind: String, value: Any, where: str) -> str:
    text, length = _of(str, value, where), kind.length or 0
    if len(text) > length:
        raise RefusedError(f"{where} has {len(text)} characters; at most {length} are kept")
    if clipped(text, length) != text:
        raise RefusedError(f"{where} holds characters that are no text")
    return text


@_admitted_by.register
def _(_kind: UtcDateTime, value: Any, where: str) -> datetime:
    return as_utc(_of(datetime, value, where))


@_admitted_by.register
def _(_kind: Boolean, value: Any, where: str) -> bool:
    return _of(bool, value, where)


@_admitted_by.register
def _(kind: Integer, value: Any, where: str) -> int:
    limit = 2**63 if isinstance(kind, BigInteger) else 2**31
    if isinstance(value, bool) or not -limit <= _of(int, value, where) < limit:
        raise RefusedError(f"{where} is {value!r}, not a whole number that fits")
    return int(value)


@_admitted_by.register(Double)
def _(_kind: Any, value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RefusedError(f"{where} is {value!r}, not a finite number")
    return float(value)


@_admitted_by.register
def _(_kind: JSON, value: Any, where: str) -> list[str]:
    return [clipped(_of(str, reason, where), REASON_LENGTH) for reason in value[:REASONS_KEPT]]


@_admitted_by.register
def _(_kind: LargeBinary, value: Any, _where: str) -> bytes:
    return bytes(value[:PAYLOAD_KEPT_BYTES])


def _of(kind: type[_T], value: object, where: str) -> _T:
    if not isinstance(value, kind):
        raise RefusedError(f"{where} is {type(value).__name__}, not {kind.__name__}")
    return value
