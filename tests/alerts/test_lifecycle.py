"""The life of an alert: every state, every action, one row."""

from __future__ import annotations

import itertools

import pytest

from alerts.lifecycle import TABLE, Action, IllegalTransitionError, check_close, next_state
from registry.errors import RefusedError
from registry.kinds import AlertKind, AlertState, Level, Role

RAISED, ACKNOWLEDGED, CLEARED, CLOSED = AlertState
THERMAL = AlertKind.THERMAL
LIVES = [
    ("an alert begins raised", None, Action.RAISE, RAISED),
    ("a raised alert that worsens stays raised", RAISED, Action.WORSEN, RAISED),
    ("hot again, seen by others than the dispatcher: it calls them again", RAISED, Action.RENEW, RAISED),
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
    ("the cab did something about it", RAISED, Action.CAB, RAISED),
    ("the same, and it was acknowledged", ACKNOWLEDGED, Action.CAB, ACKNOWLEDGED),
    ("the same, and it had cleared", CLEARED, Action.CAB, CLEARED),
    ("a shelf changes nothing about an alert", RAISED, Action.SHELVE, RAISED),
    ("nor about one that was seen", ACKNOWLEDGED, Action.SHELVE, ACKNOWLEDGED),
    ("nor about one that has cleared", CLEARED, Action.SHELVE, CLEARED),
    ("off the shelf it is what it was", RAISED, Action.UNSHELVE, RAISED),
    ("off the shelf, seen", ACKNOWLEDGED, Action.UNSHELVE, ACKNOWLEDGED),
    ("off the shelf, cleared", CLEARED, Action.UNSHELVE, CLEARED),
]


@pytest.mark.parametrize(("before", "action", "after"), [row[1:] for row in LIVES], ids=[row[0] for row in LIVES])
def test_a_legal_step(before, action, after):
    assert next_state(before, action, kind=THERMAL, peak=Level.WARNING) is after


def test_the_rows_above_are_the_whole_table():
    assert {(before, action): after for _, before, action, after in LIVES} == dict(TABLE)


@pytest.mark.parametrize(
    ("before", "action"), [pair for pair in itertools.product([None, *AlertState], Action) if pair not in TABLE]
)
def test_every_other_step_is_refused(before, action):
    with pytest.raises(IllegalTransitionError, match="cannot"):
        next_state(before, action, kind=THERMAL, peak=Level.WATCH)


@pytest.mark.parametrize("action", [Action.CLEAR, Action.EASE, Action.SHELVE])
@pytest.mark.parametrize("peak", [Level.CRITICAL, Level.RUNAWAY])
def test_critical_and_above_latch_until_a_person_closes(action, peak):
    for before in (RAISED, ACKNOWLEDGED):
        with pytest.raises(RefusedError, match="only when a person closes it"):
            next_state(before, action, kind=THERMAL, peak=peak)
        assert next_state(before, Action.CLOSE, kind=THERMAL, peak=peak) is CLOSED


@pytest.mark.parametrize("kind", [kind for kind in AlertKind if kind.calm])
def test_a_notice_about_the_watching_never_latches(kind):
    assert next_state(ACKNOWLEDGED, Action.CLEAR, kind=kind, peak=Level.CRITICAL) is CLOSED
    check_close(kind, Level.CRITICAL, Role.DISPATCHER, "")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.DISPATCHER])
@pytest.mark.parametrize("state", [RAISED, ACKNOWLEDGED, CLEARED])
def test_who_is_not_the_dispatcher_acknowledges_without_moving_the_state(role, state):
    assert next_state(state, Action.ACKNOWLEDGE, kind=THERMAL, peak=Level.CRITICAL, role=role) is state


@pytest.mark.parametrize("state", [None, CLOSED])
def test_nobody_acknowledges_what_is_not_there(state):
    with pytest.raises(IllegalTransitionError, match="cannot acknowledge"):
        next_state(state, Action.ACKNOWLEDGE, kind=THERMAL, peak=Level.CRITICAL, role=Role.DRIVER)


CLOSINGS = [
    ("a dispatcher ends a warning", Level.WARNING, Role.DISPATCHER, "", None),
    ("a dispatcher ends no critical", Level.CRITICAL, Role.DISPATCHER, "fire service", "safety role only"),
    ("nor does the driver", Level.RUNAWAY, Role.DRIVER, "fire service", "safety role only"),
    ("nor an emergency contact", Level.CRITICAL, Role.EMERGENCY_CONTACT, "fire service", "safety role only"),
    ("the safety lead does, naming who released the load", Level.CRITICAL, Role.SAFETY_LEAD, "fire service", None),
    ("but not without naming anybody", Level.CRITICAL, Role.SAFETY_LEAD, "  ", "name the fire service"),
]


@pytest.mark.parametrize(
    ("peak", "role", "authority", "refusal"), [row[1:] for row in CLOSINGS], ids=[row[0] for row in CLOSINGS]
)
def test_who_may_close_what(peak, role, authority, refusal):
    if refusal is None:
        check_close(THERMAL, peak, role, authority)
    else:
        with pytest.raises(RefusedError, match=refusal):
            check_close(THERMAL, peak, role, authority)
