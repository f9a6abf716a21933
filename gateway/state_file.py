"""What a gateway keeps over restarts in small files: its birth/death sequence number, and the levels on board."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def read_bd_seq(path: Path) -> int | None:
    """The number of the last CONNECT, or None where there is none yet, or none that can be read.

    A gateway must start even with a damaged file: the number then starts again, and a host takes the new birth for what
    it is.
    """
    try:
        fields = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    match fields:
        case {"bd_seq": int(bd_seq)} if 0 <= bd_seq <= 255:
            return bd_seq
    return None


def write_bd_seq(path: Path, bd_seq: int) -> None:
    """Replace the file in one step, so that a power cut leaves the old number or the new one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps({"bd_seq": bd_seq}))
    fresh.replace(path)


def on_board_path(state_path: Path) -> Path:
    """Where levels and packs lie, beside the number."""
    return state_path.with_name(f"{state_path.stem}-on-board.json")


def read_on_board(path: Path) -> dict[str, Any]:
    """What was kept; empty where there is nothing yet.

    Raises OSError or ValueError for a file that is there and cannot be read.
    """
    try:
        kept = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    if not isinstance(kept, dict):
        raise ValueError(f"{path} holds no levels")  # noqa: TRY004  # what is wrong is the file, not a type
    return kept


def write_on_board(path: Path, state: dict[str, object]) -> None:
    """Replace the file in one step; it is on the disk then, and a power cut takes no level away. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
