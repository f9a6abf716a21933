"""The set of stored frames, against a plain set."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.stores.progress import FrameRanges, RangeChanges


@given(st.lists(st.integers(0, 40)))
def test_ranges_hold_what_a_set_holds(frames: list[int]) -> None:
    ranges, plain = FrameRanges(), set()
    for frame in frames:
        assert ranges.add(frame) == (frame not in plain)
        plain.add(frame)
    assert {frame for frame in range(-1, 43) if frame in ranges} == plain
    covered = [frame for first, last in ranges.ranges().items() for frame in range(first, last + 1)]
    assert covered == sorted(plain)
    firsts, lasts = list(ranges.ranges()), list(ranges.ranges().values())
    assert all(first > last + 1 for first, last in zip(firsts[1:], lasts, strict=False)), "ranges that touch are one"


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9))))
def test_whole_ranges_melt_into_what_is_there(pieces: list[tuple[int, int]]) -> None:
    at_once, one_by_one = FrameRanges(), FrameRanges()
    for first, more in pieces:
        at_once.add_range(first, first + more)
        for number in range(first, first + more + 1):
            one_by_one.add(number)
    assert at_once.ranges() == one_by_one.ranges()


@given(st.lists(st.integers(0, 40)), st.lists(st.integers(0, 40)))
def test_changes_lead_from_one_state_to_the_next(before: list[int], more: list[int]) -> None:
    ranges = FrameRanges()
    for frame in before:
        ranges.add(frame)
    grown = ranges.copy()
    for frame in more:
        grown.add(frame)
    rows = ranges.ranges()
    changes = RangeChanges.between(ranges, grown)
    for first in changes.gone:
        del rows[first]
    rows |= changes.extended | changes.added
    assert rows == grown.ranges()


def test_a_copy_grows_alone() -> None:
    ranges = FrameRanges([(1, 3)])
    ranges.copy().add(9)
    assert ranges.ranges() == {1: 3}
