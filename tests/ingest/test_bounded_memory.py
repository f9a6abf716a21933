"""A store that blocks: ingest goes on reading, its memory stays bounded, and what found no room is not acknowledged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = r"""
import asyncio, os, sys, threading, time
from pathlib import Path
import numpy as np
from ingest import service as services
from ingest.inbox import Arrival, LinkChange
from ingest.service import IngestService
from telemetry.broker import BrokerAccess
from telemetry.samples import Provenance, SampleBatch
from telemetry.sparkplug.acknowledgement import Acknowledgement, acknowledgement_metrics
from telemetry.sparkplug.batches import batch_metrics, device_birth_metrics
from telemetry.sparkplug.payload import DataType, Metric, Payload, encode_payload


class Blocked:
    def append(self, batches, settled=(), fences=()):
        threading.Event().wait()

    append_positions = append

    def outbox_progress(self):
        return ()


class Nothing:
    def assignment(self, _):
        return None

    async def refresh(self):
        pass

    def add_quarantine(self, entries):
        pass

    def add_missing_samples(self, records):
        return 0


def rss_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def message(frame, seq):
    rows, now = 60, time.time_ns() // 10**6
    batch = SampleBatch(
        unit_id="unit-1", boot_id="1-a", frame=frame, provenance=Provenance.MEASURED,
        sampled_at_ms=now - 1000 * np.arange(rows)[::-1], time_uncertainty_s=0.0,
        temperatures_c=np.full((rows, 16), 20, np.float32), voltages_v=np.full((rows, 8), 3.7, np.float32))
    metrics = batch_metrics(batch, outbox_sequence=frame, alias_base=64)
    payload = encode_payload(Payload(timestamp_ms=now, seq=seq, metrics=metrics), with_datatypes=False)
    return Arrival("spBv1.0/f/DDATA/g/unit-1", payload, now)


async def main():
    service = IngestService(
        BrokerAccess(host="127.0.0.1", port=9), host_id="h", store=Blocked(), directory=Nothing(), quarantine=Nothing())
    service._inbox.open()
    running = [asyncio.create_task(service._take_in()), asyncio.create_task(service._writer.run())]
    now = time.time_ns() // 10**6
    births = [Metric(name="bdSeq", datatype=DataType.INT64, value=0),
              *acknowledgement_metrics(Acknowledgement(outbox_id="box", floor=0))]
    service._inbox.put_all([
        Arrival("spBv1.0/f/NBIRTH/g", encode_payload(Payload(timestamp_ms=now, seq=0, metrics=tuple(births))), now),
        Arrival("spBv1.0/f/DBIRTH/g/unit-1", encode_payload(Payload(
            timestamp_ms=now, seq=1, metrics=device_birth_metrics(16, 8, (), alias_base=64))), now)])
    await asyncio.sleep(0)
    before = rss_mb()
    frame = 0
    offered_mb = 0.0
    while offered_mb < 500:
        frame += 1
        arrival = message(frame, (frame + 1) % 256)
        service._inbox.put(arrival)
        offered_mb += len(arrival.payload) / 2**20
        if frame % 64 == 0:
            await asyncio.sleep(0)
    while service.counters.batches + service._inbox.dropped < frame:
        await asyncio.sleep(0.01)
    counters = service.counters
    due = service._acknowledger.due(now + 10**6, lambda _: True)
    print(rss_mb() - before, counters.dropped, counters.batches, max(d.acknowledgement.floor for d in due),
          counters.queue_fill, flush=True)
    os._exit(0)

asyncio.run(main())
"""


def test_memory_stays_bounded_and_nothing_is_acknowledged_while_the_store_blocks() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    assert ran.returncode == 0, ran.stderr
    grown_mb, dropped, batches, floor, fill = ran.stdout.split()[-5:]
    assert float(grown_mb) < 300, "of 500 MB that came in"
    assert int(batches) > 1000, "it read and decoded on"
    assert int(dropped) > 5_000, "what found no room is counted"
    assert int(floor) == 0, "and nothing is acknowledged"
    assert float(fill) > 0.9
