"""From units to a host that acknowledges, over real brokers: kills, backlogs, full disks, foreign answers."""

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path

import numpy as np
import orjson
import pytest

from gateway.outbox_schema import LEAST_BYTES
from gateway.service import GatewayService
from telemetry.frames import encode_frame, frame_from_values
from telemetry.samples import Provenance
from telemetry.sparkplug.batches import batch_metrics
from telemetry.sparkplug.payload import decode_payload
from telemetry.unit_link import decode_stored_receipt, frames_topic

ROOT = Path(__file__).parents[2]


class Ingest:
    """The cloud's side: keeps what it got by unit, boot and frame, and acknowledges it."""

    def __init__(self, host, rig, *, every_s: float = 0.05) -> None:
        self.host = host
        self.rig = rig
        self.every_s = every_s
        self.stored: dict[tuple[str, str, int], list[float]] = {}
        self.sequences: set[int] = set()
        self.historical = 0
        self.received = 0
        self.box: str | None = None
        self.births = 0
        self._births: dict[str, dict[int, str]] = {}

    async def run(self) -> None:
        while True:
            self.look()
            if self.box is not None:
                await self.acknowledge()
            await asyncio.sleep(self.every_s)

    def look(self) -> None:
        while self.host.received:
            topic, payload = self.host.received.popleft()
            kind, unit_id = topic.split("/")[2], topic.split("/")[-1]
            metrics = decode_payload(payload).metrics if kind not in ("STATE", "NDEATH", "NCMD") else ()
            if kind == "NBIRTH":
                values = {metric.name: metric.value for metric in metrics}
                self.births += 1
                if values["Outbox/Id"] != self.box:
                    self.box, self.sequences = values["Outbox/Id"], set()
            elif kind == "DBIRTH":
                self._births[unit_id] = {metric.alias: metric.name for metric in metrics}
            elif kind == "DDATA":
                values = {self._births[unit_id][metric.alias]: metric for metric in metrics}
                self.received += 1
                self.historical += values["Samples/Time"].is_historical
                key = unit_id, values["Source/Boot"].value, values["Source/Frame"].value
                times = np.frombuffer(values["Samples/Time"].value, "<i8").tolist()
                assert self.stored.setdefault(key, times) == times, "a time changed between two sendings"
                if "Outbox/Sequence" in values:
                    self.sequences.add(values["Outbox/Sequence"].value)
            elif kind == "NDATA":
                values = {metric.name: metric.value for metric in metrics}
                if values.get("Outbox/Sequence") is not None:
                    self.sequences.add(values["Outbox/Sequence"])

    async def acknowledge(self) -> None:
        floor = 0
        while floor + 1 in self.sequences:
            floor += 1
        above = sorted(number for number in self.sequences if number > floor)
        ranges: list[list[int]] = []
        for number in above:
            if ranges and ranges[-1][1] == number - 1:
                ranges[-1][1] = number
            else:
                ranges.append([number, number])
        await self.host.command(box=self.box, floor=floor, ranges=[end for pair in ranges[:64] for end in pair])

    def frames(self, unit_id: str = "u1") -> set[int]:
        return {frame for unit, _, frame in self.stored if unit == unit_id}


@contextlib.asynccontextmanager
async def acknowledging(rig, host, **kwargs):
    ingest = Ingest(host, rig, **kwargs)
    task = asyncio.create_task(ingest.run())
    try:
        yield ingest
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def receipts_of(unit) -> set[int]:
    return {decode_stored_receipt(payload).frame for payload in unit.of("stored")}


async def test_what_is_acknowledged_is_forgotten_and_drained_says_so(rig):
    async with rig.host() as host, rig.unit() as unit, rig.gateway() as service, acknowledging(rig, host) as ingest:
        await unit.send_beat("u1", 0)
        for number in range(50):
            await unit.send_frame("u1", number)
        await rig.until(lambda: receipts_of(unit) == set(range(50)), "receipts")
        async with asyncio.timeout(10):
            await service.drained()
        assert ingest.frames() == set(range(50))
        assert ingest.received == 50
        assert service.counters.settled > 0


async def test_a_foreign_acknowledgement_settles_nothing_and_an_impossible_one_is_refused(rig):
    async with rig.host() as host, rig.unit() as unit, rig.gateway() as service:
        await unit.send_beat("u1", 0)
        await unit.send_frame("u1", 0)
        await rig.until(lambda: host.of("DDATA"), "data")
        box = {m.name: m.value for m in decode_payload(host.of("NBIRTH")[0]).metrics}["Outbox/Id"]
        await host.command(box="another", floor=1)
        await rig.until(lambda: service.counters.foreign_acknowledgements == 1, "the foreign one")
        await host.command(box=box, floor=0, ranges=[3, 2])
        await rig.until(lambda: service.counters.refused, "the impossible one")
        assert service.counters.settled == 0
        await host.command(box=box, floor=1)
        async with asyncio.timeout(10):
            await service.drained()


async def test_an_outbox_that_was_copied_from_a_backup_goes_by_a_new_id(rig):
    async with rig.host() as host, rig.unit() as unit, rig.gateway() as service:
        await unit.send_beat("u1", 0)
        await unit.send_frame("u1", 0)
        await rig.until(lambda: host.of("DDATA"), "data")
        box = {m.name: m.value for m in decode_payload(host.of("NBIRTH")[0]).metrics}["Outbox/Id"]
        await host.command(box=box, floor=500)
        await rig.until(lambda: len(host.of("NBIRTH")) == 2, "a birth with another id")
        birth = {m.name: m.value for m in decode_payload(host.of("NBIRTH")[1]).metrics}
        assert birth["Outbox/Id"] != box
        await rig.until(lambda: len(host.of("DDATA")) == 2, "what the old id's numbers did not settle")
        await host.command(box=birth["Outbox/Id"], floor=1)
        async with asyncio.timeout(10):
            await service.drained()


async def test_what_nobody_settles_is_sent_again_as_historical(rig):
    async with rig.host() as host, rig.unit() as unit, rig.gateway(resend_s=0.3) as service:
        await unit.send_beat("u1", 0)
        for number in range(3):
            await unit.send_frame("u1", number)
        await rig.until(lambda: len(host.of("DDATA")) == 3, "data")
        box = {m.name: m.value for m in decode_payload(host.of("NBIRTH")[0]).metrics}["Outbox/Id"]
        await host.command(box=box, floor=0, ranges=[2, 2])
        await rig.until(lambda: len(host.of("DDATA")) >= 5, "again")
        births = host.of("DBIRTH")
        again = [rig.by_name(births, payload) for payload in host.of("DDATA")[3:5]]
        assert [values["Source/Frame"].value for values in again] == [0, 2]
        assert all(values["Samples/Time"].is_historical for values in again)
        assert service.counters.resent >= 2


async def test_what_a_full_outbox_gives_up_is_told_while_the_connection_stands(rig):
    def told(host) -> list[str]:
        return [metric.name for payload in host.of("NDATA") for metric in decode_payload(payload).metrics]

    async with rig.host() as host, rig.unit() as unit, rig.gateway(outbox_max_bytes=LEAST_BYTES) as gateway:
        parts = gateway._running
        await unit.send_beat("u1", 0)
        await host.command(box=parts.outbox.outbox_id, floor=0)
        await rig.until(lambda: parts.outbox.acknowledged, "it is a host that acknowledges")
        await rig.until(parts._uplink.is_quiet, "the outbox was read to its end")
        for number in range(200):
            await unit.send_frame("u1", number, rows=60, channels=24)
        await rig.until(lambda: "Outbox/Replaced" in told(host), "told")


async def test_a_record_that_has_no_form_on_the_wire_is_told_as_lost_and_settled(rig, monkeypatch):
    poisoned = 0

    def encode(batch, **kwargs):
        if batch.frame == poisoned:
            raise ValueError("a value that no datatype has")
        return batch_metrics(batch, **kwargs)

    monkeypatch.setattr("gateway.session.batch_metrics", encode)
    async with rig.host() as watcher, rig.host() as host, rig.unit() as unit, rig.gateway(resend_s=0.3) as service:
        await unit.send_beat("u1", 0)
        async with acknowledging(rig, host) as ingest:
            for number in range(4):
                await unit.send_frame("u1", number)
            async with asyncio.timeout(10):
                await rig.until(lambda: len(receipts_of(unit)) == 4, "taken")
                await service.drained()
        assert ingest.frames() == {1, 2, 3}
        (text,) = [
            metric.value
            for payload in watcher.of("NDATA")
            for metric in decode_payload(payload).metrics
            if metric.name == "Outbox/ReplacedDetail"
        ]
        (told,) = orjson.loads(text)
        assert (told["unit_id"], told["first_frame"], told["last_frame"], told["samples_lost"]) == ("u1", 0, 0, 4)
        assert "a value that no datatype has" in told["why"]
        assert service.counters.records_without_form == 1
        assert service.counters.refused["internal"] == 1
        numbers = [
            decode_payload(p).seq
            for t, p in watcher.received
            if t.split("/")[2] in ("NBIRTH", "DBIRTH", "NDATA", "DDATA")
        ]
        assert numbers == list(range(len(numbers))), "no sequence number is missing"


async def test_a_host_that_does_not_know_acknowledgements_gets_everything_once(rig, monkeypatch):
    monkeypatch.setattr("gateway.window.PLAIN_AFTER_S", 0.5)
    async with rig.unit() as unit, rig.gateway(resend_s=2.0) as service:
        await unit.send_beat("u1", 0)
        rig.uplink.kill()
        await rig.until(lambda: not service.ready.is_set(), "the cut")
        for number in range(400):
            await unit.send_frame("u1", number, rows=1)
        await rig.until(lambda: receipts_of(unit) == set(range(400)), "receipts")
        rig.uplink.start()
        async with rig.host() as host:
            await rig.until(service.ready.is_set, "the way back")
            await host.command(rebirth=True)
            async with asyncio.timeout(20):
                await service.drained()
            await rig.until(lambda: len(host.of("DDATA")) >= 300, "data")
            before = len(host.of("DDATA"))
            await unit.send_frame("u1", 400, rows=1)
            await rig.until(lambda: len(host.of("DDATA")) > before, "what is live flows on")
            numbers = [rig.by_name(host.of("DBIRTH"), payload)["Source/Frame"].value for payload in host.of("DDATA")]
            assert len(numbers) == len(set(numbers))


PROGRAM = """
import asyncio, pathlib, sys
from gateway.service import GatewayService
from gateway.settings import GatewaySettings
from telemetry.broker import BrokerAccess
local, uplink = (BrokerAccess(host="127.0.0.1", port=int(port)) for port in sys.argv[1:3])
folder = pathlib.Path(sys.argv[3])
settings = GatewaySettings(
    gateway_id="truck", fleet_id="fleet", host_id=None, outbox_path=folder / "outbox", state_path=folder / "state",
    **{name: int(value) for name, _, value in (each.partition("=") for each in sys.argv[4:])},
)
asyncio.run(GatewayService(settings, local, uplink).run())
"""


async def start_gateway(rig, folder, *settings: str):
    """Start a gateway's process; `settings` are name=number."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(rig.local.port), str(rig.uplink.port), str(folder), *settings, cwd=ROOT
    )


async def test_an_outage_that_an_outbox_has_no_room_for_thins_normal_packs_and_tells_it_after_a_power_cut(
    rig, tmp_path
):
    minutes, channels = 45, 24
    began_ms = time.time_ns() // 1_000_000 // 60_000 * 60_000 - 3 * 3_600_000

    def minute(number: int, celsius: float) -> bytes:
        return encode_frame(
            frame_from_values(
                boot_id="b1",
                number=number,
                tick_ms=60_000 * number,
                period_ms=1_000,
                provenance=Provenance.SIMULATED,
                utc_at_tick_zero_ms=began_ms,
                temperatures_c=np.full((60, channels), celsius),
                voltages_v=np.full((60, 1), 3.7),
            )
        )

    rig.uplink.kill()
    child = await start_gateway(rig, tmp_path, f"outbox_max_bytes={LEAST_BYTES}")
    try:
        async with rig.unit() as unit:
            for number in range(minutes):  # slower than they fill it: each is taken before the next comes
                for unit_id, celsius in (("cool", 25.0), ("hot", 58.0)):
                    heard = len(unit.of("stored"))
                    while len(unit.of("stored")) == heard:
                        await unit.client.publish(frames_topic(unit_id), minute(number, celsius))
                        with contextlib.suppress(AssertionError):
                            await rig.until(lambda heard=heard: len(unit.of("stored")) > heard, seconds=1.0)
        child.kill()
        await child.wait()
        rig.uplink.start()
        async with rig.host() as watcher, rig.host() as host, acknowledging(rig, host) as ingest:
            child = await start_gateway(rig, tmp_path, f"outbox_max_bytes={LEAST_BYTES}")
            await rig.until(lambda: len(ingest.stored) == 2 * minutes, "a part of every frame", seconds=20)

            def told() -> list[dict]:
                metrics = [m for payload in watcher.of("NDATA") for m in decode_payload(payload).metrics]
                return [each for m in metrics if m.name == "Outbox/ReplacedDetail" for each in orjson.loads(m.value)]

            await rig.until(told, "what was thinned", seconds=20)
            rows = {key: len(times) for key, times in ingest.stored.items()}
            thinned = [number for number in range(minutes) if rows["cool", "b1", number] == 1]
            assert {rows["hot", "b1", number] for number in range(minutes)} == {60}, "suspicious packs come last"
            assert thinned == list(range(len(thinned))), "the oldest first"
            assert 10 < len(thinned) < minutes
            assert {rows["cool", "b1", number] for number in range(len(thinned), minutes)} == {60}
            assert all(ingest.stored["cool", "b1", n] == [began_ms + 60_000 * n] for n in thinned)
            assert {(each["unit_id"], each["kept"], each["kept_period_ms"]) for each in told()} == {
                ("cool", "thinned", 60_000)
            }
            assert sum(each["samples_lost"] for each in told()) == 59 * len(thinned)
    finally:
        child.kill()
        await child.wait()


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_acknowledged_frame_is_lost_though_the_gateway_is_killed_in_the_middle_of_traffic(rig, tmp_path, seed):
    random = np.random.default_rng(seed)
    async with rig.host() as host, rig.unit() as unit, acknowledging(rig, host, every_s=0.2) as ingest:
        number = kills = 0
        child = await start_gateway(rig, tmp_path)
        try:
            while kills < 3:
                await rig.until(lambda kills=kills: ingest.births > kills, "a birth", seconds=20)
                stop_at = number + int(random.integers(100, 300))
                heard = len(receipts_of(unit))
                while number < stop_at:
                    await unit.send_beat("u1", number * 10_000)
                    for _ in range(10):
                        await unit.send_frame("u1", number, rows=2)
                        number += 1
                await rig.until(lambda heard=heard: len(receipts_of(unit)) > heard + 50, "traffic", seconds=20)
                child.kill()
                await child.wait()
                kills += 1
                child = await start_gateway(rig, tmp_path)
            # A unit sends again what was never acknowledged, until it is.
            deadline = time.monotonic() + 30
            while missing := set(range(number)) - receipts_of(unit):
                assert time.monotonic() < deadline, f"{len(missing)} frames without a receipt"
                await unit.send_beat("u1", number * 10_000)
                for again in sorted(missing)[:100]:
                    await unit.send_frame("u1", again, rows=2)
                await asyncio.sleep(0.3)
            await rig.until(lambda: ingest.frames() == set(range(number)), "all of them in the store", seconds=30)
        finally:
            child.kill()
            await child.wait()


async def test_a_long_backlog_drains_while_live_data_go_past_it(rig, tmp_path):
    """72 h scaled down: 3,000 frames wait, and live ones go past them."""
    backlog = 3_000
    async with rig.unit() as unit, rig.gateway(outbox_path=tmp_path / "outbox", window_records=256) as service:
        await unit.send_beat("u1", 0)
        rig.uplink.kill()
        await rig.until(lambda: not service.ready.is_set(), "the cut")
        for first in range(0, backlog, 100):
            await asyncio.gather(*(unit.send_frame("u1", first + more, rows=1) for more in range(100)))
        await rig.until(lambda: len(receipts_of(unit)) == backlog, "receipts", seconds=30)
        rig.uplink.start()
        async with rig.host() as host, acknowledging(rig, host, every_s=0.02) as ingest:
            await rig.until(service.ready.is_set, "the way back")
            await host.command(rebirth=True)
            number, overtook = backlog, 0
            while len(ingest.frames()) < number:
                await unit.send_frame("u1", number, rows=1)
                await rig.until(lambda number=number: number in ingest.frames(), "a live frame")
                number += 1
                overtook += len(ingest.frames()) < number
                assert number < backlog + 5_000
            assert overtook > 10
            async with asyncio.timeout(20):
                await service.drained()
            assert ingest.frames() == set(range(number))
            assert ingest.historical >= backlog - 300


async def test_a_full_disk_leaves_frames_with_their_units_alarms_flow_and_it_recovers_by_itself(
    rig, tmp_path, monkeypatch
):
    monkeypatch.setattr("gateway.outbox.RETRY_S", 0.1)
    async with rig.host() as host, rig.unit() as unit, rig.gateway(outbox_path=tmp_path / "outbox") as service:
        await unit.send_beat("u1", 0)
        await unit.send_frame("u1", 0)
        await rig.until(lambda: receipts_of(unit) == {0}, "a receipt")
        box = service._running.outbox
        database = box._file.database
        (pages,) = database.execute("PRAGMA max_page_count").fetchone()
        database.execute("PRAGMA max_page_count = 1")
        monkeypatch.setattr("gateway.room.SOFT_SHARE", 1e9)  # the disk is full, not the outbox
        number = 1
        while not service.counters.frames_deferred:
            await unit.send_frame("u1", number, rows=600, channels=90)
            number += 1
            await rig.until(
                lambda number=number: len(receipts_of(unit)) + service.counters.frames_deferred >= number, "an answer"
            )
        refused = number - 1
        assert refused not in receipts_of(unit)
        births = host.of("DBIRTH")

        def seen() -> list[int]:
            return [rig.by_name(births, payload)["Source/Frame"].value for payload in host.of("DDATA")[1:]]

        await rig.until(lambda: len(host.of("DDATA")) >= number, "the frame that found no room, all the same")
        database.execute(f"PRAGMA max_page_count = {pages}")
        await asyncio.sleep(0.15)
        await unit.send_frame("u1", refused, rows=600, channels=90)
        await rig.until(lambda: refused in receipts_of(unit), "its receipt once there is room")


async def test_a_damaged_outbox_is_replaced_while_the_gateway_runs(rig, tmp_path):
    path = tmp_path / "outbox"
    async with rig.host() as host, rig.unit() as unit, rig.gateway(outbox_path=path) as service:
        await unit.send_beat("u1", 0)
        for number in range(100):
            await unit.send_frame("u1", number)
        await rig.until(lambda: len(receipts_of(unit)) == 100, "receipts")
        database = service._running.outbox._file.database
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("PRAGMA shrink_memory")
        size = path.stat().st_size
        with path.open("r+b") as damaged:
            damaged.seek(4_096)
            damaged.write(os.urandom(size - 4_096))
        await host.command(rebirth=True)
        await unit.send_frame("u1", 100)
        await rig.until(lambda: service.counters.outboxes_set_aside == 1, "the damage to be seen", seconds=20)
        await rig.until(service.ready.is_set, "the gateway with a new outbox")
        await unit.send_beat("u1", 2_000_000)
        await unit.send_frame("u1", 101)
        await rig.until(lambda: 101 in receipts_of(unit), "a receipt from the new outbox")
        ids = [{m.name: m.value for m in decode_payload(birth).metrics}["Outbox/Id"] for birth in host.of("NBIRTH")]
        assert len(set(ids)) == 2
        assert list(tmp_path.glob("outbox.damaged-*"))


async def test_frames_wait_for_their_time_over_a_restart(rig, tmp_path):
    async with rig.host() as host, rig.unit() as unit:
        async with rig.gateway(outbox_path=tmp_path / "outbox") as service:
            await unit.send_frame("u1", 0)
            await rig.until(lambda: receipts_of(unit) == {0}, "a receipt without a time")
            assert service._running.outbox.unmapped == 1
            assert not host.of("DDATA")
        async with rig.gateway(outbox_path=tmp_path / "outbox"):
            before_ms = time.time_ns() // 1_000_000
            await unit.send_beat("u1", 9_000)
            await rig.until(lambda: host.of("DDATA"), "its data")
            values = rig.by_name(host.of("DBIRTH"), host.of("DDATA")[0])
            times = np.frombuffer(values["Samples/Time"].value, "<i8")
            assert times[0] == pytest.approx(before_ms - 9_000, abs=2_000)


async def test_a_service_that_is_stopped_while_the_disk_does_not_open_stops(rig, tmp_path):
    (tmp_path / "file").write_text("")
    service = GatewayService(
        rig.settings(outbox_path=tmp_path / "file" / "outbox"), rig.local.access, rig.uplink.access
    )
    task = asyncio.create_task(service.run())
    await asyncio.wait([task], timeout=0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
