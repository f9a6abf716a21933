"""The unit as a program: killed at any moment, it delivers what its ledger says it took."""

import itertools
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from firmware_sim.ledger import Ledger, Lost, Took, read_ledger
from firmware_sim.pattern import pattern_rows
from telemetry.frames import batch_from_frame

SEED = 11


@pytest.fixture
def start(broker, tmp_path):
    running = []

    def start(*more: str) -> subprocess.Popen:
        command = [
            sys.executable, "-m", "firmware_sim.one_unit", "--unit", "u1", "--broker", f"127.0.0.1:{broker.port}",
            "--state-dir", tmp_path / "unit", "--seed", str(SEED), "--interval", "0.05", "--rows", "3", *more,
        ]  # fmt: skip
        running.append(subprocess.Popen(command))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def took(tmp_path) -> dict[tuple[str, int], Took]:
    return {(e.boot_id, e.frame): e for e in read_ledger(tmp_path / "unit" / "ledger.jsonl") if isinstance(e, Took)}


async def test_what_it_took_before_it_was_killed_arrives_after(gateway, start, tmp_path, eventually):
    gateway.acknowledging = False
    first = start()
    await eventually(lambda: len(gateway.frames) > 5)
    first.kill()
    gateway.frames.clear()
    gateway.acknowledging = True
    again = start()
    await eventually(lambda: len({f.boot_id for f in gateway.frames_of("u1")}) == 2)
    again.send_signal(signal.SIGUSR2)

    def all_arrived():
        return {(f.boot_id, f.number) for f in gateway.frames_of("u1")} >= set(took(tmp_path))

    await eventually(all_arrived)
    again.terminate()
    assert again.wait(10) == 0
    entries = took(tmp_path)
    assert len({boot for boot, _ in entries}) == 2
    for frame in gateway.frames_of("u1"):
        entry = entries[(frame.boot_id, frame.number)]
        assert (len(frame), frame.tick_ms, frame.period_ms) == (entry.rows, entry.tick_ms, entry.period_ms)
        batch = batch_from_frame(frame, unit_id="u1", utc_at_tick_zero_ms=0, time_uncertainty_s=0.0)
        expected = pattern_rows(
            seed=SEED, unit_id="u1", boot_id=frame.boot_id, frame=frame.number, rows=3, temperatures=16, voltages=8
        )
        np.testing.assert_allclose(batch.temperatures_c, expected.temperatures_c, atol=1e-5)
        np.testing.assert_allclose(batch.voltages_v, expected.voltages_v, atol=1e-5)


async def test_a_full_ring_says_in_its_frames_how_many_it_lost(gateway, start, tmp_path, eventually):
    gateway.acknowledging = False
    unit = start("--ring-frames", "4")
    await eventually(lambda: max((f.lost_frames for f in gateway.frames_of("u1")), default=0) > 3)
    unit.kill()
    unit.wait()
    entries = list(read_ledger(tmp_path / "unit" / "ledger.jsonl"))
    lost = [entry.frame for entry in entries if isinstance(entry, Lost)]
    newest = max(gateway.frames_of("u1"), key=lambda frame: frame.number)
    assert lost[: newest.lost_frames] == list(range(newest.lost_frames))


async def test_its_clock_can_slip_ahead(gateway, start, eventually):
    unit = start()
    await eventually(lambda: gateway.frames)
    unit.send_signal(signal.SIGUSR1)
    began = time.monotonic()
    await eventually(lambda: gateway.frames[-1][2].tick_ms > 20_000)
    assert time.monotonic() - began < 10


def test_a_ledger_line_that_was_cut_short_is_left_out(tmp_path):
    entry = Took(boot_id="1-a", frame=0, rows=1, period_ms=50, tick_ms=5, taken_at_ms=7)
    path = tmp_path / "ledger"
    Ledger(path).write(entry)
    path.write_bytes(path.read_bytes() + b'{"took": {"boot_id": "1-')
    ledger = Ledger(path)
    ledger.write(Lost(boot_id="1-a", frame=0))
    ledger.close()
    assert list(read_ledger(path)) == [entry, Lost(boot_id="1-a", frame=0)]


async def test_a_frame_begins_after_the_one_before_it(gateway, start, tmp_path, eventually):
    unit = start("--rows", "10", "--slot-bytes", "2048")
    await eventually(lambda: len(gateway.frames) > 40)
    unit.terminate()
    assert unit.wait(10) == 0
    entries = [took(tmp_path)[key] for key in sorted(took(tmp_path))]
    for before, after in itertools.pairwise(entries):
        assert before.tick_ms + (before.rows - 1) * before.period_ms < after.tick_ms
