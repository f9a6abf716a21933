"""The record of the alert rules: each change once, in one row, however many workers tell it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from registry.errors import RefusedError
from registry.records import RulesChange

if TYPE_CHECKING:
    from registry.registry import Registry


def change(now: datetime, version: int = 1, **given: Any) -> RulesChange:
    fields: dict[str, Any] = {
        "at": now,
        "actor": "ana",
        "source": "/data/rules.toml",
        "version": version,
        "content_hash": f"{version:064x}",
        "changes": [f"version: {version - 1} -> {version}"],
        "note": "it rains",
        "content": b"version = 1",
        **given,
    }
    return RulesChange(**fields)


def test_changes_are_kept_in_one_row_as_they_were_told(registry: Registry, now: datetime) -> None:
    assert registry.latest_rules_change() is None
    assert registry.add_rules_change(change(now))
    assert registry.add_rules_change(change(now + timedelta(hours=1), 2, actor="ben", note=None))
    latest, first = registry.rules_changes()
    assert latest == registry.latest_rules_change()
    assert (first.follows, latest.follows) == (0, first.id)
    assert (latest.actor, latest.note, latest.at) == ("ben", None, now + timedelta(hours=1))
    assert (first.actor, first.note, first.version, first.content) == ("ana", "it rains", 1, b"version = 1")
    assert first.changes == ["version: 0 -> 1"]
    assert registry.rules_changes(limit=1, offset=1) == (first,)


def test_a_restart_is_no_change_and_going_back_is_one(registry: Registry, now: datetime) -> None:
    kept = [registry.add_rules_change(change(now, version)) for version in (1, 1, 2, 2, 1)]
    assert kept == [True, False, True, False, True]


def test_of_workers_that_tell_one_change_at_once_one_keeps_it(registry: Registry, now: datetime) -> None:
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda number: registry.add_rules_change(change(now, 1 + number % 2)), range(16)))
    rows = registry.rules_changes()
    assert len(rows) == sum(told)
    assert [row.follows for row in rows] == [*(row.id for row in rows[1:]), 0]
    hashes = [row.content_hash for row in rows]
    assert all(hash_ != before for hash_, before in pairwise(hashes))


def test_a_note_that_is_too_long_is_refused(now: datetime) -> None:
    with pytest.raises(RefusedError, match="note"):
        change(now, note="x" * 1001)
