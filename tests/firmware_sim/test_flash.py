"""The flash: frames and the count of lost ones survive a crash at any moment, in a file that never grows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.flash import FlashError, FrameFlash, KeptFrame
from firmware_sim.ring import FrameRing


def frame(number: int, boot_id: str = "1-a", payload: bytes = b"frame") -> KeptFrame:
    return KeptFrame(boot_id=boot_id, number=number, payload=payload)


def filled(ring: FrameRing, frames: int, boot_id: str = "1-a") -> FrameRing:
    for number in range(frames):
        ring.make_room()
        ring.keep(frame(number, boot_id))
    return ring


def ring_of(path, slots: int = 8) -> FrameRing:
    """As after a crash: the file is opened anew, and nothing was closed."""
    return FrameRing(window=3, flash=FrameFlash(path, slots=slots))


def keys(ring: FrameRing) -> list[tuple[str, int]]:
    found = []
    while frames := ring.take_sendable(0.0):
        for each in frames:
            found.append((each.boot_id, each.number))
            ring.acknowledge(each.boot_id, each.number)
    return found


def test_unacknowledged_frames_are_there_after_a_crash_oldest_first(tmp_path):
    ring = filled(ring_of(tmp_path / "flash"), 3)
    ring.acknowledge("1-a", 1)
    again = ring_of(tmp_path / "flash")
    filled(again, 2, boot_id="2-b")
    assert len(again) == 4
    assert keys(again) == [("1-a", 0), ("1-a", 2), ("2-b", 0), ("2-b", 1)]
    assert len(ring_of(tmp_path / "flash")) == 0


def test_the_count_of_lost_frames_goes_on_after_a_crash_and_even_when_all_were_acknowledged(tmp_path):
    ring = filled(ring_of(tmp_path / "flash"), 11)
    assert ring.lost == 3
    for number in range(3, 11):
        assert ring.acknowledge("1-a", number)
    assert ring_of(tmp_path / "flash").lost == 3


def test_a_crash_between_making_room_and_writing_loses_neither_frame_nor_count(tmp_path):
    ring = filled(ring_of(tmp_path / "flash"), 8)
    assert ring.make_room() == frame(0)
    again = ring_of(tmp_path / "flash")
    assert (len(again), again.lost) == (8, 0)


def test_the_file_never_grows(tmp_path):
    ring = filled(ring_of(tmp_path / "flash"), 1)
    size = (tmp_path / "flash").stat().st_size
    filled(ring, 100, boot_id="2-b")
    assert (tmp_path / "flash").stat().st_size == size == 9 * 512


@pytest.mark.parametrize("bad_byte", [2, 8, 20, 35, 36, 43])
def test_a_frame_that_was_half_written_is_no_frame(tmp_path, bad_byte):
    path = tmp_path / "flash"
    filled(ring_of(path), 2)
    stored = bytearray(path.read_bytes())
    stored[512 + bad_byte] ^= 0x41
    path.write_bytes(stored)
    assert keys(ring_of(path)) == [("1-a", 1)]


def test_a_frame_larger_than_a_slot_is_refused(tmp_path):
    ring = ring_of(tmp_path / "flash")
    with pytest.raises(FlashError, match="more than a slot"):
        ring.keep(frame(0, payload=bytes(600)))


def test_a_flash_of_another_shape_or_another_file_is_refused(tmp_path):
    ring_of(tmp_path / "flash", slots=8)
    with pytest.raises(FlashError, match="no flash of 9 slots"):
        ring_of(tmp_path / "flash", slots=9)
    (tmp_path / "other").write_bytes(b"not a flash")
    with pytest.raises(FlashError, match="no flash"):
        ring_of(tmp_path / "other")


@given(st.lists(st.one_of(st.just("keep"), st.just("crash"), st.integers(0, 30)), max_size=60))
def test_with_crashes_anywhere_every_frame_is_acknowledged_lost_or_still_there(tmp_path_factory, actions):
    path = tmp_path_factory.mktemp("flash") / "flash"
    flash = FrameFlash(path, slots=4)
    ring = FrameRing(window=2, flash=flash)
    made, acknowledged = 0, 0
    for action in actions:
        match action:
            case "keep":
                ring.make_room()
                ring.keep(frame(made))
                made += 1
            case "crash":
                flash.close()
                flash = FrameFlash(path, slots=4)
                ring = FrameRing(window=2, flash=flash)
            case number:
                acknowledged += ring.acknowledge("1-a", number)
        assert made == acknowledged + ring.lost + len(ring)
    flash.close()
