"""Sets of whole numbers kept as ranges: which frames were taken, which outbox records are settled."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class RangeSet:
    """Sorted, disjoint ranges of whole numbers, at most `limit` of them.

    When a number would open one range too many, the lowest range is forgotten: its numbers count as never seen.
    Holes stay open for ever when a unit's ring has overwritten frames, so without a limit the set would only grow.
    """

    __slots__ = ("_firsts", "_lasts", "_limit")

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a set of {limit} ranges can hold nothing")
        self._limit = limit
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(first, last) pairs, lowest first."""
        return iter(zip(self._firsts, self._lasts, strict=True))

    def __len__(self) -> int:
        """How many ranges there are (not how many numbers)."""
        return len(self._firsts)

    def covers(self, first: int, last: int) -> bool:
        """Whether all of `first` to `last` is in."""
        at = bisect_right(self._firsts, first) - 1
        return at >= 0 and last <= self._lasts[at]

    def add(self, first: int, last: int | None = None) -> None:
        """Add `first` to `last`, both included. Raises ValueError when they are the wrong way round."""
        end = first if last is None else last
        if end < first:
            raise ValueError(f"range {first} to {end} ends before it begins")
        # Everything that overlaps or touches [first, end] melts into one range.
        low = bisect_right(self._firsts, first) - 1
        if low < 0 or self._lasts[low] < first - 1:
            low += 1
        high = bisect_right(self._firsts, end + 1)
        if low < high:
            first = min(first, self._firsts[low])
            end = max(end, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [end]
        if len(self._firsts) > self._limit:
            del self._firsts[0], self._lasts[0]

    def take_prefix(self, floor: int) -> int:
        """Remove the ranges that a floor covers or touches; returns the floor that they raise it to.

        A floor says that all numbers up to it are in; it is kept apart because it must never be forgotten.
        """
        while self._firsts and self._firsts[0] <= floor + 1:
            floor = max(floor, self._lasts[0])
            del self._firsts[0], self._lasts[0]
        return floor
