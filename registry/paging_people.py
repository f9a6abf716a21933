"""Recipients, their ways, duties and vehicles, asked for once in a transaction that plans many cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from registry.kinds import Role
from registry.paging_facts import System
from registry.paging_kinds import Channel
from registry.paging_records import CaseRecipient, Duty, Guardian, Recipient, RecipientChannel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from sqlalchemy.orm import Session

    from registry.incident_records import Incident

ALWAYS = "always"


class People:
    """Who may be paged, as the registry knows it now."""

    def __init__(self, session: Session, now: datetime) -> None:
        """Duties that end after `now` are known."""
        self._everyone = session.scalars(select(Recipient).order_by(Recipient.recipient_id)).all()
        steps: dict[str, dict[int, list[str]]] = {}
        for way in session.scalars(select(RecipientChannel).order_by(RecipientChannel.step, RecipientChannel.id)):
            steps.setdefault(way.recipient_id, {}).setdefault(way.step, []).append(way.channel)
        self._ways = {name: [",".join(channels) for channels in mine.values()] for name, mine in steps.items()}
        in_charge = select(Guardian).where(Guardian.accepted_at.is_not(None), Guardian.ended_at.is_(None))
        self._guardians = {each.vehicle_id: each.recipient_id for each in session.scalars(in_charge)}
        self._duties: dict[str, list[Duty]] = {}
        for duty in session.scalars(select(Duty).where(Duty.until_at > now).order_by(Duty.from_at)):
            self._duties.setdefault(duty.recipient_id, []).append(duty)

    def unreachable(self) -> Iterator[Recipient]:
        """Those who are flagged."""
        return (each for each in self._everyone if each.unreachable_why is not None and each.retired_at is None)

    def flagged_or_among(self, names: Collection[str]) -> Iterator[Recipient]:
        """Those who are flagged, whoever has gone included, and those who are named."""
        return (each for each in self._everyone if each.unreachable_why is not None or each.recipient_id in names)

    def systems(self, incident: Incident) -> tuple[System, ...]:
        """Other systems that hear of the incident."""
        return tuple(
            System(
                recipient_id=each.recipient_id, channels=tuple(Channel(name) for way in ways for name in way.split(","))
            )
            for each, ways in self._of_fleet(incident.fleet_id)
            if each.role is None
        )

    def wanted(self, incident: Incident, vehicles: Collection[str], now: datetime) -> Iterator[CaseRecipient]:
        """Who may be paged about the incident on these vehicles."""
        guardians = {self._guardians[each] for each in vehicles if each in self._guardians}
        for person, ways in self._of_fleet(incident.fleet_id):
            if person.recipient_id in guardians:
                yield _case_recipient(incident, person, Role.DRIVER, "guardian", ways)
            if person.role is None or (person.vehicle_id is None and person.role is Role.DRIVER):
                continue
            if person.vehicle_id is not None and person.vehicle_id not in vehicles:
                continue
            if person.role is Role.DRIVER and person.recipient_id in guardians:
                continue
            if person.always_on_duty:
                yield _case_recipient(incident, person, person.role, ALWAYS, ways)
                continue
            for duty in self._duties.get(person.recipient_id, ()):
                if duty.until_at > now:
                    row = _case_recipient(incident, person, person.role, str(duty.id), ways)
                    row.from_at, row.until_at = duty.from_at, duty.until_at
                    yield row

    def _of_fleet(self, fleet_id: str) -> Iterator[tuple[Recipient, list[str]]]:
        """Those who have a way and may hear of the fleet, each with one text a step."""
        for person in self._everyone:
            ways = self._ways.get(person.recipient_id)
            if ways and person.retired_at is None and person.fleet_id in {None, fleet_id}:
                yield person, ways


def _case_recipient(incident: Incident, person: Recipient, role: Role, source: str, ways: list[str]) -> CaseRecipient:
    return CaseRecipient(
        case_id=incident.incident_id, recipient_id=person.recipient_id, role=role, source=source, channels=ways
    )
