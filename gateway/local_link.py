"""The vehicle's own network: units' frames, clock beats and the vehicle's positions come in, receipts go out."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from gateway.intake import BootHeard, Foreign, FrameReady, PositionReady, Refusal
from gateway.link import Inbox, open_link
from gateway.link_keeper import keep_link, run_until_first_ends
from gateway.outbox import OutboxFullError
from gateway.records import FrameRecord, OutboxEntry, fixed_frame, frame_size_bytes, last_tick_ms
from gateway.session import Outgoing
from gateway.wall_clock import wall_ms
from telemetry.on_board import button_topic
from telemetry.unit_link import (
    StoredReceipt,
    clock_topic,
    encode_stored_receipt,
    frames_topic,
    position_topic,
    stored_topic,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from gateway.cab import OnBoard
    from gateway.clock_map import ClockFix
    from gateway.counters import GatewayCounters, Refusals
    from gateway.intake import Intake, IntakeEvent
    from gateway.link import Link, Received
    from gateway.outbox import Outbox
    from gateway.records import FrameArrival, PositionRecord
    from gateway.session import EdgeNodeSession
    from gateway.settings import GatewaySettings
    from gateway.suspicion import Suspicion
    from gateway.units import UnitWatch
    from telemetry.broker import BrokerAccess
    from telemetry.samples import PositionFix

_log = structlog.get_logger()


class LocalLink:
    """Takes what arrives into the outbox, and acknowledges a frame only once it is committed there.

    That is the backpressure: what is not taken is not acknowledged, and its unit keeps it and sends it again.
    """

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        access: BrokerAccess,
        intake: Intake,
        outbox: Outbox,
        suspicion: Suspicion,
        session: EdgeNodeSession,
        watch: UnitWatch,
        counters: GatewayCounters,
        refusals: Refusals,
        jitter: random.Random,
        taken: Callable[[Sequence[OutboxEntry]], None],
        unseen: Callable[[int], None],
        room: asyncio.Event,
        before_turn: Callable[[], None],
        boot_heard: Callable[[], None],
        on_board: OnBoard | None,
        on_fix: Callable[[PositionFix], None],
        changed: Callable[[], None],
    ) -> None:
        """`taken` gets what may be published, `boot_heard` tells a boot's first beat, `changed` a change of `is_up`.

        `unseen` tells from which number on the outbox may hold records that `taken` did not get.
        `room` is waited for where the units can wait. `before_turn` is called before messages are given their time.
        """
        self.is_up = False
        self.has_room = True
        """Whether the last records found room."""
        self.unit_frames_lost: dict[tuple[str, str], int] = {}
        """Frames that units say their memory overwrote, by unit and boot."""
        self._settings = settings
        self._access = access
        self._intake = intake
        self._outbox = outbox
        self._session = session
        self._watch = watch
        self._counters = counters
        self._refusals = refusals
        self._jitter = jitter
        self._suspicion = suspicion
        self._taken = taken
        self._unseen = unseen
        self._room = room
        self._before_turn = before_turn
        self._boot_heard = boot_heard
        self._on_board = on_board
        self._on_fix = on_fix
        self._changed = changed
        self._button_topic = button_topic(settings.gateway_id)

    async def run(self) -> None:
        """Run until cancelled."""
        await keep_link("local", self._connection, self._jitter, gateway_id=self._settings.gateway_id)

    async def _connection(self) -> None:
        settings = self._settings
        inbox = Inbox(max_messages=settings.inbox_max_messages, max_bytes=settings.inbox_max_bytes)
        async with open_link(
            self._access,
            client_id=f"{settings.fleet_id}-{settings.gateway_id}-local",
            keepalive_s=settings.keepalive_s,
            inbox=inbox,
        ) as link:
            # QoS 0: a frame that is lost is not acknowledged, and so sent again; a clean session's QoS 1 adds nothing.
            await link.subscribe(self._topics(), qos=0)
            self._counters.local_connects += 1
            self._set_up(up=True)
            _log.info("local_link_up", gateway_id=settings.gateway_id)
            try:
                if self._on_board is None:
                    await self._read(link)
                else:
                    await run_until_first_ends(self._read(link), self._on_board.speak(link))
            finally:
                self._set_up(up=False)

    def _topics(self) -> list[str]:
        units = self._settings.units
        kinds = [f"packwatch/units/+/{kind}" for kind in ("frames", "clock")]
        if units is not None:
            kinds = [topic(unit_id) for unit_id in units for topic in (frames_topic, clock_topic)]
        button = [] if self._on_board is None else [self._button_topic]
        return [*kinds, position_topic(self._settings.gateway_id), *button]

    def _set_up(self, *, up: bool) -> None:
        self.is_up = up
        self._changed()

    async def _read(self, link: Link) -> None:
        dropped = 0
        async for turn in link.turns():
            self._counters.inbox_dropped += link.inbox.dropped - dropped
            dropped = link.inbox.dropped
            if self._settings.units_can_wait:
                await self._room.wait()
                if self._on_board is not None:
                    await self._on_board.has_room()
            self._before_turn()
            now_ms, now_s = wall_ms(), time.monotonic()
            events = [event for message in turn if (event := self._judge(message, now_ms, now_s)) is not None]
            await link.publish(await self._act(events, now_ms, now_s))

    def _judge(self, message: Received, now_ms: int, now_s: float) -> IntakeEvent | None:
        if message.topic == self._button_topic:
            if self._on_board is not None and not message.retained:
                self._on_board.desk.press("button")
            return None
        try:
            return self._intake.receive(message.topic, message.payload, now_ms)
        except Exception as error:  # noqa: BLE001  # one poisoned message must not end the watch over all other packs
            _log.exception("message_failed", gateway_id=self._settings.gateway_id, topic=message.topic)
            self._refuse(Refusal(topic=message.topic, reason="internal", detail=repr(error)), now_s)
            return None

    async def _act(self, events: Sequence[IntakeEvent], now_ms: int, now_s: float) -> list[Outgoing]:
        """Do what the events ask for, all frames in one commit; returns the receipts to publish."""
        frames: list[FrameArrival] = []
        positions: list[PositionRecord] = []
        for event in events:
            match event:
                case FrameReady(arrival=arrival):
                    frames.append(arrival)
                    self._heard(arrival, now_s)
                    self._suspicion.look(arrival.unit_id, arrival.frame, now_ms)
                case PositionReady(record=record):
                    positions.append(record)
                    self._on_fix(record.fix)
                case BootHeard():
                    self._boot_heard()
                    if self._on_board is not None:
                        self._on_board.judge.beat_heard()
                case Foreign():
                    self._counters.frames_foreign += 1
                case Refusal():
                    self._refuse(event, now_s)
        if self._on_board is not None and frames:
            self._on_board.judge.offer(frames)  # first: the cab's alarm waits for no disk
            self._suspicion.raised((standing.unit_id for standing in self._on_board.book.standing()), now_ms)
        return await self._take(frames, positions, now_ms) if frames or positions else []

    async def _take(
        self, frames: Sequence[FrameArrival], positions: Sequence[PositionRecord], now_ms: int
    ) -> list[Outgoing]:
        counters, clocks = self._counters, self._intake.unkept_clocks()
        first = self._outbox.next_sequence
        try:
            taken = await self._outbox.take(frames, positions, suspicious=self._suspicion.units(now_ms), clocks=clocks)
        except asyncio.CancelledError:  # the connection ended; they are committed all the same, and come no second time
            self._intake.not_kept(clocks)
            self._unseen(first)
            raise
        except OutboxFullError as error:
            self._intake.not_kept(clocks)
            self._tell_room(room=False, error=str(error))
            counters.frames_deferred += len(frames)
            counters.positions_dropped += len(positions)  # the receiver soon sends another
            if not self._settings.units_can_wait:
                # Nobody keeps these but their units, who will send them again; the alarm must not wait for that.
                self._taken([_unkept(frame, frame.fix) for frame in frames if frame.fix is not None])
            return []
        self._tell_room(room=True)
        if self._outbox.next_sequence - first > len(frames) + len(positions) - taken.duplicates:
            self._unseen(first)  # the outbox made room, and tells so in a record of its own
        entries = [entry for entry in taken.new if entry is not None]
        for entry in entries:
            if isinstance(entry.record, FrameRecord):
                self._session.device_heard(entry.record.batch.unit_id, entry.record.batch)
        counters.frames_again += taken.duplicates
        counters.frames_accepted += len(frames) - taken.duplicates
        counters.positions_accepted += len(positions)
        self._taken(entries)
        return [_receipt(frame.unit_id, frame.frame.boot_id, frame.frame.number) for frame in frames]

    def _tell_room(self, *, room: bool, error: str = "") -> None:
        if room is self.has_room:
            return
        self.has_room = room
        if room:
            _log.info("outbox_has_room_again", gateway_id=self._settings.gateway_id)
        else:
            _log.error(
                "outbox_cannot_write",
                gateway_id=self._settings.gateway_id,
                error=error,
                meaning="frames are published but not kept; their units keep them until there is room",
            )

    def _heard(self, arrival: FrameArrival, now_s: float) -> None:
        frame = arrival.frame
        if frame.lost_frames:
            self.unit_frames_lost[arrival.unit_id, frame.boot_id] = frame.lost_frames
        self._watch.heard(
            arrival.unit_id,
            boot_id=frame.boot_id,
            number=frame.number,
            last_tick_ms=last_tick_ms(frame),
            now_s=now_s,
        )

    def _refuse(self, refusal: Refusal, now_s: float) -> None:
        if self._refusals.add(refusal, now_s):
            _log.warning(
                "message_refused",
                gateway_id=self._settings.gateway_id,
                topic=refusal.topic[:200],
                reason=refusal.reason,
                detail=refusal.detail[:200],
            )


def _receipt(unit_id: str, boot_id: str, number: int) -> Outgoing:
    """QoS 0: a lost receipt costs one frame sent again, a confirmed one would cost a round trip a frame."""
    return Outgoing(
        topic=stored_topic(unit_id),
        payload=encode_stored_receipt(StoredReceipt(boot_id=boot_id, frame=number)),
    )


def _unkept(arrival: FrameArrival, fix: ClockFix) -> OutboxEntry:
    """An entry without a number, for a frame that found no room."""
    return OutboxEntry(
        sequence=None,
        record=fixed_frame(arrival.unit_id, arrival.frame, fix, arrival.accepted_at_ms),
        size_bytes=frame_size_bytes(arrival.frame),
    )
