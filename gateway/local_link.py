"""The vehicle's own network: units' frames, clock beats and the vehicle's positions come in, receipts go out."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from gateway.intake import Foreign, FrameAgain, FrameHeld, FrameReady, PositionReady, Refusal
from gateway.link import Inbox, open_link
from gateway.link_keeper import keep_link, run_until_first_ends
from gateway.outbox import OutboxFullError
from gateway.session import Outgoing
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
    from collections.abc import Callable, Iterable

    from gateway.counters import GatewayCounters, Refusals
    from gateway.intake import Intake, IntakeEvent
    from gateway.link import Link, Received
    from gateway.outbox import MemoryOutbox, PositionRecord
    from gateway.session import EdgeNodeSession
    from gateway.settings import GatewaySettings
    from gateway.units import UnitWatch
    from telemetry.broker import BrokerAccess

_log = structlog.get_logger()

PATIENCE_TICK_S = 1.0
"""How often frames that wait for a clock beat are looked at."""


class LocalLink:
    """Takes what arrives into the outbox, and acknowledges a frame only once the outbox has it.

    That is the backpressure: what is not taken is not acknowledged, and its unit keeps it and sends it again.
    """

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        access: BrokerAccess,
        intake: Intake,
        outbox: MemoryOutbox,
        session: EdgeNodeSession,
        watch: UnitWatch,
        counters: GatewayCounters,
        refusals: Refusals,
        jitter: random.Random,
        taken: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        """`taken` is called when the outbox has new records, `changed` when `is_up` changes."""
        self.is_up = False
        self._settings = settings
        self._access = access
        self._intake = intake
        self._outbox = outbox
        self._session = session
        self._watch = watch
        self._counters = counters
        self._refusals = refusals
        self._jitter = jitter
        self._taken = taken
        self._changed = changed

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
                await run_until_first_ends(self._read(link), self._release_held(link))
            finally:
                self._set_up(up=False)

    def _topics(self) -> list[str]:
        units = self._settings.units
        kinds = [f"packwatch/units/+/{kind}" for kind in ("frames", "clock")]
        if units is not None:
            kinds = [topic(unit_id) for unit_id in units for topic in (frames_topic, clock_topic)]
        return [*kinds, position_topic(self._settings.gateway_id)]

    def _set_up(self, *, up: bool) -> None:
        self.is_up = up
        self._changed()

    async def _read(self, link: Link) -> None:
        dropped = 0
        async for turn in link.turns():
            self._counters.inbox_dropped += link.inbox.dropped - dropped
            dropped = link.inbox.dropped
            now_ms, now_s = time.time_ns() // 1_000_000, time.monotonic()
            await link.publish([receipt for message in turn for receipt in self._receive(message, now_ms, now_s)])

    async def _release_held(self, link: Link) -> None:
        while True:
            await asyncio.sleep(PATIENCE_TICK_S)
            events = self._intake.wait_over(time.time_ns() // 1_000_000)
            await link.publish(list(self._act(events, time.monotonic())))

    def _receive(self, message: Received, now_ms: int, now_s: float) -> list[Outgoing]:
        try:
            return list(self._act(self._intake.receive(message.topic, message.payload, now_ms), now_s))
        except Exception as error:  # noqa: BLE001  # one poisoned message must not end the watch over all other packs
            _log.exception("message_failed", gateway_id=self._settings.gateway_id, topic=message.topic)
            self._refuse(Refusal(topic=message.topic, reason="internal", detail=repr(error)), now_s)
            return []

    def _act(self, events: Iterable[IntakeEvent], now_s: float) -> Iterable[Outgoing]:
        """Do what the events ask for; yields the receipts to publish."""
        for event in events:
            match event:
                case FrameReady():
                    if self._take(event, now_s):
                        yield _receipt(event.unit_id, event.boot_id, event.number)
                case FrameAgain():
                    self._counters.frames_again += 1
                    self._heard(event, now_s)
                    yield _receipt(event.unit_id, event.boot_id, event.number)
                case FrameHeld(kept=kept):
                    self._counters.frames_deferred += not kept
                case Foreign():
                    self._counters.frames_foreign += 1
                case PositionReady(record=record):
                    self._take_position(record)
                case Refusal():
                    self._refuse(event, now_s)

    def _take(self, frame: FrameReady, now_s: float) -> bool:
        self._heard(frame, now_s)
        try:
            self._outbox.accept(frame.record)
        except OutboxFullError:
            self._counters.frames_deferred += 1
            return False
        self._intake.taken(frame)
        self._session.device_heard(frame.unit_id, frame.record.batch)
        self._counters.frames_accepted += 1
        self._taken()
        return True

    def _take_position(self, record: PositionRecord) -> None:
        try:
            self._outbox.accept(record)
        except OutboxFullError:
            self._counters.positions_dropped += 1  # the receiver soon sends another
            return
        self._counters.positions_accepted += 1
        self._taken()

    def _heard(self, frame: FrameReady | FrameAgain, now_s: float) -> None:
        self._watch.heard(
            frame.unit_id,
            boot_id=frame.boot_id,
            number=frame.number,
            last_tick_ms=frame.last_tick_ms,
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
