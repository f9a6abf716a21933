"""The birth/death sequence number over restarts, in a small file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

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
