"""What a gateway brings in after three days without network, all parts as real processes on this machine.

The outbox is filled first: 16 packs, one sample of 16 temperatures and 8 voltages every 10 s, each frame encoded as its
unit would, judged by the gateway's own intake and kept by its own outbox with the times of the outage, many in a
commit. Then `packwatch up` and `packwatch gateway` start on it, and the 16 units go on, one sample a second each. The
vehicle's broker and the cloud's are one here. Live samples are asked for at the API until they can be read, so the
time from publishing to the store includes the asking. At the end every sample is exported and told by its number.
Prints a table, writes bench/outage.json, and prints that JSON last.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from main_job import PACKWATCH, start
from rich.console import Console
from rich.table import Table

from gateway.intake import FrameReady, Intake
from gateway.outbox import Outbox
from packwatch.client import ServiceClient
from packwatch.credentials import AccountRole, Credentials
from registry.enrolment import Enrolment
from registry.kinds import ChannelKind, PackClass
from registry.registry import Registry
from telemetry.broker import BrokerAccess
from telemetry.frames import encode_frame, frame_from_values
from telemetry.mqtt import mqtt_client
from telemetry.samples import Provenance
from telemetry.unit_link import ClockBeat, clock_topic, encode_clock_beat, frames_topic

if TYPE_CHECKING:
    from collections.abc import Sequence

FLEET, GATEWAY, BOOT = "bench", "truck", "1-bench"
PERIOD_MS = 10_000
TEMPERATURES, VOLTAGES = 16, 8
DIGITS, BITS = 4, 5
"""The last voltages tell the frame's number, five bits each in mV, so that every sample can be told in an export."""
FRAMES_A_COMMIT = 1024
LIVE_EVERY_S = 1.0
ASK_EVERY_S = 0.02
LOOK_EVERY_S = 0.5
ASKERS = 3
"""Threads that ask for live samples: each follows one until it can be read, then takes the next one's turn."""
LEAST_LIVE = 300
"""Live samples of which the time is measured at least, for a 99th percentile that means something."""
LONGEST_S = 250.0
LAST_S = 20.0
"""How long the last live samples may take."""


class Pack:
    """One unit and its pack."""

    def __init__(self, number: int) -> None:
        self.unit_id, self.pack_id = f"unit-{number}", f"pack-{number}"
        noise = np.random.default_rng(number)
        self._temperatures = 20 + noise.normal(0, 0.05, (64, 1, TEMPERATURES))
        self._voltages = 3.61 + noise.normal(0, 0.001, (64, 1, VOLTAGES))

    def frame(self, number: int, tick_ms: int) -> bytes:
        voltages = self._voltages[number % 64].copy()
        digits = [number >> BITS * place & (1 << BITS) - 1 for place in range(DIGITS)]
        voltages[0, -DIGITS:] = 3.6 + np.array(digits) / 1000
        return encode_frame(
            frame_from_values(
                boot_id=BOOT, number=number, tick_ms=tick_ms, period_ms=PERIOD_MS, provenance=Provenance.SYNTHETIC,
                temperatures_c=self._temperatures[number % 64], voltages_v=voltages,
            )
        )  # fmt: skip


def numbers_of(file: Path) -> list[int]:
    """The numbers of an exported pack's frames."""
    names = [f"voltage_{VOLTAGES - DIGITS + place + 1}_v" for place in range(DIGITS)]
    columns = pq.read_table(file, columns=names)
    digits = [np.rint((columns[name].to_numpy() - 3.6) * 1000).astype(np.int64) for name in names]
    numbers: list[int] = sum(digit << BITS * place for place, digit in enumerate(digits)).tolist()
    return numbers


async def fill(path: Path, packs: Sequence[Pack], steps: int, boot_ms: int) -> int:
    """Fill the outbox as the outage would have; returns its records."""
    outbox = await Outbox.open(path, fleet_id=FLEET, gateway_id=GATEWAY, max_bytes=256 * 1024 * 1024)
    intake = Intake(gateway_id=GATEWAY, fleet_id=FLEET, units=None)
    arrived = []
    for step in range(steps):
        tick_ms = step * PERIOD_MS
        for pack in packs:
            beat = encode_clock_beat(ClockBeat(boot_id=BOOT, tick_ms=tick_ms))
            intake.receive(clock_topic(pack.unit_id), beat, boot_ms + tick_ms)
            ready = intake.receive(frames_topic(pack.unit_id), pack.frame(step, tick_ms), boot_ms + tick_ms)
            if not isinstance(ready, FrameReady):
                raise SystemExit(f"the gateway refuses its own bench: {ready}")
            arrived.append(ready.arrival)
        if len(arrived) >= FRAMES_A_COMMIT or step == steps - 1:
            await outbox.take(arrived, clocks=intake.unkept_clocks())
            arrived.clear()
    await outbox.keep(intake.clocks(), {})
    records = len(outbox)
    await outbox.close()
    return records


def enrol(data_dir: Path, packs: Sequence[Pack], since: datetime) -> None:
    data_dir.mkdir()
    registry = Registry.open(f"sqlite:///{data_dir / 'registry.sqlite'}")
    credentials = Credentials(data_dir / "credentials")
    for pack in packs:
        credentials.gateway_account(GATEWAY, FLEET, pack.unit_id)
        credentials.account(AccountRole.UNIT, pack.unit_id)
        registry.enrol(
            Enrolment(
                fleet_id=FLEET, gateway_id=GATEWAY, vehicle_id=GATEWAY, pack_id=pack.pack_id,
                pack_class=PackClass.END_OF_LIFE, class_assessed_by=None, class_criteria=None, class_outcome=None,
                unit_id=pack.unit_id, temperature_channels=TEMPERATURES, voltage_channels=VOLTAGES,
                voltage_kinds=(ChannelKind.CELL,) * VOLTAGES, simulated=True, bound_from=since,
            ),
            datetime.now(UTC),
        )  # fmt: skip
    registry.close()


def logins(credentials: Path, mqtt: int, packs: Sequence[Pack]) -> list[BrokerAccess]:
    """How the gateway, and then each unit, reaches the broker."""
    known = Credentials(credentials)
    accounts = [known.account(AccountRole.GATEWAY, GATEWAY, FLEET)]
    accounts += [known.account(AccountRole.UNIT, pack.unit_id) for pack in packs]
    return [
        BrokerAccess(host="127.0.0.1", port=mqtt, username=account.username, password=account.password)
        for account in accounts
    ]


class Live:
    """What the units publish while the backlog comes in, and when each sample could be read."""

    def __init__(self, packs: Sequence[Pack], first_number: int, boot_ms: int) -> None:
        self.published = [0] * len(packs)
        self.took_s: list[float] = []
        self._packs, self._first, self._boot_ms = packs, first_number, boot_ms
        self._latest: dict[int, tuple[float, int]] = {}
        """By pack: when its latest sample was published, and its time."""
        self._turn, self._lock = 0, threading.Lock()
        self._ended = threading.Event()

    async def publish(self, at: int, access: BrokerAccess) -> None:
        pack = self._packs[at]
        async with mqtt_client(access) as client:
            await asyncio.sleep(at * LIVE_EVERY_S / len(self._packs))
            while not self._ended.is_set():
                tick_ms = time.time_ns() // 1_000_000 - self._boot_ms
                if self.published[at] % 10 == 0:
                    beat = encode_clock_beat(ClockBeat(boot_id=BOOT, tick_ms=tick_ms))
                    await client.publish(clock_topic(pack.unit_id), beat)
                frame = pack.frame(self._first + self.published[at], tick_ms)
                self.published[at] += 1
                self._latest[at] = (time.perf_counter(), self._boot_ms + tick_ms)
                await client.publish(frames_topic(pack.unit_id), frame)
                await asyncio.sleep(LIVE_EVERY_S)

    def ask(self, client: ServiceClient) -> None:
        """A thread: follow one sample after the other."""
        while not self._ended.is_set():
            with self._lock:
                self._turn += 1
                at = self._turn % len(self._packs)
            before = self._latest.get(at)
            while (latest := self._latest.get(at)) == before and not self._ended.is_set():
                time.sleep(0.005)
            while latest is not None and not self._ended.is_set():
                if self._is_stored(client, self._packs[at].pack_id, latest[1]):
                    self.took_s.append(time.perf_counter() - latest[0])
                    break
                time.sleep(ASK_EVERY_S)

    def end(self) -> None:
        self._ended.set()

    @staticmethod
    def _is_stored(client: ServiceClient, pack_id: str, sampled_at_ms: int) -> bool:
        around = {"from_ms": sampled_at_ms - 300, "to_ms": sampled_at_ms + 300, "points": 1}
        return bool(client.get(f"/api/packs/{pack_id}/series", **around)["t_ms"])


def start_gateway(folder: Path, packs: Sequence[Pack], own: BrokerAccess) -> subprocess.Popen[bytes]:
    """`packwatch gateway` on the outbox in the folder."""
    broker = {"ADDRESS": f"{own.host}:{own.port}", "USERNAME": own.username or "", "PASSWORD": own.password or ""}
    environment = {
        "PACKWATCH_DATA_DIR": str(folder / "gateway"),
        "PACKWATCH_GATEWAY__GATEWAY_ID": GATEWAY,
        "PACKWATCH_GATEWAY__FLEET_ID": FLEET,
        "PACKWATCH_GATEWAY__UNITS": json.dumps([pack.unit_id for pack in packs]),
        **{f"PACKWATCH_MQTT__{name}": value for name, value in broker.items()},
        **{f"PACKWATCH_GATEWAY__LOCAL__{name}": value for name, value in broker.items()},
    }
    with (folder / "gateway.log").open("wb") as log:
        gateway = subprocess.Popen([PACKWATCH, "gateway"], env={**os.environ, **environment}, stdout=log, stderr=log)
    while "local_link_up" not in (folder / "gateway.log").read_text():  # these units have no ring
        if gateway.poll() is not None:
            raise SystemExit((folder / "gateway.log").read_text())
        time.sleep(0.01)
    return gateway


def stored_rows(client: ServiceClient) -> int:
    rows: int = client.get("/api/board")["intake"]["stored_rows"]
    return rows


async def catch_up(
    client: ServiceClient, live: Live, records: int, logins: Sequence[BrokerAccess], *, least: int, began_s: float
) -> dict[str, Any]:
    """The units go on, until the backlog is stored and enough live samples were read, and all of them are stored."""
    caught_up_s: float | None = None
    during = 0
    units = [asyncio.create_task(live.publish(at, access)) for at, access in enumerate(logins)]
    askers = [asyncio.create_task(asyncio.to_thread(live.ask, client)) for _ in range(ASKERS)]
    try:
        while caught_up_s is None or len(live.took_s) < least:
            await asyncio.sleep(LOOK_EVERY_S)
            expected = records + sum(live.published) - 2 * len(logins)  # those of the last two seconds are under way
            if await asyncio.to_thread(stored_rows, client) >= expected and caught_up_s is None:
                caught_up_s, during = time.perf_counter() - began_s, len(live.took_s)
            if time.perf_counter() - began_s > LONGEST_S:
                raise SystemExit(f"not all of {expected} rows are stored after {LONGEST_S} s")
    finally:
        live.end()
        await asyncio.gather(*units, *askers)
    ended_s = time.perf_counter()
    while await asyncio.to_thread(stored_rows, client) < records + sum(live.published):
        if time.perf_counter() - ended_s > LAST_S:
            break
        await asyncio.sleep(LOOK_EVERY_S)
    took = sorted(live.took_s)
    return {
        "catch_up_s": round(caught_up_s, 1),
        "live_samples": len(took),
        "live_samples_during_catch_up": during,
        "live_p50_s": round(statistics.median(took), 3),
        "live_p99_s": round(took[int(len(took) * 0.99)], 3),
        "live_max_s": round(took[-1], 3),
    }


def peak_mb(pid: int) -> float:
    """The most memory that a process had, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)


def count(client: ServiceClient, packs: Sequence[Pack], steps: int, live: Sequence[int], folder: Path) -> Counter[str]:
    """Export every pack, and hold its frames' numbers against those that were taken."""
    found: Counter[str] = Counter()
    for pack, more in zip(packs, live, strict=True):
        file = folder / f"{pack.pack_id}.parquet"
        client.download("/api/export", file, pack_id=pack.pack_id, format="parquet")
        numbers = Counter(numbers_of(file))
        found["rows"] += numbers.total()
        found["twice"] += numbers.total() - len(numbers)
        found["lost"] += len(set(range(steps + more)) - numbers.keys())
        found["strange"] += len(numbers.keys() - set(range(steps + more)))
    return found


def measure(folder: Path, packs: Sequence[Pack], steps: int, least_live: int) -> dict[str, Any]:
    """Fill, catch up, count."""
    boot_ms = time.time_ns() // 1_000_000 - steps * PERIOD_MS
    enrol(folder / "data", packs, datetime.fromtimestamp(boot_ms / 1000, UTC))
    (folder / "gateway").mkdir()
    outbox = folder / "gateway" / f"outbox-{GATEWAY}.db"
    began_s = time.perf_counter()
    records = asyncio.run(fill(outbox, packs, steps, boot_ms))
    filled = {"outbox_mb": round(outbox.stat().st_size / 1e6, 1), "fill_s": round(time.perf_counter() - began_s, 1)}
    live = Live(packs, steps, boot_ms)
    up, _, mqtt = start(folder)
    try:
        client = ServiceClient.of(folder / "data")
        if client is None:
            raise SystemExit("packwatch up is gone")
        gateway, *units = logins(folder / "data" / "credentials", mqtt, packs)
        began_s = time.perf_counter()
        truck = start_gateway(folder, packs, gateway)
        try:
            measured = asyncio.run(catch_up(client, live, records, units, least=least_live, began_s=began_s))
            peaks = {"ingest_rss_mb": peak_mb(up.pid), "gateway_rss_mb": peak_mb(truck.pid)}
        finally:
            truck.send_signal(signal.SIGINT)
            truck.wait(20)
        found = count(client, packs, steps, live.published, folder)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(up.pid, signal.SIGINT)
        up.wait(30)
    return {
        "records": records,
        "values": records * (TEMPERATURES + VOLTAGES),
        "stored_rows": found["rows"],
        "lost": found["lost"],
        "twice": found["twice"] + found["strange"],
        **measured,
        "records_per_s": round(records / measured["catch_up_s"]),
        **peaks,
        **filled,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hours", type=float, default=72.0, help="how long the outage was")
    options.add_argument("--packs", type=int, default=16)
    options.add_argument("--live", type=int, default=LEAST_LIVE, help="live samples to measure at least")
    options.add_argument("--keep", type=Path, help="write the result here instead of bench/outage.json")
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("it was ended"))  # the parts must not be left behind
    packs = [Pack(number) for number in range(chosen.packs)]
    steps = round(chosen.hours * 3_600_000 / PERIOD_MS)
    with tempfile.TemporaryDirectory() as scratch:
        result = {"hours": chosen.hours, **measure(Path(scratch), packs, steps, chosen.live)}
    table = Table("what", "measured", title=f"{chosen.hours:g} h without network, {len(packs)} packs, one gateway")
    told = f"{result['records']:,} ({result['values']:,} values, {result['outbox_mb']} MB)"
    table.add_row("records in the outbox", told)
    told = f"{result['stored_rows']:,} samples, live ones included; {result['lost']} lost, {result['twice']} twice"
    table.add_row("stored", told)
    table.add_row("caught up in", f"{result['catch_up_s']} s, {result['records_per_s']:,} records/s")
    for name in ("p50", "p99", "max"):
        table.add_row(f"live sample, publish to readable, {name}", f"{result[f'live_{name}_s']} s")
    table.add_row("live samples measured", f"{result['live_samples']}, {result['live_samples_during_catch_up']} in it")
    told = f"packwatch {result['ingest_rss_mb']:.0f} MB, gateway {result['gateway_rss_mb']:.0f} MB"
    table.add_row("peak memory", told)
    Console().print(table)
    (chosen.keep or Path(__file__).with_suffix(".json")).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
