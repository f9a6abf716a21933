"""Which unit watches which pack, as the registry says now: looked up once a second, told to every room that asks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from registry.enrolment import Assignment
    from registry.registry import Registry

POLL_S = 1.0
"""How soon a change by another process is seen. A change by this process is told at once (`refresh`)."""


class AssignmentWatch:
    """Keeps the assignments; `listeners` are called from the event loop with all of them after every change."""

    def __init__(self, registry: Registry, listeners: Sequence[Callable[[Sequence[Assignment]], None]] = ()) -> None:
        self._registry = registry
        self._listeners = list(listeners)
        self._revision: int | None = None
        self._units: dict[str, Assignment] = {}
        self._log = structlog.get_logger("packwatch.assignments")

    def listen(self, listener: Callable[[Sequence[Assignment]], None]) -> None:
        """Tell this listener too, from the next change on."""
        self._listeners.append(listener)

    def knows(self, unit_id: str) -> bool:
        """Whether the registry knows the unit."""
        return unit_id in self._units

    def assignment(self, unit_id: str) -> Assignment | None:
        """What the registry says of the unit."""
        return self._units.get(unit_id)

    async def refresh(self) -> None:
        """See the registry as it is now."""
        revision = await asyncio.to_thread(self._registry.revision)
        if revision == self._revision:
            return
        assignments = await asyncio.to_thread(self._registry.assignments)
        self._revision = revision
        self._units = {each.unit_id: each for each in assignments}
        for listener in self._listeners:
            listener(assignments)

    async def run(self) -> None:
        """Refresh once a second; a registry that does not answer leaves what was known."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.refresh()
            except RegistryError as error:
                self._log.warning("registry_not_read", reason=str(error))
