"""Silence is told from the process's own deafness, but not for ever."""

import pytest

from alerts.deafness import FORGIVEN_AT_MOST_S, Hearing


def test_a_wake_up_on_time_lets_silence_count():
    hearing = Hearing()
    hearing.woke(due_s=10.0, now_s=10.4)
    assert hearing.counts(10.4)


def test_after_a_freeze_as_much_time_is_given_to_hear_what_waits():
    hearing = Hearing()
    hearing.woke(due_s=10.0, now_s=17.0)
    assert not hearing.counts(17.0)
    assert not hearing.counts(23.9)
    assert hearing.counts(24.0)


@pytest.mark.parametrize("late_s", [1.5, 5.0, 7.0, 40.0])
def test_one_freeze_after_the_other_is_forgiven_for_a_while_only(late_s):
    hearing = Hearing()
    now_s = 10.0
    while now_s < 200.0:
        hearing.woke(due_s=now_s, now_s=now_s + late_s)
        now_s += late_s
        assert hearing.counts(now_s) == (now_s >= 10.0 + late_s + FORGIVEN_AT_MOST_S)


def test_a_later_freeze_is_one_of_its_own():
    hearing = Hearing()
    hearing.woke(due_s=10.0, now_s=20.0)
    hearing.woke(due_s=100.0, now_s=100.0)
    hearing.woke(due_s=100.0, now_s=103.0)
    assert not hearing.counts(105.9)
    assert hearing.counts(106.0)
