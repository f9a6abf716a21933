"""An alert's life as a table, in the words of ISA-18.2: raised, acknowledged, cleared (returned to normal), closed.

`acknowledged` means that the dispatcher has seen it. What other roles acknowledge is kept beside the state and moves it
nowhere: nobody's acknowledgement hides that another one has not seen it.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from alerts.rules import LATCHING_FROM
from registry.errors import RefusedError
from registry.kinds import AlertKind, AlertState, Level, Role
from registry.roles import MAY_RELEASE

if TYPE_CHECKING:
    from collections.abc import Mapping


class Action(StrEnum):
    """What happens to an alert. The first six are the engine's, then the cab's, then people's; shelves end too."""

    RAISE = "raise"
    """It begins; or it cleared, nobody has acknowledged it yet, and it is back: one alert, not two."""
    WORSEN = "worsen"
    """Its level rose: whoever acknowledged it acknowledged less."""
    RENEW = "renew"
    """Its level is latched, it had cooled and is hot again: whoever acknowledged it acknowledged the heat before."""
    EASE = "ease"
    """Its level fell, but not to normal."""
    CLEAR = "clear"
    """Its cause is gone."""
    COMPARE = "compare"
    """The level stays; but what this engine and the vehicle's say, side by side, is another."""
    CAB = "cab"
    """What the box in the cab did about it, or what it tells of its own equipment: the alert stays where it is."""
    ACKNOWLEDGE = "acknowledge"
    SHELVE = "shelve"
    """A person wants to hear no more of it for a while: it stays what it is."""
    UNSHELVE = "unshelve"
    """The shelf's time is over, or a person ended it. A rise takes it off the shelf without a step of its own."""
    CLOSE = "close"


class IllegalTransitionError(RefusedError):
    """The alert's state does not allow the action. Nothing was changed."""


TABLE: Mapping[tuple[AlertState | None, Action], AlertState] = MappingProxyType(
    {
        (None, Action.RAISE): AlertState.RAISED,
        (AlertState.RAISED, Action.WORSEN): AlertState.RAISED,
        (AlertState.RAISED, Action.RENEW): AlertState.RAISED,
        (AlertState.RAISED, Action.EASE): AlertState.RAISED,
        (AlertState.RAISED, Action.CLEAR): AlertState.CLEARED,
        (AlertState.RAISED, Action.ACKNOWLEDGE): AlertState.ACKNOWLEDGED,
        (AlertState.RAISED, Action.CLOSE): AlertState.CLOSED,
        (AlertState.ACKNOWLEDGED, Action.WORSEN): AlertState.RAISED,
        (AlertState.ACKNOWLEDGED, Action.RENEW): AlertState.RAISED,
        (AlertState.ACKNOWLEDGED, Action.EASE): AlertState.ACKNOWLEDGED,
        (AlertState.ACKNOWLEDGED, Action.CLEAR): AlertState.CLOSED,
        (AlertState.ACKNOWLEDGED, Action.CLOSE): AlertState.CLOSED,
        **{
            (state, action): state
            for state in AlertState
            if state is not AlertState.CLOSED
            for action in (Action.COMPARE, Action.CAB, Action.SHELVE, Action.UNSHELVE)
        },
        (AlertState.CLEARED, Action.RAISE): AlertState.RAISED,
        (AlertState.CLEARED, Action.ACKNOWLEDGE): AlertState.CLOSED,
        (AlertState.CLEARED, Action.CLOSE): AlertState.CLOSED,
    }
)
"""What is not here is illegal. An alert that was both acknowledged and cleared, in either order, is over."""

_LATCH_FORBIDS = frozenset({Action.EASE, Action.CLEAR, Action.SHELVE})


def latches(kind: AlertKind, peak: Level) -> bool:
    """Whether only a person ends it. A notice about the watching ends with its cause, whatever its level."""
    return not kind.calm and peak.rank >= LATCHING_FROM.rank


def next_state(
    state: AlertState | None, action: Action, *, kind: AlertKind, peak: Level, role: Role = Role.DISPATCHER
) -> AlertState:
    """The state after `action`; `state` None = there is no alert yet. `role`: of the person who acts.

    Raises IllegalTransitionError for what the table does not have, and for a level that latches to go by itself.
    """
    if action is Action.ACKNOWLEDGE and role is not Role.DISPATCHER and state not in {None, AlertState.CLOSED}:
        return state
    after = TABLE.get((state, action))
    if after is None:
        raise IllegalTransitionError(f"an alert that is {state or 'not there'} cannot {action}")
    if action in _LATCH_FORBIDS and latches(kind, peak):
        raise IllegalTransitionError(f"an alert that was {peak} ends only when a person closes it")
    return after


def check_close(kind: AlertKind, peak: Level, role: Role, authority: str) -> None:
    """Raises RefusedError when the role may not close it, or names nobody who released the load."""
    if not latches(kind, peak):
        return
    if role not in MAY_RELEASE:
        raise RefusedError(f"an alert that was {peak} is closed by the safety role only; a {role} cannot release it")
    if not authority.strip():
        raise RefusedError(
            f"an alert that was {peak} is closed only after somebody released the load: name the fire service or the "
            "person of safety who did"
        )
