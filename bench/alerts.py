"""From a critical sample to the people: all parts as real processes, receivers that speak the standards on loopback.

Starts `packwatch up` and lets 5,000 packs on 313 vehicles report every 10 s. Then 100 packs fail at once, and later all
of them within a minute, while a dispatcher's board in a real browser listens. Each page is looked up at its receiver.
The cab's alarm is measured at a gateway of its own whose way up is cut. Prints a table, writes bench/alerts.json, and
prints that JSON last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from alerts_board import listening_board, most_within
from alerts_cab import cab_alarm
from alerts_found import Arrivals, storm, waits
from alerts_road import FLEET, PACKS_EACH, PROBES, REPORT_EVERY_S, Road
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

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "paging"))
from receivers import Browser

if TYPE_CHECKING:
    from alerts_board import Board

PACKWATCH = Path(sys.executable).parent / "packwatch"
RECEIVERS = Path(__file__).parents[1] / "tests" / "paging" / "receivers.py"
SECRET = "a secret of the bench"  # noqa: S105  signs webhooks on loopback


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

    def arrivals(self) -> Arrivals:
        return Arrivals.read(self.log, self.browser)

    def link(self) -> str:
        """The one-time link of the first account."""
        told = re.search(r"http://\S+/claim\?token=\S+", (self.folder / "up.log").read_text())
        if told is None:
            raise SystemExit("`up` announced no link")
        return told[0]


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


async def measure(stage: Stage, fail: int, storm_s: float) -> dict[str, Any]:
    road = Road(vehicles=stage.vehicles, port=stage.mqtt, credentials=stage.data_dir / "credentials")
    ready = asyncio.Event()
    driving = asyncio.create_task(road.drive(ready))
    await ready.wait()
    await asyncio.sleep(2 * REPORT_EVERY_S)
    step = max(1, stage.vehicles // fail)
    together = [(number % stage.vehicles, number // stage.vehicles) for number in range(0, fail * step, step)][:fail]
    await asyncio.gather(*(road.fail(*where) for where in together))
    await settled(stage, len(together), 60)
    registry = stage.registry()
    result = await asyncio.to_thread(waits, registry, stage.arrivals(), {f"p{n}-{p}" for n, p in together})
    if storm_s:
        async with AsyncExitStack() as house:
            board = await house.enter_async_context(listening_board(stage.link()))
            result |= await all_fail(stage, road, board, storm_s)
        result |= await asyncio.to_thread(storm, registry, stage.arrivals(), {f"p{n}-{p}" for n, p in road.hot})
    registry.close()
    driving.cancel()
    await asyncio.wait([driving])
    return result


async def all_fail(stage: Stage, road: Road, board: Board, within_s: float) -> dict[str, Any]:
    """Let all packs fail that have not yet; how long that took, until all was told, and what the board let hear."""
    rest = [(n, p) for p in range(PACKS_EACH) for n in range(stage.vehicles) if (n, p) not in road.hot]
    began_s = time.monotonic()
    failing = []
    for count, where in enumerate(rest):
        failing.append(asyncio.create_task(road.fail(*where)))
        await asyncio.sleep(max(0.0, began_s + (count + 1) * within_s / len(rest) - time.monotonic()))
    await asyncio.gather(*failing)
    raised_s = time.monotonic() - began_s
    await settled(stage, len(road.hot), 150)
    sounds_s = await board.sounds_s()
    return {
        "storm_s": round(raised_s, 1),
        "storm_settled_after_s": round(time.monotonic() - began_s, 1),
        "sounds": len(sounds_s),
        "sounds_in_10_s_max": most_within(sounds_s),
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
    cab_s = asyncio.run(cab_alarm(scratch, 10, local=free_port(), nowhere=free_port()))
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
