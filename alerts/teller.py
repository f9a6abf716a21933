"""Tells the newest state of each alert: listeners in this process at once, and retained messages over MQTT."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from alerts.book import ms_from_utc
from alerts.messages import alert_topic, encode_alert
from registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from alerts.backlog import Backlog, Entry
    from registry.records import Alert

PATIENCE_S = 0.5
"""**Assumed**: how long an alert waits to be in the registry before it is told all the same. Of the 2 s from a critical
sample to the first notification, most are left for what comes after."""
RETRY_S = 1.0
"""s between tries to publish."""
INCIDENTS_WITHIN_S = 0.3
"""**Assumed**: how long a message waits to learn its alert's incident; later it goes without, and again with it."""
ASKED_TOGETHER = 500
"""**Assumed**: alerts whose incidents are asked for at once."""
CLOSED_RETAINED_MS = 3_600_000
"""**Assumed**: for how long the message of a closed alert stays at the broker."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Untold:
    alert: Alert
    entry: Entry
    since_s: float
    """By the event loop's clock."""


class Teller:
    """An alert that changes while it waits is told once, in its newest state: what waits is bounded by open alerts.

    A listener that raises is logged and told the next change all the same.
    """

    def __init__(
        self,
        backlog: Backlog,
        *,
        publish: Callable[[str, bytes], Awaitable[None]],
        listeners: Sequence[Callable[[Alert], None]],
        incidents_of: Callable[[Sequence[str]], Mapping[str, str]],
    ) -> None:
        """`incidents_of`: the incident of each alert that is in one. It may block, and raise RegistryError."""
        self._backlog = backlog
        self._publish = publish
        self._listeners = listeners
        self._incidents_of = incidents_of
        self._untold: dict[str, _Untold] = {}
        self._untold_woken = asyncio.Event()
        self._unpublished: dict[str, Alert | None] = {}
        """By topic; None: the topic is emptied."""
        self._unpublished_woken = asyncio.Event()
        self._incidents: dict[str, str] = {}
        """Of alerts whose topic is not emptied yet: an alert stays in its incident."""
        self._homeless: dict[str, Alert] = {}
        """Published before its incident was known; by topic."""
        self._ending_ms: dict[str, int] = {}
        """When each closed alert's topic is emptied."""
        self._log = structlog.get_logger("packwatch.alerts")
        self.publish_failures = 0
        self.listener_failures = 0

    def __len__(self) -> int:
        """How many alerts wait to be told or published."""
        return len(self._untold) + len(self._unpublished)

    def tell(self, entry: Entry) -> None:
        """Tell an alert's change soon: when it is in the registry, or after PATIENCE_S."""
        alert = entry.change.alert
        waiting = self._untold.get(alert.alert_id)
        since_s = asyncio.get_running_loop().time() if waiting is None else waiting.since_s
        self._untold[alert.alert_id] = _Untold(alert=alert, entry=entry, since_s=since_s)
        self._untold_woken.set()

    def tell_now(self, alert: Alert) -> None:
        """Tell an alert's state at once; one that waits is the older one."""
        self._untold.pop(alert.alert_id, None)
        for listener in self._listeners:
            try:
                listener(alert)
            except Exception:  # noqa: BLE001  one listener's defect must not keep an alarm from the others
                self.listener_failures += 1
                self._log.exception("listener_failed", alert=alert.alert_id)
        self.publish_soon(alert)

    def publish_soon(self, alert: Alert) -> None:
        """Publish an alert's state; the message of a closed one ends after a while."""
        topic = alert_topic(alert)
        self._unpublished[topic] = alert
        self._unpublished_woken.set()
        if alert.closed_at is not None:
            self._ending_ms[topic] = ms_from_utc(alert.closed_at) + CLOSED_RETAINED_MS

    def end_topics(self, now_ms: int) -> None:
        """Empty the topics of alerts that were closed long ago, and look for incidents. To be called now and then."""
        for topic, ends_ms in list(self._ending_ms.items()):
            if now_ms >= ends_ms:
                del self._ending_ms[topic]
                self._unpublished[topic] = None
                self._homeless.pop(topic, None)
                self._incidents.pop(topic.rpartition("/")[2], None)
        if self._unpublished or self._homeless:
            self._unpublished_woken.set()

    async def run_telling(self) -> None:
        """Tell what waits, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._untold_woken.wait()
            self._untold_woken.clear()
            while self._untold:
                untold = next(iter(self._untold.values()))
                left_s = untold.since_s + PATIENCE_S - loop.time()
                if left_s > 0 and not self._backlog.away and not untold.entry.done.is_set():
                    with contextlib.suppress(
                        TimeoutError
                    ):  # not wait_for: in Python 3.11 it may swallow a cancellation
                        async with asyncio.timeout(left_s):
                            await untold.entry.done.wait()
                else:
                    self.tell_now(untold.alert)

    async def run_publishing(self) -> None:
        """Publish what waits, until cancelled. What fails is tried again, unless a newer state has come."""
        while True:
            await self._unpublished_woken.wait()
            self._unpublished_woken.clear()
            await self._find_incidents()
            for topic in list(self._unpublished):
                if not await self._published(topic):
                    self._unpublished_woken.set()
                    await asyncio.sleep(RETRY_S)
                    break

    async def _published(self, topic: str) -> bool:
        """Publish what waits on a topic; False: it failed."""
        alert = self._unpublished[topic]
        incident_id = None if alert is None else self._incidents.get(alert.alert_id)
        try:
            await self._publish(topic, b"" if alert is None else encode_alert(alert, incident_id))
        except Exception as error:  # noqa: BLE001  whatever the publisher's network raises: try again
            self.publish_failures += 1
            self._log.warning("alert_not_published", topic=topic, reason=str(error))
            return False
        if self._unpublished[topic] is alert:
            del self._unpublished[topic]
        if alert is not None and incident_id is None and not alert.kind.calm:
            self._homeless[topic] = alert
        return True

    async def _find_incidents(self) -> None:
        """Learn the incidents of what is to be published; what went without one is to be published again."""
        waiting = [*self._unpublished.values(), *self._homeless.values()]
        unknown = {
            alert.alert_id: None
            for alert in waiting
            if alert is not None and not alert.kind.calm and alert.alert_id not in self._incidents
        }
        if unknown and not self._backlog.away:
            with contextlib.suppress(RegistryError, TimeoutError):
                async with asyncio.timeout(INCIDENTS_WITHIN_S):
                    asked = list(unknown)[:ASKED_TOGETHER]
                    self._incidents |= await asyncio.to_thread(self._incidents_of, asked)
        for topic, alert in list(self._homeless.items()):
            if alert.alert_id in self._incidents:
                del self._homeless[topic]
                self._unpublished.setdefault(topic, alert)
