"""`packwatch ingest`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY

from ingest.service import IngestService
from packwatch.addresses import listen
from packwatch.alone.shared import open_registry
from packwatch.crew import Crew, stop_on_signals
from packwatch.data_dir import claim_data_dir, lease_holder, published_service
from packwatch.directory import Directory
from packwatch.garbage import look_for_cycles_rarely
from packwatch.history import history_token
from packwatch.history_app import history_app
from packwatch.retention import keep_retention
from packwatch.roll_ups import keep_roll_ups
from packwatch.stores import open_store
from packwatch.time_stamping import TimeStamper
from packwatch.web_server import WebServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from packwatch.settings import Settings


async def run_ingest(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Broker to store; serves the store's history, for `packwatch dashboard`, at `settings.http`."""
    stop = stop_on_signals()
    async with contextlib.AsyncExitStack() as house:
        house.enter_context(claim_data_dir(settings.data_dir))
        listener = listen(settings.http, "The history", "--http")
        house.callback(listener.close)
        registry = await open_registry(settings, house)
        store = await asyncio.to_thread(open_store, settings)
        house.callback(store.close)
        crew = Crew()
        house.push_async_callback(crew.dismiss)
        directory = Directory(registry)
        await directory.refresh()
        ingest = IngestService(
            settings.mqtt.access(),
            host_id=settings.host_id,
            groups=settings.groups,
            store=store,
            directory=directory,
            quarantine=registry,
            leases=registry,
            holder=lease_holder(settings.data_dir),
            metrics=REGISTRY,
        )
        web = WebServer(history_app(store, history_token(settings)), listener, shutdown=asyncio.Event())
        look_for_cycles_rarely()
        crew.start("ingest", ingest.run())
        crew.start("history", web.run())
        crew.start("retention", keep_retention(store, settings.store.retention_days, registry))
        crew.start("time stamps", TimeStamper(registry, settings.time_stamps).run())
        crew.start("roll-ups", keep_roll_ups(store))
        await web.ready()
        house.enter_context(published_service(settings.data_dir, f"http://{settings.http}", whole=False))
        announce(f"ingest takes data from {settings.mqtt.address} and serves its history at http://{settings.http}")
        await crew.run(stop)
