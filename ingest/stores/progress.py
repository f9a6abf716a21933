"""Which frames of a boot are stored, which records of an outbox settled: ranges, since nearly all arrive in order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ingest.stores.contract import OutboxRange, RefusedBatch


class FrameRanges:
    """A set of frame or record numbers, kept as the fewest closed ranges."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: list[tuple[int, int]] | None = None) -> None:
        """Take `ranges` as (first, last), ordered, disjoint and not touching."""
        self._firsts = [first for first, _ in ranges or ()]
        self._lasts = [last for _, last in ranges or ()]

    def __contains__(self, frame: int) -> bool:
        at = bisect_right(self._firsts, frame) - 1
        return at >= 0 and frame <= self._lasts[at]

    def add(self, frame: int) -> bool:
        """Put `frame` in. False if it was there."""
        at = bisect_right(self._firsts, frame) - 1
        if at >= 0 and frame <= self._lasts[at]:
            return False
        touches_left = at >= 0 and self._lasts[at] == frame - 1
        touches_right = at + 1 < len(self._firsts) and self._firsts[at + 1] == frame + 1
        if touches_left and touches_right:
            self._lasts[at] = self._lasts.pop(at + 1)
            self._firsts.pop(at + 1)
        elif touches_left:
            self._lasts[at] = frame
        elif touches_right:
            self._firsts[at + 1] = frame
        else:
            self._firsts.insert(at + 1, frame)
            self._lasts.insert(at + 1, frame)
        return True

    def add_range(self, first: int, last: int) -> None:
        """Put `first` to `last` in, both included; some of them may be there."""
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first, last = min(first, self._firsts[low]), max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]

    def covers(self, first: int, last: int) -> bool:
        """Whether `first` to `last` are all in."""
        at = bisect_right(self._firsts, first) - 1
        return at >= 0 and last <= self._lasts[at]

    def lowest(self, limit: int) -> list[tuple[int, int]]:
        """(first, last) of the lowest ranges, at most `limit`."""
        return list(zip(self._firsts[:limit], self._lasts[:limit], strict=True))

    def copy(self) -> FrameRanges:
        twin = FrameRanges()
        twin._firsts, twin._lasts = self._firsts.copy(), self._lasts.copy()
        return twin

    def grown_into(self, after: FrameRanges) -> dict[int, int] | None:
        """First to last of the ranges that are longer in `after`, if that has the same ranges otherwise; else None."""
        if self._firsts != after._firsts:
            return None
        pairs = zip(self._firsts, self._lasts, after._lasts, strict=True)
        return {first: last for first, before, last in pairs if last != before}

    def ranges(self) -> dict[int, int]:
        """First frame of each range to its last."""
        return dict(zip(self._firsts, self._lasts, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeChanges:
    """How the rows of a progress table must change; a row is known by the range's first frame."""

    extended: dict[int, int]
    """First to its new last."""
    gone: tuple[int, ...]
    added: dict[int, int]

    @classmethod
    def between(cls, before: FrameRanges, after: FrameRanges) -> RangeChanges:
        grown = before.grown_into(after)
        if grown is not None:
            return cls(extended=grown, gone=(), added={})
        old, new = before.ranges(), after.ranges()
        return cls(
            extended={first: last for first, last in new.items() if first in old and old[first] != last},
            gone=tuple(first for first in old if first not in new),
            added={first: last for first, last in new.items() if first not in old},
        )


def settled_without(settled: Sequence[OutboxRange], refused: Iterable[RefusedBatch]) -> list[OutboxRange]:
    """The ranges but for the records of refused batches: a crash before the quarantine has those must not lose them."""
    left = list(settled)
    for received, _ in refused:
        if (sequence := received.outbox_sequence) is None:
            continue
        outbox = received.fleet_id, received.gateway_id, received.outbox_id
        pieces = [
            piece
            for each in left
            for piece in (
                (each._replace(last=min(each.last, sequence - 1)), each._replace(first=max(each.first, sequence + 1)))
                if each[:3] == outbox
                else (each,)
            )
        ]
        left = [piece for piece in pieces if piece.first <= piece.last]
    return left
