"""One gateway: the local link, the uplink, and a task that watches over units and health."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import structlog

from gateway.cab import OnBoard
from gateway.counters import GatewayCounters, Refusals
from gateway.intake import Intake
from gateway.link_keeper import run_until_first_ends
from gateway.local_link import LocalLink
from gateway.node_metrics import REFUSED
from gateway.outbox import Outbox, OutboxDamagedError, OutboxFullError
from gateway.records import CabRecord
from gateway.session import EdgeNodeSession
from gateway.settings import GatewaySettings
from gateway.siren import SirenState
from gateway.state_file import read_bd_seq
from gateway.suspicion import Suspicion
from gateway.timekeeping import Timekeeper
from gateway.units import UnitWatch
from gateway.uplink import Uplink
from gateway.wall_clock import wall_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.evaluator import Evaluator
    from registry.kinds import Level
    from telemetry.broker import BrokerAccess
    from telemetry.cab_report import CabReport
    from telemetry.samples import PositionFix

__all__ = ["GatewayService", "GatewaySettings"]

_log = structlog.get_logger()

WATCH_TICK_S = 0.5
"""How often silence and health are looked at."""


OPEN_AGAIN_S = 5.0
"""How long to wait before an outbox that the disk did not let be opened is tried again. **Assumed**."""


class GatewayService:
    """Runs one gateway. `ready` is set while both of its connections stand; whether its host is online is not asked.

    `run` runs until cancelled, once. On cancel it publishes its death certificate and disconnects, within a second.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        local: BrokerAccess,
        uplink: BrokerAccess,
        evaluator: Callable[[], Evaluator] | None = None,
    ) -> None:
        """`local`: the broker on the vehicle. `uplink`: the cloud's. They may be the same.

        `evaluator` makes the vehicle's own alert engine, which knows nothing yet; None = the cloud alone judges.
        """
        self.ready = asyncio.Event()
        self.counters = GatewayCounters()
        self._settings = settings
        self._local = local
        self._uplink = uplink
        self._evaluator = evaluator
        self._bd_seq: int | None = None
        self._started = asyncio.Event()
        self._running: _Gateway | None = None
        self.on_fix: Callable[[PositionFix], None] | None = None
        """Gets the vehicle's positions."""

    async def run(self) -> None:
        """Run until cancelled. Anything but a lost connection or a damaged outbox that goes wrong ends it loudly."""
        if self._settings.state_path is not None:
            self._bd_seq = await asyncio.to_thread(read_bd_seq, self._settings.state_path)
        while True:
            outbox = await self._opened()
            gateway = self._running = _Gateway(
                settings=self._settings,
                local=self._local,
                uplink=self._uplink,
                outbox=outbox,
                counters=self.counters,
                ready=self.ready,
                last_bd_seq=self._bd_seq,
                evaluator=None if self._evaluator is None else self._evaluator(),
                on_fix=lambda fix: None if self.on_fix is None else self.on_fix(fix),
            )
            self._started.set()
            try:
                await gateway.start()
                await gateway.run()
            except OutboxDamagedError as damaged:
                # The file is set aside as it is opened again.
                _log.error("outbox_unreadable", gateway_id=self._settings.gateway_id, error=str(damaged))
                self.counters.outboxes_set_aside += 1
            finally:
                self._bd_seq = gateway.session.bd_seq
                self.ready.clear()
                await outbox.close()

    async def drained(self) -> None:
        """Wait until nothing is owed: every record taken so far is settled, or published where nobody acknowledges.

        It waits for ever while the primary host is offline, or a frame waits for its time. That a host does not
        acknowledge shows only in its silence, which takes PLAIN_AFTER_S from the birth on, whatever was sent since.
        """
        await self._started.wait()
        while self._running is not None and not self._running.is_drained():
            await self._running.outbox.changed()

    def cab_levels(self) -> dict[str, Level]:
        """Each unit's level by the vehicle's own engine; empty before it runs."""
        cab = self._cab()
        return {} if cab is None else cab.book.levels()

    def cab_evaluated_ms(self) -> dict[str, int]:
        """UTC of each unit's newest sample that was evaluated on board."""
        cab = self._cab()
        return {} if cab is None else cab.judge.evaluated_ms

    def cab_siren(self) -> SirenState:
        """What the cab hears."""
        cab = self._cab()
        return SirenState.QUIET if cab is None else cab.desk.siren.state

    def cab_simulated(self) -> bool:
        """Whether anything that was judged was not measured."""
        cab = self._cab()
        return cab is not None and bool(cab.judge.unmeasured)

    def cab_press(self, where: str) -> None:
        """As the cab's button."""
        cab = self._cab()
        if cab is not None:
            cab.desk.press(where)

    def _cab(self) -> OnBoard | None:
        return None if self._running is None else self._running.on_board

    async def _opened(self) -> Outbox:
        settings = self._settings
        while True:
            try:
                return await Outbox.open(
                    settings.outbox_path,
                    fleet_id=settings.fleet_id,
                    gateway_id=settings.gateway_id,
                    max_bytes=settings.outbox_max_bytes,
                    max_age_s=settings.outbox_max_age_s,
                    gives_up=not settings.units_can_wait,
                )
            except OutboxFullError as error:
                _log.error("outbox_not_opened", gateway_id=settings.gateway_id, error=str(error))
                await asyncio.sleep(OPEN_AGAIN_S)


class _Gateway:
    """The parts around one opened outbox."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        local: BrokerAccess,
        uplink: BrokerAccess,
        outbox: Outbox,
        counters: GatewayCounters,
        ready: asyncio.Event,
        last_bd_seq: int | None,
        evaluator: Evaluator | None,
        on_fix: Callable[[PositionFix], None],
    ) -> None:
        self._on_fix = on_fix
        self.counters = counters
        self.session = EdgeNodeSession(
            fleet_id=settings.fleet_id,
            gateway_id=settings.gateway_id,
            host_id=settings.host_id,
            outbox_id=outbox.outbox_id,
            last_bd_seq=last_bd_seq,
        )
        self._settings = settings
        self._local_access = local
        self._evaluator = evaluator
        self._on_board: OnBoard | None = None
        self.outbox = outbox
        self._ready = ready
        self._refusals = Refusals(counters)
        self._watch = UnitWatch()
        self._jitter = random.Random()  # noqa: S311  # spreads reconnects, guards nothing
        self._uplink = Uplink(
            settings=settings,
            access=uplink,
            session=self.session,
            outbox=outbox,
            counters=counters,
            refusals=self._refusals,
            jitter=self._jitter,
            changed=self._links_changed,
        )

    async def start(self) -> None:
        """Read what an earlier run kept, and wire the rest."""
        settings = self._settings
        clocks, suspicious = await self.outbox.kept()
        suspicion = Suspicion(suspicious)
        self._intake = Intake(
            gateway_id=settings.gateway_id,
            fleet_id=settings.fleet_id,
            units=None if settings.units is None else frozenset(settings.units),
            clocks=clocks,
        )
        if self._evaluator is not None:
            self._on_board = OnBoard(
                settings=settings,
                evaluator=self._evaluator,
                intake=self._intake,
                counters=self.counters,
                report=self._uplink.report_device,
                keep=self._keep_cab,
            )
            await self._on_board.restore()
            self.session.tell_by(self._on_board.book.status)
            self._uplink.commanded = self._on_board.judge.commanded
        self._time = Timekeeper(
            settings=settings,
            intake=self._intake,
            outbox=self.outbox,
            suspicion=suspicion,
            counters=self.counters,
            mapped=self._uplink.mapped_late,
            moved=self._clock_moved,
        )
        self._local = LocalLink(
            settings=settings,
            access=self._local_access,
            intake=self._intake,
            outbox=self.outbox,
            suspicion=suspicion,
            session=self.session,
            watch=self._watch,
            counters=self.counters,
            refusals=self._refusals,
            jitter=self._jitter,
            taken=self._uplink.offer,
            unseen=self._uplink.unseen,
            room=self._uplink.has_room,
            before_turn=self._time.notice,
            boot_heard=self._time.boot_heard,
            on_board=self._on_board,
            on_fix=self._on_fix,
            changed=self._links_changed,
        )

    @property
    def on_board(self) -> OnBoard | None:
        """The vehicle's own watch; None before it runs, or without an engine."""
        return self._on_board

    async def run(self) -> None:
        """Run until cancelled, or until one of its parts fails."""
        parts = [self._time.run(), self._uplink.run(), self._local.run(), self._watch_over()]
        if self._on_board is not None:
            parts.append(self._on_board.run())
        await run_until_first_ends(*parts)

    def is_drained(self) -> bool:
        """Whether nothing is owed to the cloud."""
        return self._uplink.is_drained()

    async def _keep_cab(self, report: CabReport) -> bool:
        try:
            entry = await self.outbox.take_cab(CabRecord(report=report, accepted_at_ms=wall_ms()))
        except OutboxFullError:
            return False
        self._uplink.offer([entry])
        return True

    def _clock_moved(self, step_ms: int) -> None:
        if self._on_board is not None:
            self._on_board.clock_moved(step_ms)

    def _links_changed(self) -> None:
        if self._local.is_up and self._uplink.is_up:
            self._ready.set()
        else:
            self._ready.clear()

    async def _watch_over(self) -> None:
        health_due_s = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_TICK_S)
            now_s = time.monotonic()
            for unit_id in self._watch.fall_silent(now_s):
                self._uplink.device_silent(unit_id)
            if self._uplink.is_quiet():
                # Records of a unit that was silent already were still owed, and gave it a birth.
                for unit_id in self._watch.silent():
                    self._uplink.device_silent(unit_id)
            if self._uplink.is_born:
                for text in self._refusals.drain():
                    self._uplink.report({REFUSED: text})
            if now_s >= health_due_s and self._report_health():
                health_due_s = now_s + self._settings.health_interval_s * self._slower()

    def _slower(self) -> int:
        return 1 if self._on_board is None else self._on_board.desk.slower

    def _report_health(self) -> bool:
        health: dict[str, Any] = {
            "Health/OutboxFill": round(self.outbox.fill(), 3),
            "Health/OutboxRecords": len(self.outbox),
            "Health/FramesRefused": self.counters.refused.total(),
            "Health/FramesDeferred": self.counters.frames_deferred,
            "Health/FramesUnmapped": self.outbox.unmapped,
            "Health/SamplesGivenUp": self.outbox.samples_lost,
            "Health/UnitFramesLost": sum(self._local.unit_frames_lost.values()),
            "Health/FramesUnjudged": self.counters.frames_unjudged,
            "Health/EvaluationFailures": self.counters.evaluation_failures,
            "Health/DiskFull": not self._local.has_room,
            "Health/ClockTrusted": self._intake.clock_trusted,
            "Health/InboxDropped": self.counters.inbox_dropped,
            "Health/UnitsTalking": self._watch.talking(),
            "Health/LocalLink": self._local.is_up,
        }
        if self._on_board is not None:
            health |= self._on_board.desk.health()
        changed = self.session.metrics.changed(health)
        return bool(changed) and self._uplink.report(changed)
