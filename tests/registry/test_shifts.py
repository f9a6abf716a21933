"""A shift changes hands by acceptance alone, with all that its giver works on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from registry.errors import NotFoundError, RefusedError
from registry.incident_records import Incident
from registry.kinds import IncidentState, Level, Role
from registry.roles import Hand
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from datetime import datetime

    from registry.registry import Registry


@pytest.fixture
def hands(registry: Registry, now: datetime) -> dict[str, Hand]:
    """Ana and Ben of the desk, Cy who only looks."""
    found = {}
    for name, role in (("ana", "dispatcher"), ("ben", "dispatcher"), ("cy", "viewer")):
        account = registry.create_account(name=name, display_name=name.title(), now=now, role=role)
        found[name] = Hand(account_id=account.account_id, by=name.title(), role=Role.DISPATCHER, now=now)
    return found


def incident(registry: Registry, name: str, now: datetime, **given: Any) -> None:
    fields = {"state": IncidentState.OPEN, "level": Level.CRITICAL, "provenance": Provenance.MEASURED} | given
    registry.add(Incident(incident_id=name, fleet_id="west", cause="heat", title=name, opened_at=now, **fields))


def test_with_the_acceptance_all_open_incidents_of_the_giver_change_hands(registry, hands, now):
    ana, ben = hands["ana"], hands["ben"]
    incident(registry, "one", now, assigned_to=ana.account_id)
    incident(registry, "two", now, assigned_to=ana.account_id, handover_to=hands["cy"].account_id)
    incident(registry, "bens", now, assigned_to=ben.account_id)
    incident(registry, "nobodys", now)
    incident(registry, "over", now, assigned_to=ana.account_id, state=IncidentState.CLOSED)
    offer = registry.offer_shift(ana, ben.account_id, "truck 3 waits for the fire service")
    assert registry.incident("one").assigned_to == ana.account_id
    registry.shifts_of(ben.account_id)
    accepted, taken = registry.accept_shift(offer.id, ben)
    assert (accepted.accepted, [each.incident_id for each in taken]) == (True, ["one", "two"])
    assert {each.assigned_to for each in taken} == {ben.account_id}
    assert registry.incident("two").handover_to is None
    assert registry.incident("over").assigned_to == ana.account_id
    event = registry.incident_events("one")[-1]
    assert (event.action, event.actor, event.comment) == ("accept", "Ben", "with the shift")
    assert registry.incident("one").version == 2
    (answered,) = registry.shifts_of(ana.account_id)
    assert answered.accepted is True


def test_only_the_taker_accepts_and_either_may_call_it_off(registry, hands, now):
    ana, ben = hands["ana"], hands["ben"]
    offer = registry.offer_shift(ana, ben.account_id, "")
    with pytest.raises(RefusedError, match="not offered to you"):
        registry.accept_shift(offer.id, ana)
    with pytest.raises(RefusedError, match="offered already"):
        registry.offer_shift(ana, ben.account_id, "again")
    with pytest.raises(RefusedError, match="neither yours"):
        registry.decline_shift(offer.id, hands["cy"])
    assert registry.decline_shift(offer.id, ana).accepted is False
    with pytest.raises(RefusedError, match="answered or taken back"):
        registry.accept_shift(offer.id, ben)
    assert registry.decline_shift(registry.offer_shift(ana, ben.account_id, "").id, ben).accepted is False


def test_a_shift_goes_to_somebody_else_who_may_act(registry, hands):
    ana = hands["ana"]
    with pytest.raises(RefusedError, match="yourself"):
        registry.offer_shift(ana, ana.account_id, "")
    with pytest.raises(RefusedError, match="cannot take a shift"):
        registry.offer_shift(ana, hands["cy"].account_id, "")
    with pytest.raises(NotFoundError):
        registry.offer_shift(ana, "nobody", "")
    with pytest.raises(NotFoundError):
        registry.accept_shift(99, ana)
