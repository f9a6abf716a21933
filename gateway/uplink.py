"""The connection to the cloud's broker: keeps the Sparkplug session alive and carries the outbox up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from gateway.intake import Refusal
from gateway.link import LINK_ERRORS, TURN_MESSAGES, Inbox, open_link
from gateway.link_keeper import keep_link, run_until_first_ends
from gateway.outbox import OutboxFullError, OutboxOutrunError
from gateway.session_states import SessionState
from gateway.state_file import write_bd_seq
from gateway.wall_clock import wall_ms
from gateway.window import LATE_S, HostKind, SendWindow
from telemetry.errors import WireError
from telemetry.sparkplug.acknowledgement import Acknowledgement

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from gateway.counters import GatewayCounters, Refusals
    from gateway.link import Link, Received
    from gateway.outbox import Outbox
    from gateway.records import OutboxEntry
    from gateway.session import EdgeNodeSession, Outgoing
    from gateway.settings import GatewaySettings
    from telemetry.broker import BrokerAccess
    from telemetry.on_board import DeviceCommand

_log = structlog.get_logger()

INBOX_MESSAGES = 256
INBOX_BYTES = 4 * 1024 * 1024
"""Commands and STATEs that wait to be read; a further one is dropped and counted. **Assumed**: the host sends one a
second."""
REPORTS_WAITING = 64
"""Above this many waiting messages no report is added: the uplink stands still, and the next birth tells all values."""
WINDOW_TICK_S = 0.25
"""How often it is looked at what is due again."""
ASK_FOR_HOST_S = 10.0
"""s between askings for the primary host's STATE while none has come. **Assumed**."""
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
        outbox: Outbox,
        counters: GatewayCounters,
        refusals: Refusals,
        jitter: random.Random,
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called when `is_up` changes."""
        self.commanded: Callable[[DeviceCommand], None] | None = None
        """Gets commands to units; it may refuse one with a WireError. None: they are left alone."""
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
        self._backlog_due = asyncio.Event()
        self.has_room = asyncio.Event()
        """Set while live records leave in order. Only a gateway whose units can wait asks."""
        self.has_room.set()
        self._window = SendWindow(
            acknowledged=outbox.acknowledged,
            is_settled=outbox.is_settled,
            records=settings.window_records,
            size_bytes=settings.window_bytes,
            resend_s=settings.resend_s,
        )
        self._acknowledgement: tuple[Acknowledgement, str] | None = None
        self._acknowledged = asyncio.Event()
        self._session.settled(self._known())

    @property
    def is_born(self) -> bool:
        """Whether data may be published."""
        return self._session.state is SessionState.BORN

    async def run(self) -> None:
        """Run until cancelled; then die as the standard asks, and disconnect."""
        await keep_link("uplink", self._connection, self._jitter, gateway_id=self._settings.gateway_id)

    def offer(self, entries: Sequence[OutboxEntry]) -> None:
        """The outbox has these since just now."""
        self._window.offer(entries, time.monotonic())
        self._due.set()
        self._look_for_room()

    def unseen(self, sequence: int) -> None:
        """From this number on the outbox may hold records that were not offered."""
        self._window.met_again(sequence)
        self._backlog_due.set()

    def mapped_late(self, entries: Iterable[OutboxEntry]) -> None:
        """The outbox knows the times of these since just now: young ones are live, others join the backlog."""
        now_ms = wall_ms()
        for entry in entries:
            if entry.sequence is None:
                continue
            if 0 <= now_ms - entry.record.accepted_at_ms < LATE_S * 1000:
                self.offer([replace(entry, historical=False)])
            else:
                self._window.met_again(entry.sequence)
        self._backlog_due.set()

    def is_drained(self) -> bool:
        """Whether nothing is owed: all settled, or published to a host that does not acknowledge."""
        if self._window.kind is HostKind.PLAIN:
            return not self._outbox.unpublished
        return not len(self._outbox)

    def is_quiet(self) -> bool:
        """Whether nothing waits to be sent for the first time on this connection."""
        return self._window.is_quiet()

    @property
    def host_kind(self) -> HostKind:
        """What is known of the host."""
        return self._window.kind

    def report(self, values: Mapping[str, Any]) -> bool:
        """Publish the node's own metrics. False, and nothing happens, while that is not possible."""
        if not self.is_born or len(self._waiting) >= REPORTS_WAITING:
            return False
        self._queue((self._session.report(values, wall_ms()),))
        return True

    def report_device(self, unit_id: str) -> None:
        """Publish what the vehicle says of a unit, where that is possible: its next birth tells it as well."""
        if len(self._waiting) < REPORTS_WAITING:
            self._queue(self._session.device_report(unit_id, wall_ms()))

    def device_silent(self, unit_id: str) -> None:
        """A unit fell silent."""
        self._queue(self._session.device_silent(unit_id, wall_ms()))

    async def _connection(self) -> None:
        settings, session = self._settings, self._session
        will = session.connect(wall_ms())
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
            self._window.connected(time.monotonic())
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
        await self._settle()  # what the last connection still brought
        self._session.settled(self._known())
        self._window.connected(time.monotonic())
        self._queue(self._session.connected(wall_ms()))
        self._set_up(up=True)
        _log.info("uplink_up", gateway_id=self._settings.gateway_id, bd_seq=self._session.bd_seq)
        try:
            await run_until_first_ends(
                self._read(link),
                self._ask_for_host(link),
                self._publish(link),
                self._read_backlog(),
                self._watch_window(),
                self._keep_settling(),
            )
        except asyncio.CancelledError:
            with contextlib.suppress(*LINK_ERRORS, TimeoutError):
                async with asyncio.timeout(DEATH_S):
                    await link.publish(self._session.stop(wall_ms()))
            raise

    async def _ask_for_host(self, link: Link) -> None:
        """While the host's STATE has not come, subscribe again, which brings what is retained (MQTT 3.1.1, 3.8.4).

        A broker may lose to us the STATE that its host publishes at the very moment of our subscription.
        """
        while True:
            await asyncio.sleep(ASK_FOR_HOST_S)
            if self._session.state is SessionState.WAITING:
                await link.subscribe(self._session.subscriptions(), qos=1)

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
            reaction = self._session.receive(message.topic, message.payload, wall_ms())
            if (ack := reaction.acknowledgement) is not None:
                if ack.outbox_id == self._outbox.outbox_id:
                    # Only the latest counts: it tells all that an earlier one told, but for ranges left out.
                    self._acknowledgement = ack, message.topic
                    self._acknowledged.set()
                else:
                    self._counters.foreign_acknowledgements += 1
            if reaction.command is not None and self.commanded is not None:
                self.commanded(reaction.command)
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
            if was is SessionState.BORN and self.is_born:
                self._counters.rebirths += 1
                self._window.reborn(time.monotonic())
        self._queue(reaction.messages)
        if self.is_born:
            self._due.set()
            self._backlog_due.set()

    async def _keep_settling(self) -> None:
        """In a task of its own: commands must be read while the disk is slow."""
        while True:
            await self._acknowledged.wait()
            await self._settle()

    async def _settle(self) -> None:
        """Take over what the host settled."""
        self._acknowledged.clear()
        if self._acknowledgement is None:
            return
        (ack, topic), self._acknowledgement = self._acknowledgement, None
        try:
            if not await self._outbox.settle(ack.floor, ack.ranges):
                self._window.answered(time.monotonic())
                self._backlog_due.set()
                return
        except OutboxOutrunError as error:
            await self._renew(str(error))
            return
        except ValueError as error:
            self._refuse(Refusal(topic=topic, reason="acknowledgement", detail=str(error)))
            return
        except OutboxFullError:
            return  # the host repeats it with every record that is sent again
        self._counters.settled += 1
        self._window.settled(time.monotonic())
        self._session.settled(self._known())
        self._due.set()
        self._backlog_due.set()

    async def _renew(self, why: str) -> None:
        """The outbox is an older copy of itself, say from a backup: under its id numbers would be given twice."""
        old = self._outbox.outbox_id
        try:
            new = await self._outbox.renew()
        except OutboxFullError:
            return  # the next acknowledgement says the same
        _log.error("outbox_outrun", gateway_id=self._settings.gateway_id, old=old, new=new, why=why)
        self._session.settled(self._known())
        self._waiting.clear()
        self._window.connected(time.monotonic())
        self._queue(self._session.rebirth(wall_ms()))

    def _known(self) -> Acknowledgement:
        floor, ranges = self._outbox.stored()
        return Acknowledgement(outbox_id=self._outbox.outbox_id, floor=floor, ranges=ranges)

    async def _publish(self, link: Link) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            while messages := list(self._waiting):
                self._waiting.clear()
                await link.publish(messages)
                self._counters.published += len(messages)
            if self.is_born:
                self._window.born(time.monotonic())
            while self.is_born and (entries := self._window.take(TURN_MESSAGES, time.monotonic())):
                await self._publish_entries(link, entries)
            if self._session.state is SessionState.OFFLINE:
                _log.warning("host_offline", gateway_id=self._settings.gateway_id, waiting=len(self._outbox))
                return

    async def _publish_entries(self, link: Link, entries: Sequence[OutboxEntry]) -> None:
        self._look_for_room()
        messages = list(self._waiting)
        self._waiting.clear()
        without_form: dict[int, str] = {}
        for entry in entries:
            messages += self._encode(entry, without_form)
        await link.publish(messages)
        self._counters.published += len(messages)
        for sequence, why in without_form.items():
            await self._give_up(sequence, why)
        self._counters.resent, self._counters.overtaken = self._window.resent, self._window.overtaken
        if self._window.kind is HostKind.PLAIN:
            await self._done(entry.sequence for entry in entries if entry.sequence is not None)
        self._backlog_due.set()

    async def _done(self, sequences: Iterable[int]) -> None:
        """A host that does not acknowledge was sent these."""
        with contextlib.suppress(OutboxFullError):  # then they are sent once more
            await self._outbox.mark_published(list(sequences))

    async def _read_backlog(self) -> None:
        """Read ahead what the window has room for."""
        window = self._window
        while True:
            await self._backlog_due.wait()
            self._backlog_due.clear()
            while self.is_born and (wanted := window.wanted(time.monotonic())):
                if numbers := window.due_again(wanted):
                    window.fetched(numbers, await self._outbox.read(numbers))
                elif (cursor := window.cursor) is not None:
                    entries, following = await self._outbox.read_after(cursor, wanted)
                    window.read(entries, following, cursor)
                else:
                    break
                self._due.set()

    async def _watch_window(self) -> None:
        while True:
            await asyncio.sleep(WINDOW_TICK_S)
            now_s = time.monotonic()
            self._window.expire(now_s)
            self._look_for_room()
            if (done := self._window.judge_host(now_s)) is not None:
                _log.info("host_does_not_acknowledge", gateway_id=self._settings.gateway_id, sent=len(done))
                await self._done(done)
            self._backlog_due.set()

    def _encode(self, entry: OutboxEntry, without_form: dict[int, str]) -> tuple[Outgoing, ...]:
        """The record's messages; none for one that has no form on the wire, which is noted in `without_form`."""
        try:
            return self._session.publish(entry, wall_ms())
        except Exception as error:  # noqa: BLE001  # one poisoned record must not keep all others from the cloud
            reason = error.reason if isinstance(error, WireError) else "internal"
            why = f"it cannot be published: {error}"
            self._refuse(Refusal(topic=f"outbox/{entry.sequence}", reason=reason, detail=why))
            if entry.sequence is not None:
                without_form[entry.sequence] = why
            return ()

    async def _give_up(self, sequence: int, why: str) -> None:
        """It would be sent again for ever: its samples are told as lost."""
        first = self._outbox.next_sequence
        try:
            await self._outbox.give_up([sequence], why)
        except OutboxFullError:
            return  # it is tried again when it is due again
        self._counters.records_without_form += 1
        self.unseen(first)

    def _look_for_room(self) -> None:
        if self._window.has_room():
            self.has_room.set()
        else:
            self.has_room.clear()

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
