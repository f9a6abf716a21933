"""`packwatch alerts`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from alerts.rules_keeper import RulesKeeper
from alerts.service import AlertService
from packwatch.alone.shared import guest_stream, open_registry
from packwatch.credentials import Credentials
from packwatch.crew import Crew, stop_on_signals
from packwatch.directory import Directory
from packwatch.engine_watch import beat
from packwatch.garbage import look_for_cycles_rarely
from packwatch.history import RemoteHistory, history_token
from packwatch.paging import build_drilling, build_paging
from packwatch.publishing import Publisher
from packwatch.stored_samples import SNAPSHOT_FILE, StoredSamples
from packwatch.stores import is_shared, open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.stores.contract import TelemetryStore
    from packwatch.settings import Settings


async def run_alerts(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """The broker's stream to alerts in the registry and on the alert topics."""
    stop = stop_on_signals()
    async with contextlib.AsyncExitStack() as house:
        registry = await open_registry(settings, house)
        publisher = Publisher(settings.mqtt.access())
        rules = RulesKeeper(path=settings.rules_path(), registry=registry)
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        credentials = Credentials(settings.data_dir / "credentials")
        desk, sender, standby = await build_paging(
            settings, credentials, registry=registry, publisher=publisher, house=house
        )
        crew = Crew()
        house.push_async_callback(crew.dismiss)
        source = await asyncio.to_thread(_open_history, settings)
        if source is not None:
            house.callback(source.close)
        alerts = AlertService(
            registry=registry,
            publish=publisher.publish,
            listeners=[desk.observe_alert],
            fleets=settings.groups,
            rules=await rules.load(),
            snapshot_path=settings.data_dir / SNAPSHOT_FILE,
            snapshot_every_s=settings.snapshot_s,
            history=None if source is None else StoredSamples(source),
            command=publisher.command,
            standby=standby,
        )
        await standby.recover()
        await alerts.restore()
        directory = Directory(registry)
        await directory.refresh()
        stream = guest_stream(settings, directory, [alerts], on_board=[alerts], cab=alerts)
        look_for_cycles_rarely()
        crew.start("publisher", publisher.run())
        crew.start("alerts", alerts.run())
        crew.start("sender", sender.run())
        crew.start("paging", desk.run())
        crew.start("standby", standby.run())
        if drilling := build_drilling(settings, registry=registry, sender=sender):
            crew.start("drills", drilling.run())
        crew.start("rules", rules.run(alerts.use_rules))
        crew.start("stream", stream.run())
        crew.start("heartbeat", beat(publisher, stream, settings.groups, rules.status))
        announce(f"alerts watches the stream of {settings.mqtt.address}")
        await crew.run(stop)


def _open_history(settings: Settings) -> TelemetryStore | RemoteHistory | None:
    """Where samples are that came while it did not run; None: nobody says, and they stay unseen."""
    if settings.history_url is not None:
        return RemoteHistory(settings.history_url, history_token(settings))
    return open_store(settings) if is_shared(settings) else None
