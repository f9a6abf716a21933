"""One gateway: the local link, the uplink, and a task that watches over units and health."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from typing import TYPE_CHECKING, Any

from gateway.counters import GatewayCounters, Refusals
from gateway.intake import Intake
from gateway.local_link import LocalLink
from gateway.node_metrics import REFUSED
from gateway.outbox import MemoryOutbox
from gateway.session import EdgeNodeSession
from gateway.settings import GatewaySettings
from gateway.state_file import read_bd_seq
from gateway.units import UnitWatch
from gateway.uplink import Uplink

if TYPE_CHECKING:
    from telemetry.broker import BrokerAccess

__all__ = ["GatewayService", "GatewaySettings"]

WATCH_TICK_S = 0.5
"""How often silence and health are looked at."""


class GatewayService:
    """Runs one gateway. `ready` is set while both of its connections stand; whether its host is online is not asked.

    `run` runs until cancelled, once. On cancel it publishes its death certificate and disconnects, within a second.
    """

    def __init__(self, settings: GatewaySettings, local: BrokerAccess, uplink: BrokerAccess) -> None:
        """`local`: the broker on the vehicle. `uplink`: the cloud's. They may be the same."""
        self.ready = asyncio.Event()
        self.counters = GatewayCounters()
        self._settings = settings
        self._refusals = Refusals(self.counters)
        self._outbox = MemoryOutbox(outbox_id=uuid.uuid4().hex, max_bytes=settings.outbox_max_bytes)
        self._watch = UnitWatch()
        self._session = EdgeNodeSession(
            fleet_id=settings.fleet_id,
            gateway_id=settings.gateway_id,
            host_id=settings.host_id,
            outbox_id=self._outbox.outbox_id,
            last_bd_seq=None if settings.state_path is None else read_bd_seq(settings.state_path),
        )
        jitter = random.Random()  # noqa: S311  # spreads reconnects, guards nothing
        self._uplink = Uplink(
            settings=settings,
            access=uplink,
            session=self._session,
            outbox=self._outbox,
            counters=self.counters,
            refusals=self._refusals,
            jitter=jitter,
            changed=self._links_changed,
        )
        self._local = LocalLink(
            settings=settings,
            access=local,
            intake=Intake(
                gateway_id=settings.gateway_id,
                fleet_id=settings.fleet_id,
                units=None if settings.units is None else frozenset(settings.units),
            ),
            outbox=self._outbox,
            session=self._session,
            watch=self._watch,
            counters=self.counters,
            refusals=self._refusals,
            jitter=jitter,
            taken=self._uplink.wake,
            changed=self._links_changed,
        )

    async def run(self) -> None:
        """Run until cancelled. Anything but a lost connection that goes wrong ends it loudly."""
        name = self._settings.gateway_id
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._uplink.run(), name=f"gateway-{name}-uplink")
            tasks.create_task(self._local.run(), name=f"gateway-{name}-local")
            tasks.create_task(self._watch_over(), name=f"gateway-{name}-watch")

    async def drained(self) -> None:
        """Wait until every record taken so far was published. Whether anybody stored it, only its settlement tells.

        It waits for ever while the primary host is offline.
        """
        await self._uplink.drained()

    def _links_changed(self) -> None:
        if self._local.is_up and self._uplink.is_up:
            self.ready.set()
        else:
            self.ready.clear()

    async def _watch_over(self) -> None:
        health_due_s = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_TICK_S)
            now_s = time.monotonic()
            for unit_id in self._watch.fall_silent(now_s):
                self._uplink.device_silent(unit_id)
            if not len(self._outbox):
                # Records of a unit that was silent already were still owed, and gave it a birth.
                for unit_id in self._watch.silent():
                    self._uplink.device_silent(unit_id)
            if self._uplink.is_born:
                for text in self._refusals.drain():
                    self._uplink.report({REFUSED: text})
            if now_s >= health_due_s and self._report_health():
                health_due_s = now_s + self._settings.health_interval_s

    def _report_health(self) -> bool:
        health: dict[str, Any] = {
            "Health/OutboxFill": round(self._outbox.fill(), 3),
            "Health/OutboxRecords": len(self._outbox),
            "Health/FramesRefused": self.counters.refused.total(),
            "Health/FramesDeferred": self.counters.frames_deferred,
            "Health/InboxDropped": self.counters.inbox_dropped,
            "Health/UnitsTalking": self._watch.talking(),
            "Health/LocalLink": self._local.is_up,
        }
        changed = self._session.metrics.changed(health)
        return bool(changed) and self._uplink.report(changed)
