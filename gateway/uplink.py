"""The connection to the cloud's broker: keeps the Sparkplug session alive and carries the outbox up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING

import structlog

from gateway.intake import Refusal
from gateway.link import LINK_ERRORS, TURN_MESSAGES, Inbox, open_link
from gateway.link_keeper import keep_link, run_until_first_ends
from gateway.session_states import SessionState
from gateway.state_file import write_bd_seq
from telemetry.errors import WireError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    from gateway.counters import GatewayCounters, Refusals
    from gateway.link import Link, Received
    from gateway.outbox import MemoryOutbox, OutboxEntry
    from gateway.session import EdgeNodeSession, Outgoing
    from gateway.settings import GatewaySettings
    from telemetry.broker import BrokerAccess

_log = structlog.get_logger()

INBOX_MESSAGES = 256
INBOX_BYTES = 4 * 1024 * 1024
"""Commands and STATEs that wait to be read; a further one is dropped and counted. **Assumed**: the host sends one a
second."""
REPORTS_WAITING = 64
"""Above this many waiting messages no report is added: the uplink stands still, and the next birth tells all values."""
DEATH_S = 0.4
"""How long the death certificate may take: the whole stop has one second."""


class Uplink:
    """All calls come from one event loop; messages leave in the order in which the session numbered them."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        access: BrokerAccess,
        session: EdgeNodeSession,
        outbox: MemoryOutbox,
        counters: GatewayCounters,
        refusals: Refusals,
        jitter: random.Random,
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called when `is_up` changes."""
        self.is_up = False
        self._settings = settings
        self._access = access
        self._session = session
        self._outbox = outbox
        self._counters = counters
        self._refusals = refusals
        self._jitter = jitter
        self._changed = changed
        self._waiting: deque[Outgoing] = deque()
        self._due = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_born(self) -> bool:
        """Whether data may be published."""
        return self._session.state is SessionState.BORN

    async def run(self) -> None:
        """Run until cancelled; then die as the standard asks, and disconnect."""
        await keep_link("uplink", self._connection, self._jitter, gateway_id=self._settings.gateway_id)

    def wake(self) -> None:
        """The outbox has something to publish."""
        self._idle.clear()
        self._due.set()

    async def drained(self) -> None:
        """Wait until all that the outbox took has been given to the broker's connection."""
        await self._idle.wait()

    def report(self, values: Mapping[str, Any]) -> bool:
        """Publish the node's own metrics. False, and nothing happens, while that is not possible."""
        if not self.is_born or len(self._waiting) >= REPORTS_WAITING:
            return False
        self._queue((self._session.report(values, _now_ms()),))
        return True

    def device_silent(self, unit_id: str) -> None:
        """A unit fell silent."""
        self._queue(self._session.device_silent(unit_id, _now_ms()))

    async def _connection(self) -> None:
        settings, session = self._settings, self._session
        will = session.connect(_now_ms())
        try:
            if settings.state_path is not None:
                await self._keep_bd_seq(settings.state_path)
            async with open_link(
                self._access,
                client_id=f"{settings.fleet_id}-{settings.gateway_id}-uplink",
                keepalive_s=settings.keepalive_s,
                inbox=Inbox(max_messages=INBOX_MESSAGES, max_bytes=INBOX_BYTES),
                will=will,
            ) as link:
                await self._live(link)
        finally:
            session.lost()
            self._waiting.clear()
            if rewound := self._outbox.rewind():
                self._counters.resent += rewound
                self._idle.clear()
            self._set_up(up=False)

    async def _keep_bd_seq(self, path: Path) -> None:
        try:
            await asyncio.to_thread(write_bd_seq, path, self._session.bd_seq)
        except OSError as error:
            # A gateway with a full disk still has packs to watch; after a restart its number may be an old one.
            _log.error("state_not_kept", gateway_id=self._settings.gateway_id, path=str(path), error=str(error))

    async def _live(self, link: Link) -> None:
        await link.subscribe(self._session.subscriptions(), qos=1)
        self._counters.uplink_connects += 1
        self._queue(self._session.connected(_now_ms()))
        self._set_up(up=True)
        _log.info("uplink_up", gateway_id=self._settings.gateway_id, bd_seq=self._session.bd_seq)
        try:
            await run_until_first_ends(self._read(link), self._publish(link))
        except asyncio.CancelledError:
            with contextlib.suppress(*LINK_ERRORS, TimeoutError):
                async with asyncio.timeout(DEATH_S):
                    await link.publish(self._session.stop(_now_ms()))
            raise

    async def _read(self, link: Link) -> None:
        dropped = 0
        async for turn in link.turns():
            self._counters.inbox_dropped += link.inbox.dropped - dropped
            dropped = link.inbox.dropped
            for message in turn:
                self._receive(message)

    def _receive(self, message: Received) -> None:
        was = self._session.state
        try:
            reaction = self._session.receive(message.topic, message.payload, _now_ms())
            if reaction.acknowledgement is not None and reaction.acknowledgement.outbox_id == self._outbox.outbox_id:
                self._settle(reaction.acknowledgement.floor, reaction.acknowledgement.ranges, message.topic)
        except WireError as error:
            self._refuse(Refusal(topic=message.topic, reason=error.reason, detail=str(error)))
            return
        if self._session.state is not was:
            _log.info(
                "session_moved",
                gateway_id=self._settings.gateway_id,
                before=was,
                after=self._session.state,
            )
        if reaction.messages:
            # Births tell everything anew, and after a death nothing may follow: what waited is obsolete. No record of
            # the outbox is among it.
            self._waiting.clear()
            self._counters.rebirths += was is SessionState.BORN and self.is_born
        self._queue(reaction.messages)
        if self.is_born:
            self._due.set()

    def _settle(self, floor: int, ranges: tuple[tuple[int, int], ...], topic: str) -> None:
        try:
            self._outbox.settle(floor, ranges)
        except ValueError as error:
            self._refuse(Refusal(topic=topic, reason="acknowledgement", detail=str(error)))
            return
        self._session.settled(*self._outbox.stored())

    async def _publish(self, link: Link) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            while messages := self._next_turn():
                await link.publish(messages)
                self._counters.published += len(messages)
            self._counters.forgotten = self._outbox.forgotten
            if not len(self._outbox):
                self._idle.set()
            if self._session.state is SessionState.OFFLINE:
                _log.warning("host_offline", gateway_id=self._settings.gateway_id, waiting=len(self._outbox))
                return

    def _next_turn(self) -> list[Outgoing]:
        messages = list(self._waiting)
        self._waiting.clear()
        if self.is_born:
            for entry in self._outbox.take(TURN_MESSAGES):
                messages += self._encode(entry)
        return messages

    def _encode(self, entry: OutboxEntry) -> tuple[Outgoing, ...]:
        try:
            return self._session.publish(entry, _now_ms())
        except WireError as error:
            topic = f"outbox/{entry.sequence}"
            self._refuse(Refusal(topic=topic, reason=error.reason, detail=f"cannot be published: {error}"))
            return ()

    def _queue(self, messages: tuple[Outgoing, ...]) -> None:
        if messages:
            self._waiting.extend(messages)
            self._due.set()

    def _refuse(self, refusal: Refusal) -> None:
        if self._refusals.add(refusal, time.monotonic()):
            _log.warning(
                "command_refused",
                gateway_id=self._settings.gateway_id,
                topic=refusal.topic[:200],
                reason=refusal.reason,
                detail=refusal.detail[:200],
            )

    def _set_up(self, *, up: bool) -> None:
        self.is_up = up
        self._changed()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
