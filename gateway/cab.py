"""The vehicle's own watch: its engine, what it knows of its units, and who hears of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from gateway.cab_desk import CabDesk
from gateway.judge import Judge
from gateway.link_keeper import run_until_first_ends
from gateway.on_board import OnBoardBook
from gateway.state_file import on_board_path, read_on_board, write_on_board

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.counters import GatewayCounters
    from gateway.evaluator import Evaluator
    from gateway.intake import Intake
    from gateway.link import Link
    from gateway.settings import GatewaySettings
    from telemetry.cab_report import CabReport

_log = structlog.get_logger()

LOOK_S = 1.0
KEEP_AGAIN_S = 5.0
"""s until a disk that took nothing is tried again."""


class OnBoard:
    """One a gateway; `restore` comes first, then `run`. `report` tells the cloud of a unit where that is possible."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        evaluator: Evaluator,
        intake: Intake,
        counters: GatewayCounters,
        report: Callable[[str], None],
        keep: Callable[[CabReport], Awaitable[bool]],
    ) -> None:
        """`keep`: as CabDesk."""
        self.book = OnBoardBook(settings.gateway_id)
        self.judge = Judge(
            settings=settings,
            evaluator=evaluator,
            book=self.book,
            intake=intake,
            counters=counters,
            changed=self._news,
        )
        self.desk = CabDesk(settings.cab, gateway_id=settings.gateway_id, keep=keep)
        self._settings = settings
        self._intake = intake
        self._report = report
        self._path = None if settings.state_path is None else on_board_path(settings.state_path)
        self._to_say = asyncio.Event()
        self._to_keep = asyncio.Event()

    async def restore(self) -> None:
        """Take over what an earlier run kept."""
        if self._path is None:
            return
        try:
            self.book.restore(await asyncio.to_thread(read_on_board, self._path))
        except (OSError, ValueError) as error:
            _log.error("on_board_not_read", gateway_id=self._settings.gateway_id, error=str(error))
        self.judge.restore()
        self.desk.look(self.book.levels())

    async def run(self) -> None:
        """Evaluate, tell the cloud and keep, until cancelled."""
        await run_until_first_ends(self.judge.run(), self._watch(), self._keep(), self.desk.run())

    async def speak(self, link: Link) -> None:
        """Tell the vehicle's broker, on a connection that has just begun."""
        self.book.everything_due()
        self._to_say.set()
        while True:
            await self._to_say.wait()
            self._to_say.clear()
            await link.publish(self.book.take_local(time.monotonic()))

    async def has_room(self) -> None:
        """Wait until the engine has caught up."""
        await self.judge.has_room.wait()

    def clock_moved(self, step_ms: int) -> None:
        """The gateway's clock was set by so much."""
        self.judge.move_clock(step_ms)

    def _news(self) -> None:
        self.desk.look(self.book.levels())
        self._to_say.set()
        if self.book.unkept:
            self._to_keep.set()
        self._tell_cloud()

    def _tell_cloud(self) -> None:
        for unit_id in self.book.take_reports():
            self._report(unit_id)  # what cannot be told now is told by the unit's next birth, and again within a minute

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.book.trust(trusted=self._intake.clock_trusted)
            self.book.look(time.monotonic())
            self._news()

    async def _keep(self) -> None:
        while True:
            await self._to_keep.wait()
            self._to_keep.clear()
            if self._path is None:
                continue
            try:
                await asyncio.to_thread(write_on_board, self._path, self.book.state())
            except OSError as error:
                _log.error("on_board_not_kept", gateway_id=self._settings.gateway_id, error=str(error))
                await asyncio.sleep(KEEP_AGAIN_S)
                self._to_keep.set()
