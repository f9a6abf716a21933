"""A process that is killed in the middle of its flushes to InfluxDB: everything comes again, and is there once."""

from __future__ import annotations

import inspect
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ingest.stores.influx import InfluxDBStore
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from ingest.stores.influx_server import InfluxAccess

ROWS, UNITS, BOOTS, FRAMES = 20, 2, 2, 40


def batch(unit: int, boot: int, frame: int) -> ReceivedBatch:
    values = np.random.default_rng([unit, boot, frame]).normal(20, 5, (ROWS, 6)).astype(np.float32)
    values[values < 18] = np.nan
    return ReceivedBatch(
        batch=SampleBatch(
            unit_id=f"unit-{unit}",
            boot_id=f"{boot}-a",
            frame=frame,
            provenance=Provenance.REPLAYED,
            sampled_at_ms=1_700_000_000_000 + 20_000 * frame + 1000 * np.arange(ROWS),
            time_uncertainty_s=0.0,
            temperatures_c=values[:, :4],
            voltages_v=values[:, 4:],
        ),
        fleet_id="fleet",
        gateway_id="gateway",
        received_at_ms=1_700_000_000_000,
    )


WRITER = f"""
from __future__ import annotations
import random, sys
import numpy as np
from ingest.stores.influx import InfluxDBStore
from ingest.stores.influx_server import InfluxAccess
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

ROWS, UNITS, BOOTS, FRAMES = {ROWS}, {UNITS}, {BOOTS}, {FRAMES}
{inspect.getsource(batch)}
store = InfluxDBStore(InfluxAccess(url=sys.argv[1], database=sys.argv[2]))
frames = [(unit, boot, frame) for unit in range(UNITS) for boot in range(BOOTS) for frame in range(FRAMES)]
random.Random(int(sys.argv[3])).shuffle(frames)
for at in range(0, len(frames), 12):
    store.append([batch(*key) for key in frames[at : at + 12]])
    print(at, flush=True)
"""


@pytest.mark.parametrize("seed", range(2))
def test_what_comes_again_after_kills_is_there_once(influx_access: InfluxAccess, seed: int) -> None:
    for kill in range(2):
        command = [sys.executable, "-c", WRITER, influx_access.url, influx_access.database, str(10 * seed + kill)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            for _ in range(3 + 4 * kill):
                assert writer.stdout.readline(), "the writer ended by itself"
            writer.kill()
    done = subprocess.run([*command[:-1], "99"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with closing(InfluxDBStore(influx_access)) as store:
        for unit in range(UNITS):
            expected = sorted(
                row for boot in range(BOOTS) for frame in range(FRAMES) for row in rows_of(batch(unit, boot, frame))
            )
            found = sorted(row for received in store.stored_batches(f"unit-{unit}") for row in rows_of(received))
            assert found == expected


def rows_of(received: ReceivedBatch) -> list[tuple[object, ...]]:
    """Everything that a sample is, to compare: NaN as -1."""
    taken: SampleBatch = received.batch
    values = np.concatenate([taken.temperatures_c, taken.voltages_v], axis=1)
    assert taken.provenance is Provenance.REPLAYED
    return [
        (at_ms, taken.boot_id, taken.frame, *(-1.0 if np.isnan(value) else float(value) for value in row))
        for at_ms, row in zip(taken.sampled_at_ms.tolist(), values, strict=True)
    ]
