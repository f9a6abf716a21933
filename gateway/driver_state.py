"""What the driver's page on the vehicle's own network shows: the vehicle's own engine's word, as one stage. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.siren import SOUNDS_FROM, SirenState
from registry.kinds import Level
from registry.response_kinds import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_DATA_AFTER_MS = 60_000
"""Without an evaluation for so long nothing is green."""
_WORST_FIRST = (
    Stage.RUNAWAY,
    Stage.LOST,
    Stage.CRITICAL,
    Stage.HELD,
    Stage.WARNING,
    Stage.NO_DATA,
    Stage.WATCH,
    Stage.NORMAL,
)
_STAGE_OF = {
    Level.NORMAL: Stage.NORMAL,
    Level.WATCH: Stage.WATCH,
    Level.WARNING: Stage.WARNING,
    Level.CRITICAL: Stage.CRITICAL,
    Level.RUNAWAY: Stage.RUNAWAY,
}


def vehicle_stage(
    levels: Mapping[str, Level], evaluated_ms: Mapping[str, int], siren: SirenState, now_ms: int
) -> Stage:
    """The worst of the units'. `evaluated_ms`: UTC of each unit's newest sample that was evaluated."""
    stages = {_unit_stage(level, evaluated_ms.get(unit_id), siren, now_ms) for unit_id, level in levels.items()}
    return next((stage for stage in _WORST_FIRST if stage in stages), Stage.NO_DATA)


def oldest_evaluation_ms(levels: Mapping[str, Level], evaluated_ms: Mapping[str, int]) -> int | None:
    """Of the units' newest; None where one was never evaluated, or there is none."""
    known = [evaluated_ms.get(unit_id) for unit_id in levels]
    told = [each for each in known if each is not None]
    return min(told) if told and len(told) == len(known) else None


def _unit_stage(level: Level, evaluated_ms: int | None, siren: SirenState, now_ms: int) -> Stage:
    stale = evaluated_ms is None or not -NO_DATA_AFTER_MS <= now_ms - evaluated_ms <= NO_DATA_AFTER_MS
    if level.rank >= Level.WARNING.rank and stale:
        return Stage.LOST
    if level.rank >= SOUNDS_FROM.rank and siren is SirenState.LOWERED:
        return Stage.HELD
    return Stage.NO_DATA if stale else _STAGE_OF[level]
