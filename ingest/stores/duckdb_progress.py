"""The progress table: which frames of each boot are stored, changed in the transaction that stores them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ingest.stores.duckdb_file import registered
from ingest.stores.progress import FrameRanges, RangeChanges

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

# An update in place leaves no dead row behind, as deleting and inserting at every flush would.
_EXTEND = """
UPDATE progress p SET last_frame = c.last_frame, received_at = make_timestamp_ms($received_at_ms) FROM changes c
WHERE p.unit_id = c.unit_id AND p.boot_id = c.boot_id AND p.first_frame = c.first_frame"""
_FORGET = """
DELETE FROM progress p USING changes c
WHERE p.unit_id = c.unit_id AND p.boot_id = c.boot_id AND p.first_frame = c.first_frame"""
_ADD = "INSERT INTO progress SELECT *, make_timestamp_ms($received_at_ms) FROM changes"


def read_progress(cursor: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], FrameRanges]:
    """Which frames of each (unit, boot) are stored."""
    ranges: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for unit_id, boot_id, first, last in cursor.execute(
        "SELECT unit_id, boot_id, first_frame, last_frame FROM progress ORDER BY unit_id, boot_id, first_frame"
    ).fetchall():
        ranges.setdefault((unit_id, boot_id), []).append((first, last))
    return {boot: FrameRanges(found) for boot, found in ranges.items()}


def write_progress(
    cursor: duckdb.DuckDBPyConnection,
    before: Mapping[tuple[str, str], FrameRanges],
    after: Mapping[tuple[str, str], FrameRanges],
    received_at_ms: int,
) -> None:
    """Bring the table from one state to another."""
    extended: list[tuple[str, str, int, int]] = []
    gone: list[tuple[str, str, int, int]] = []
    added: list[tuple[str, str, int, int]] = []
    for (unit_id, boot_id), ranges in after.items():
        changes = RangeChanges.between(before.get((unit_id, boot_id)) or FrameRanges(), ranges)
        extended += [(unit_id, boot_id, first, last) for first, last in changes.extended.items()]
        gone += [(unit_id, boot_id, first, 0) for first in changes.gone]
        added += [(unit_id, boot_id, first, last) for first, last in changes.added.items()]
    for rows, statement in ((extended, _EXTEND), (gone, _FORGET), (added, _ADD)):
        if not rows:
            continue
        with registered(cursor, "changes", _ranges_table(rows)):
            cursor.execute(statement, {"received_at_ms": received_at_ms} if "$received_at_ms" in statement else {})


def _ranges_table(rows: list[tuple[str, str, int, int]]) -> pa.Table:
    units, boots, firsts, lasts = zip(*rows, strict=True)
    return pa.table(
        {
            "unit_id": pa.array(units, pa.string()),
            "boot_id": pa.array(boots, pa.string()),
            "first_frame": pa.array(np.array(firsts, np.uint64)),
            "last_frame": pa.array(np.array(lasts, np.uint64)),
        }
    )
