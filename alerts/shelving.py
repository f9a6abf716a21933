"""How long an alert may be shelved: below `critical`, with an end, a reason and an owner. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from alerts.life_rules import shipped_life
from registry.errors import RefusedError
from registry.kinds import PackClass

if TYPE_CHECKING:
    from datetime import datetime

    from alerts.life_rules import LifeRules, ShelfLimit
    from registry.records import Alert


def is_shelved(alert: Alert, now: datetime) -> bool:
    """Whether it is on a shelf at `now`: one whose end has passed is over, whoever notes it later."""
    return alert.shelved_until is not None and now < alert.shelved_until


def shelf_limit(alert: Alert, pack_class: PackClass | None, rules: LifeRules | None = None) -> ShelfLimit | None:
    """The first row that fits; None: it may not be shelved.

    pack_class: None counts as damaged for an alert about a pack, since nobody knows better.
    """
    damaged = pack_class is PackClass.DAMAGED or (pack_class is None and alert.pack_id is not None)
    for row in (shipped_life() if rules is None else rules).shelves:
        if alert.kind in row.kinds and alert.peak_level in row.levels and (damaged or row.packs == "any"):
            return row
    return None


def check_shelf(alert: Alert, pack_class: PackClass | None, *, now: datetime, until: datetime) -> None:
    """Raises RefusedError, with the row's reason, for a shelf that may not be."""
    limit = shelf_limit(alert, pack_class)
    at_most = timedelta(minutes=0.0 if limit is None else limit.at_most_min)
    why = "no rule allows it" if limit is None else limit.why
    if not at_most:
        raise RefusedError(f"a {alert.peak_level} alert about {alert.kind} cannot be shelved: {why}")
    if until <= now:
        raise RefusedError("a shelf must end later than now")
    if until - now > at_most:
        raise RefusedError(f"it may be shelved for {at_most.total_seconds() / 60:g} min at most: {why}")
