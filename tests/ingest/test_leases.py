"""The lease keeper on a real registry: one works, the other waits, takes over, and says so."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from ingest import leases
from ingest.leases import ALIVE_S, LEASE_S, LeaseKeeper, Right
from registry.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from registry.records import Lease
    from registry.registry import Registry


class Clock:
    """Time that passes when it is told to, for keepers and registry alike."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


class Book:
    """The registry at the clock's time."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self.registry, self.clock, self.away = registry, clock, False
        self.asked = 0

    def _now(self) -> datetime:
        return datetime(2027, 1, 1, tzinfo=UTC) + timedelta(seconds=self.clock.s)

    def take_lease(self, group: str, holder: str, for_s: float, *, above: int) -> Lease:
        if self.away:
            self.asked += 1
            raise UnavailableError("the database is away")
        found = self.registry.take_lease(group, holder, for_s, self._now(), above=above)
        self.asked += 1
        return found

    def release_lease(self, group: str, holder: str) -> None:
        self.registry.release_lease(group, holder, self._now())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(registry: Registry, clock: Clock) -> Book:
    return Book(registry, clock)


@asynccontextmanager
async def running(keeper: LeaseKeeper) -> AsyncIterator[LeaseKeeper]:
    task = asyncio.create_task(keeper.run())
    yield keeper
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_EVERY_S", 0.005)


def keeper_of(book: Book, *groups: str, holder: str = "a", taken: list[int] | None = None) -> LeaseKeeper:
    def on_taken() -> None:
        if taken is not None:
            taken.append(1)

    return LeaseKeeper(book, groups, on_taken=on_taken, holder=holder, clock_s=book.clock)


async def after_next_look(book: Book, eventually: Callable[..., Any]) -> None:
    asked = book.asked
    await eventually(lambda: book.asked >= asked + 2, "two more looks at the registry")


async def test_it_is_unsure_first_then_holds_and_tells(book: Book, eventually: Any) -> None:
    taken: list[int] = []
    keeper = keeper_of(book, taken=taken)
    assert keeper.right("fleet-1") is Right.UNSURE
    async with running(keeper):
        await eventually(lambda: keeper.right("fleet-1") is Right.HELD, "the lease")
        await after_next_look(book, eventually)
    assert taken == [1], "renewing is no news"
    assert (keeper.held(), keeper.waiting()) == (1, 0)
    [fence] = keeper.fences(["fleet-1", "fleet-2"])
    assert (fence.group, fence.number, fence.held()) == ("*", 1, True)
    book.clock.s += LEASE_S
    assert not fence.held()
    assert keeper.right("fleet-1") is Right.UNSURE


async def test_of_two_one_waits_says_so_once_and_takes_over_when_the_other_is_silent(
    book: Book, clock: Clock, eventually: Any
) -> None:
    first, second = keeper_of(book, "fleet-1"), keeper_of(book, "fleet-1", holder="b")
    with capture_logs() as logs:
        async with running(first):
            await eventually(lambda: first.right("fleet-1") is Right.HELD, "the first has it")
            [fence] = first.fences(["fleet-1"])
            async with running(second):
                await after_next_look(book, eventually)
                assert second.right("fleet-1") is Right.UNSURE, "a lease that nobody renews may be a dead worker's"
                clock.s += 1
                await eventually(lambda: second.right("fleet-1") is Right.ANOTHERS, "the first was seen at work")
                assert (second.held(), second.waiting()) == (0, 1)
        async with running(second):
            clock.s += ALIVE_S
            assert second.right("fleet-1") is Right.UNSURE, "what comes now may be ours to keep"
            clock.s += LEASE_S - ALIVE_S
            await eventually(lambda: second.right("fleet-1") is Right.HELD, "the second took over")
        [later] = second.fences(["fleet-1"])
        assert later.number > fence.number
        assert not fence.held()
    assert [log["writer"] for log in logs if log["event"] == "lease_waiting"] == ["a"]


async def test_released_is_taken_at_once(book: Book, eventually: Any) -> None:
    first, second = keeper_of(book), keeper_of(book, holder="b")
    async with running(first):
        await eventually(first.held, "the first has it")
    await first.release()
    assert not first.held()
    async with running(second):
        await eventually(second.held, "the second has it, though no time passed")


async def test_a_registry_that_is_away_ends_the_right_and_its_return_gives_it_back(
    book: Book, clock: Clock, eventually: Any
) -> None:
    async with running(keeper_of(book)) as keeper:
        await eventually(keeper.held, "the lease")
        [fence] = keeper.fences(["fleet-1"])
        book.away = True
        await after_next_look(book, eventually)
        assert keeper.right("fleet-1") is Right.HELD, "what was given holds until it ends"
        clock.s += LEASE_S
        assert keeper.right("fleet-1") is Right.UNSURE
        book.away = False
        await eventually(lambda: keeper.right("fleet-1") is Right.HELD, "the lease again")
        assert fence.held(), "nobody else had it meanwhile"


async def test_other_fleets_are_anothers(book: Book) -> None:
    keeper = keeper_of(book, "fleet-1")
    assert keeper.right("fleet-2") is Right.ANOTHERS
    assert keeper.fences(["fleet-2"]) == ()


async def test_a_store_that_knows_higher_numbers_is_overtaken(book: Book, eventually: Any) -> None:
    async with running(keeper_of(book)) as keeper:
        await eventually(keeper.held, "the lease")
        keeper.look_again(40)
        assert keeper.right("fleet-1") is Right.UNSURE
        await eventually(lambda: keeper.held() and keeper.fences(["fleet-1"])[0].number == 41, "a higher number")
