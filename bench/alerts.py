"""From a critical sample to the people: all parts as real processes, receivers that speak the standards on loopback.

Starts `packwatch up` and lets 5,000 packs on 313 vehicles report every 10 s. Then 100 packs fail at once, and later all
of them within a minute. Each page is looked up at its receiver. The cab's alarm is measured at a gateway of its own
whose way up is cut. Prints a table, writes bench/alerts.json, and prints that JSON last.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from packwatch.credentials import AccountRole, Credentials
from registry.audit import PROGRAM
from registry.enrolment import Enrolment
from registry.kinds import Chemistry, Level, PackClass, Role
from registry.paging_kinds import Channel, PageKind, PageState
from registry.paging_records import Recipient
from registry.recipients import Way
from registry.registry import Registry
from telemetry.broker import BrokerAccess
from telemetry.frames import encode_frame, frame_from_values
from telemetry.mqtt import mqtt_client
from telemetry.samples import Provenance, SampleBatch
from telemetry.sparkplug.batches import ALIASES_PER_DEVICE, batch_metrics, device_birth_metrics
from telemetry.sparkplug.payload import DataType, Metric, Payload, encode_payload
from telemetry.unit_link import frames_topic

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "paging"))
from receivers import Browser

if TYPE_CHECKING:
    import aiomqtt

    from registry.paging_records import Page

PACKWATCH = Path(sys.executable).parent / "packwatch"
RECEIVERS = Path(__file__).parents[1] / "tests" / "paging" / "receivers.py"
FLEET = "bench"
SECRET = "a secret of the bench"  # noqa: S105  signs webhooks on loopback
PACKS_EACH, PROBES = 16, 8
REPORT_EVERY_S = 10.0
CALM_C, HOT_C = 22.0, 95.0
RISE_C = (28.0, 34.0, 40.0, 46.0)
"""A failing pack, one sample a second: critical with the third, by the rise above its neighbours."""
CHANNELS = {Channel.PUSH: "push", Channel.EMAIL: "mail", Channel.WEBHOOK: "hook"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass(kw_only=True)
class Stage:
    """What is there before anything runs."""

    folder: Path
    vehicles: int
    http: int
    mqtt: int
    receiver: int
    mail: int
    browser: Browser

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "arrivals.jsonl"

    def registry(self) -> Registry:
        return Registry.open(f"sqlite:///{self.data_dir / 'registry.sqlite'}")


def prepare(stage: Stage) -> None:
    """Enrol vehicles and packs, and whom to tell."""
    stage.data_dir.mkdir()
    registry, credentials = stage.registry(), Credentials(stage.data_dir / "credentials")
    now = datetime.now(UTC)
    for vehicle in range(stage.vehicles):
        credentials.account(AccountRole.GATEWAY, f"v{vehicle}", FLEET)
        for pack in range(PACKS_EACH):
            registry.enrol(
                Enrolment(
                    fleet_id=FLEET, gateway_id=f"v{vehicle}", vehicle_id=f"v{vehicle}", pack_id=f"p{vehicle}-{pack}",
                    chemistry=Chemistry.NMC, pack_class=PackClass.END_OF_LIFE, unit_id=f"u{vehicle}-{pack}",
                    temperature_channels=PROBES, voltage_channels=0, simulated=True,
                ),
                now,
            )  # fmt: skip
    people = (
        ("ana", Role.DISPATCHER, Way(step=0, channel=Channel.PUSH)),
        ("ben", Role.DISPATCHER, Way(step=0, channel=Channel.EMAIL, address="ben@carrier.example")),
        (
            "tms",
            None,
            Way(step=0, channel=Channel.WEBHOOK, address=f"http://127.0.0.1:{stage.receiver}/hook", secret=SECRET),
        ),
    )
    for name, role, way in people:
        registry.add_recipient(Recipient(recipient_id=name, name=name.title(), role=role, created_at=now), [way])
    registry.add_push_device(
        "ana", endpoint=f"http://127.0.0.1:{stage.receiver}/push/ana", p256dh=stage.browser.p256dh,
        auth=stage.browser.auth_text, label="phone", now=now, by=PROGRAM,
    )  # fmt: skip
    registry.close()


def start(stage: Stage) -> list[subprocess.Popen[bytes]]:
    words = ["--http", str(stage.receiver), "--mail", str(stage.mail), "--log", str(stage.log)]
    receivers = subprocess.Popen(
        [sys.executable, RECEIVERS, *words], env={**os.environ, "PYTHONPATH": str(RECEIVERS.parents[2])}
    )
    settings = {
        "PACKWATCH_PAGING__SIMULATED": "true",
        "PACKWATCH_PAGING__MAIL__HOST": "127.0.0.1",
        "PACKWATCH_PAGING__MAIL__PORT": str(stage.mail),
        "PACKWATCH_PAGING__PUSH__CONTACT": "mailto:bench@carrier.example",
    }
    with (stage.folder / "up.log").open("wb") as log:
        up = subprocess.Popen(
            [
                PACKWATCH, "up", "--data-dir", stage.data_dir,
                "--http", f"127.0.0.1:{stage.http}", "--mqtt", f"127.0.0.1:{stage.mqtt}",
            ],
            stdout=log, stderr=log, start_new_session=True, env={**os.environ, **settings},
        )  # fmt: skip
    for _ in range(1200):
        try:
            if httpx.get(f"http://127.0.0.1:{stage.http}/healthz", trust_env=False, timeout=1).is_success:
                return [receivers, up]
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise SystemExit((stage.folder / "up.log").read_text())


class Vehicle:
    """A gateway that publishes one sample of one pack at a time."""

    def __init__(self, number: int, client: aiomqtt.Client) -> None:
        self.number, self.client = number, client
        self._seq, self._frames, self._record = 0, [0] * PACKS_EACH, 0

    async def born(self) -> None:
        node = (
            Metric(name="bdSeq", datatype=DataType.INT64, value=0),
            Metric(name="Outbox/Id", datatype=DataType.STRING, value=f"outbox-{self.number}"),
        )
        await self._publish("NBIRTH", None, node, first=True)
        for pack in range(PACKS_EACH):
            base = ALIASES_PER_DEVICE * (pack + 1)
            await self._publish("DBIRTH", pack, device_birth_metrics(PROBES, 0, (), alias_base=base))

    async def sample(self, pack: int, hottest_c: float) -> float:
        """Publish; when it was, UTC seconds."""
        self._frames[pack] += 1
        self._record += 1
        frame = self._frames[pack]
        at_s = time.time()
        row = CALM_C + 0.1 * np.sin(frame + np.arange(PROBES, dtype=np.float32))[np.newaxis, :]
        if hottest_c > CALM_C:
            row[0, : PROBES // 2] = hottest_c - 0.2 * np.arange(PROBES // 2)
        batch = SampleBatch(
            unit_id=f"u{self.number}-{pack}",
            boot_id="1-bench",
            frame=frame,
            provenance=Provenance.SYNTHETIC,
            sampled_at_ms=np.array([int(at_s * 1000)], np.int64),
            time_uncertainty_s=0.05,
            temperatures_c=row,
            voltages_v=np.empty((1, 0), np.float32),
        )
        metrics = batch_metrics(batch, outbox_sequence=self._record, alias_base=ALIASES_PER_DEVICE * (pack + 1))
        await self._publish("DDATA", pack, metrics)
        return at_s

    async def _publish(self, kind: str, pack: int | None, metrics: Any, *, first: bool = False) -> None:
        self._seq = 0 if first else (self._seq + 1) % 256
        device = "" if pack is None else f"/u{self.number}-{pack}"
        payload = encode_payload(
            Payload(timestamp_ms=time.time_ns() // 1_000_000, seq=self._seq, metrics=tuple(metrics)),
            with_datatypes=kind != "DDATA",
        )
        await self.client.publish(f"spBv1.0/{FLEET}/{kind}/v{self.number}{device}", payload, qos=0)


class Road:
    """All vehicles on the road: each pack reports every 10 s, and those that failed every second of them hotter."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._credentials = Credentials(stage.data_dir / "credentials")
        self.vehicles: list[Vehicle] = []
        self.hot: dict[tuple[int, int], float] = {}
        """How hot each pack is that fails."""
        self.sent = 0

    async def drive(self, ready: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._stage.vehicles):
                tasks.create_task(self._one(number))
            while len(self.vehicles) < self._stage.vehicles:  # noqa: ASYNC110  each is born in its own task
                await asyncio.sleep(0.1)
            ready.set()

    async def _one(self, number: int) -> None:
        account = self._credentials.account(AccountRole.GATEWAY, f"v{number}", FLEET)
        access = BrokerAccess(
            host="127.0.0.1", port=self._stage.mqtt, username=account.username, password=account.password
        )
        await asyncio.sleep(number * 0.01)
        async with mqtt_client(access) as client:
            vehicle = Vehicle(number, client)
            await vehicle.born()
            self.vehicles.append(vehicle)
            pause_s = REPORT_EVERY_S / PACKS_EACH
            while True:
                for pack in range(PACKS_EACH):
                    await vehicle.sample(pack, self.hot.get((number, pack), CALM_C))
                    self.sent += 1
                    await asyncio.sleep(pause_s)

    async def fail(self, number: int, pack: int) -> None:
        vehicle = next(each for each in self.vehicles if each.number == number)
        for hottest_c in RISE_C:
            self.hot[number, pack] = hottest_c
            await vehicle.sample(pack, hottest_c)
            await asyncio.sleep(1)


def arrivals(stage: Stage) -> tuple[dict[tuple[str, str], list[float]], dict[str, int]]:
    """When each message came, by channel and message; and how often each key came to the webhook."""
    found: dict[tuple[str, str], list[float]] = {}
    keys: dict[str, int] = {}
    for line in stage.log.read_text().splitlines():
        arrival = json.loads(line)
        kind, what = arrival["kind"], arrival["what"]
        if kind == "hook":
            told = json.loads(what)
            message = told["id"]
            for event in told["events"]:
                keys[event["key"]] = keys.get(event["key"], 0) + 1
        elif kind == "push":
            message = stage.browser.decrypt(base64.b64decode(what))["id"]
        else:
            message = re.search(r"Message-ID: <([0-9a-f]{32})@", what, re.IGNORECASE)[1]  # type: ignore[index]
        found.setdefault((kind, message), []).append(arrival["at_s"])
    return found, keys


def first_pages(registry: Registry, packs: set[str]) -> dict[tuple[str, Channel], Page]:
    """Of each pack, the first page on each channel that was due when its alert was raised or later."""
    pages = sorted(registry.pages(limit=1_000_000), key=lambda page: page.due_at)
    by_case: dict[str, list[Page]] = {}
    for page in pages:
        if page.case_id is not None and page.kind is not PageKind.DRILL:
            by_case.setdefault(page.case_id, []).append(page)
    found: dict[tuple[str, Channel], Page] = {}
    for alert in registry.alerts(limit=1_000_000):
        incident = registry.incident_of_alert(alert.alert_id) if alert.pack_id in packs else None
        if incident is None or alert.pack_id is None:
            continue
        for page in by_case.get(incident.incident_id, []):
            if alert.pack_id in page.reason:
                found.setdefault((alert.pack_id, page.channel), page)
    return found


def first_critical(registry: Registry) -> dict[str, float]:
    """When each pack's first critical sample was published: the bench dates a sample with that instant."""
    found = {}
    for alert in registry.alerts(limit=1_000_000):
        for event in registry.alert_events(alert.alert_id):
            if event.level.rank >= Level.CRITICAL.rank and event.sampled_at is not None and alert.pack_id is not None:
                found.setdefault(alert.pack_id, event.sampled_at.timestamp())
    return found


async def settled(stage: Stage, wanted: int, within_s: float) -> float:
    """Wait until so many alerts stand and no page waits for its first try; how long that took, s."""
    registry, began_s = stage.registry(), time.monotonic()
    waits = {PageState.QUEUED, PageState.HANDED_OVER}
    while time.monotonic() - began_s < within_s:
        alerts = await asyncio.to_thread(registry.open_alerts)
        critical = [each for each in alerts if each.level.rank >= Level.CRITICAL.rank]
        if len(critical) >= wanted:
            pages = await asyncio.to_thread(registry.pages, limit=1_000_000)
            told = sum(page.kind is PageKind.TOLD for page in pages)
            if told >= wanted and not any(page.state in waits for page in pages):
                break
        await asyncio.sleep(1)
    registry.close()
    return time.monotonic() - began_s


def start_vehicle(folder: Path, local: int) -> list[subprocess.Popen[bytes]]:
    """A vehicle's own broker and its gateway, whose way up leads nowhere."""
    quiet = subprocess.DEVNULL
    broker = subprocess.Popen(["/usr/sbin/mosquitto", "-p", str(local)], stdout=quiet, stderr=quiet)
    words = ["--id", "cab", "--fleet", FLEET, "--data-dir", folder / "cab", "--mqtt", f"127.0.0.1:{free_port()}"]
    with (folder / "gateway.log").open("wb") as log:
        gateway = subprocess.Popen(
            [PACKWATCH, "gateway", *words],
            env={**os.environ, "PACKWATCH_GATEWAY__LOCAL__ADDRESS": f"127.0.0.1:{local}"},
            stdout=log,
            stderr=log,
        )
    return [gateway, broker]


async def cab_alarm(folder: Path, rounds: int) -> list[float]:
    """Seconds from a critical frame on the vehicle's own broker to the alarm there, the way up cut."""
    local = free_port()
    processes = start_vehicle(folder, local)
    took = []
    try:
        await asyncio.sleep(6)
        async with mqtt_client(BrokerAccess(host="127.0.0.1", port=local)) as client:
            await client.subscribe("packwatch/vehicle/cab/alarm/+", qos=1)
            for number in range(rounds):
                unit = f"cab-{number}"
                frame = frame_from_values(
                    boot_id="1-bench", number=1, tick_ms=0, period_ms=1000, provenance=Provenance.SYNTHETIC,
                    utc_at_tick_zero_ms=time.time_ns() // 1_000_000,
                    temperatures_c=np.array([[20.0, HOT_C, HOT_C, 20.0]]),
                )  # fmt: skip
                began_s = time.perf_counter()
                await client.publish(frames_topic(unit), encode_frame(frame), qos=1)
                async with asyncio.timeout(20):
                    async for message in client.messages:
                        told = bytes(message.payload).decode(errors="replace")
                        if str(message.topic).endswith(f"/{unit}") and re.search("critical|runaway", told):
                            break
                took.append(time.perf_counter() - began_s)
    finally:
        for process in processes:
            process.terminate()
            process.wait(20)
    return took


async def measure(stage: Stage, fail: int, storm_s: float) -> dict[str, Any]:
    road, ready = Road(stage), asyncio.Event()
    driving = asyncio.create_task(road.drive(ready))
    await ready.wait()
    await asyncio.sleep(2 * REPORT_EVERY_S)
    step = max(1, stage.vehicles // fail)
    together = [(number % stage.vehicles, number // stage.vehicles) for number in range(0, fail * step, step)][:fail]
    await asyncio.gather(*(road.fail(*where) for where in together))
    await settled(stage, len(together), 60)
    registry = stage.registry()
    came, _ = arrivals(stage)
    pages = first_pages(registry, {f"p{number}-{pack}" for number, pack in together})
    waits_s, unheard = [], 0
    critical_s = first_critical(registry)
    for number, pack in together:
        for channel, kind in CHANNELS.items():
            page = pages.get((f"p{number}-{pack}", channel))
            times = came.get((kind, (page.message_id or "") if page else ""), [])
            if times:
                waits_s.append(min(times) - critical_s[f"p{number}-{pack}"])
            else:
                unheard += 1
    result: dict[str, Any] = {
        "notify_p50_s": round(float(np.percentile(waits_s, 50)), 3) if waits_s else None,
        "notify_p99_s": round(float(np.percentile(waits_s, 99)), 3) if waits_s else None,
        "notify_max_s": round(max(waits_s), 3) if waits_s else None,
        "notified": len(waits_s),
        "not_notified": unheard,
    }
    if storm_s:
        rest = [(n, p) for p in range(PACKS_EACH) for n in range(stage.vehicles) if (n, p) not in road.hot]
        began_s = time.monotonic()
        failing = []
        for count, where in enumerate(rest):
            failing.append(asyncio.create_task(road.fail(*where)))
            await asyncio.sleep(max(0.0, began_s + (count + 1) * storm_s / len(rest) - time.monotonic()))
        await asyncio.gather(*failing)
        raised_s = time.monotonic() - began_s
        await settled(stage, len(road.hot), 150)
        result |= storm(stage, registry, road) | {
            "storm_s": round(raised_s, 1),
            "storm_settled_after_s": round(time.monotonic() - began_s, 1),
        }
    registry.close()
    driving.cancel()
    await asyncio.wait([driving])
    return result


def storm(stage: Stage, registry: Registry, road: Road) -> dict[str, Any]:
    """What was lost, and what came twice: of each pack on each channel."""
    came, keys = arrivals(stage)
    packs = {f"p{number}-{pack}" for number, pack in road.hot}
    pages = first_pages(registry, packs)
    lost = 0
    for pack in packs:
        for channel, kind in CHANNELS.items():
            page = pages.get((pack, channel))
            lost += page is None or (kind, page.message_id or "") not in came
    twice = sum(count > 1 for count in keys.values()) + sum(len(times) > 1 for times in came.values())
    all_pages = registry.pages(limit=1_000_000)
    return {
        "alerts": len(packs),
        "lost": lost,
        "twice": twice,
        "pages": len(all_pages),
        "messages": len(came),
        "failed": sum(page.state is PageState.FAILED for page in all_pages),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--packs", type=int, default=5_000)
    options.add_argument("--fail", type=int, default=100, help="packs that fail at once")
    options.add_argument("--storm", type=float, default=60.0, help="s in which all packs fail; 0: none")
    options.add_argument("--keep", action="store_true", help="leave the data behind")
    chosen = options.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="bench-alerts-"))
    stage = Stage(
        folder=scratch, vehicles=-(-chosen.packs // PACKS_EACH), http=free_port(), mqtt=free_port(),
        receiver=free_port(), mail=free_port(), browser=Browser(),
    )  # fmt: skip
    cab_s = asyncio.run(cab_alarm(scratch, 10))
    prepare(stage)
    processes = start(stage)
    try:
        result = asyncio.run(measure(stage, chosen.fail, chosen.storm))
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    result |= {"cab_alarm_s": round(max(cab_s), 3), "packs": stage.vehicles * PACKS_EACH}
    table = Table("what", "measured", title="From a critical sample to the people")
    for name, value in result.items():
        table.add_row(name, str(value))
    Console().print(table)
    if chosen.keep:
        print(scratch)
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
