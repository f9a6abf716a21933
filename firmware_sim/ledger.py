"""A unit's ledger: what it took and what it lost, one line of JSON each, for whoever checks what arrived."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """A frame that the unit measured and wrote into its flash."""

    boot_id: str
    frame: int
    rows: int
    period_ms: int
    tick_ms: int
    """Of the first sample."""
    taken_at_ms: int | None
    """True UTC of the first sample, which the unit itself does not know; None when it died before writing it down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A frame that the ring overwrote before anybody took it."""

    boot_id: str
    frame: int


class Ledger:
    """Append-only. A line is on disk when the call returns; a line that a crash cut short is left out by readers."""

    def __init__(self, path: Path) -> None:
        """Open or create it. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        # A line that was cut short must not swallow the next one.
        if os.fstat(self._file).st_size:
            os.write(self._file, b"\n")

    def write(self, *entries: Took | Lost) -> None:
        """Append entries, in one write."""
        lines = [json.dumps({type(entry).__name__.lower(): asdict(entry)}) + "\n" for entry in entries]
        os.write(self._file, "".join(lines).encode())
        os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def read_ledger(path: Path) -> Iterable[Took | Lost]:
    """All entries, in the order in which they were written."""
    for line in path.read_text().splitlines():
        try:
            entry = json.loads(line or "{}")
        except ValueError:  # cut short
            continue
        match entry:
            case {"took": took}:
                yield Took(**took)
            case {"lost": lost}:
                yield Lost(**lost)
