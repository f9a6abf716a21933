"""A program that is one sensor unit: `python -m firmware_sim.one_unit --unit U --broker HOST:PORT --state-dir DIR`.

It samples a test pattern, keeps its frames in a flash file, and may be killed at any moment. SIGTERM ends it; SIGUSR1
makes its clock jump ahead (a unit whose oscillator slipped); SIGUSR2 ends the sampling while it goes on delivering.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_sim.boots import BootCounter
from firmware_sim.flash import SLOT_BYTES, SLOT_FRAMES, FrameFlash
from firmware_sim.ledger import Ledger, Lost, Took, read_ledger
from firmware_sim.pattern import pattern_rows
from firmware_sim.ring import RESEND_AFTER_S, WINDOW_FRAMES, FrameRing
from firmware_sim.unit import CLOCK_BEAT_S, Firmware, TickClock
from firmware_sim.unit_link import UnitLink
from telemetry.broker import BrokerAccess
from telemetry.frames import decode_frame
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Sequence

FLASH_NAME = "ring.flash"
LEDGER_NAME = "ledger.jsonl"
JUMP_S = 20.0
"""How far the clock jumps ahead: beyond anything that a network's delay explains. **assumed**"""

FILLED = 0.8
"""Samples of a frame fill so much of its interval: it begins after the frame before, though timers come late."""


class Unit:
    """One boot of the unit: flash, ledger, firmware and link."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Boots: the counter is on disk, and frames of earlier boots are in the ring. Raises OSError, FlashError."""
        state_dir: Path = options.state_dir
        unit_id: str = options.unit
        self._options = options
        self._flash = FrameFlash(state_dir / FLASH_NAME, slots=options.ring_frames, slot_bytes=options.slot_bytes)
        self._ledger = Ledger(state_dir / LEDGER_NAME)
        self._complete_ledger(state_dir / LEDGER_NAME)
        self._boot_id = BootCounter(state_dir).boot([unit_id])[unit_id]
        self._clock = TickClock(booted_at_s=asyncio.get_running_loop().time(), drift_ppm=options.drift_ppm)
        self._sampling = True
        self.firmware = Firmware(
            unit_id=unit_id,
            boot_id=self._boot_id,
            provenance=Provenance.SIMULATED,
            clock=self._clock,
            report_interval_s=options.interval,
            clock_beat_s=options.beat,
            ring=FrameRing(
                window=min(WINDOW_FRAMES, options.ring_frames), resend_after_s=options.resend_after, flash=self._flash
            ),
        )
        host, _, port = options.broker.rpartition(":")
        access = BrokerAccess(
            host=host, port=int(port), username=options.username, password=options.password, tls=False
        )
        self._link = UnitLink(self.firmware, access)
        self._newest_tick_ms = -1

    async def run(self) -> None:
        """Sample and deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run(), name=f"link of {self.firmware.unit_id}")
            tasks.create_task(self._sample(), name=f"samples of {self.firmware.unit_id}")

    def stop_sampling(self) -> None:
        """What was taken is still delivered."""
        self._sampling = False

    def jump(self) -> None:
        """The clock goes wrong by JUMP_S from now on."""
        self._clock = replace(self._clock, booted_at_s=self._clock.booted_at_s - JUMP_S)
        self.firmware.set_clock(self._clock)

    def close(self) -> None:
        """Let go of the files."""
        self._flash.close()
        self._ledger.close()

    async def _sample(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while self._sampling:
            self._take(loop.time())
            due_s = max(due_s + self._options.interval, loop.time())
            await asyncio.sleep(due_s - loop.time())

    def _take(self, now_s: float) -> None:
        """One frame of samples, the last of them taken now: into the flash, then into the ledger, then on its way."""
        options = self._options
        period_ms = max(1, int(FILLED * options.interval * 1000 / options.rows))
        span_ms = (options.rows - 1) * period_ms
        tick_ms = self._clock.tick_ms(now_s) - span_ms
        if tick_ms <= self._newest_tick_ms:  # it would begin before the boot, or in the frame before
            return
        self._newest_tick_ms = tick_ms + span_ms
        taken_at_ms = time.time_ns() // 1_000_000 - span_ms
        rows = pattern_rows(
            seed=options.seed,
            unit_id=options.unit,
            boot_id=self._boot_id,
            frame=self.firmware.next_number,
            rows=options.rows,
            temperatures=options.temperatures,
            voltages=options.voltages,
        )
        overwritten = self.firmware.ring.make_room()
        kept = self.firmware.record(rows, tick_ms=tick_ms, period_ms=period_ms)
        took = Took(
            boot_id=kept.boot_id,
            frame=kept.number,
            rows=options.rows,
            period_ms=period_ms,
            tick_ms=tick_ms,
            taken_at_ms=taken_at_ms,
        )
        lost = [] if overwritten is None else [Lost(boot_id=overwritten.boot_id, frame=overwritten.number)]
        self._ledger.write(took, *lost)
        self._link.wake()

    def _complete_ledger(self, path: Path) -> None:
        """Write down frames of the flash that an earlier boot had no time to write down."""
        known = {(entry.boot_id, entry.frame) for entry in read_ledger(path) if isinstance(entry, Took)}
        for kept in self._flash.recovered():
            if (kept.boot_id, kept.number) not in known:
                frame = decode_frame(kept.payload)
                self._ledger.write(
                    Took(
                        boot_id=kept.boot_id,
                        frame=kept.number,
                        rows=len(frame),
                        period_ms=frame.period_ms,
                        tick_ms=frame.tick_ms,
                        taken_at_ms=None,
                    )
                )


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="one_unit", description="One sensor unit with a test pattern to measure.")
    parser.add_argument("--unit", required=True, help="the unit's id")
    parser.add_argument("--broker", required=True, metavar="HOST:PORT", help="its gateway's broker")
    parser.add_argument("--username")
    parser.add_argument("--password")
    parser.add_argument("--state-dir", required=True, type=Path, help="its flash, its boot counter and its ledger")
    parser.add_argument("--seed", type=int, default=0, help="of the test pattern")
    parser.add_argument("--interval", type=float, default=10.0, metavar="S", help="seconds between frames")
    parser.add_argument("--rows", type=int, default=1, help="samples a frame")
    parser.add_argument("--temperatures", type=int, default=16, help="temperature channels")
    parser.add_argument("--voltages", type=int, default=8, help="voltage channels")
    parser.add_argument("--ring-frames", type=int, default=SLOT_FRAMES, help="frames that the flash holds")
    parser.add_argument("--slot-bytes", type=int, default=SLOT_BYTES, help="the largest frame that it holds")
    parser.add_argument("--resend-after", type=float, default=RESEND_AFTER_S, metavar="S")
    parser.add_argument("--beat", type=float, default=CLOCK_BEAT_S, metavar="S", help="seconds between clock beats")
    parser.add_argument("--drift-ppm", type=float, default=0.0, help="how fast its quartz is")
    parser.add_argument("--no-sampling", action="store_true", help="only deliver what the flash holds")
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace) -> None:
    """Run one boot until SIGTERM."""
    unit = Unit(options)
    running = asyncio.create_task(unit.run(), name=f"unit {options.unit}")
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, running.cancel)
    loop.add_signal_handler(signal.SIGUSR1, unit.jump)
    loop.add_signal_handler(signal.SIGUSR2, unit.stop_sampling)
    if options.no_sampling:
        unit.stop_sampling()
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await running
    finally:
        unit.close()


def main() -> None:
    """The program."""
    asyncio.run(run(parse_options()))


if __name__ == "__main__":
    main()
