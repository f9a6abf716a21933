"""The progress tables: what is stored and settled, as ranges, changed in the transaction that stores it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ingest.stores.contract import StoreFencedError
from ingest.stores.duckdb_file import registered
from ingest.stores.progress import FrameRanges, RangeChanges

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from ingest.stores.contract import Fence

ALL_GROUPS = "*"


class RangesTable:
    """A table with a row for each range of a key."""

    def __init__(self, name: str, keys: tuple[str, ...], first: str, last: str, *, dated: bool) -> None:
        """Names of the table and its columns; when `dated`, `received_at` comes after them."""
        same = " AND ".join(f"p.{column} = c.{column}" for column in (*keys, first))
        ordered = ", ".join((*keys, first))
        self._columns = (*keys, first, last)
        self._read = f"SELECT {ordered}, {last} FROM {name} ORDER BY {ordered}"  # noqa: S608 - constants
        # An update in place leaves no dead row behind, as deleting and inserting at every flush would.
        stamp = ", make_timestamp_ms($at_ms)" if dated else ""
        date = stamp.replace(",", ", received_at =")
        self._extend = f"UPDATE {name} p SET {last} = c.{last}{date} FROM changes c WHERE {same}"  # noqa: S608 - constants
        self._forget = f"DELETE FROM {name} p USING changes c WHERE {same}"  # noqa: S608 - constants
        self._add = f"INSERT INTO {name} SELECT *{stamp} FROM changes"  # noqa: S608 - constants

    def read(self, cursor: duckdb.DuckDBPyConnection) -> dict[tuple[str, ...], FrameRanges]:
        """The ranges of each key."""
        ranges: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        for *key, first, last in cursor.execute(self._read).fetchall():
            ranges.setdefault(tuple(key), []).append((first, last))
        return {key: FrameRanges(found) for key, found in ranges.items()}

    def write(
        self,
        cursor: duckdb.DuckDBPyConnection,
        before: Mapping[tuple[str, ...], FrameRanges],
        after: Mapping[tuple[str, ...], FrameRanges],
        received_at_ms: int = 0,
    ) -> None:
        """Bring the table from one state to another, as far as keys are in `after`."""
        extended: list[tuple[str | int, ...]] = []
        gone: list[tuple[str | int, ...]] = []
        added: list[tuple[str | int, ...]] = []
        for key, ranges in after.items():
            changes = RangeChanges.between(before.get(key) or FrameRanges(), ranges)
            extended += [(*key, first, last) for first, last in changes.extended.items()]
            gone += [(*key, first, 0) for first in changes.gone]
            added += [(*key, first, last) for first, last in changes.added.items()]
        for rows, statement in ((extended, self._extend), (gone, self._forget), (added, self._add)):
            if not rows:
                continue
            with registered(cursor, "changes", self._arrow(rows)):
                cursor.execute(statement, {"at_ms": received_at_ms} if "$at_ms" in statement else {})

    def _arrow(self, rows: list[tuple[str | int, ...]]) -> pa.Table:
        *keys, firsts, lasts = zip(*rows, strict=True)
        texts = [pa.array(key, pa.string()) for key in keys]
        numbers = [pa.array(np.array(column, np.uint64)) for column in (firsts, lasts)]
        return pa.table([*texts, *numbers], names=list(self._columns))


FRAMES = RangesTable("progress", ("unit_id", "boot_id"), "first_frame", "last_frame", dated=True)
"""Which frames of each (unit, boot) are stored."""
OUTBOXES = RangesTable(
    "outbox_progress", ("fleet_id", "gateway_id", "outbox_id"), "first_sequence", "last_sequence", dated=False
)
"""Which records of each (fleet, gateway, outbox) are settled."""


def keep_fences(cursor: duckdb.DuckDBPyConnection, fences: Sequence[Fence]) -> None:
    """The last step before a commit: raises StoreFencedError when a lease is lost, or a later holder wrote already."""
    for fence in fences:
        (highest,) = cursor.execute(
            "SELECT coalesce(max(number), 0) FROM fences WHERE $1 = $2 OR lease_group IN ($1, $2)",
            [fence.group, ALL_GROUPS],
        ).fetchall()[0]
        if highest > fence.number:
            told = f"fence {highest} has written for {fence.group}; this worker's is {fence.number}"
            raise StoreFencedError(told, highest)
        if highest < fence.number:
            cursor.execute("DELETE FROM fences WHERE lease_group = $1", [fence.group])
            cursor.execute("INSERT INTO fences VALUES ($1, $2)", [fence.group, fence.number])
    for fence in fences:
        if not fence.held():
            raise StoreFencedError(f"the lease of {fence.group} is no longer held")
