"""What a server of the InfluxDB family answers: rows, and errors as ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from ingest.stores.contract import StoreError, StoreRefusedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

_NAMED_LINE = re.compile(r"unable to parse '(?P<line>.*?)': (?P<reason>[^\n\"]*)", re.DOTALL)
_DROPPED = re.compile(r" dropped=\d+$")
_BEYOND_RETENTION = "beyond retention policy"


class StoreRefusedLinesError(StoreError):
    """The server kept a write but for the lines that it names."""

    def __init__(self, message: str, lines: Mapping[str, str]) -> None:
        """`lines`: each refused line and the server's reason."""
        super().__init__(message)
        self.lines = dict(lines)


class NoDatabaseError(StoreUnavailableError):
    """The server has lost the database, or someone dropped it."""


class Rows(NamedTuple):
    """A piece of an answer."""

    tags: dict[str, str]
    columns: list[str]
    values: list[list[Any]]


def raise_for(status: int, headers: Mapping[str, str], text: str) -> None:
    """Raise what an answer other than success means."""
    said = _message(text)
    match status:
        case 400 | 422 if _BEYOND_RETENTION in said:
            return
        case 400 | 422 if found := _named_lines(text, said):
            raise StoreRefusedLinesError(f"InfluxDB refuses {len(found)} lines: {next(iter(found.values()))}", found)
        case 400 | 413 | 422:
            raise StoreRefusedError(f"InfluxDB refuses: {said}")
        case 404 if "not found" in said:
            raise NoDatabaseError(f"InfluxDB has no such database: {said}")
        case 401 | 403:
            raise StoreUnavailableError(f"InfluxDB does not let Packwatch in: {said}")
        case _:
            raise StoreUnavailableError(f"InfluxDB answers {status}: {said}", _seconds(headers.get("Retry-After")))


def _named_lines(text: str, said: str) -> dict[str, str]:
    """Lines that a partial write left out, with reasons: InfluxDB 3 lists them, the others quote them."""
    try:
        listed = orjson.loads(text).get("data")
    except (orjson.JSONDecodeError, AttributeError):
        listed = None
    if isinstance(listed, list):
        return {str(each["original_line"]): str(each["error_message"]) for each in listed if "original_line" in each}
    return {found["line"]: _DROPPED.sub("", found["reason"]) for found in _NAMED_LINE.finditer(said)}


def _message(text: str) -> str:
    try:
        answer = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text.strip()[:2000]
    if isinstance(answer, dict):
        return str(answer.get("error") or answer.get("message") or text)
    return text


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.strip().isdigit() else None


def answer_text(body: object) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")


def documents(answer: httpx.Response) -> Iterator[Any]:
    """The JSON documents of a chunked answer, each on a line of its own."""
    pieces: list[bytes] = []
    for piece in answer.iter_bytes():
        *whole, rest = piece.split(b"\n")
        for line in whole:
            pieces.append(line)
            if text := b"".join(pieces):
                yield orjson.loads(text)
            pieces = []
        if rest:
            pieces.append(rest)
    if text := b"".join(pieces):
        yield orjson.loads(text)


def rows_of(document: Any) -> Iterator[Rows]:
    for result in (document, *document.get("results", ())):
        if error := result.get("error"):
            raise StoreUnavailableError(f"InfluxDB could not answer: {error}")
        for series in result.get("series", ()):
            yield Rows(series.get("tags") or {}, series["columns"], series.get("values") or [])
