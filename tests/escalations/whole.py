"""One seeded escalation of the whole alert service: `packwatch alerts` beside a real broker and a real PostgreSQL.

A vehicle reports a pack that heats itself, nobody answers or the dispatcher does, and the command is killed meanwhile
and started again, as a service manager does. The product's own policy: a step is 10 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alerts.escalation_kinds import CRITICAL_POLICY
from packwatch.alert_feed import RegistryAlerts
from registry.errors import RegistryError
from registry.kinds import Level, Role
from telemetry.broker import BrokerAccess
from telemetry.mqtt import mqtt_client
from telemetry.samples import Provenance, SampleBatch
from telemetry.sparkplug.batches import ALIASES_PER_DEVICE, batch_metrics, device_birth_metrics
from telemetry.sparkplug.payload import DataType, Metric, Payload, encode_payload

from faultline.ports import free_port
from paging_stage import mail_server
from postgres import opened
from receivers import http_receiver
from rounds import Act, Play, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    import aiomqtt

    from registry.records import Alert
    from registry.registry import Registry

    from postgres import Postgres

LASTS_S = 15.0
"""From the first hot sample on: the second channel is due after 10 s."""
STARTS_WITHIN_S = 60.0
PACKWATCH = Path(sys.executable).parent / "packwatch"
UNIT, GATEWAY, FLEET, PROBES = "unit-pack-1", "gw-truck-1", "fleet-1", 4
CALM_C, RISE_C = 22.0, (40.0, 65.0, 81.0, 83.0)


def make_whole_acts(seed: int, lasts_s: float) -> tuple[Act, ...]:
    """The same seed makes the same acts. Times count from the first hot sample."""
    dice = random.Random(seed)  # noqa: S311  spreads rounds, guards nothing
    kills = sorted(dice.uniform(0.0, lasts_s) for _ in range(dice.randint(1, 3)))
    acts = [Act(at_s=at_s, what="kill alerts", down_s=dice.uniform(0.0, 0.5)) for at_s in kills]
    if dice.random() < 0.7:
        acts.append(Act(at_s=dice.uniform(2.0, lasts_s), what="answer", role=Role.DISPATCHER))
    return tuple(sorted(acts, key=lambda act: act.at_s))


async def run_whole_round(seed: int, postgres: Postgres, lasts_s: float = LASTS_S) -> Verdict:
    """Play the seed's acts, wait until all is quiet, and judge."""
    verdict = Verdict(seed=seed, acts=make_whole_acts(seed, lasts_s))
    url = await asyncio.to_thread(postgres.database, f"whole_{seed}")
    registry = await asyncio.to_thread(opened, url)
    folder = Path(tempfile.mkdtemp(prefix="escalations-whole-"))
    try:
        async with http_receiver(free_port()) as hooks, mail_server(free_port()) as box:
            with _broker(folder) as broker:
                play = WholePlay(registry, postgres, verdict, folder)
                await asyncio.to_thread(play.people, hooks.port)
                await play.run(url, broker, box.port, lasts_s)
            play.judge(hooks.arrivals, [mail["Message-ID"][1:33] for mail in box.mails])
    finally:
        registry.close()
        await asyncio.to_thread(postgres.drop, f"whole_{seed}")
        shutil.rmtree(folder, ignore_errors=True)
    return verdict


class WholePlay(Play):
    """A round with the real command."""

    policy = CRITICAL_POLICY

    def __init__(self, registry: Registry, postgres: Postgres, verdict: Verdict, folder: Path) -> None:
        super().__init__(registry, postgres, verdict)
        self._folder = folder
        self._log = folder / "alerts.log"
        self._people = RegistryAlerts(registry, lambda _alert: None)
        self._environment: dict[str, str] = {}
        self._alerts: subprocess.Popen[bytes] | None = None

    async def run(self, url: str, broker_port: int, mail_port: int, lasts_s: float) -> None:
        """Start all, let things happen, and end paging."""
        self._environment = {
            **os.environ,
            "PACKWATCH_MQTT__ADDRESS": f"127.0.0.1:{broker_port}",
            "PACKWATCH_REGISTRY_URL": url,
            "PACKWATCH_PAGING__MAIL__HOST": "127.0.0.1",
            "PACKWATCH_PAGING__MAIL__PORT": str(mail_port),
            "PACKWATCH_LOG_FORMAT": "json",
        }
        edge = Edge()
        road = asyncio.create_task(edge.run(BrokerAccess(host="127.0.0.1", port=broker_port)))
        try:
            await self._started()
            edge.rise = iter(RISE_C)
            await self._let_happen(lasts_s)
        finally:
            road.cancel()
            await asyncio.gather(road, return_exceptions=True)
        try:
            await self.settle()
        finally:
            await asyncio.to_thread(self._end)

    async def _let_happen(self, lasts_s: float) -> None:
        began_s = time.monotonic()
        answering: list[asyncio.Task[None]] = []
        for act in self.verdict.acts:
            await asyncio.sleep(max(0.0, began_s + act.at_s - time.monotonic()))
            if act.what == "answer":
                answering.append(asyncio.create_task(self._answer()))
                continue
            down_s = time.time()
            await asyncio.to_thread(self._end)
            await asyncio.sleep(act.down_s)
            await self._started()
            self.down.append((down_s, time.time()))
        await asyncio.sleep(max(0.0, began_s + lasts_s - time.monotonic()))
        alert = await self._critical()
        self.alerts[alert.pack_id or "?"] = alert
        self.raised_s = alert.raised_at.timestamp()
        await asyncio.gather(*answering)
        if not await self._until(lambda: bool(self._pages())):
            self.verdict.wrong.append("nobody was paged within the time to settle")

    async def _started(self) -> None:
        already = len(self._log.read_text()) if self._log.exists() else 0
        self._alerts = await asyncio.to_thread(self._start_alerts)
        async with asyncio.timeout(STARTS_WITHIN_S):
            while "watches the stream" not in self._log.read_text()[already:]:
                if self._alerts.poll() is not None:
                    raise RuntimeError(f"packwatch alerts ended:\n{self._log.read_text()[already:][-3000:]}")
                await asyncio.sleep(0.05)

    def _start_alerts(self) -> subprocess.Popen[bytes]:
        words = [PACKWATCH, "alerts", "--data-dir", self._folder / "data"]
        with self._log.open("ab") as log:
            return subprocess.Popen(words, env=self._environment, stdout=log, stderr=log)

    def _end(self) -> None:
        """SIGKILL."""
        if self._alerts is not None:
            self._alerts.kill()
            self._alerts.wait()

    async def _critical(self) -> Alert:
        """The pack's alert, as soon as it is `critical` in the registry."""
        async with asyncio.timeout(STARTS_WITHIN_S):
            while True:
                for alert in await asyncio.to_thread(self.registry.open_alerts):
                    if alert.pack_id == "pack-1" and alert.level.rank >= Level.CRITICAL.rank:
                        return alert
                await asyncio.sleep(0.1)

    async def _answer(self) -> None:
        """The dispatcher acknowledges at the pages, as often as the alert changes meanwhile."""

        async def acknowledge(alert: Alert) -> Alert:
            return await self._people.acknowledge(
                alert.alert_id, version=alert.version, by="Ana", comment="seen", now=datetime.now(UTC)
            )

        await self._step(acknowledge)
        self.answered_s = time.time()

    async def settle(self) -> None:
        """The safety role closes the alert, which ends paging; then wait until nothing waits any more."""

        async def close(alert: Alert) -> Alert:
            return await self._people.close_alert(
                alert.alert_id,
                version=alert.version,
                by="Sue",
                reason="released",
                now=datetime.now(UTC),
                role=Role.SAFETY_LEAD,
                authority="Fire service",
            )

        await self._step(close)
        if not await self._until(self._is_quiet):
            self.verdict.wrong.append("pages still wait long after the end")

    async def _step(self, step: Callable[[Alert], Awaitable[Alert]]) -> None:
        while True:
            with contextlib.suppress(RegistryError):
                await step(await self._critical())
                return
            await asyncio.sleep(0.05)

    def _against_the_plan(self, pages: list) -> None:  # type: ignore[type-arg]
        """As in a round; and what the dispatcher answered was taken notice of."""
        super()._against_the_plan(pages)
        told = [
            happening.role
            for case_id in {page.case_id for page in pages}
            for happening in self.registry.case_facts(case_id).happenings
            if happening.kind == "acknowledged"
        ]
        if (Role.DISPATCHER in told) != (self.answered_s is not None):
            self.verdict.wrong.append(f"the dispatcher's answer was forgotten: {told}")


class Edge:
    """A vehicle with one pack. It is born anew with each report, so that who starts late understands it."""

    def __init__(self) -> None:
        self.rise: Iterator[float] = iter(())
        self._hottest_c = CALM_C
        self._frame = 0
        self._seq = 0

    async def run(self, access: BrokerAccess) -> None:
        """Report each second, until cancelled."""
        async with mqtt_client(access) as client:
            while True:
                self._hottest_c = next(self.rise, self._hottest_c)
                await self._report(client)
                await asyncio.sleep(1.0)

    async def _report(self, client: aiomqtt.Client) -> None:
        self._frame += 1
        self._seq = -1
        row = CALM_C + 0.1 * np.sin(self._frame + np.arange(PROBES, dtype=np.float32))[np.newaxis, :]
        if self._hottest_c > CALM_C:
            row[0, :2] = self._hottest_c + 0.05 * np.float32(self._frame % 7)
        batch = SampleBatch(
            unit_id=UNIT,
            boot_id="1-boot",
            frame=self._frame,
            provenance=Provenance.MEASURED,
            sampled_at_ms=np.array([time.time_ns() // 1_000_000], np.int64),
            time_uncertainty_s=0.05,
            temperatures_c=row.astype(np.float32),
            voltages_v=np.empty((1, 0), np.float32),
        )
        born = (
            Metric(name="bdSeq", datatype=DataType.INT64, value=0),
            Metric(name="Outbox/Id", datatype=DataType.STRING, value="outbox-1"),
        )
        await self._publish(client, "NBIRTH", "", born)
        base = ALIASES_PER_DEVICE
        await self._publish(client, "DBIRTH", f"/{UNIT}", device_birth_metrics(PROBES, 0, (), alias_base=base))
        metrics = batch_metrics(batch, outbox_sequence=self._frame, alias_base=base)
        await self._publish(client, "DDATA", f"/{UNIT}", metrics)

    async def _publish(self, client: aiomqtt.Client, kind: str, device: str, metrics: tuple[Metric, ...]) -> None:
        self._seq += 1
        payload = encode_payload(
            Payload(timestamp_ms=time.time_ns() // 1_000_000, seq=self._seq, metrics=metrics),
            with_datatypes=kind != "DDATA",
        )
        await client.publish(f"spBv1.0/{FLEET}/{kind}/{GATEWAY}{device}", payload, qos=0)


@contextlib.contextmanager
def _broker(folder: Path) -> Iterator[int]:
    """A Mosquitto of the round's own; its port."""
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    if not Path(program).exists():
        raise RuntimeError("Mosquitto is missing: apt-get install mosquitto")
    port = free_port()
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with (folder / "mosquitto.log").open("ab") as log:
        broker = subprocess.Popen([program, "-c", folder / "mosquitto.conf"], stdout=log, stderr=log)
    try:
        until_s = time.monotonic() + 10
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield port
    finally:
        broker.terminate()
        broker.wait(10)
