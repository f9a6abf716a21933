"""One writer a group: leases taken and renewed beside the stream, and what may be written under them."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from ingest.stores.contract import Fence
from registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from registry.records import Lease

ALL_GROUPS = "*"
LEASE_S = 10.0
"""How long a lease lasts after each renewal. **assumed**"""
RENEW_EVERY_S = 2.5
"""Three renewals may fail before a lease is lost; who waits takes over within LEASE_S and this. **assumed**"""
ALIVE_S = 2 * RENEW_EVERY_S
"""A holder that was not seen to renew for so long may be dead: what comes in then waits for its lease to end."""
MARGIN_S = 1.0
"""The holder stops that much before its lease ends: clocks of different machines run differently. **assumed**"""


class LeaseBook(Protocol):
    """Where leases are kept (the registry). Calls block; they raise RegistryError when it is away."""

    def take_lease(self, group: str, holder: str, for_s: float, *, above: int) -> Lease:
        """The lease as it stands after trying to take it; if it is taken, its fence is above that number."""

    def release_lease(self, group: str, holder: str) -> None:
        """Let others have it at once."""


class Right(Enum):
    """What this worker may do for a group."""

    HELD = "held"
    """Write and acknowledge."""
    UNSURE = "unsure"
    """The registry has not said yet, or is away: what comes in waits."""
    ANOTHERS = "another's"
    """Another worker writes: what comes in is not ours to keep."""


@dataclass(slots=True, kw_only=True)
class _Standing:
    fence: int = 0
    until_s: float = float("-inf")
    """Monotonic; the lease is ours before it."""
    others_until_s: float = float("-inf")
    """Monotonic; another worker is at work before it, since it was seen to renew its lease."""
    other: Lease | None = None
    """The lease that was in the way when we last asked."""


class LeaseKeeper:
    """Keeps the leases of this worker's groups. `right` and `fences` may be asked from the event loop at any time."""

    def __init__(
        self,
        book: LeaseBook,
        groups: Sequence[str],
        *,
        on_taken: Callable[[], None],
        holder: str | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`groups` empty = all. `on_taken` is called on the event loop whenever a group came to this worker."""
        self._book = book
        self._on_taken = on_taken
        self._clock_s = clock_s
        self._standings = {group: _Standing() for group in (groups or (ALL_GROUPS,))}
        self.holder = holder or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"[:200]
        self._above = 0
        self._again = asyncio.Event()
        self._log = structlog.get_logger("ingest.lease").bind(holder=self.holder)

    async def run(self) -> None:
        """Take and renew until cancelled."""
        while True:
            for group, standing in self._standings.items():
                await self._take(group, standing)
            self._again.clear()
            try:
                async with asyncio.timeout(RENEW_EVERY_S):
                    await self._again.wait()
            except TimeoutError:
                continue

    async def release(self) -> None:
        """After the last write: let the next worker begin at once."""
        for group, standing in self._standings.items():
            if self._is_held(standing):
                standing.until_s = float("-inf")
                try:
                    await asyncio.to_thread(self._book.release_lease, group, self.holder)
                except RegistryError as error:
                    self._log.warning("lease_not_released", group=group, reason=str(error))

    def look_again(self, highest: int) -> None:
        """The store says that it must not write, having seen a fence of that number: ask the registry now.

        Where the registry says that it may, the store knows numbers of an earlier registry; they are overtaken.
        """
        self._above = max(self._above, highest)
        for standing in self._standings.values():
            standing.until_s = float("-inf")
        self._again.set()

    def right(self, fleet_id: str) -> Right:
        """What this worker may do for a fleet."""
        standing = self._standings.get(fleet_id) or self._standings.get(ALL_GROUPS)
        if standing is None or self._clock_s() < standing.others_until_s:
            return Right.ANOTHERS
        return Right.HELD if self._is_held(standing) else Right.UNSURE

    def fences(self, fleet_ids: Iterable[str]) -> tuple[Fence, ...]:
        """What a write for these fleets must pass."""
        groups = {ALL_GROUPS if ALL_GROUPS in self._standings else fleet_id for fleet_id in fleet_ids}
        return tuple(
            Fence(group=group, number=standing.fence, held=partial(self._holds, standing, standing.fence))
            for group in sorted(groups)
            if (standing := self._standings.get(group)) is not None
        )

    def held(self) -> int:
        """How many of the groups are held."""
        return sum(map(self._is_held, self._standings.values()))

    def waiting(self) -> int:
        """How many of the groups are not held."""
        return len(self._standings) - self.held()

    async def _take(self, group: str, standing: _Standing) -> None:
        asked_s = self._clock_s()
        try:
            lease = await asyncio.to_thread(self._book.take_lease, group, self.holder, LEASE_S, above=self._above)
        except RegistryError as error:
            self._log.warning("lease_not_renewed", group=group, reason=str(error))
            return
        if lease.holder != self.holder:
            self._wait(group, standing, lease)
            return
        taken = lease.fence != standing.fence
        standing.fence = lease.fence
        standing.until_s = asked_s + LEASE_S - MARGIN_S
        standing.others_until_s = float("-inf")
        standing.other = None
        if taken:
            self._log.info("lease_taken", group=group, fence=lease.fence)
            self._on_taken()

    def _wait(self, group: str, standing: _Standing, lease: Lease) -> None:
        standing.until_s = float("-inf")
        before, standing.other = standing.other, lease
        if before is None or before.holder != lease.holder:
            self._log.warning(
                "lease_waiting",
                group=group,
                writer=lease.holder,
                why="another worker writes for this group; this one neither writes nor acknowledges",
            )
        elif before.expires_at != lease.expires_at:
            standing.others_until_s = self._clock_s() + ALIVE_S

    def _holds(self, standing: _Standing, fence: int) -> bool:
        return standing.fence == fence and self._is_held(standing)

    def _is_held(self, standing: _Standing) -> bool:
        return self._clock_s() < standing.until_s
