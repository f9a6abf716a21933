"""Holds the drills: looks who is due now and then, and does what the pure part decides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from alerts.paging.drills import DrillAct, decide_drill
from registry.drill_records import DrillState
from registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from alerts.paging.drills import DrillDecision, DrillPolicy
    from registry.drills import DrillFacts
    from registry.registry import Registry

LOOK_EVERY_S = 20.0
"""s between looks: a drill takes minutes."""


class Drilling:
    """One for each process that pages; several do no harm. `run` once."""

    def __init__(
        self, registry: Registry, policy: DrillPolicy, *, now: Callable[[], datetime], queued: Callable[[], None]
    ) -> None:
        """`queued` is called when there are new pages."""
        self._registry, self._policy = registry, policy
        self._now, self._queued = now, queued
        self._log = structlog.get_logger("packwatch.drills")

    async def run(self) -> None:
        """Hold drills until cancelled. While the registry is away, none is held."""
        while True:
            try:
                await asyncio.to_thread(self.look)
            except RegistryError as error:
                self._log.warning("drills_without_registry", reason=str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Do what is due now. Raises RegistryError."""
        now = self._now()
        for facts in self._registry.drill_facts(now):
            decision = decide_drill(facts, now, self._policy)
            if self._do(facts, decision, now):
                self._log.info(
                    "drill", act=decision.act, recipient=facts.known.recipient.recipient_id, why=decision.why
                )

    def _do(self, facts: DrillFacts, decision: DrillDecision, now: datetime) -> bool:
        """Whether something was done; another process may have been faster."""
        registry, drill, why = self._registry, facts.running, decision.why
        match decision.act:
            case DrillAct.BEGIN:
                done = bool(registry.begin_drill(facts.known.recipient.recipient_id, decision.steps, now, why=why))
            case DrillAct.GO_ON if drill is not None:
                done = bool(registry.go_on_with_drill(drill.drill_id, drill.step + 1, now, why=why))
            case DrillAct.MISS if drill is not None:
                done = registry.end_drill(drill.drill_id, DrillState.MISSED, now, why=why)
            case DrillAct.PUT_OFF if drill is not None:
                done = registry.end_drill(drill.drill_id, DrillState.PUT_OFF, now, why=why)
            case _:
                return False
        if done:
            self._queued()
        return done
