"""Packs that ever were hotter than a temperature, out of the hot days of the units that watched them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboards.rows import to_ms

if TYPE_CHECKING:
    from dashboards.ports import HistoryReader
    from registry.records import Binding
    from registry.registry import Registry

DAYS_MAX = 10_000
"""The hottest days of all units that a search looks at. **assumed**"""
DAY_MS = 86_400_000


def hot_packs(
    history: HistoryReader, registry: Registry, above_c: float, start_ms: int, end_ms: int
) -> list[dict[str, Any]]:
    """Hottest first: pack, how hot at most, on which day, on how many days, and by which unit. Blocks."""
    days = history.hot_days(above_c, start_ms, end_ms, DAYS_MAX)
    bindings: dict[str, list[Binding]] = {}
    for binding in registry.bindings_of_units({unit_id for unit_id, _, _ in days}):
        bindings.setdefault(binding.unit_id, []).append(binding)
    found: dict[str, dict[str, Any]] = {}
    for unit_id, day_ms, hottest_c in days:
        watched = [span for binding in bindings.get(unit_id, ()) if (span := _on_day(binding, day_ms)) is not None]
        alone = len({pack_id for pack_id, _, _ in watched}) == 1
        for pack_id, first_ms, last_ms in watched:
            # A unit that changed packs on that day: whose heat it was is told by the samples, while they are kept.
            own_c = hottest_c if alone else _hottest_c(history, unit_id, first_ms, last_ms)
            if own_c is None or own_c <= above_c:
                continue
            pack = found.setdefault(pack_id, {"pack_id": pack_id, "hottest_c": -np.inf, "days": set()})
            pack["days"].add(day_ms)
            if own_c > pack["hottest_c"]:
                pack |= {"hottest_c": own_c, "day_ms": day_ms, "unit_id": unit_id}
    packs = [{**pack, "days": len(pack["days"])} for pack in found.values()]
    return sorted(packs, key=lambda pack: (-pack["hottest_c"], pack["pack_id"]))


def _on_day(binding: Binding, day_ms: int) -> tuple[str, int, int] | None:
    """The pack, and from when to when the unit watched it on that day."""
    ends = binding.bound_to or datetime.fromtimestamp((day_ms + DAY_MS) / 1000, UTC)
    first_ms, last_ms = max(to_ms(binding.bound_from), day_ms), min(to_ms(ends), day_ms + DAY_MS)
    return (binding.pack_id, first_ms, last_ms) if first_ms < last_ms else None


def _hottest_c(history: HistoryReader, unit_id: str, start_ms: int, end_ms: int) -> float | None:
    maximum = history.read(unit_id, start_ms, end_ms, 1).temperatures_c.maximum
    hottest_c = np.fmax.reduce(maximum, axis=None, initial=-np.inf)
    return None if np.isneginf(hottest_c) else float(hottest_c)
