"""A process that is killed in the middle of its flushes: data and progress agree when the store is opened again."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ingest.stores.duckdb import DuckDBStore
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from pathlib import Path

ROWS, UNITS = 20, 8

WRITER = f"""
import sys
from pathlib import Path
import numpy as np
from ingest.stores.duckdb import DuckDBStore
from telemetry.samples import PositionFix, Provenance, ReceivedBatch, SampleBatch

store = DuckDBStore(Path(sys.argv[1]), threads=1, memory_limit_mb=128)
random = np.random.default_rng(1)
for frame in range(int(sys.argv[2]), 1_000_000):
    batches = []
    for unit in range({UNITS}):
        plain = unit == 0
        batches.append(ReceivedBatch(
            batch=SampleBatch(
                unit_id=f"unit-{{unit}}", boot_id=None if plain else "1-a", frame=None if plain else frame,
                provenance=Provenance.MEASURED, sampled_at_ms=frame * 1_000_000 + np.arange({ROWS}),
                time_uncertainty_s=0.0, temperatures_c=random.normal(20, 5, ({ROWS}, 16)).astype(np.float32),
                voltages_v=random.normal(3, 1, ({ROWS}, 8)).astype(np.float32)),
            fleet_id="fleet", gateway_id="gateway", received_at_ms=frame * 1_000_000))
    store.append(batches)
    print(frame, flush=True)
"""


@pytest.mark.parametrize("after_flushes", [3, 40, 170])
def test_what_was_appended_is_there_and_nothing_is_half_there(tmp_path: Path, after_flushes: int) -> None:
    path = tmp_path / "telemetry.duckdb"
    first_frame = 0
    for _ in range(2):
        reported = _kill_after(path, first_frame, after_flushes)
        store = DuckDBStore(path, threads=1, memory_limit_mb=128)
        frames = {unit: store.read(f"unit-{unit}", 0, 2**42, 10**6).rows // ROWS for unit in range(UNITS)}
        assert len(set(frames.values())) == 1, f"flushes are whole, or not there: {frames}"
        assert frames[0] > reported, "what append had returned for is there"
        again = [_batch(unit, frame) for unit in range(UNITS) for frame in range(frames[0])]
        assert store.append(again).stored_rows == 0, "progress knows every frame that is there"
        new = store.append([_batch(unit, frames[0]) for unit in range(UNITS)])
        assert new.stored_rows == UNITS * ROWS, "and none that is not"
        store.close()
        first_frame = frames[0] + 1


def _kill_after(path: Path, first_frame: int, flushes: int) -> int:
    """Run the writer for some flushes, kill it, and return the last frame that it reported."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(first_frame)], stdout=subprocess.PIPE, text=True
    ) as writer:
        for _ in range(flushes):
            reported = writer.stdout.readline()
            assert reported, "the writer ended by itself"
        writer.kill()
        more = writer.stdout.read().split()
    return int(more[-1] if more else reported)


def _batch(unit: int, frame: int) -> ReceivedBatch:
    plain = unit == 0
    return ReceivedBatch(
        batch=SampleBatch(
            unit_id=f"unit-{unit}",
            boot_id=None if plain else "1-a",
            frame=None if plain else frame,
            provenance=Provenance.MEASURED,
            sampled_at_ms=frame * 1_000_000 + np.arange(ROWS),
            time_uncertainty_s=0.0,
            temperatures_c=np.zeros((ROWS, 16), np.float32),
            voltages_v=np.ones((ROWS, 8), np.float32),
        ),
        fleet_id="fleet",
        gateway_id="gateway",
        received_at_ms=frame * 1_000_000,
    )
