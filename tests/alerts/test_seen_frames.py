"""Frame numbers as ranges say what a plain set would say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerts.seen_frames import BOOTS_KEPT, RANGES_KEPT, SeenFrames


@given(frames=st.lists(st.tuples(st.sampled_from(["1-a", "2-b", "3-c"]), st.integers(0, 40))))
def test_a_frame_is_new_once(frames):
    seen, plain = SeenFrames(), set()
    for boot, frame in frames:
        assert seen.add(boot, frame) is ((boot, frame) not in plain)
        plain.add((boot, frame))


@given(frames=st.lists(st.tuples(st.sampled_from(["1-a", "2-b"]), st.integers(0, 20))), more=st.integers(0, 21))
def test_ranges_told_and_taken_back_say_the_same(frames, more):
    seen = SeenFrames()
    for boot, frame in frames:
        seen.add(boot, frame)
    again = SeenFrames.of_ranges(seen.ranges())
    assert again.ranges() == seen.ranges()
    for boot in ("1-a", "2-b"):
        assert [again.has(boot, frame) for frame in range(22)] == [(boot, frame) in frames for frame in range(22)]
        assert again.add(boot, more) is ((boot, more) not in frames)


def test_in_order_frames_are_one_range():
    seen = SeenFrames()
    for frame in range(10_000):
        assert seen.add("1-a", frame)
    assert seen._boots == {"1-a": [[0, 9_999]]}


def test_what_is_kept_is_bounded():
    seen = SeenFrames()
    for frame in range(0, 4 * RANGES_KEPT, 2):
        seen.add("1-a", frame)
    assert len(seen._boots["1-a"]) == RANGES_KEPT
    assert not seen.add("1-a", 4 * RANGES_KEPT - 2)
    assert seen.add("1-a", 0)  # forgotten
    for boot in range(2 * BOOTS_KEPT):
        seen.add(f"{boot}-x", 1)
    assert len(seen._boots) == BOOTS_KEPT
