"""Which units are registered, from memory: ingest asks for every batch and never waits for the database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.enrolment import Assignment
    from registry.registry import Registry


class Directory:
    """As ingest's UnitDirectory: ingest refreshes it when it meets an unknown unit."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._revision: int | None = None
        self._units: dict[str, Assignment] = {}

    def assignment(self, unit_id: str) -> Assignment | None:
        """What the registry said of the unit when it was last asked."""
        return self._units.get(unit_id)

    async def refresh(self) -> None:
        """Ask the registry again, if it changed. Raises RegistryError."""
        revision = await asyncio.to_thread(self._registry.revision)
        if revision != self._revision:
            assignments = await asyncio.to_thread(self._registry.assignments)
            self._units = {each.unit_id: each for each in assignments}
            self._revision = revision
