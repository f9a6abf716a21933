"""`packwatch up`: everything on one machine, wired in one place and torn down in reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from alerts.service import AlertService
from dashboards.app import Dependencies, create_app
from dashboards.board import LiveBoard
from dashboards.claims import ensure_administrator
from ingest.service import IngestService
from ingest.stores.duckdb import DuckDBStore
from packwatch.assignments import AssignmentWatch
from packwatch.broker import EmbeddedBroker, require_free
from packwatch.credentials import AccountRole, Credentials
from packwatch.crew import Crew, stop_on_signals
from packwatch.data_dir import claim_data_dir, published_service
from packwatch.enrolling import FleetEnroller, Logins
from packwatch.intake import Meter
from packwatch.publishing import Publisher
from packwatch.reading import store_path
from packwatch.retention import keep_retention
from packwatch.simulating import run_vehicles, scenario_by_name
from packwatch.web_server import WebServer
from registry.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from packwatch.settings import Settings

DEMO_SCENARIO = "convoy"


async def run_up(settings: Settings, *, demo: bool, announce: Callable[[str], None]) -> None:
    """Run until Ctrl-C. Raises, before anything runs, what stands in the way: DataDirError, BrokerError, StoreError."""
    stop = stop_on_signals()
    async with contextlib.AsyncExitStack() as house:
        data_dir = settings.data_dir
        house.enter_context(claim_data_dir(data_dir))
        require_free(settings.http, "The web server", "--http")
        credentials = Credentials(data_dir / "credentials")
        registry = await asyncio.to_thread(Registry.open, settings.registry_address())
        house.callback(registry.close)
        store = await asyncio.to_thread(
            DuckDBStore,
            store_path(settings),
            threads=settings.store.threads,
            memory_limit_mb=settings.store.memory_limit_mb,
        )
        house.callback(store.close)
        ingest_account = credentials.account(AccountRole.INGEST)
        alerts_account = credentials.account(AccountRole.ALERTS)
        broker = EmbeddedBroker(address=settings.mqtt.address, folder=data_dir / "broker", credentials=credentials)
        house.push_async_callback(broker.stop)
        await broker.start()

        crew = Crew()
        house.push_async_callback(crew.dismiss)
        publisher = Publisher(broker.access(alerts_account))
        board = LiveBoard(now_ms=_now_ms())
        alerts = AlertService(registry=registry, publish=publisher.publish, listeners=[board.observe_alert])
        watch = AssignmentWatch(registry, [lambda found: board.refresh_assignments(found, now_ms=_now_ms())])
        ingest = IngestService(
            broker.access(ingest_account),
            host_id=settings.host_id,
            groups=tuple(settings.groups),
            store=store,
            directory=watch,
            quarantine=registry,
            listeners=[alerts, board],
            primary=True,
        )
        enroller = FleetEnroller(registry=registry, credentials=credentials, broker=broker, refresh=watch.refresh)
        shutdown = asyncio.Event()
        app = create_app(
            Dependencies(
                registry=registry,
                history=store,
                desk=alerts,
                enroller=enroller,
                intake=Meter(ingest, broker),
                board=board,
                session_key=credentials.session_key,
                service_token=credentials.service_token,
                public_hosts=settings.public_hosts,
                shutdown=shutdown,
            )
        )
        web = WebServer(app, settings.http, shutdown=shutdown)
        await watch.refresh()
        await alerts.restore()
        claim = await asyncio.to_thread(ensure_administrator, registry, datetime.now(UTC))

        crew.start("broker", broker.run())
        crew.start("publisher", publisher.run())
        crew.start("assignments", watch.run())
        crew.start("alerts", alerts.run())
        crew.start("ingest", ingest.run())
        crew.start("web", web.run())
        crew.start("retention", keep_retention(store, settings.store.retention_days))
        await web.ready()
        url = f"http://{settings.http}"
        house.enter_context(published_service(data_dir, url))
        if demo:
            scenario = scenario_by_name(DEMO_SCENARIO)
            logins = await _enrol_here(enroller, broker, credentials, scenario.enrolments())
            crew.start("demo", run_vehicles(scenario, logins, host_id=settings.host_id, speed=1.0))
        announce(f"Packwatch is running. Open {url}{claim or ''}")
        await crew.run(stop)
    structlog.get_logger("packwatch").info("stopped")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
