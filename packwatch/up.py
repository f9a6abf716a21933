"""`packwatch up`: everything on one machine, wired in one place and torn down in reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from prometheus_client import REGISTRY

from alerts.rules_keeper import RulesKeeper
from alerts.service import AlertService
from dashboards.accounts import ensure_administrator
from dashboards.board import LiveBoard
from dashboards.keeper import BoardKeeper
from ingest.service import IngestService
from packwatch.addresses import listen
from packwatch.broker import EmbeddedBroker
from packwatch.credentials import AccountRole, Credentials
from packwatch.crew import Crew, stop_on_signals
from packwatch.data_dir import claim_data_dir, lease_holder, published_service
from packwatch.directory import Directory
from packwatch.enrolling import FleetEnroller
from packwatch.garbage import look_for_cycles_rarely
from packwatch.history import PagesHistory
from packwatch.intake import Meter
from packwatch.operator_files import read_tunnels
from packwatch.pages import build_pages
from packwatch.paging import build_drilling, build_paging
from packwatch.publishing import Publisher
from packwatch.retention import keep_retention
from packwatch.reviewing import review_house
from packwatch.roll_ups import keep_roll_ups
from packwatch.simulating import run_vehicles, scenario_by_name
from packwatch.stored_samples import SNAPSHOT_FILE, StoredSamples
from packwatch.stores import open_store
from packwatch.time_stamping import TimeStamper
from packwatch.web_server import WebServer
from registry.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from packwatch.settings import Settings

DEMO_SCENARIO = "convoy"


async def run_up(settings: Settings, *, demo: bool, announce: Callable[[str], None]) -> None:  # noqa: PLR0915 - one straight line
    """Run until Ctrl-C. Raises, before anything runs, what stands in the way: AddressError, DataDirError, ...."""
    stop = stop_on_signals()
    async with contextlib.AsyncExitStack() as house:
        data_dir = settings.data_dir
        house.enter_context(claim_data_dir(data_dir))
        listener = listen(settings.http, "The web server", "--http")
        house.callback(listener.close)
        credentials = Credentials(data_dir / "credentials")
        registry = await asyncio.to_thread(Registry.open, settings.registry_address())
        house.callback(registry.close)
        store = await asyncio.to_thread(open_store, settings)
        house.callback(store.close)
        for role in (AccountRole.INGEST, AccountRole.ALERTS, AccountRole.DASHBOARD):
            credentials.account(role)
        broker = EmbeddedBroker(address=settings.mqtt.address, folder=data_dir / "broker", credentials=credentials)
        house.push_async_callback(broker.stop)
        await broker.start()

        publisher = Publisher(broker.access(credentials.account(AccountRole.ALERTS)))
        board = LiveBoard(
            now_ms=_now_ms(),
            tunnels=read_tunnels(settings),
            forecast_s=lambda unit_id: alerts.forecast_s(unit_id),  # noqa: PLW0108  the engine comes after the board
        )
        desk, sender, standby = await build_paging(
            settings, credentials, registry=registry, publisher=publisher, house=house
        )
        crew = Crew()
        house.push_async_callback(crew.dismiss)
        rules = RulesKeeper(path=settings.rules_path(), registry=registry)
        alerts = AlertService(
            registry=registry,
            publish=publisher.publish,
            listeners=[board.observe_alert, desk.observe_alert],
            fleets=settings.groups,
            rules=await rules.load(),
            snapshot_path=data_dir / SNAPSHOT_FILE,
            snapshot_every_s=settings.snapshot_s,
            history=StoredSamples(store),
            command=publisher.command,
            standby=standby,
        )
        directory = Directory(registry)
        ingest = IngestService(
            broker.access(credentials.account(AccountRole.INGEST)),
            host_id=settings.host_id,
            groups=settings.groups,
            store=store,
            directory=directory,
            quarantine=registry,
            leases=registry,
            holder=lease_holder(data_dir),
            listeners=[alerts, board],
            on_board_listeners=[alerts],
            cab_listener=alerts,
            metrics=REGISTRY,
        )
        meter = Meter(ingest, broker, rules=rules.status)
        history = PagesHistory(store)
        keeper = BoardKeeper(board=board, registry=registry, history=history, meter=meter, now_ms=_now_ms)
        enroller = FleetEnroller(
            registry=registry, credentials=credentials, broker=broker, refresh=[directory.refresh, keeper.refresh]
        )
        shutdown = asyncio.Event()
        app = build_pages(
            settings,
            credentials,
            registry=registry,
            board=board,
            history=history,
            alert_desk=alerts,
            review=review_house(settings, registry, store),
            enroller=enroller,
            shutdown=shutdown,
            health=meter.trouble,
        )
        web = WebServer(app, listener, shutdown=shutdown)
        await directory.refresh()
        await standby.recover()
        await alerts.restore()
        await keeper.prepare()
        claim = await asyncio.to_thread(ensure_administrator, registry, datetime.now(UTC))

        look_for_cycles_rarely()
        crew.start("broker", broker.run())
        crew.start("publisher", publisher.run())
        crew.start("alerts", alerts.run())
        crew.start("sender", sender.run())
        crew.start("paging", desk.run())
        crew.start("standby", standby.run())
        if drilling := build_drilling(settings, registry=registry, sender=sender):
            crew.start("drills", drilling.run())
        crew.start("rules", rules.run(alerts.use_rules))
        crew.start("ingest", ingest.run())
        crew.start("board", keeper.run())
        crew.start("web", web.run())
        crew.start("retention", keep_retention(store, settings.store.retention_days, registry))
        crew.start("time stamps", TimeStamper(registry, settings.time_stamps).run())
        crew.start("roll-ups", keep_roll_ups(store))
        await web.ready()
        url = f"http://{settings.http}"
        house.enter_context(published_service(data_dir, url, whole=True))
        if demo:
            scenario = scenario_by_name(DEMO_SCENARIO)
            logins = await enroller.logins(scenario.enrolments())
            crew.start(
                "demo",
                run_vehicles(scenario, logins, host_id=settings.host_id, speed=1.0, state_dir=data_dir / "units"),
            )
        announce(f"Packwatch is running. Open {url}{claim or ''}")
        if claim:
            announce("The link works once: choose your name and password there.")
        announce("Ctrl-C stops it; the data is kept.")
        await crew.run(stop)
    structlog.get_logger("packwatch").info("stopped")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
