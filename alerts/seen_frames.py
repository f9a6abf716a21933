"""Which frames of a unit were evaluated already: what was not acknowledged is sent again."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BOOTS_KEPT = 8
"""**Assumed**: a unit's boots of which anything can still come again."""
RANGES_KEPT = 64
"""**Assumed**: ranges of a boot; one more for each hole. What is forgotten and comes again is late, and so harmless."""


class SeenFrames:
    """Frame numbers of one unit as ranges, by boot. Bounded: the oldest boot and the lowest range are forgotten."""

    __slots__ = ("_boots", "_latest_boot", "_latest_range")

    def __init__(self) -> None:
        self._boots: OrderedDict[str, list[list[int]]] = OrderedDict()
        self._latest_boot: str | None = None
        self._latest_range: list[int] = [0, 0]

    @classmethod
    def of_ranges(cls, boots: Mapping[str, Sequence[Sequence[int]]]) -> SeenFrames:
        """As `ranges` told them."""
        seen = cls()
        seen._boots.update((boot, [[first, last] for first, last in ranges]) for boot, ranges in boots.items())
        return seen

    def ranges(self) -> dict[str, list[list[int]]]:
        """First and last frame of each range, by boot, oldest boot first."""
        return {boot: [list(each) for each in ranges] for boot, ranges in self._boots.items()}

    def has(self, boot_id: str, frame: int) -> bool:
        """Whether a frame was noted."""
        ranges = self._boots.get(boot_id, [])
        place = bisect_right(ranges, frame, key=lambda first_last: first_last[0])
        return place > 0 and frame <= ranges[place - 1][1]

    def knows(self, boot_id: str) -> bool:
        """Whether a frame of this boot was noted."""
        return boot_id in self._boots

    def add(self, boot_id: str, frame: int) -> bool:
        """Note a frame; False if it was there."""
        if boot_id == self._latest_boot and frame == self._latest_range[1] + 1:
            self._latest_range[1] = frame  # nearly always; the range is its boot's highest
            return True
        ranges = self._boots.get(boot_id)
        if ranges is None:
            ranges = self._boots[boot_id] = []
            if len(self._boots) > BOOTS_KEPT:
                self._boots.popitem(last=False)
        new = _add(ranges, frame)
        self._latest_boot, self._latest_range = boot_id, ranges[-1]
        return new


def _add(ranges: list[list[int]], frame: int) -> bool:
    place = bisect_right(ranges, frame, key=lambda first_last: first_last[0])
    before = ranges[place - 1] if place else None
    after = ranges[place] if place < len(ranges) else None
    if before is not None and frame <= before[1]:
        return False
    joins_before = before is not None and frame == before[1] + 1
    joins_after = after is not None and frame == after[0] - 1
    if before is not None and after is not None and joins_before and joins_after:
        before[1] = after[1]
        del ranges[place]
    elif before is not None and joins_before:
        before[1] = frame
    elif after is not None and joins_after:
        after[0] = frame
    else:
        ranges.insert(place, [frame, frame])
        if len(ranges) > RANGES_KEPT:
            del ranges[0]
    return True
