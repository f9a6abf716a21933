"""Where frames lie in InfluxDB, and which are there: InfluxDB keeps one point a series and time, and overwrites.

The series of a unit would melt two samples of one time into one: a trace that is replayed twice, a unit whose clock
jumped. So a unit has lanes: nearly all its samples lie in the first, which has no tag but the unit; a frame whose time
meets what another frame took goes to the next, tag `lane`. A span is a run of frames of one boot in one lane, in
order of time, between which nothing lies: it is what progress keeps.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST_MS = attrgetter("first_ms")
_FIRST_FRAME = attrgetter("first_frame")


@dataclass(slots=True)
class Span:
    """Frames `first_frame` to `last_frame` of a boot; their samples lie from `first_ms` to `last_ms`, in `lane`."""

    lane: int
    first_frame: int
    last_frame: int
    first_ms: int
    last_ms: int
    boot_id: str = ""
    stored: bool = True
    """False = on its way, or found in the data without progress: it may be there in part."""

    def numbers(self) -> list[int]:
        """What progress keeps of it."""
        return [self.lane, self.first_frame, self.last_frame, self.first_ms, self.last_ms]


class UnitPlaces:
    """One unit's spans. Pure: what it says must be written, and confirmed once it is."""

    __slots__ = ("_boots", "_lanes", "_waiting", "plain_lane", "slots")

    def __init__(self, plain_lane: int | None = None) -> None:
        """`plain_lane`: the lane of rows without frame numbers, which no frame may enter."""
        self.plain_lane = plain_lane
        self.slots: dict[str, int] = {}
        """Where the progress of each boot is kept; told by the caller."""
        self._boots: dict[str, list[Span]] = {}
        self._lanes: dict[int, list[Span]] = {}
        self._waiting: dict[tuple[str, int], Span] = {}

    def restore(self, boot_id: str, spans: list[Span]) -> None:
        """Take a boot's stored spans, as `spans_of` gave them."""
        for span in spans:
            span.boot_id = boot_id
            self._put(span)

    def is_stored(self, boot_id: str, frame: int) -> bool:
        """Whether the frame is there."""
        spans = self._boots.get(boot_id)
        if not spans:
            return False
        at = bisect_right(spans, frame, key=_FIRST_FRAME) - 1
        return at >= 0 and frame <= spans[at].last_frame

    def is_placed(self, boot_id: str, frame: int) -> bool:
        """Whether the frame has its lane already: it was on its way once, or is found in the data."""
        return (boot_id, frame) in self._waiting

    def place(self, boot_id: str, frame: int, first_ms: int, last_ms: int) -> int:
        """The lane of a frame that is not stored: where it was placed before, else the first that is free."""
        placed = self._waiting.get((boot_id, frame))
        if placed is not None:
            return placed.lane
        lane = next(self._free_lanes(boot_id, frame, first_ms, last_ms))
        self.found(boot_id, frame, lane, first_ms, last_ms)
        return lane

    def found(self, boot_id: str, frame: int, lane: int, first_ms: int, last_ms: int) -> None:
        """The data has samples of a frame that progress does not know, or will have them in a moment."""
        span = Span(lane, frame, frame, first_ms, last_ms, boot_id, stored=False)
        self._waiting[boot_id, frame] = span
        self._into_lane(span)

    def withdraw(self, boot_id: str, frame: int) -> None:
        """The frame is not placed any more; what it may have written will be overwritten."""
        span = self._waiting.pop((boot_id, frame))
        lane = self._lanes[span.lane]
        del lane[_index(lane, span)]

    def next_number(self, boot_id: str) -> int:
        """A frame number that the boot has not had."""
        last = [span.last_frame for span in self.spans_of(boot_id)[-1:]]
        return 1 + max((*last, *(frame for boot, frame in self._waiting if boot == boot_id)), default=-1)

    def confirm(self, boot_id: str, frame: int, first_ms: int, last_ms: int) -> None:
        """A placed frame is written."""
        span = self._waiting.pop((boot_id, frame))
        span.stored = True
        lane = self._lanes[span.lane]
        at = _index(lane, span)
        if first_ms < span.first_ms or last_ms > span.last_ms:  # what was found in the data was a part of it
            del lane[at]
            span.first_ms, span.last_ms = min(first_ms, span.first_ms), max(last_ms, span.last_ms)
            self._into_lane(span)
            at = _index(lane, span)
        left = lane[at - 1] if at else None
        if left is not None and _goes_on(left, span):
            left.last_frame, left.last_ms = span.last_frame, span.last_ms
            del lane[at]
            at, span = at - 1, left
        else:
            spans = self._boots.setdefault(boot_id, [])
            spans.insert(bisect_left(spans, span.first_frame, key=_FIRST_FRAME), span)
        right = lane[at + 1] if at + 1 < len(lane) else None
        if right is not None and _goes_on(span, right):
            span.last_frame, span.last_ms = right.last_frame, right.last_ms
            del lane[at + 1]
            self._boots[boot_id].remove(right)

    def spans_of(self, boot_id: str) -> list[Span]:
        """A boot's stored spans, by frame."""
        return self._boots.get(boot_id, [])

    def boots(self) -> tuple[str, ...]:
        return tuple(self._boots)

    def take_plain_lane(self) -> int:
        """The lane of rows without frame numbers: the first that no frame is in, for good."""
        if self.plain_lane is None:
            self.plain_lane = next(lane for lane in range(len(self._lanes) + 1) if not self._lanes.get(lane))
        return self.plain_lane

    def forget_before(self, cutoff_ms: int) -> set[str]:
        """Let go of spans that ended before `cutoff_ms`. Returns the boots that changed."""
        changed = set()
        for boot_id, spans in self._boots.items():
            gone = [span for span in spans if span.last_ms < cutoff_ms]
            for span in gone:
                self._lanes[span.lane].remove(span)
                spans.remove(span)
            if gone:
                changed.add(boot_id)
        return changed

    def _free_lanes(self, boot_id: str, frame: int, first_ms: int, last_ms: int) -> Iterator[int]:
        """The lane of the frame before first, so that runs stay whole; then each from the lowest."""
        before = self._waiting.get((boot_id, frame - 1)) or self._ending_at(boot_id, frame - 1)
        preferred = before.lane if before is not None else 0
        if self._is_free(preferred, first_ms, last_ms):
            yield preferred
        lane = 0
        while True:
            if self._is_free(lane, first_ms, last_ms):
                yield lane
            lane += 1

    def _is_free(self, lane: int, first_ms: int, last_ms: int) -> bool:
        if lane == self.plain_lane:
            return False
        spans = self._lanes.get(lane)
        if not spans:
            return True
        at = bisect_right(spans, last_ms, key=_FIRST_MS) - 1
        return at < 0 or spans[at].last_ms < first_ms

    def _ending_at(self, boot_id: str, frame: int) -> Span | None:
        spans = self._boots.get(boot_id)
        if not spans:
            return None
        at = bisect_right(spans, frame, key=_FIRST_FRAME) - 1
        return spans[at] if at >= 0 and spans[at].last_frame == frame else None

    def _put(self, span: Span) -> None:
        spans = self._boots.setdefault(span.boot_id, [])
        spans.insert(bisect_left(spans, span.first_frame, key=_FIRST_FRAME), span)
        self._into_lane(span)

    def _into_lane(self, span: Span) -> None:
        lane = self._lanes.setdefault(span.lane, [])
        lane.insert(bisect_right(lane, span.first_ms, key=_FIRST_MS), span)


def _goes_on(left: Span, right: Span) -> bool:
    """Whether two neighbours of a lane are one run; nothing lies between neighbours."""
    return (
        left.stored
        and right.stored
        and left.boot_id == right.boot_id
        and left.last_frame + 1 == right.first_frame
        and left.last_ms < right.first_ms
    )


def _index(lane: list[Span], span: Span) -> int:
    at = bisect_left(lane, span.first_ms, key=_FIRST_MS)
    while lane[at] is not span:
        at += 1
    return at
