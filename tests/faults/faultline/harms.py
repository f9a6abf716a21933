"""What each kind of harm does to the stage, and how it ends."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from faultline.http_proxy import Answers
from faultline.plan import NEVER_SEEN, Kind
from faultline.proxy import Network, Weather

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from faultline.plan import Harm
    from faultline.proxy import Proxy
    from faultline.stage import GatewayPart, Stage, UnitPart

SHARE = 0.3
"""Of messages that are doubled, or overtaken."""
DRAINED_S = 130.0
"""How long a gateway's records may take to be settled before its box is thrown away: as QUIET_S of a round."""
OVERFLOWN_S = 60.0
"""How long an outbox may take to overflow: ten times what two units at full rate need on two busy cores."""


async def do_harm(stage: Stage, harm: Harm) -> None:
    """Begin, wait, end. Parts that were killed run again afterwards."""
    stage.counts[f"harm: {harm.kind}"] += 1
    await _DOERS[harm.kind](stage, harm)


def _unit(stage: Stage, harm: Harm) -> UnitPart:
    return stage.units[harm.target]


def _gateway(stage: Stage, harm: Harm) -> GatewayPart:
    return stage.gateways[1 + harm.target]


async def _kill_unit(stage: Stage, harm: Harm) -> None:
    unit = _unit(stage, harm)
    await unit.kill()
    await asyncio.sleep(harm.lasts_s)
    await unit.start()


async def _kill_gateway(stage: Stage, harm: Harm) -> None:
    gateway = _gateway(stage, harm)
    await gateway.kill()
    await asyncio.sleep(harm.lasts_s)
    await gateway.start()


async def _kill_broker(stage: Stage, harm: Harm) -> None:
    stage.counts["kills of brokers"] += 1
    await stage.broker.kill()
    await asyncio.sleep(harm.lasts_s)
    if harm.kind is Kind.BROKER_WIPED:
        # Another harm may have started it again.
        await stage.broker.kill()
        stage.broker.wipe()
    if not stage.broker.running:
        await stage.broker.start()


async def _kill_units_broker(stage: Stage, harm: Harm) -> None:
    stage.counts["kills of brokers"] += 1
    broker = _gateway(stage, harm).local_broker
    await broker.kill()
    await asyncio.sleep(harm.lasts_s)
    await broker.start()


async def _kill_ingest(stage: Stage, harm: Harm) -> None:
    await stage.ingest.kill()
    await asyncio.sleep(harm.lasts_s)
    await stage.ingest.start()


def _cut(link: Callable[[Stage, Harm], Proxy]) -> Callable[[Stage, Harm], Awaitable[None]]:
    async def cut(stage: Stage, harm: Harm) -> None:
        proxy = link(stage, harm)
        proxy.cut()
        await asyncio.sleep(harm.lasts_s)
        proxy.restore()

    return cut


def _half_open(link: Callable[[Stage, Harm], Proxy]) -> Callable[[Stage, Harm], Awaitable[None]]:
    async def half_open(stage: Stage, harm: Harm) -> None:
        proxy = link(stage, harm)
        proxy.half_open()
        await asyncio.sleep(harm.lasts_s)
        proxy.restore()

    return half_open


def _uplink(stage: Stage, harm: Harm) -> Proxy:
    return _gateway(stage, harm).uplink


def _unit_link(stage: Stage, harm: Harm) -> Proxy:
    return _unit(stage, harm).link


def _ingest_link(stage: Stage, _harm: Harm) -> Proxy:
    return stage.ingest_link


def _weather(**changes: float | str) -> Callable[[Stage, Harm], Awaitable[None]]:
    async def bad_weather(stage: Stage, harm: Harm) -> None:
        gateway = _gateway(stage, harm)
        links = [gateway.uplink]
        if harm.kind in {Kind.DUPLICATED, Kind.REORDERED}:
            links += [stage.ingest_link, gateway.local_link]
        given = {"delay_s": harm.amount} if harm.kind is Kind.DELAY else changes
        for link in links:
            for name, value in given.items():
                setattr(link.weather, name, value)
        await asyncio.sleep(harm.lasts_s)
        for link in links:
            for name in given:
                setattr(link.weather, name, getattr(Weather(), name))

    return bad_weather


async def _fill_gateways_disk(stage: Stage, harm: Harm) -> None:
    gateway = _gateway(stage, harm)
    gateway.disk.fill(gateway.process.pid)
    await asyncio.sleep(harm.lasts_s)
    gateway.disk.clear()


async def _fill_stores_disk(stage: Stage, harm: Harm) -> None:
    if stage.database is not None and not stage.database.running:
        await stage.database.start()
    stage.store_disk.fill(stage.ingest.process.pid if stage.database is None else stage.database.pid)
    await asyncio.sleep(harm.lasts_s)
    stage.store_disk.clear()
    if stage.database is not None:
        # InfluxDB 1.6 answers every further write with the old error, room or not, until it is started anew.
        await stage.database.kill()
        await stage.database.start()


async def _kill_database(stage: Stage, harm: Harm) -> None:
    stage.counts["kills of databases"] += 1
    await stage.database.kill()
    await asyncio.sleep(harm.lasts_s)
    if not stage.database.running:
        await stage.database.start()


async def _answer_errors(stage: Stage, harm: Harm) -> None:
    wrong = [answers for answers in Answers if answers is not Answers.TRUE]
    stage.database_link.answers = wrong[int(harm.amount * len(wrong))]
    await asyncio.sleep(harm.lasts_s)
    stage.database_link.answers = Answers.TRUE


async def _slip_units_clock(stage: Stage, harm: Harm) -> None:
    _unit(stage, harm).process.signal(signal.SIGUSR1)


async def _set_gateways_clock(stage: Stage, harm: Harm) -> None:
    """It began with a wrong clock; now somebody sets it right."""
    _gateway(stage, harm).set_clock(0.0)


async def _start_second_worker(stage: Stage, harm: Harm) -> None:
    worker = stage.add_worker()
    await worker.start()
    await asyncio.sleep(harm.lasts_s)


async def _move_unit(stage: Stage, harm: Harm) -> None:
    unit = _unit(stage, harm)
    unit.link.cut()
    await asyncio.sleep(min(harm.lasts_s, 1.0))
    reboots = harm.amount < 1 / NEVER_SEEN
    if reboots:
        await unit.kill()
    unit.move(3 - unit.gateway)
    unit.link.restore()
    if reboots:
        await unit.start()


async def _replace_gateway(stage: Stage, harm: Harm) -> None:
    """Throw the box away once its outbox is empty; its units meanwhile keep what they take."""
    gateway = _gateway(stage, harm)
    gateway.local_link.cut()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DRAINED_S
    while not await _is_drained(gateway):
        if loop.time() > deadline:
            raise TimeoutError(f"what {gateway.name} had taken was not settled within {DRAINED_S:g} s")
    await gateway.kill()
    gateway.throw_away()
    gateway.local_link.restore()
    await gateway.start()


async def _overflow_outbox(stage: Stage, harm: Harm) -> None:
    """Cut the uplink until the gateway says that it gave up more than had left it before, whatever others restore.

    What it gave up waits in its memory for the link all the same, unless its power fails.
    """
    gateway = _gateway(stage, harm)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    gateway.uplink.cut()
    while (records := gateway.records()) is None:
        await asyncio.sleep(0.1)
    enough = gateway.samples_given_up() + records * max(unit.rows for unit in stage.plan.units)
    while loop.time() < began_s + harm.lasts_s or gateway.samples_given_up() <= enough:
        if loop.time() > began_s + OVERFLOWN_S:
            raise TimeoutError(
                f"the outbox of {gateway.name} held {records} records, and did not overflow within {OVERFLOWN_S:g} s: "
                f"it holds {gateway.records()}, and gave up {gateway.samples_given_up()} of more than {enough} samples"
            )
        if gateway.uplink.network is not Network.CUT:
            gateway.uplink.cut()
        await asyncio.sleep(0.1)
    if harm.power_fails:
        await gateway.kill()
    gateway.uplink.restore()
    await gateway.start()


async def _is_drained(gateway: GatewayPart) -> bool:
    """Whether its outbox is empty, looked at twice: a copy of a file that changes may be of two times."""
    for _ in range(2):
        await asyncio.sleep(0.1)
        if gateway.records() != 0:
            return False
    return True


_DOERS: dict[Kind, Callable[[Stage, Harm], Awaitable[None]]] = {
    Kind.UNIT_KILLED: _kill_unit,
    Kind.GATEWAY_KILLED: _kill_gateway,
    Kind.BROKER_KILLED: _kill_broker,
    Kind.BROKER_WIPED: _kill_broker,
    Kind.UNITS_BROKER_KILLED: _kill_units_broker,
    Kind.INGEST_KILLED: _kill_ingest,
    Kind.DATABASE_KILLED: _kill_database,
    Kind.DATABASE_ERRORS: _answer_errors,
    Kind.UPLINK_CUT: _cut(_uplink),
    Kind.UNIT_LINK_CUT: _cut(_unit_link),
    Kind.INGEST_LINK_CUT: _cut(_ingest_link),
    Kind.UPLINK_HALF_OPEN: _half_open(_uplink),
    Kind.INGEST_HALF_OPEN: _half_open(_ingest_link),
    Kind.DELAY: _weather(),
    Kind.DUPLICATED: _weather(duplicate=SHARE),
    Kind.REORDERED: _weather(reorder=SHARE),
    Kind.GATEWAY_DISK_FULL: _fill_gateways_disk,
    Kind.STORE_DISK_FULL: _fill_stores_disk,
    Kind.UNIT_CLOCK_STEP: _slip_units_clock,
    Kind.GATEWAY_CLOCK_STEP: _set_gateways_clock,
    Kind.TWO_INGEST_WORKERS: _start_second_worker,
    Kind.GATEWAY_REPLACED: _replace_gateway,
    Kind.UNIT_MOVED: _move_unit,
    Kind.ACKNOWLEDGEMENTS_LOST: _weather(drop_topic="/NCMD/"),
    Kind.RING_OVERFLOW: _cut(_unit_link),
    Kind.OUTBOX_OVERFLOW: _overflow_outbox,
}
