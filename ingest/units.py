"""Which units are registered, as far as validation must know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ingest.validation import KnownUnit

if TYPE_CHECKING:
    from registry.enrolment import Assignment
    from registry.kinds import ChannelKind


class UnitDirectory(Protocol):
    """A copy of the registry's assignments, so that the stream never waits for a database."""

    def assignment(self, unit_id: str) -> Assignment | None:
        """What is known of the unit, from memory; None = not registered, as far as known."""

    async def refresh(self) -> None:
        """Look again what is registered. Called every other second, and when an unknown unit is met."""


class KnownUnits:
    """Units of a directory as validation sees them. Units that measure the same share one."""

    def __init__(self, directory: UnitDirectory) -> None:
        self._directory = directory
        self._by_kinds: dict[tuple[ChannelKind, ...], KnownUnit] = {}
        self._of: dict[str, tuple[Assignment, KnownUnit]] = {}

    def of(self, unit_id: str) -> KnownUnit | None:
        """The unit; None = not registered."""
        assignment = self._directory.assignment(unit_id)
        if assignment is None:
            return None
        seen = self._of.get(unit_id)
        if seen is not None and seen[0] is assignment:
            return seen[1]
        known = self._by_kinds.get(assignment.voltage_kinds)
        if known is None:
            known = self._by_kinds[assignment.voltage_kinds] = KnownUnit(voltage_kinds=assignment.voltage_kinds)
        self._of[unit_id] = assignment, known
        return known
