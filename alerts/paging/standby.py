"""Pages people while the registry is away, from a copy of whom to page and of what is open.

The copy (`registry.stand_in`) is kept up to date while all is well. When a change of a paged level has waited too long
for the registry, or nobody could look at what is due, changes are kept in the copy as the registry will keep them, and
escalation is planned and sent from there: the same policy, keys, texts, channels. Each try is on the disk before it
is made. Once the registry answers, what was sent is entered there before anybody saves, plans or sends.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from alerts.backlog import event_mark
from alerts.escalation_kinds import CRITICAL_POLICY
from alerts.grouping import gathering
from alerts.paging.outbox import decide
from alerts.paging.sender import Sender
from alerts.reignition import watch_after
from registry.alert_log import AlertStep
from registry.errors import NotFoundError, RegistryError, UnavailableError, UnusableError
from registry.incidents import paged_level
from registry.kinds import AlertState
from registry.paging_kinds import PageState
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from alerts.backlog import Entry
    from alerts.book import AlertChange
    from alerts.escalation_kinds import Policy
    from alerts.paging.channels.contract import PageChannel
    from registry.copies import SentPage
    from registry.paging_kinds import Channel
    from registry.registry import Registry
    from registry.stand_in import StandIn

LOOK_EVERY_S = 0.5
"""s between looks at whether the registry answers, and at what is due while it does not."""
LEARN_EVERY_S = 1.0
"""**Assumed**: s between looks for what the copy lacks."""
LEARN_PART = 0.1
"""**Assumed**: of the time at most is spent on copying: paging itself needs the processor."""
COPIED_TOGETHER = 5
"""**Assumed**: incidents copied in one transaction: with 16 packs each some 0.1 s."""
PLANNED_TOGETHER = 20
"""**Assumed**: incidents planned in one transaction, some 0.1 s."""
STEPS_KEPT_S = 60.0
"""**Assumed**: s for which a step that the registry has is kept here: longer than the copy is behind."""
STALLED_S = 2.0
"""**Assumed**: s of delay of its own from which this process cannot tell whether the registry was silent."""


@dataclass(slots=True, eq=False)
class _Passed:
    """A change on its way to the registry."""

    entry: Entry
    since_s: float
    kept_here: bool = False


class Standby:
    """One for each process that watches. `recover` comes first, then `run`; the rest may be called beside it."""

    def __init__(
        self,
        registry: Registry,
        copy: StandIn,
        channels: Mapping[Channel, PageChannel],
        *,
        now: Callable[[], datetime],
        holder: str,
        base_url: str,
        receipt_secret: str,
        after_s: float,
        fleets: Collection[str] = (),
        policy: Policy = CRITICAL_POLICY,
        page_simulated: bool = False,
    ) -> None:
        """`after_s`: how long the registry may be silent. `fleets`: whose people are paged from here; empty = all."""
        self._registry, self._copy, self._now = registry, copy, now
        self._after_s, self._fleets, self._policy = after_s, fleets, policy
        self._provenances = frozenset(Provenance) if page_simulated else frozenset({Provenance.MEASURED})
        self._sender = Sender(
            copy, channels, holder=holder, base_url=base_url, receipt_secret=receipt_secret, now=now, paused=True
        )
        self._passed: deque[_Passed] = deque()
        self._taken: dict[str, float] = {}
        """Pages that the registry's own sender took, which the copy may not know yet."""
        self._answered_s = self._looked_s = time.monotonic()
        self._opened_s: float | None = None
        """When the registry was last let in, if it has kept nothing since."""
        self._log_end, self._revision, self._wanted = 0, -1, deque[str]()
        self._seen: int | None = None
        self._turn = threading.Lock()
        """Between copying and paging: what is done in the copy is not overwritten."""
        self._entering = asyncio.Lock()
        self._log = structlog.get_logger("packwatch.paging")
        self.paging = False
        """From the first page that is sent from here until the registry has them all."""

    def observe(self, entry: Entry) -> None:
        """A change is on its way to the registry."""
        self._passed.append(_Passed(entry, time.monotonic()))

    def saved(self) -> None:
        """The registry has kept a change."""
        self._answered_s, self._opened_s = time.monotonic(), None

    def looked(self) -> None:
        """What was due has been planned in the registry."""
        self._looked_s, self._opened_s = time.monotonic(), None

    def took(self, keys: Collection[str]) -> None:
        """The registry's own sender has these pages."""
        self._taken.update(dict.fromkeys(keys, time.monotonic()))

    async def ready_to_page(self) -> None:
        """To be awaited before pages are planned or taken in the registry. Raises RegistryError: not yet."""
        if self.paging and not self._all_saved():
            raise UnavailableError("people are paged from the copy until the registry has all that happened meanwhile")
        await self.ready()

    async def ready(self) -> None:
        """To be awaited before steps are saved in the registry. Raises RegistryError: not yet."""
        if not self.paging:
            return
        async with self._entering:
            if self.paging:
                await self._let_in()
                if self._opened_s is None:
                    self._opened_s = time.monotonic()

    async def _let_in(self) -> None:
        """The registry first, so that people are paged on while it does not answer; then what was sent meanwhile."""
        await asyncio.to_thread(self._enter)
        await self._sender.pause()
        await asyncio.to_thread(self._enter)

    async def recover(self) -> None:
        """At the start, before alerts are restored: tell the registry what was kept and sent here before a kill.

        Raises RegistryError.
        """
        await asyncio.to_thread(self._recover)

    async def run(self) -> None:
        """Copy, watch, and page when it is needed, until cancelled."""
        self._answered_s = self._looked_s = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sender.run(), name="standby: send")
            tasks.create_task(self._learn(), name="standby: learn")
            tasks.create_task(self._watch(), name="standby: watch")

    async def _learn(self) -> None:
        away = False
        while True:
            began_s = time.monotonic()
            try:
                await asyncio.to_thread(self._copy_news)
                away = False
            except RegistryError as error:
                if not away:
                    self._log.warning("people_not_copied", reason=str(error))
                away = True
            pause_s = (time.monotonic() - began_s) / LEARN_PART
            await asyncio.sleep(pause_s if self._wanted else max(LEARN_EVERY_S, pause_s))

    def _copy_news(self) -> None:
        """Copy what is new, so much at a time."""
        began_s, revision = time.monotonic(), self._revision
        if revision < 0:
            end, _ = self._registry.audit_end()
            self._wanted = deque(self._registry.cases_to_copy(self._now(), self._fleets))
        else:
            end = self._log_end
        news = self._registry.copy_news(end, revision)
        self._wanted += sorted(set(news.cases).difference(self._wanted))
        directory = self._registry.directory_rows() if news.directory else None
        together = [self._wanted[i] for i in range(min(COPIED_TOGETHER, len(self._wanted)))]
        rows = self._registry.case_rows(together, self._fleets) if together else None
        with self._turn:
            if self.paging or self._revision != revision:  # the copy began anew meanwhile
                return
            if directory is not None:
                self._copy.learn_directory(directory)
            if rows is not None:
                self._copy.learn_cases(together, rows)
            for _ in together:
                self._wanted.popleft()
            self._log_end, self._revision = news.end, news.revision
            if not self._wanted:
                self._taken = {key: at_s for key, at_s in self._taken.items() if at_s > began_s}

    async def _watch(self) -> None:
        due_s = time.monotonic()
        while True:
            self._excuse(time.monotonic() - due_s)
            now_s = time.monotonic()
            self._forget(now_s - STEPS_KEPT_S)
            try:
                if self._is_away(now_s):
                    await self._page()
                elif self.paging and self._all_saved():
                    await self._end()
            except RegistryError as error:
                self._log.warning("standby_not_done", reason=str(error))
            due_s = time.monotonic() + LOOK_EVERY_S
            await asyncio.sleep(LOOK_EVERY_S)

    def _all_saved(self) -> bool:
        return all(each.entry.done.is_set() for each in self._passed)

    def _forget(self, until_s: float) -> None:
        while self._passed and self._passed[0].entry.done.is_set() and self._passed[0].since_s < until_s:
            self._passed.popleft()

    def _excuse(self, late_s: float) -> None:
        """What this process slept through says nothing about the registry."""
        if late_s > STALLED_S:
            self._answered_s += late_s
            self._looked_s += late_s

    def _is_away(self, now_s: float) -> bool:
        if self._opened_s is not None and now_s - self._opened_s <= self._after_s:
            return False
        if now_s - self._looked_s > self._after_s:
            return True
        waiting = (each.since_s for each in self._passed if not each.entry.done.is_set() and self._matters(each.entry))
        oldest_s = next(waiting, None)
        return oldest_s is not None and now_s - max(oldest_s, self._answered_s) > self._after_s

    def _matters(self, entry: Entry) -> bool:
        alert = entry.change.alert
        return (
            alert.state is not AlertState.CLOSED
            and paged_level(alert.kind, alert.level).rank >= self._policy.from_level.rank
        )

    async def _page(self) -> None:
        if not self.paging:
            self._log.warning("registry_away_paging_from_copy", waiting=len(self._passed))
        await asyncio.to_thread(self._plan)
        self._sender.resume()

    def _plan(self) -> None:
        with self._turn:
            self.paging = True
        now = self._now()  # all that was passed on up to here is known below
        for passed in list(self._passed):
            if not passed.kept_here:
                self._keep(passed.entry.change)
                passed.kept_here = True
        if self._seen is None:
            self._seen, _ = self._copy.audit_end()
            cases = self._copy.cases_to_plan()
        else:
            self._seen, news = self._copy.case_news(self._seen)
            cases = (*news, *self._copy.cases_due(now))
        for first in range(0, len(cases), PLANNED_TOGETHER):
            self._copy.plan_cases(
                list(dict.fromkeys(cases[first : first + PLANNED_TOGETHER])),
                now,
                partial(decide, policy=self._policy, tell_systems=False),  # their keys have the registry's numbers
                from_level=self._policy.from_level,
                provenances=self._provenances,
            )
        self._copy.leave_pages(list(self._taken))

    def _keep(self, change: AlertChange) -> None:
        """As the registry will keep it; a step that it refuses, the copy refuses for the same reason."""
        alert_id, mark = change.alert.alert_id, event_mark(change.event)
        try:
            version = self._copy.alert(alert_id).version
            if any(event_mark(each) == mark for each in self._copy.alert_events(alert_id)):
                return
        except NotFoundError:
            version = None
        step = AlertStep(alert=change.alert, event=change.event, expected_version=version)
        try:
            self._copy.keep_steps([step], gather=gathering)
        except RegistryError as error:
            self._log.error("alert_not_kept_in_copy", alert=alert_id, reason=str(error))

    def _enter(self) -> None:
        """Tell the registry what was sent. What is in a channel's hands is told again when its outcome is known."""
        sent = self._copy.sent_pages()
        self._enter_pages(sent)
        self._copy.forget_steps([each for each in sent if each.page.state is not PageState.HANDED_OVER])

    def _enter_pages(self, sent: Sequence[SentPage]) -> None:
        """All at once; one that the registry refuses takes no other along, and is told in the log."""
        try:
            self._registry.enter_pages(sent)
        except (UnavailableError, UnusableError):
            raise
        except RegistryError as error:
            if len(sent) == 1:
                self._log.error("sent_page_not_entered", key=sent[0].page.key, reason=str(error))
                return
            for each in sent:
                self._enter_pages([each])

    async def _end(self) -> None:
        """The registry has all that waited: go back to copying, unless a channel has still something in its hands."""
        if self._opened_s is not None:
            return
        async with self._entering:
            await self._let_in()
            if not await asyncio.to_thread(self._copy.sent_pages):
                await asyncio.to_thread(self._begin_anew)
                self._log.info("registry_back_paging_from_it")

    def _begin_anew(self) -> None:
        with self._turn:
            self._copy.forget_cases()
            for passed in list(self._passed):
                passed.kept_here = False
            self._seen, self._revision = None, -1
            self.paging = False

    def _recover(self) -> None:
        touched, sent = self._copy.touched_alerts(), self._copy.sent_pages()
        if touched or sent:
            self._log.warning("entering_what_was_sent_without_registry", alerts=len(touched), pages=len(sent))
        self._enter_pages(sent)
        for alert_id in touched:
            try:
                self._enter_alert(alert_id)
            except (UnavailableError, UnusableError):
                raise
            except RegistryError as error:
                self._log.error("alert_not_entered", alert=alert_id, reason=str(error))
        self._begin_anew()

    def _enter_alert(self, alert_id: str) -> None:
        """The steps that only the copy has, in order; unless the alert has ended meanwhile."""
        alert = self._copy.alert(alert_id)
        try:
            kept = self._registry.alert(alert_id)
            if kept.state is AlertState.CLOSED:
                return
            version = kept.version
            known = {event_mark(each) for each in self._registry.alert_events(alert_id)}
        except NotFoundError:
            version, known = None, set()
        for event in self._copy.alert_events(alert_id):
            if event_mark(event) in known:
                continue
            watch = watch_after(alert) if event.to_state is AlertState.CLOSED else None
            step = AlertStep(alert=alert, event=event, expected_version=version, watch=watch)
            version = self._registry.keep_steps([step], gather=gathering)[0].version
