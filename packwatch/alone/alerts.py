"""`packwatch alerts`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from alerts.rules_keeper import RulesKeeper
from alerts.service import AlertService
from packwatch.alone.shared import guest_stream, open_registry
from packwatch.crew import Crew, stop_on_signals
from packwatch.directory import Directory
from packwatch.engine_watch import beat
from packwatch.garbage import look_for_cycles_rarely
from packwatch.publishing import Publisher

if TYPE_CHECKING:
    from collections.abc import Callable

    from packwatch.settings import Settings


async def run_alerts(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """The broker's stream to alerts in the registry and on the alert topics."""
    stop = stop_on_signals()
    async with contextlib.AsyncExitStack() as house:
        registry = await open_registry(settings, house)
        crew = Crew()
        house.push_async_callback(crew.dismiss)
        publisher = Publisher(settings.mqtt.access())
        rules = RulesKeeper(path=settings.rules_path(), registry=registry)
        alerts = AlertService(
            registry=registry, publish=publisher.publish, fleets=settings.groups, rules=(await rules.load()).rules
        )
        await alerts.restore()
        directory = Directory(registry)
        await directory.refresh()
        stream = guest_stream(settings, directory, [alerts])
        look_for_cycles_rarely()
        crew.start("publisher", publisher.run())
        crew.start("alerts", alerts.run())
        crew.start("rules", rules.run(alerts.use_rules))
        crew.start("stream", stream.run())
        crew.start("heartbeat", beat(publisher, stream, settings.groups, rules.status))
        announce(f"alerts watches the stream of {settings.mqtt.address}")
        await crew.run(stop)
