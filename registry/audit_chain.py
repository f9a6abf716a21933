"""The audit log's chain, pure: what a row's hash is taken over, and where a chain breaks.

A row is one JSON object, in RFC 8785 (JSON Canonicalization Scheme) form: keys sorted, no white space, UTF-8. Keys are
ASCII and numbers are whole and below 2**53, a subset in which Python's own encoder writes exactly that form. Its hash
is the SHA-256 of the object without the member `hash`; the member `previous` is the hash of the row before.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from registry.audit_records import DETAIL_LENGTH
from registry.columns import as_utc, clipped
from registry.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


FIRST_PREVIOUS = "0" * 64
_WHOLE_BELOW = 2**53
_MEMBERS = {"sequence", "at", "actor", "action", "subject", "detail", "previous", "hash"}


class ChainError(ValueError):
    """The log is not what was written. `sequence` is of the first row that is wrong; the message says how."""

    def __init__(self, sequence: int, message: str) -> None:
        super().__init__(message)
        self.sequence = sequence


def canonical(value: Mapping[str, Any]) -> str:
    """A JSON object in RFC 8785 form. Raises RefusedError for a number that is not whole, or a key not in ASCII."""
    text = line_of(_admitted(value))
    if len(text) > DETAIL_LENGTH:
        raise RefusedError(f"{len(text)} characters are too many for a detail of the audit log")
    return text


def _admitted(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return clipped(str(value), max(len(value), 1))  # no NUL, no lone surrogates: neither database keeps them
        case int() if abs(value) < _WHOLE_BELOW:
            return int(value)
        case list() | tuple():
            return [_admitted(each) for each in value]
        case dict() if all(isinstance(key, str) and key.isascii() for key in value):
            return {key: _admitted(each) for key, each in value.items()}
        case datetime():
            return instant(value)
        case _:
            raise RefusedError(f"{value!r} has no place in a detail: texts, whole numbers, lists and ASCII keys have")


def instant(at: datetime) -> str:
    """UTC with microseconds, always of the same length."""
    return as_utc(at).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def row_object(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table, by its columns, as it is exported; `hash` is left out where there is none yet.

    Raises ValueError for a detail that is not in canonical form.
    """
    detail = json.loads(row["detail"])
    if line_of(detail) != row["detail"]:
        raise ValueError("the detail is not in canonical form")
    exported = {
        "sequence": row["sequence"],
        "at": instant(row["at"]),
        "actor": {"kind": str(row["actor_kind"]), "id": row["actor_id"], "role": row["actor_role"]},
        "action": row["action"],
        "subject": row["subject"],
        "detail": detail,
        "previous": row["previous"],
    }
    return exported | {"hash": row["hash"]} if "hash" in row else exported


def line_of(exported: Mapping[str, Any]) -> str:
    """A row in canonical form, as it stands in an export."""
    return json.dumps(exported, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def row_hash(exported: Mapping[str, Any]) -> str:
    """What `hash` of this row must be."""
    signed = {key: value for key, value in exported.items() if key != "hash"}
    return hashlib.sha256(line_of(signed).encode("utf-8", "surrogatepass")).hexdigest()


def verified(
    rows: Iterable[Mapping[str, Any]],
    noted: Mapping[int, str] | None = None,
    *,
    after: tuple[int, str] = (0, FIRST_PREVIOUS),
) -> tuple[int, str]:
    """Go along the chain; the last row's sequence and hash (those of `after` when there is none).

    `noted`: hashes that somebody wrote down elsewhere, by sequence. `after`: sequence and hash of the row before the
    first one, of a part of the log. Raises ChainError at the first row that is wrong.
    """
    expected, first = dict(noted or {}), after[0] + 1
    wanted, previous = first, after[1]
    coming = iter(rows)
    for row in coming:
        _check_shape(row, wanted)
        _check_place(row, wanted, coming)
        if row["hash"] != row_hash(row):
            raise ChainError(wanted, f"row {wanted} was altered: its hash is not that of what it says")
        if row["previous"] != previous:
            if wanted == first:
                raise ChainError(first, f"row {first} was replaced: it names another row before it")
            raise ChainError(
                wanted - 1, f"row {wanted - 1} was altered or replaced: row {wanted} was chained to another"
            )
        if expected.pop(wanted, row["hash"]) != row["hash"]:
            raise ChainError(wanted, f"row {wanted} is not the one that was noted, or one before it was altered")
        previous = row["hash"]
        wanted += 1
    if expected:
        missing = min(expected)
        raise ChainError(wanted, f"row {wanted} was removed, and all after it: row {missing} was noted, and is missing")
    return wanted - 1, previous


def check_end(last: tuple[int, str], end: tuple[int, str]) -> None:
    """Whether the chain ends where it should: sequence and hash of the last row, as met and as recorded."""
    if last[0] < end[0]:
        raise ChainError(
            last[0] + 1, f"row {last[0] + 1} was removed, and all after it: the log ended with row {end[0]}"
        )
    if last[0] > end[0]:
        raise ChainError(end[0] + 1, f"row {end[0] + 1} was added: the log ended with row {end[0]}")
    if last[1] != end[1]:
        raise ChainError(last[0], f"row {last[0]} was altered or replaced: the log ended with another hash")


def _check_shape(row: Mapping[str, Any], wanted: int) -> None:
    if not isinstance(row, dict) or row.keys() != _MEMBERS or type(row["sequence"]) is not int:
        raise ChainError(wanted, f"row {wanted} was altered: it is no row of an audit log")


def _check_place(row: Mapping[str, Any], wanted: int, coming: Iterator[Mapping[str, Any]]) -> None:
    found = row["sequence"]
    if found == wanted:
        return
    if found < wanted:
        raise ChainError(found, f"row {found} was added or reordered: it stands again after row {wanted - 1}")
    later = (each.get("sequence") for each in coming if isinstance(each, dict))
    if wanted in later:
        raise ChainError(wanted, f"row {wanted} was reordered: row {found} stands in its place")
    raise ChainError(wanted, f"row {wanted} was removed: row {found} stands in its place")
