"""What the engine remembers, as one file: written whole or not at all, and refused with a reason when it is not whole.

The file is a numpy archive (a zip, whose members carry a CRC) without pickles: arrays, and a head in JSON.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT = "packwatch alert states 1"
"""Grows when the head changes its meaning; columns are compared one by one."""
_HEAD = "head"
_TORN = (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error)


class SnapshotError(ValueError):
    """A file that cannot be gone on with. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """All that evaluation needs to go on where it was."""

    written_at_ms: int
    """The clock of the service, UTC."""
    rules_hash: str
    """By which rules the states came about."""
    fleets: tuple[str, ...]
    """Whose; empty = all."""
    head: Mapping[str, Any]
    """What is no array, as JSON holds it."""
    arrays: Mapping[str, NDArray[Any]]


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Replace the file. A crash at any moment leaves the old one or the new one. Raises OSError."""
    head = orjson.dumps(
        {
            "format": FORMAT,
            "written_at_ms": snapshot.written_at_ms,
            "rules_hash": snapshot.rules_hash,
            "fleets": snapshot.fleets,
            "head": snapshot.head,
        },
        option=orjson.OPT_NON_STR_KEYS,
    )
    arrays: dict[str, Any] = {_HEAD: np.frombuffer(head, np.uint8), **snapshot.arrays}
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_snapshot(path: Path, *, fleets: tuple[str, ...]) -> Snapshot:
    """What `write_snapshot` wrote. Raises SnapshotError, also where there is none."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        snapshot = _snapshot(orjson.loads(arrays.pop(_HEAD).tobytes()), arrays)
    except FileNotFoundError:
        raise SnapshotError(f"there is no {path}") from None
    except SnapshotError as error:
        raise SnapshotError(f"{path} {error}") from None
    except _TORN as error:
        raise SnapshotError(f"{path} is torn, or none of ours: {error}") from error
    if snapshot.fleets != fleets:
        named = ", ".join(snapshot.fleets) or "all"
        raise SnapshotError(f"{path} is of other fleets: {named}")
    return snapshot


def _snapshot(written: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Snapshot:
    found = written["format"]
    if found != FORMAT:
        raise SnapshotError(f"is of the format {found!r}, not {FORMAT!r}: another version wrote it")
    return Snapshot(
        written_at_ms=int(written["written_at_ms"]),
        rules_hash=str(written["rules_hash"]),
        fleets=tuple(written["fleets"]),
        head=written["head"],
        arrays=arrays,
    )
