"""Boot ids: a counter that survives restarts, and a nonce in case it did not."""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FILE_NAME = "boots.json"


class BootCounter:
    """Counts the boots of units in a directory of its own; without one, every boot is the first, told by its nonce.

    One process at a time uses a directory. The file is replaced in one piece: a crash leaves the old or
    the new.
    """

    def __init__(self, state_dir: Path | None) -> None:
        """Raises OSError when the directory cannot be made or read, ValueError when the file in it is not ours."""
        self._path = None if state_dir is None else state_dir / _FILE_NAME
        self._counts: dict[str, int] = {}
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists():
                counts = json.loads(self._path.read_text(encoding="utf-8"))
                self._counts = {str(unit_id): int(count) for unit_id, count in counts.items()}

    def boot(self, unit_ids: list[str]) -> dict[str, str]:
        """Boot these units: a new boot id each, like "7-3f9a12c4"; the counters are on disk when it returns."""
        for unit_id in unit_ids:
            self._counts[unit_id] = self._counts.get(unit_id, 0) + 1
        if self._path is not None:
            fresh = self._path.with_suffix(".new")
            with fresh.open("w", encoding="utf-8") as file:
                file.write(json.dumps(self._counts, sort_keys=True))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        return {unit_id: f"{self._counts[unit_id]}-{secrets.token_hex(4)}" for unit_id in unit_ids}
