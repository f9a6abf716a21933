"""Leases: one holder a group, renewed, released, and taken over once they have run out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from registry.registry import Registry

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def test_one_holds_and_the_other_is_told_who(registry: Registry) -> None:
    first = registry.take_lease("fleet-1", "worker-a", 10, AT)
    second = registry.take_lease("fleet-1", "worker-b", 10, after(9.9))
    assert (first.holder, first.expires_at) == ("worker-a", after(10))
    assert (second.holder, second.fence, second.expires_at) == ("worker-a", first.fence, after(10))


def test_renewing_keeps_the_fence_even_late(registry: Registry) -> None:
    first = registry.take_lease("fleet-1", "worker-a", 10, AT)
    for at in (3, 6, 400):
        again = registry.take_lease("fleet-1", "worker-a", 10, after(at))
        assert (again.fence, again.expires_at) == (first.fence, after(at + 10))


def test_what_has_run_out_is_taken_over_under_a_higher_fence(registry: Registry) -> None:
    first = registry.take_lease("fleet-1", "worker-a", 10, AT)
    second = registry.take_lease("fleet-1", "worker-b", 10, after(10))
    assert second.holder == "worker-b"
    assert second.fence > first.fence
    assert registry.take_lease("fleet-1", "worker-a", 10, after(11)).holder == "worker-b", "the first has to wait now"
    back = registry.take_lease("fleet-1", "worker-a", 10, after(30))
    assert back.fence > second.fence


def test_released_is_free_at_once(registry: Registry) -> None:
    first = registry.take_lease("fleet-1", "worker-a", 10, AT)
    registry.release_lease("fleet-1", "worker-b", after(1))
    assert registry.take_lease("fleet-1", "worker-b", 10, after(1)).holder == "worker-a", "only its holder releases it"
    registry.release_lease("fleet-1", "worker-a", after(1))
    second = registry.take_lease("fleet-1", "worker-b", 10, after(1))
    assert (second.holder, second.fence) == ("worker-b", first.fence + 1)
    registry.release_lease("unheard-of", "worker-a", after(1))


def test_all_groups_and_one_group_exclude_each_other(registry: Registry) -> None:
    one = registry.take_lease("fleet-1", "worker-a", 10, AT)
    assert registry.take_lease("*", "worker-b", 10, after(1)) == one
    every = registry.take_lease("*", "worker-b", 10, after(11))
    assert (every.holder, every.group) == ("worker-b", "*")
    assert every.fence > one.fence
    assert registry.take_lease("fleet-1", "worker-a", 10, after(12)).holder == "worker-b"
    again = registry.take_lease("fleet-1", "worker-a", 10, after(22))
    assert again.fence > every.fence, "somebody else wrote for the group meanwhile"


def test_a_store_that_remembers_an_earlier_registry_is_overtaken(registry: Registry) -> None:
    assert registry.take_lease("*", "worker-a", 10, AT).fence == 1
    assert registry.take_lease("*", "worker-a", 10, after(1), above=56).fence == 57
    assert registry.take_lease("*", "worker-a", 10, after(2), above=56).fence == 57
    assert registry.take_lease("*", "worker-b", 10, after(3), above=99).fence == 57, "it is another's"


def test_groups_are_apart(registry: Registry) -> None:
    first = registry.take_lease("fleet-1", "worker-a", 10, AT)
    second = registry.take_lease("fleet-2", "worker-b", 10, AT)
    assert (first.holder, second.holder) == ("worker-a", "worker-b")
    assert first.fence != second.fence
    assert [lease.group for lease in registry.leases()] == ["fleet-1", "fleet-2"]


@pytest.mark.parametrize("group", ["*", "fleet-1"])
def test_of_many_at_once_one_wins(registry: Registry, group: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda number: registry.take_lease(group, f"worker-{number}", 10), range(6)))
    assert len({lease.holder for lease in found}) == 1
    assert {lease.fence for lease in found} == {1}
