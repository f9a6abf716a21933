"""One service in a process of its own, against a broker, a registry and a store that run already."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from prometheus_client import REGISTRY

from alerts.service import AlertService
from dashboards.accounts import ensure_administrator
from dashboards.board import LiveBoard
from dashboards.keeper import BoardKeeper
from gateway.service import GatewayService
from gateway.settings import GatewaySettings
from ingest.service import IngestService
from packwatch.addresses import listen
from packwatch.alert_feed import RegistryAlerts
from packwatch.credentials import Credentials
from packwatch.crew import Crew, stop_on_signals
from packwatch.data_dir import claim_data_dir, lease_holder, published_service
from packwatch.directory import Directory
from packwatch.engine_watch import EngineWatch, beat
from packwatch.garbage import look_for_cycles_rarely
from packwatch.history import PagesHistory, RemoteHistory, history_app, history_token
from packwatch.intake import Meter
from packwatch.pages import build_pages
from packwatch.publishing import Publisher
from packwatch.retention import keep_retention
from packwatch.settings import SettingsError
from packwatch.stores import is_shared, open_store
from packwatch.web_server import WebServer
from registry.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest.service import BatchListener
    from ingest.stores.contract import TelemetryStore
    from packwatch.settings import Settings
    from registry.records import MissingSamples, QuarantineEntry


async def run_ingest(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Broker to store; serves the store's history, for `packwatch dashboard`, at `settings.http`."""
    stop = stop_on_signals()
    async with contextlib.AsyncExitStack() as house:
        house.enter_context(claim_data_dir(settings.data_dir))
        listener = listen(settings.http, "The history", "--http")
        house.callback(listener.close)
        registry = await _open_registry(settings, house)
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
        crew.start("retention", keep_retention(store, settings.store.retention_days))
        await web.ready()
        house.enter_context(published_service(settings.data_dir, f"http://{settings.http}", whole=False))
        announce(f"ingest takes data from {settings.mqtt.address} and serves its history at http://{settings.http}")
        await crew.run(stop)


async def run_alerts(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """The broker's stream to alerts in the registry and on the alert topics."""
    stop = stop_on_signals()
    async with contextlib.AsyncExitStack() as house:
        registry = await _open_registry(settings, house)
        crew = Crew()
        house.push_async_callback(crew.dismiss)
        publisher = Publisher(settings.mqtt.access())
        alerts = AlertService(registry=registry, publish=publisher.publish, fleets=settings.groups)
        await alerts.restore()
        directory = Directory(registry)
        await directory.refresh()
        stream = _stream(settings, directory, [alerts])
        look_for_cycles_rarely()
        crew.start("publisher", publisher.run())
        crew.start("alerts", alerts.run())
        crew.start("stream", stream.run())
        crew.start("heartbeat", beat(publisher, stream, settings.groups))
        announce(f"alerts watches the stream of {settings.mqtt.address}")
        await crew.run(stop)


async def run_dashboard(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Pages over the broker's stream, the registry's alerts and the history: InfluxDB's, or another process's."""
    stop = stop_on_signals()
    async with contextlib.AsyncExitStack() as house:
        listener = listen(settings.http, "The web server", "--http")
        house.callback(listener.close)
        credentials = Credentials(settings.data_dir / "credentials")
        registry = await _open_registry(settings, house)
        source = await asyncio.to_thread(_open_history, settings)
        house.callback(source.close)
        history = PagesHistory(source)
        crew = Crew()
        house.push_async_callback(crew.dismiss)
        board = LiveBoard(now_ms=_now_ms())
        directory = Directory(registry)
        await directory.refresh()
        engines = EngineWatch(settings.mqtt.access(), board)
        stream = _stream(settings, directory, [engines])
        meter = Meter(stream)
        keeper = BoardKeeper(board=board, registry=registry, history=history, meter=meter, now_ms=_now_ms)
        alerts = RegistryAlerts(registry, board.observe_alert)
        shutdown = asyncio.Event()
        app = build_pages(
            settings,
            credentials,
            registry=registry,
            board=board,
            history=history,
            alert_desk=alerts,
            enroller=None,
            shutdown=shutdown,
            health=lambda: meter.trouble() or engines.trouble(),
        )
        web = WebServer(app, listener, shutdown=shutdown)
        await keeper.prepare()
        claim = await asyncio.to_thread(ensure_administrator, registry, datetime.now(UTC))

        crew.start("alerts", alerts.run())
        crew.start("engines", engines.run())
        crew.start("stream", stream.run())
        crew.start("board", keeper.run())
        crew.start("web", web.run())
        await web.ready()
        announce(f"The pages are at http://{settings.http}{claim or ''}")
        await crew.run(stop)


async def run_gateway(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """One vehicle's gateway, from its units' broker to the cloud's."""
    stop = stop_on_signals()
    section = settings.gateway
    if not section.gateway_id:
        raise SettingsError("gateway.gateway_id is not set: name the gateway with --id, as it was enrolled")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    gateway = GatewayService(
        GatewaySettings(
            gateway_id=section.gateway_id,
            fleet_id=section.fleet_id,
            units=None if section.units is None else tuple(section.units),
            host_id=settings.host_id,
            state_path=settings.data_dir / f"gateway-{section.gateway_id}.json",
            outbox_path=settings.data_dir / f"outbox-{section.gateway_id}.db",
            outbox_max_bytes=section.outbox_max_mb * 1024 * 1024,
            wait_for_time_sync=section.wait_for_time_sync,
        ),
        local=section.local.access(),
        uplink=settings.mqtt.access(),
    )
    crew = Crew()
    crew.start(f"gateway {section.gateway_id}", gateway.run())
    announce(f"gateway {section.gateway_id} takes units from {section.local.address} to {settings.mqtt.address}")
    try:
        await crew.run(stop)
    finally:
        await crew.dismiss()


def _open_history(settings: Settings) -> TelemetryStore | RemoteHistory:
    if is_shared(settings) and settings.history_url is None:
        return open_store(settings)
    if settings.history_url is None:
        raise SettingsError("history_url is not set: name the address that `packwatch ingest` serves its history at")
    return RemoteHistory(settings.history_url, history_token(settings))


async def _open_registry(settings: Settings, house: contextlib.AsyncExitStack) -> Registry:
    registry = await asyncio.to_thread(Registry.open, settings.registry_address())
    house.callback(registry.close)
    return registry


def _stream(settings: Settings, directory: Directory, listeners: Sequence[BatchListener]) -> IngestService:
    """The decoded stream for a service that stores nothing: the same ingest, as a guest beside the primary host."""
    return IngestService(
        settings.mqtt.access(),
        host_id=settings.host_id,
        groups=settings.groups,
        store=None,
        directory=directory,
        quarantine=_Refusals(),
        listeners=listeners,
        primary=False,
        metrics=REGISTRY,
    )


class _Refusals:
    """What a guest refuses, the primary host refuses too, and keeps."""

    def add_quarantine(self, entries: Sequence[QuarantineEntry]) -> None:
        structlog.get_logger("packwatch").debug("refused_by_guest", entries=len(entries))

    def add_missing_samples(self, records: Sequence[MissingSamples]) -> int:
        return len(records)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
