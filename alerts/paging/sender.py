"""The sender: takes due pages from the outbox, hands them to channels, and keeps what became of them.

Each recipient's channel is a lane of its own: a receiver that hangs delays nobody else, and what piles up before it
goes as one message. A channel that fails is tried again with growing pauses, until the page is no news any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from alerts.paging.channels.contract import ChannelError, GiveUpError, TryAgainError
from alerts.paging.patience import within
from alerts.paging.texts import Texts, compose, shipped_texts
from registry.errors import RegistryError
from registry.outbox import DeviceFailure, Handover, Lane, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from alerts.paging.channels.contract import PageChannel, Taken
    from alerts.paging.standby import Standby
    from registry.paging_kinds import Channel
    from registry.paging_records import Page
    from registry.registry import Registry

HAND_OVER_WITHIN_S = 10.0
"""s that a channel has to take a message: as long as a device has to show it, since the next channel starts then."""
ANSWER_WITHIN = timedelta(seconds=30)
"""After that a page which was handed over, and of which nothing was kept, is taken for lost with its sender."""
TRIES_END_AFTER = timedelta(minutes=10)
"""**Assumed**: escalation pages again every three minutes; older tries would only come late."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""s before a second try, doubling."""
LOOK_EVERY_S = 0.5
"""s between looks for pages that other processes queued, and for tries that are due."""
LANES_AT_ONCE = 256
"""**Assumed**: more receivers than hang at once."""


class Sender:
    """One for each process that watches. `wake` may be called from any thread; `run` once."""

    def __init__(
        self,
        registry: Registry,
        channels: Mapping[Channel, PageChannel],
        *,
        holder: str,
        base_url: str,
        receipt_secret: str,
        now: Callable[[], datetime],
        texts: Texts | None = None,
        standby: Standby | None = None,
        paused: bool = False,
    ) -> None:
        """`holder` names this installation: after a restart it knows its own pages by it.

        `standby`: who pages while the registry is away, and tells it first what was sent. `paused`: until `resume`.
        """
        self._registry = registry
        self._channels = channels
        self._holder = holder
        self._base_url, self._receipt_secret = base_url, receipt_secret
        self._now = now
        self._texts = shipped_texts() if texts is None else texts
        self._busy: dict[Lane, asyncio.Task[None]] = {}
        self._outcomes: list[Outcome] = []
        self._failures: list[DeviceFailure] = []
        self._settled: set[Lane] = set()
        self._unsettled = asyncio.Event()
        self._woken = asyncio.Event()
        self._standby = standby
        self._paused = paused
        self._taking = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._log = structlog.get_logger("packwatch.paging")

    def wake(self) -> None:
        """There are new pages."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    async def pause(self) -> None:
        """Take nothing more; what is in hand goes on."""
        async with self._taking:
            self._paused = True

    def resume(self) -> None:
        """Take again what is due."""
        self._paused = False
        self._woken.set()

    async def run(self) -> None:
        """Hand over what is due, until cancelled."""
        self._loop = asyncio.get_running_loop()
        settling = asyncio.create_task(self._run_settling(), name="paging: settle")
        try:
            await self._retried(lambda: self._registry.recover_pages(self._holder, self._now()))
            while True:
                async with self._taking:
                    if len(self._busy) < LANES_AT_ONCE and not self._paused:
                        await self._take()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._woken.wait()
                self._woken.clear()
        finally:
            for task in (settling, *self._busy.values()):
                task.cancel()
            await asyncio.gather(settling, *self._busy.values(), return_exceptions=True)
            if self._outcomes or self._failures:
                with contextlib.suppress(RegistryError):
                    await asyncio.to_thread(self._registry.settle_pages, self._outcomes, self._failures, self._now())

    async def _take(self) -> None:
        try:
            if self._standby is not None:
                await self._standby.ready_to_page()
            taken = await asyncio.to_thread(
                self._registry.take_pages,
                self._holder,
                self._now(),
                answer_within=ANSWER_WITHIN,
                busy=frozenset(self._busy),
                lanes=LANES_AT_ONCE - len(self._busy),
            )
        except RegistryError as error:
            self._log.warning("pages_not_taken", reason=str(error))
            return
        if self._standby is not None:
            self._standby.took([page.key for handover in taken for page in handover.pages])
        for handover in taken:
            task = asyncio.create_task(self._go(handover), name=f"paging: {handover.lane}")
            self._busy[handover.lane] = task

    async def _go(self, handover: Handover) -> None:
        try:
            channel = self._channel(handover)
            message = compose(handover, self._texts, base_url=self._base_url, receipt_secret=self._receipt_secret)
            taken = await within(HAND_OVER_WITHIN_S, channel.hand_over(message, handover))
        except TimeoutError:
            why = f"it did not answer within {HAND_OVER_WITHIN_S:g} s"
            self._refused(handover, TryAgainError(why, uncertain=True))
        except ChannelError as error:
            self._refused(handover, error)
        except Exception as error:  # noqa: BLE001  a defect in one channel must not end the others
            self._log.exception("channel_broken", channel=handover.channel)
            self._refused(handover, TryAgainError(f"the channel broke: {error!r}", uncertain=True))
        else:
            self._taken(handover, taken)

    def _channel(self, handover: Handover) -> PageChannel:
        channel = self._channels.get(handover.channel)
        if channel is None:
            raise GiveUpError(f"no channel for {handover.channel} is set up")
        if handover.way is None:
            raise GiveUpError(f"the recipient has no {handover.channel} any more")
        return channel

    def _taken(self, handover: Handover, taken: Taken) -> None:
        self._failures += taken.failures
        self._note(
            handover,
            [
                Outcome(key=page.key, attempt=page.attempts, accepted=True, detail=taken.detail)
                for page in handover.pages
            ],
        )

    def _refused(self, handover: Handover, error: ChannelError) -> None:
        now = self._now()
        self._failures += error.failures
        outcomes = []
        for page in handover.pages:
            again_at = self._again_at(page, error, now)
            why = str(error) if again_at or isinstance(error, GiveUpError) else f"{error}; not tried any more"
            outcomes.append(
                Outcome(
                    key=page.key,
                    attempt=page.attempts,
                    accepted=False,
                    detail=why,
                    again_at=again_at,
                    uncertain=isinstance(error, TryAgainError) and error.uncertain,
                )
            )
        self._log.warning(
            "page_not_taken",
            recipient=handover.recipient.recipient_id,
            channel=handover.channel,
            pages=len(handover.pages),
            reason=str(error),
        )
        self._note(handover, outcomes)

    def _again_at(self, page: Page, error: ChannelError, now: datetime) -> datetime | None:
        """When a page is tried again; None: never."""
        if not isinstance(error, TryAgainError):
            return None
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(page.attempts - 1, 16))
        if error.after_s is not None:
            pause_s = max(pause_s, error.after_s)
        again_at = now + timedelta(seconds=pause_s)
        return again_at if again_at <= page.due_at + TRIES_END_AFTER else None

    def _note(self, handover: Handover, outcomes: list[Outcome]) -> None:
        self._outcomes += outcomes
        self._settled.add(handover.lane)
        self._unsettled.set()

    async def _run_settling(self) -> None:
        """Keep outcomes, many in one transaction; a lane is free when its outcome is kept."""
        while True:
            await self._unsettled.wait()
            self._unsettled.clear()
            outcomes, self._outcomes = self._outcomes, []
            failures, self._failures = self._failures, []
            lanes, self._settled = self._settled, set()
            try:
                await self._retried(lambda: self._registry.settle_pages(outcomes, failures, self._now()))  # noqa: B023
            except asyncio.CancelledError:
                self._outcomes, self._failures = outcomes + self._outcomes, failures + self._failures
                raise
            for lane in lanes:
                self._busy.pop(lane, None)
            self._woken.set()

    async def _retried(self, work: Callable[[], object]) -> None:
        """Do it as soon as the registry is there."""
        while True:
            try:
                await asyncio.to_thread(work)
            except RegistryError as error:
                self._log.warning("paging_without_registry", reason=str(error))
                await asyncio.sleep(LOOK_EVERY_S)
            else:
                return
