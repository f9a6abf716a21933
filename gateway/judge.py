"""Runs the vehicle's own engine on what its units send, as it arrives: before the outbox, and without the uplink.

The engine's time only runs forward: it is UTC as this process first believed it, so that setting the gateway's clock
moves no sample against another. What is told is UTC as it is believed now.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import structlog

from gateway.records import last_tick_ms
from gateway.wall_clock import wall_ms
from telemetry.frames import batch_from_frame
from telemetry.on_board import ALARM_RELEASED, PACK
from telemetry.samples import Provenance, Quality, ReceivedBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.counters import GatewayCounters
    from gateway.evaluator import Evaluator, Judgement
    from gateway.intake import Intake
    from gateway.on_board import OnBoardBook
    from gateway.records import FrameArrival
    from gateway.settings import GatewaySettings
    from telemetry.on_board import DeviceCommand

_log = structlog.get_logger()

WAITING_ROWS = 65_536
"""Samples that wait to be evaluated; beyond, the oldest go and are counted. **Assumed**: seconds of work."""
ROWS_AT_ONCE = 64
"""Evaluated in one turn of the event loop: one step of the engine, 1.5 ms, where each row is of another unit, and 64 of
them, 0.1 s, when all are of one."""
BEAT_WITHIN_S = 2.0
"""s that a frame waits for the first beat of its boot, which a unit sends as it connects; then its arrival is its
time."""
TICK_S = 1.0
BEATLESS_FRAMES = 256
"""Frames that wait for a beat; beyond, the oldest is let go and counted."""


class _Beatless(NamedTuple):
    arrival: FrameArrival
    arrived_s: float


class Judge:
    """One a gateway. An engine that fails is counted, logged, and asked again with the next frames."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        evaluator: Evaluator,
        book: OnBoardBook,
        intake: Intake,
        counters: GatewayCounters,
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called when the book has something to tell."""
        self._settings = settings
        self._evaluator = evaluator
        self._book = book
        self._intake = intake
        self._counters = counters
        self._changed = changed
        self._waiting: deque[ReceivedBatch] = deque()
        self._rows = 0
        self._beatless: deque[_Beatless] = deque()
        self._arrival_zero_ms: dict[str, tuple[str, int]] = {}
        """Of a unit whose boot never beats: the boot, and tick zero by arrival, in the engine's time."""
        self.evaluated_ms: dict[str, int] = {}
        """By unit: UTC of its newest sample with a temperature that was evaluated."""
        self.unmeasured: set[str] = set()
        """Units whose newest evaluated samples were not measured."""
        self._moved_ms = 0
        self._declared: set[str] = set()
        """Units whose time is their own: it does not move with the gateway's clock."""
        self._due = asyncio.Event()
        self.has_room = asyncio.Event()
        self.has_room.set()

    def restore(self) -> None:
        """Before the first frame: what the book knows of an earlier run."""
        for unit_id, words in self._book.packs().items():
            self._assign(unit_id, words)
        self._evaluator.restore(self._book.standing())

    def offer(self, arrivals: Sequence[FrameArrival]) -> None:
        """Frames, in the order of their arrival. Returns at once."""
        for arrival in arrivals:
            if self._book.heard(arrival.unit_id):
                self._changed()
            zero_ms = self._zero_ms(arrival)
            if zero_ms is not None:
                self._queue(arrival, zero_ms)
            else:
                self._beatless.append(_Beatless(arrival, time.monotonic()))
        while len(self._beatless) > BEATLESS_FRAMES:
            self._beatless.popleft()
            self._counters.frames_unjudged += 1
        self._due.set()

    def beat_heard(self) -> None:
        """A boot's first beat: frames of it need not wait any more."""
        self._place_beatless(time.monotonic())
        self._due.set()

    def commanded(self, command: DeviceCommand) -> None:
        """The cloud says something of a unit. Raises WireError."""
        news = self._book.commanded(command, time.monotonic())
        if PACK in news:
            self._assign(command.unit_id, news[PACK])
        if ALARM_RELEASED in news:
            until_ms = news[ALARM_RELEASED] - self._offset_ms(command.unit_id)
            self._told(self._guarded(lambda: self._evaluator.release(command.unit_id, until_ms)))
        self._changed()

    def move_clock(self, step_ms: int) -> None:
        """The gateway's clock was set by so much."""
        self._moved_ms += step_ms
        for unit_id in self.evaluated_ms.keys() - self._declared:
            self.evaluated_ms[unit_id] += step_ms
        self._book.moved(step_ms, but=frozenset(self._declared))
        self._changed()

    async def run(self) -> None:
        """Evaluate what waits, until cancelled."""
        ticked_s = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._due.wait()
            self._due.clear()
            now_s = time.monotonic()
            if now_s - ticked_s >= TICK_S:
                ticked_s = now_s
                self._place_beatless(now_s)
                self._told(self._guarded(lambda: self._evaluator.tick(wall_ms() - self._moved_ms)))
            while self._waiting:
                began_s = time.monotonic()
                self._told(self._guarded(self._step))
                # Half of the loop is for data, which wait for no evaluation; but where units wait, data can.
                await asyncio.sleep(0 if self._settings.units_can_wait else time.monotonic() - began_s)

    def _step(self) -> list[Judgement]:
        taken: list[ReceivedBatch] = []
        rows = 0
        while self._waiting and rows < ROWS_AT_ONCE:
            taken.append(self._waiting.popleft())
            rows += len(taken[-1].batch)
        self._rows -= rows
        if self._rows < WAITING_ROWS // 2:
            self.has_room.set()
        judgements = self._evaluator.observe(taken)
        self._counters.frames_judged += len(taken)
        for received in taken:
            self._note(received)
        return judgements

    def _note(self, received: ReceivedBatch) -> None:
        batch = received.batch
        (self.unmeasured.discard if batch.provenance is Provenance.MEASURED else self.unmeasured.add)(batch.unit_id)
        measured = np.isfinite(batch.temperatures_c).any(axis=1)
        if measured.any():
            at_ms = int(batch.sampled_at_ms[measured].max()) + self._offset_ms(batch.unit_id)
            self.evaluated_ms[batch.unit_id] = max(at_ms, self.evaluated_ms.get(batch.unit_id, at_ms))

    def _guarded(self, work: Callable[[], list[Judgement]]) -> list[Judgement]:
        try:
            return work()
        except Exception:  # noqa: BLE001  # whatever it is: data must go on to the cloud, whose engine judges them too
            self._counters.evaluation_failures += 1
            _log.exception("on_board_engine_failed", gateway_id=self._settings.gateway_id)
            return []

    def _told(self, judgements: Sequence[Judgement]) -> None:
        if not judgements:
            return
        self._book.judged(
            [
                replace(
                    each,
                    since_ms=each.since_ms + self._offset_ms(each.unit_id),
                    sampled_at_ms=each.sampled_at_ms + self._offset_ms(each.unit_id),
                )
                for each in judgements
            ],
            time.monotonic(),
        )
        self._changed()

    def _assign(self, unit_id: str, words: str | None) -> None:
        def work() -> list[Judgement]:
            try:
                return self._evaluator.assign(unit_id, words)
            except ValueError as error:
                gateway_id = self._settings.gateway_id
                _log.warning("pack_not_understood", gateway_id=gateway_id, unit_id=unit_id, reason=str(error))
                self._counters.refused["pack_words"] += 1
                return []

        self._told(self._guarded(work))

    def _offset_ms(self, unit_id: str) -> int:
        """What to add to the engine's time of a unit, for UTC as it is believed now."""
        return 0 if unit_id in self._declared else self._moved_ms

    def _zero_ms(self, arrival: FrameArrival) -> int | None:
        """Tick zero of a frame in the engine's time; None while that cannot be told."""
        unit_id, frame = arrival.unit_id, arrival.frame
        if frame.utc_at_tick_zero_ms is not None:
            self._declared.add(unit_id)
            return frame.utc_at_tick_zero_ms
        zero_ms = None if arrival.fix is None else arrival.fix.utc_at_tick_zero_ms
        if zero_ms is None:
            zero_ms = self._intake.estimated_zero_ms(unit_id, frame.boot_id, frame.tick_ms)
        if zero_ms is not None:
            return zero_ms - self._moved_ms
        boot_id, by_arrival_ms = self._arrival_zero_ms.get(unit_id, ("", 0))
        return by_arrival_ms if boot_id == frame.boot_id else None

    def _place_beatless(self, now_s: float) -> None:
        """Give frames whose boot did not beat a time: by a beat that came since, or by when they arrived."""
        waiting, self._beatless = self._beatless, deque()
        due = {each.arrival.unit_id for each in waiting if now_s - each.arrived_s >= BEAT_WITHIN_S}
        for unit_id in due:
            self._arrive_now(unit_id, [each.arrival for each in waiting if each.arrival.unit_id == unit_id])
        for each in waiting:
            zero_ms = self._zero_ms(each.arrival)
            if zero_ms is not None:
                self._queue(each.arrival, zero_ms)
            elif each.arrival.unit_id in due:
                self._counters.frames_unjudged += 1  # of an earlier boot: history, which the cloud places and judges
            else:
                self._beatless.append(each)

    def _arrive_now(self, unit_id: str, arrivals: Sequence[FrameArrival]) -> None:
        """The newest boot of a unit that never beats: its newest sample is of now."""
        newest = arrivals[-1].frame.boot_id
        if self._intake.live_boot(unit_id) is None:
            zeros_ms = [
                each.accepted_at_ms - last_tick_ms(each.frame) for each in arrivals if each.frame.boot_id == newest
            ]
            self._arrival_zero_ms[unit_id] = newest, min(zeros_ms) - self._moved_ms

    def _queue(self, arrival: FrameArrival, zero_ms: int) -> None:
        fix = arrival.fix
        self._waiting.append(
            ReceivedBatch(
                batch=batch_from_frame(
                    arrival.frame,
                    unit_id=arrival.unit_id,
                    utc_at_tick_zero_ms=zero_ms,
                    time_uncertainty_s=float("nan") if fix is None else fix.uncertainty_s,
                    quality=Quality.GOOD if fix is None else fix.quality,
                ),
                fleet_id=self._settings.fleet_id,
                gateway_id=self._settings.gateway_id,
                received_at_ms=arrival.accepted_at_ms - self._offset_ms(arrival.unit_id),
            )
        )
        self._rows += len(arrival.frame)
        while self._rows > WAITING_ROWS:
            self._rows -= len(self._waiting.popleft().batch)
            self._counters.frames_unjudged += 1
        if self._rows > WAITING_ROWS // 2:
            self.has_room.clear()
