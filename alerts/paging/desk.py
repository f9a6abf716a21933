"""The desk: sees what happened in incidents, plans who is to be paged, and puts it into the outbox.

It keeps nothing that matters: after a kill it looks at every open incident again, and what is in the outbox stays.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from alerts.escalation_kinds import CRITICAL_POLICY
from alerts.paging.outbox import decide
from registry.errors import RegistryError, UnavailableError
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from alerts.escalation_kinds import Policy
    from alerts.paging.standby import Standby
    from registry.records import Alert
    from registry.registry import Registry

LOOK_EVERY_S = 0.5
"""s between looks at what other processes wrote: receipts, acknowledgements, rosters. What this process raises is seen
at once."""
JUDGE_EVERY_S = 15.0
"""s between looks at who can be reached."""
CASES_TOGETHER = 64
"""**Assumed**: incidents planned in one transaction, some 0.1 s; pages of the first ones go out meanwhile."""
RETRY_S = 0.5
"""s between tries while the registry is away."""


class Desk:
    """One for each process that watches. `observe_alert` may be called any time, `run` once."""

    def __init__(
        self,
        registry: Registry,
        *,
        now: Callable[[], datetime],
        queued: Callable[[], None],
        policy: Policy = CRITICAL_POLICY,
        page_simulated: bool = False,
        standby: Standby | None = None,
    ) -> None:
        """`queued` is called when there are new pages. `page_simulated`: what was not measured is paged too.

        `standby`: who pages while the registry is away, and tells it first what was sent.
        """
        self._registry = registry
        self._standby = standby
        self._now = now
        self._queued = queued
        self._policy = policy
        self._provenances = frozenset(Provenance) if page_simulated else frozenset({Provenance.MEASURED})
        self._woken = asyncio.Event()
        self._log = structlog.get_logger("packwatch.paging")
        self._seen: int | None = None
        self.away = False
        self.planned = 0
        """Pages put into the outbox since the start."""

    def observe_alert(self, alert: Alert) -> None:
        """An alert changed. Never waits."""
        del alert  # the registry says it better
        self._woken.set()

    async def run(self) -> None:
        """Look and plan, until cancelled."""
        judge_at = self._now()
        while True:
            try:
                await self.look()
                if self._now() >= judge_at:
                    await asyncio.to_thread(self._registry.judge_reachability, self._now())
                    judge_at = self._now() + timedelta(seconds=JUDGE_EVERY_S)
                wait_s = await self._wait_s()
                self._back()
            except RegistryError as error:
                self._gone(error)
                wait_s = RETRY_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            self._woken.clear()

    async def look(self) -> int:
        """Plan what has news or is due; returns how many pages are new. Raises RegistryError."""
        if self._standby is not None:
            await self._standby.ready_to_page()
        if self._seen is None:
            seen, _ = await asyncio.to_thread(self._registry.audit_end)
            cases = await asyncio.to_thread(self._registry.cases_to_plan)
        else:
            seen, cases = await asyncio.to_thread(self._registry.case_news, self._seen)
            cases += await asyncio.to_thread(self._registry.cases_due, self._now())
        new = 0
        unique = list(dict.fromkeys(cases))
        for first in range(0, len(unique), CASES_TOGETHER):
            new += await asyncio.to_thread(self._plan, unique[first : first + CASES_TOGETHER])
            self._tell_standby()
        self._seen = seen  # only now: what failed is looked at again
        self._tell_standby()
        return new

    def _tell_standby(self) -> None:
        if self._standby is not None:
            self._standby.looked()

    def _plan(self, case_ids: Sequence[str]) -> int:
        new = self._registry.plan_cases(
            case_ids,
            self._now(),
            partial(decide, policy=self._policy),
            from_level=self._policy.from_level,
            provenances=self._provenances,
        )
        self.planned += new
        if new:
            self._queued()
        return new

    async def _wait_s(self) -> float:
        next_at = await asyncio.to_thread(self._registry.next_case_at)
        if next_at is None:
            return LOOK_EVERY_S
        return min(LOOK_EVERY_S, max(0.0, (next_at - self._now()).total_seconds()))

    def _gone(self, error: RegistryError) -> None:
        if not self.away or not isinstance(error, UnavailableError):
            self._log.warning("paging_without_registry", reason=str(error))
        self.away = True

    def _back(self) -> None:
        if self.away:
            self._log.info("paging_registry_back")
        self.away = False
