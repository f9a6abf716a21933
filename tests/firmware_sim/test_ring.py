"""The ring: nothing is forgotten before it is acknowledged, except what it had to overwrite, and that is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.flash import KeptFrame
from firmware_sim.ring import FrameRing


def filled(frames: int, **settings: object) -> FrameRing:
    ring = FrameRing(**({"capacity": 10, "window": 3, "resend_after_s": 15.0} | settings))
    for number in range(frames):
        ring.make_room()
        ring.keep(KeptFrame(boot_id="1-a", number=number, payload=b"%d" % number))
    return ring


def numbers(frames: list[KeptFrame]) -> list[int]:
    return [frame.number for frame in frames]


def test_the_oldest_window_and_the_newest_are_sent_in_order():
    ring = filled(6)
    assert numbers(ring.take_sendable(0.0)) == [0, 1, 2, 5]
    assert ring.take_sendable(1.0) == []
    assert ring.acknowledge("1-a", 1)
    assert numbers(ring.take_sendable(2.0)) == [3]


def test_a_frame_nobody_takes_does_not_hold_back_what_is_new():
    ring = filled(3)
    ring.take_sendable(0.0)
    for number in range(3, 6):
        ring.keep(KeptFrame(boot_id="1-a", number=number, payload=b""))
        assert numbers(ring.take_sendable(1.0)) == [number]


def test_what_is_not_acknowledged_is_sent_again_ever_more_patiently():
    ring = filled(2, resend_after_s=4.0)
    ring.take_sendable(100.0)
    ring.acknowledge("1-a", 0)
    now_s = 100.0
    for wait_s in (4.0, 8.0, 16.0, 30.0, 30.0):
        assert ring.next_due_s(now_s) == now_s + wait_s
        assert ring.take_sendable(now_s + wait_s - 0.1) == []
        now_s += wait_s
        assert numbers(ring.take_sendable(now_s)) == [1]
    ring.forget_sent()
    assert ring.next_due_s(now_s) == now_s


def test_a_new_connection_sends_everything_again_in_order():
    ring = filled(3)
    ring.take_sendable(0.0)
    ring.acknowledge("1-a", 1)
    ring.forget_sent()
    assert numbers(ring.take_sendable(0.1)) == [0, 2]


def test_a_full_ring_overwrites_the_oldest_and_counts_it():
    ring = filled(13)
    assert ring.lost == 3
    assert len(ring) == 10
    assert numbers(ring.take_sendable(0.0)) == [3, 4, 5, 12]


def test_a_receipt_counts_once():
    ring = filled(2)
    assert ring.acknowledge("1-a", 0)
    assert not ring.acknowledge("1-a", 0)
    assert not ring.acknowledge("1-a", 77)


def test_an_empty_ring_has_nothing_to_do():
    assert filled(0).next_due_s(5.0) is None
    assert filled(0).take_sendable(5.0) == []


def test_a_window_larger_than_the_ring_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        FrameRing(capacity=3, window=4)


@given(
    st.lists(
        st.one_of(
            st.just("keep"),
            st.just("take"),
            st.just("reconnect"),
            st.integers(0, 40).map(lambda number: ("ack", number)),
        ),
        max_size=120,
    )
)
def test_every_frame_is_acknowledged_lost_or_still_there(actions):
    ring = FrameRing(capacity=8, window=3, resend_after_s=2.0)
    made, acknowledged = 0, 0
    for now_s, action in enumerate(actions):
        match action:
            case "keep":
                ring.make_room()
                ring.keep(KeptFrame(boot_id="1-a", number=made, payload=b""))
                made += 1
            case "take":
                taken = numbers(ring.take_sendable(float(now_s)))
                assert taken == sorted(taken)
                assert len(taken) <= 4
            case "reconnect":
                ring.forget_sent()
            case ("ack", number):
                acknowledged += ring.acknowledge("1-a", number)
    assert made == acknowledged + ring.lost + len(ring)
    left = []
    for later_s in range(1000, 1200, 3):
        batch = numbers(ring.take_sendable(float(later_s)))
        left += batch
        for number in batch:
            assert ring.acknowledge("1-a", number)
    assert len(left) == made - acknowledged - ring.lost
    assert len(ring) == 0
