"""One seeded escalation: packs rise, people answer or do not, and alert service and database are killed meanwhile."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from alerts.paging.outbox import decide
from registry.errors import RegistryError
from registry.kinds import Role
from registry.paging_kinds import Channel, PageKind, PageState
from registry.recipients import Way

from faultline.ports import free_port
from pager import QUICK, run_pager
from paging_stage import Road, mail_server, mail_way
from postgres import opened
from receivers import Arrival, http_receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from registry.paging_facts import CaseFacts
    from registry.paging_records import Page
    from registry.records import Alert
    from registry.registry import Registry

    from postgres import Postgres

LASTS_S = 6.0
SETTLES_WITHIN_S = 20.0
SLACK_S = 3.0
"""**Assumed**: what a loaded machine needs to start a process, and to look again."""
PACKS = ("pack-1", "pack-2", "pack-3")


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something happens."""

    at_s: float
    what: str
    """raise, answer, act, close, kill pager, kill database."""
    pack: str = ""
    role: Role | None = None
    down_s: float = 0.0


@dataclass(kw_only=True)
class Verdict:
    """What a round showed. `wrong` is empty when all held."""

    seed: int
    acts: tuple[Act, ...] = ()
    pages: int = 0
    deliveries: int = 0
    repeats: int = 0
    """Deliveries of a page that had arrived before, each marked as one that may repeat."""
    longest_quiet_s: float = 0.0
    wrong: list[str] = field(default_factory=list)


def make_acts(seed: int) -> tuple[Act, ...]:
    """The same seed makes the same acts."""
    dice = random.Random(seed)  # noqa: S311  spreads rounds, guards nothing
    packs = dice.sample(PACKS, dice.randint(1, len(PACKS)))
    acts = [Act(at_s=0.3, what="raise", pack=packs[0])]
    acts += [Act(at_s=dice.uniform(0.3, LASTS_S), what="raise", pack=pack) for pack in packs[1:]]
    for role in dice.sample([Role.DRIVER, Role.DISPATCHER, Role.SAFETY_LEAD], dice.randint(0, 3)):
        acts.append(Act(at_s=dice.uniform(0.6, LASTS_S), what="answer", pack=packs[0], role=role))
    for _ in range(dice.randint(1, 4)):
        acts.append(Act(at_s=dice.uniform(0.2, LASTS_S), what="kill pager", down_s=dice.uniform(0.0, 0.6)))
    for _ in range(dice.randint(0, 2)):
        acts.append(Act(at_s=dice.uniform(0.2, LASTS_S), what="kill database", down_s=dice.uniform(0.0, 0.8)))
    return tuple(sorted(acts, key=lambda act: act.at_s))


async def run_round(seed: int, postgres: Postgres) -> Verdict:
    """Play the seed's acts, wait until all is quiet, and judge."""
    verdict = Verdict(seed=seed, acts=make_acts(seed))
    url = await asyncio.to_thread(postgres.database, f"round_{seed}")
    registry = await asyncio.to_thread(opened, url)
    try:
        async with http_receiver(free_port()) as hooks, mail_server(free_port()) as box:
            play = Play(registry, postgres, verdict)
            await asyncio.to_thread(play.people, hooks.port)
            async with play.pager(url, box.port):
                await play.acts()
                await play.settle()
            play.judge(hooks.arrivals, [mail["Message-ID"][1:33] for mail in box.mails])
    finally:
        registry.close()
        await asyncio.to_thread(postgres.drop, f"round_{seed}")
    return verdict


class Play:
    """A round that goes on."""

    policy = QUICK
    """By which the process pages that is killed."""

    def __init__(self, registry: Registry, postgres: Postgres, verdict: Verdict) -> None:
        self.registry, self.postgres, self.verdict = registry, postgres, verdict
        self.road = Road(registry, lambda: datetime.now(UTC))  # type: ignore[arg-type]
        self.alerts: dict[str, Alert] = {}
        self.down: list[tuple[float, float]] = []
        self.raised_s = 0.0
        self.answered_s: float | None = None
        self._process: Any = None
        self._args: tuple[str, int] = ("", 0)

    def people(self, port: int) -> None:
        for pack in PACKS:
            self.road.enrol(pack)
        for name, role in (("max", Role.DRIVER), ("ana", Role.DISPATCHER), ("sue", Role.SAFETY_LEAD)):
            hook = Way(step=0, channel=Channel.WEBHOOK, address=f"http://127.0.0.1:{port}/{name}", secret="k")
            vehicle = "truck-1" if role is Role.DRIVER else None
            self.road.person(name, role, hook, mail_way(f"{name}@carrier.example", 1), vehicle_id=vehicle)
        hook = Way(step=0, channel=Channel.WEBHOOK, address=f"http://127.0.0.1:{port}/eve", secret="k")
        self.road.person("eve", Role.EMERGENCY_CONTACT, hook)

    @asynccontextmanager
    async def pager(self, url: str, mail_port: int) -> AsyncIterator[None]:
        self._args = (url, mail_port)
        self._start()
        try:
            yield
        finally:
            self._process.kill()
            await asyncio.to_thread(self._process.join)

    def _start(self) -> None:
        self._process = _CONTEXT.Process(target=run_pager, args=self._args, daemon=True)
        self._process.start()

    async def acts(self) -> None:
        began_s = time.monotonic()
        working = []
        for act in self.verdict.acts:
            await asyncio.sleep(max(0.0, began_s + act.at_s - time.monotonic()))
            if act.what.startswith("kill"):
                await self._kill(act)
            else:  # people and detection try again while the database is away, and delay nothing else
                working.append(asyncio.create_task(self._insist(act)))
        await asyncio.sleep(max(0.0, began_s + LASTS_S - time.monotonic()))
        await asyncio.gather(*working)
        await self._until(lambda: bool(self._pages()))

    async def _kill(self, act: Act) -> None:
        down_s = time.time()
        if act.what == "kill pager":
            self._process.kill()
            await asyncio.to_thread(self._process.join)
            await asyncio.sleep(act.down_s)
            self._start()
        else:
            await asyncio.to_thread(self.postgres.kill)
            await asyncio.sleep(act.down_s)
            await asyncio.to_thread(self.postgres.start)
        self.down.append((down_s, time.time()))

    async def _insist(self, act: Act) -> None:
        while True:
            try:
                await asyncio.to_thread(self._do, act)
            except (RegistryError, KeyError):
                await asyncio.sleep(0.05)
            else:
                return

    def _do(self, act: Act) -> None:
        if act.what == "raise":
            if act.pack not in self.alerts:
                alert = self.road.raised(act.pack)
                self.alerts[act.pack] = alert
                self.raised_s = self.raised_s or time.time()
            return
        if act.role is not None:
            self.road.acknowledged(self.alerts[act.pack], act.role, by=act.role)
            if act.role is not Role.DRIVER and self.answered_s is None:
                self.answered_s = time.time()

    async def settle(self) -> None:
        """Close every alert, which ends paging; then wait until nothing waits any more."""
        for alert in self.alerts.values():
            await self._insist_on(lambda alert=alert: self.road.closed(alert))
        if not await self._until(self._is_quiet):
            self.verdict.wrong.append(f"pages still wait {SETTLES_WITHIN_S:g} s after the end")

    def _is_quiet(self) -> bool:
        waits = {PageState.QUEUED, PageState.HANDED_OVER}
        return self.registry.next_case_at() is None and not any(page.state in waits for page in self._pages())

    async def _until(self, condition: Callable[[], bool]) -> bool:
        until_s = time.monotonic() + SETTLES_WITHIN_S
        while time.monotonic() < until_s:
            if await asyncio.to_thread(condition):
                return True
            await asyncio.sleep(0.1)
        return False

    async def _insist_on(self, work: Callable[[], None]) -> None:
        while True:
            try:
                await asyncio.to_thread(work)
            except RegistryError:
                await asyncio.sleep(0.05)
            else:
                return

    def _pages(self) -> list[Page]:
        return [page for page in self.registry.pages() if page.kind is PageKind.ALERT]

    def judge(self, arrivals: list[Arrival], mails: list[str]) -> None:
        wrong, pages = self.verdict.wrong, self._pages()
        self.verdict.pages = len(pages)
        delivered = self._deliveries(arrivals, pages)
        for page in pages:
            by_mail = page.channel is Channel.EMAIL
            count = mails.count(page.message_id or "") if by_mail else delivered.get(page.key, 0)
            withdrawn = page.state is PageState.FAILED and (page.why or "").startswith("not sent any more")
            if page.state is not PageState.ACCEPTED and not withdrawn:
                wrong.append(f"{page.key} is {page.state}: {page.why}")
            if count == 0 and not withdrawn:
                wrong.append(f"{page.key} was accepted and never arrived")
            if count > 1 and not page.may_repeat:
                wrong.append(f"{page.key} arrived {count} times and is not marked")
        self._against_the_plan(pages)
        self._quiet([arrival.at_s for arrival in arrivals])
        try:
            self.registry.verify_audit()
        except Exception as error:  # noqa: BLE001  whatever is wrong with the log is the finding
            wrong.append(f"the audit log: {error}")

    def _deliveries(self, arrivals: list[Arrival], pages: list[Page]) -> dict[str, int]:
        known = {page.key for page in pages}
        counts: dict[str, int] = {}
        for arrival in arrivals:
            told = json.loads(arrival.body)
            for event in told["events"]:
                key = event["key"]
                counts[key] = counts.get(key, 0) + 1
                self.verdict.deliveries += 1
                if counts[key] > 1:
                    self.verdict.repeats += 1
                    if not told["may_repeat"]:
                        self.verdict.wrong.append(f"{key} came again unmarked")
                if key not in known:
                    self.verdict.wrong.append(f"{key} arrived and is in no outbox")
        return counts

    def _against_the_plan(self, pages: list[Page]) -> None:
        """The outbox holds what escalation says upon all that happened, no more and no less: nothing was forgotten."""
        wanted = set()
        for case_id in {page.case_id for page in pages if page.case_id is not None}:
            facts: CaseFacts = self.registry.case_facts(case_id)
            wanted |= {draft.key for draft in decide(facts, self.policy).pages if draft.kind is PageKind.ALERT}
        kept = {page.key for page in pages}
        self.verdict.wrong += [f"{key} is due and was never kept" for key in sorted(wanted - kept)]
        self.verdict.wrong += [f"{key} was kept and is not due" for key in sorted(kept - wanted)]
        if not pages:
            self.verdict.wrong.append("nobody was paged at all")

    def _quiet(self, arrivals_s: list[float]) -> None:
        """As long as no one in the office answers, something arrives within a round's time, outages apart."""
        end_s = self.answered_s or max([self.raised_s, *arrivals_s])
        times = [self.raised_s, *(at_s for at_s in sorted(arrivals_s) if self.raised_s < at_s < end_s), end_s]
        for before_s, after_s in pairwise(times):
            down_s = sum(max(0.0, min(up, after_s) - max(gone, before_s)) for gone, up in self.down)
            quiet_s = after_s - before_s - down_s
            self.verdict.longest_quiet_s = max(self.verdict.longest_quiet_s, quiet_s)
            if quiet_s > self.policy.again_after_s + SLACK_S:
                self.verdict.wrong.append(f"nobody was paged for {quiet_s:.1f} s")


_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pager", "rounds"])
