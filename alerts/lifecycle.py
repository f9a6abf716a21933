"""An alert's life as a table, in the words of ISA-18.2: raised, acknowledged, cleared (returned to normal), closed."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from alerts.rules import LATCHING_FROM
from registry.errors import RefusedError
from registry.kinds import AlertState, Level

if TYPE_CHECKING:
    from collections.abc import Mapping


class Action(StrEnum):
    """What happens to an alert. The first six are the engine's, the last two a person's; silence also ends itself."""

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
    ACKNOWLEDGE = "acknowledge"
    CLOSE = "close"


class IllegalTransitionError(RefusedError):
    """The alert's state does not allow the action. Nothing was changed."""


TABLE: Mapping[tuple[AlertState | None, Action], AlertState] = MappingProxyType(
    {
        (None, Action.RAISE): AlertState.RAISED,
        (AlertState.RAISED, Action.WORSEN): AlertState.RAISED,
        (AlertState.RAISED, Action.EASE): AlertState.RAISED,
        (AlertState.RAISED, Action.CLEAR): AlertState.CLEARED,
        (AlertState.RAISED, Action.ACKNOWLEDGE): AlertState.ACKNOWLEDGED,
        (AlertState.RAISED, Action.CLOSE): AlertState.CLOSED,
        (AlertState.ACKNOWLEDGED, Action.WORSEN): AlertState.RAISED,
        (AlertState.ACKNOWLEDGED, Action.RENEW): AlertState.RAISED,
        (AlertState.ACKNOWLEDGED, Action.EASE): AlertState.ACKNOWLEDGED,
        (AlertState.ACKNOWLEDGED, Action.CLEAR): AlertState.CLOSED,
        (AlertState.ACKNOWLEDGED, Action.CLOSE): AlertState.CLOSED,
        **{(state, Action.COMPARE): state for state in AlertState if state is not AlertState.CLOSED},
        (AlertState.CLEARED, Action.RAISE): AlertState.RAISED,
        (AlertState.CLEARED, Action.ACKNOWLEDGE): AlertState.CLOSED,
        (AlertState.CLEARED, Action.CLOSE): AlertState.CLOSED,
    }
)
"""What is not here is illegal. An alert that was both acknowledged and cleared, in either order, is over."""

_LATCH_FORBIDS = frozenset({Action.EASE, Action.CLEAR})


def next_state(state: AlertState | None, action: Action, *, peak: Level) -> AlertState:
    """The state after `action`; `state` None = there is no alert yet.

    Raises IllegalTransitionError for what the table does not have, and for a level that latches to go by itself.
    """
    after = TABLE.get((state, action))
    if after is None:
        raise IllegalTransitionError(f"an alert that is {state or 'not there'} cannot {action}")
    if action in _LATCH_FORBIDS and peak.rank >= LATCHING_FROM.rank:
        raise IllegalTransitionError(f"an alert that was {peak} ends only when a person closes it")
    return after
