"""`packwatch dashboard`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dashboards.accounts import ensure_administrator
from dashboards.board import LiveBoard
from dashboards.keeper import BoardKeeper
from packwatch.addresses import listen
from packwatch.alert_feed import RegistryAlerts
from packwatch.alone.shared import guest_stream, open_registry
from packwatch.credentials import Credentials
from packwatch.crew import Crew, stop_on_signals
from packwatch.directory import Directory
from packwatch.engine_watch import EngineWatch
from packwatch.history import PagesHistory, RemoteHistory, history_token
from packwatch.intake import Meter
from packwatch.operator_files import read_tunnels
from packwatch.pages import build_pages
from packwatch.reviewing import review_house
from packwatch.settings import SettingsError
from packwatch.stores import is_shared, open_store
from packwatch.web_server import WebServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.stores.contract import TelemetryStore
    from packwatch.settings import Settings


async def run_dashboard(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Pages over the broker's stream, the registry's alerts and the history: InfluxDB's, or another process's."""
    stop = stop_on_signals()
    async with contextlib.AsyncExitStack() as house:
        listener = listen(settings.http, "The web server", "--http")
        house.callback(listener.close)
        credentials = Credentials(settings.data_dir / "credentials")
        registry = await open_registry(settings, house)
        source = await asyncio.to_thread(_open_history, settings)
        house.callback(source.close)
        history = PagesHistory(source)
        crew = Crew()
        house.push_async_callback(crew.dismiss)
        board = LiveBoard(now_ms=_now_ms(), tunnels=read_tunnels(settings))
        directory = Directory(registry)
        await directory.refresh()
        engines = EngineWatch(settings.mqtt.access(), board)
        stream = guest_stream(settings, directory, [engines])
        meter = Meter(stream, rules=engines.rules)
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
            review=review_house(settings, registry, source),
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


def _open_history(settings: Settings) -> TelemetryStore | RemoteHistory:
    if is_shared(settings) and settings.history_url is None:
        return open_store(settings)
    if settings.history_url is None:
        raise SettingsError("history_url is not set: name the address that `packwatch ingest` serves its history at")
    return RemoteHistory(settings.history_url, history_token(settings))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
