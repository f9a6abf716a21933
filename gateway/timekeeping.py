"""Keeps the gateway's time: notices when its clock is set, and gives frames that wait in the outbox their time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING

import structlog

from gateway.outbox import OutboxFullError
from gateway.wall_clock import PLAUSIBLE_FROM_MS, WallClock, is_plausible, is_synchronised, running_ms, wall_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.counters import GatewayCounters
    from gateway.intake import Intake
    from gateway.outbox import Outbox
    from gateway.outbox_file import UnmappedBoot
    from gateway.records import OutboxEntry
    from gateway.settings import GatewaySettings
    from gateway.suspicion import Suspicion

_log = structlog.get_logger()

TICK_S = 1.0
"""How often the clock, and frames that wait, are looked at."""
KEEP_S = 60.0
"""How often what is known of the units' clocks is kept for the next run. **Assumed**."""
MAPPED_AT_ONCE = 512
"""Frames that get their time in one transaction. **Assumed**: some 20 ms."""
AGE_STEP_MS = 86_400_000
"""A clock that was set by more says nothing about how old records are."""


class Timekeeper:
    """One a gateway. `mapped` gets what may be published now."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        intake: Intake,
        outbox: Outbox,
        suspicion: Suspicion,
        counters: GatewayCounters,
        mapped: Callable[[Sequence[OutboxEntry]], None],
        moved: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`moved` gets by how much the gateway's clock was set, ms."""
        self._settings = settings
        self._intake = intake
        self._outbox = outbox
        self._suspicion = suspicion
        self._counters = counters
        self._mapped = mapped
        self._moved = moved
        self._clock = WallClock()
        self._boot_heard = asyncio.Event()
        self._dated = False
        """Whether frames of earlier runs were looked at, whose clock may have been wrong to their end."""
        self._steps: deque[tuple[int, int]] = deque()
        """Steps of the clock, and the last record of the time before each, that waiting frames were not yet told."""

    def boot_heard(self) -> None:
        """A boot's first beat: frames of it need not wait for the next look."""
        self._boot_heard.set()

    def notice(self) -> None:
        """Look at the gateway's clock. Before every turn of messages: their times must not mix with those before."""
        now_ms = wall_ms()
        if step_ms := self._clock.look(now_ms, running_ms()):
            self._counters.clock_steps += 1
            self._judge(now_ms)
            _log.warning("clock_was_set", gateway_id=self._settings.gateway_id, step_ms=step_ms)
            self._intake.move_clock(step_ms)
            self._suspicion.move(step_ms)
            self._moved(step_ms)
            self._outbox.age_counts = self._outbox.age_counts and abs(step_ms) < AGE_STEP_MS
            self._steps.append((step_ms, self._outbox.next_sequence - 1))

    async def run(self) -> None:
        """Run until cancelled; keeps at the end what the next run should know."""
        self._judge(wall_ms())
        self.notice()
        kept_s = time.monotonic()
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await self._boot_heard.wait()
                self._boot_heard.clear()
                self.notice()
                self._judge(wall_ms())
                await self._move_waiting()
                await self._date_earlier()
                await self._map()
                if time.monotonic() - kept_s >= KEEP_S:
                    kept_s = time.monotonic()
                    await self._keep()
        finally:
            await self._keep()

    def _judge(self, now_ms: int) -> None:
        trusted = is_synchronised() if self._settings.wait_for_time_sync else is_plausible(now_ms)
        if trusted is not self._intake.clock_trusted:
            self._intake.clock_trusted = trusted
            _log.warning("clock_trust", gateway_id=self._settings.gateway_id, trusted=trusted)

    async def _move_waiting(self) -> None:
        """Frames that wait for their time were received by the clock as it was before it was set."""
        while self._steps:
            step_ms, last_sequence = self._steps[0]
            if self._outbox.unmapped:
                try:
                    await self._outbox.move_clock(step_ms, last_sequence)
                except OutboxFullError:
                    return
            self._steps.popleft()

    async def _date_earlier(self) -> None:
        """Once, with a clock that is trusted: what an earlier run's may have said wrongly bounds nothing."""
        if self._dated or not self._intake.clock_trusted or self._steps:
            return
        now_ms = wall_ms()
        with contextlib.suppress(OutboxFullError):
            if self._outbox.unmapped:
                since_ms = now_ms if self._settings.wait_for_time_sync else PLAUSIBLE_FROM_MS
                await self._outbox.date_earlier(since_ms, now_ms)
            self._dated = True

    async def _map(self) -> None:
        if not self._outbox.unmapped or not self._intake.clock_trusted or self._steps or not self._dated:
            return
        with contextlib.suppress(OutboxFullError):
            boots = await self._outbox.unmapped_boots()
            self._intake.bracket(boots, wall_ms())
            for boot in boots:
                await self._map_boot(boot)

    async def _map_boot(self, boot: UnmappedBoot) -> None:
        while self._intake.clock_trusted and not self._steps:
            fixes = self._intake.fixes(await self._outbox.unmapped_frames(boot, MAPPED_AT_ONCE))
            if not fixes:
                return
            clocks = self._intake.unkept_clocks()
            try:
                entries = await self._outbox.fix_times(fixes, clocks)
            except OutboxFullError:
                self._intake.not_kept(clocks)
                raise
            self._counters.frames_mapped_late += len(entries)
            self._mapped(entries)

    async def _keep(self) -> None:
        if not self._intake.clock_trusted:  # an untrusted clock's lines would mislead the next run
            return
        with contextlib.suppress(OutboxFullError):
            await self._outbox.keep(self._intake.clocks(), self._suspicion.until_ms)
