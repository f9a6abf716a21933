"""The life of an alert: every state, every action, one row."""

from __future__ import annotations

import itertools

import pytest

from alerts.lifecycle import TABLE, Action, IllegalTransitionError, next_state
from registry.errors import RefusedError
from registry.kinds import AlertState, Level

RAISED, ACKNOWLEDGED, CLEARED, CLOSED = AlertState
LIVES = [
    ("an alert begins raised", None, Action.RAISE, RAISED),
    ("a raised alert that worsens stays raised", RAISED, Action.WORSEN, RAISED),
    ("a raised alert that eases stays raised", RAISED, Action.EASE, RAISED),
    ("a raised alert whose cause goes is cleared, and still to be acknowledged", RAISED, Action.CLEAR, CLEARED),
    ("a person acknowledges", RAISED, Action.ACKNOWLEDGE, ACKNOWLEDGED),
    ("a person may close what is raised", RAISED, Action.CLOSE, CLOSED),
    ("what worsens after it was acknowledged is raised again", ACKNOWLEDGED, Action.WORSEN, RAISED),
    ("what is hot again under its latch is raised again", ACKNOWLEDGED, Action.RENEW, RAISED),
    ("what eases stays acknowledged", ACKNOWLEDGED, Action.EASE, ACKNOWLEDGED),
    ("acknowledged and cleared is over", ACKNOWLEDGED, Action.CLEAR, CLOSED),
    ("a person may close what is acknowledged", ACKNOWLEDGED, Action.CLOSE, CLOSED),
    ("cleared and back is the same alert, raised", CLEARED, Action.RAISE, RAISED),
    ("cleared and acknowledged is over", CLEARED, Action.ACKNOWLEDGE, CLOSED),
    ("a person may close what is cleared", CLEARED, Action.CLOSE, CLOSED),
    ("the vehicle says something else of it", RAISED, Action.COMPARE, RAISED),
    ("the same, and it was acknowledged", ACKNOWLEDGED, Action.COMPARE, ACKNOWLEDGED),
    ("the same, and it had cleared", CLEARED, Action.COMPARE, CLEARED),
]


@pytest.mark.parametrize(("before", "action", "after"), [row[1:] for row in LIVES], ids=[row[0] for row in LIVES])
def test_a_legal_step(before, action, after):
    assert next_state(before, action, peak=Level.WARNING) is after


def test_the_rows_above_are_the_whole_table():
    assert {(before, action): after for _, before, action, after in LIVES} == dict(TABLE)


@pytest.mark.parametrize(
    ("before", "action"), [pair for pair in itertools.product([None, *AlertState], Action) if pair not in TABLE]
)
def test_every_other_step_is_refused(before, action):
    with pytest.raises(IllegalTransitionError, match="cannot"):
        next_state(before, action, peak=Level.WATCH)


@pytest.mark.parametrize("action", [Action.CLEAR, Action.EASE])
@pytest.mark.parametrize("peak", [Level.CRITICAL, Level.RUNAWAY])
def test_critical_and_above_latch_until_a_person_closes(action, peak):
    for before in (RAISED, ACKNOWLEDGED):
        with pytest.raises(RefusedError, match="only when a person closes it"):
            next_state(before, action, peak=peak)
        assert next_state(before, Action.CLOSE, peak=peak) is CLOSED
