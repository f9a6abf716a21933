"""Sets kept as ranges, against plain sets."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ranges import RangeSet


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ([(3, 3)], [(3, 3)]),
        ([(3, 3), (4, 4)], [(3, 4)]),  # neighbours melt
        ([(4, 4), (3, 3)], [(3, 4)]),
        ([(1, 1), (3, 3)], [(1, 1), (3, 3)]),  # a hole stays
        ([(1, 1), (3, 3), (2, 2)], [(1, 3)]),  # filling the hole joins both sides
        ([(1, 2), (8, 9), (2, 8)], [(1, 9)]),
        ([(5, 6), (1, 9)], [(1, 9)]),  # a wider range swallows
        ([(1, 9), (5, 6)], [(1, 9)]),
    ],
)
def test_ranges_melt(added, expected):
    ranges = RangeSet(8)
    for first, last in added:
        ranges.add(first, last)
    assert list(ranges) == expected


def test_the_lowest_range_is_forgotten_beyond_the_limit():
    ranges = RangeSet(2)
    for number in (1, 3, 5):
        ranges.add(number)
    assert list(ranges) == [(3, 3), (5, 5)]
    assert 1 not in ranges


def test_a_range_the_wrong_way_round_is_refused():
    with pytest.raises(ValueError, match="ends before it begins"):
        RangeSet(2).add(4, 3)


@pytest.mark.parametrize(
    ("ranges", "floor", "raised", "left"),
    [
        ([(2, 3), (5, 6)], 1, 3, [(5, 6)]),
        ([(2, 3), (5, 6)], 4, 6, []),
        ([(3, 4)], 1, 1, [(3, 4)]),
        ([(1, 2)], 9, 9, []),
    ],
)
def test_a_floor_takes_what_it_touches(ranges, floor, raised, left):
    above = RangeSet(8)
    for first, last in ranges:
        above.add(first, last)
    assert above.take_prefix(floor) == raised
    assert list(above) == left


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8))))
def test_ranges_hold_what_a_set_holds(added):
    ranges, plain = RangeSet(1_000), set()
    for first, length in added:
        ranges.add(first, first + length)
        plain.update(range(first, first + length + 1))
    assert {number for number in range(80) if number in ranges} == plain
    pairs = list(ranges)
    assert all(left[1] + 1 < right[0] for left, right in pairwise(pairs))
