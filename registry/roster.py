"""Who covers which role when, and what is missing. Pure: it looks at records that were read before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from registry.kinds import Role
from registry.recipients import TESTED_WITHIN, KnownRecipient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

AHEAD = timedelta(hours=24)
COVERED = (Role.DISPATCHER, Role.SAFETY_LEAD, Role.EMERGENCY_CONTACT)
"""Roles that must have somebody on duty at all times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """In [from_at, until_at) nobody is on duty in a role for a fleet."""

    role: Role
    fleet_id: str
    from_at: datetime
    until_at: datetime


def gaps(people: Sequence[KnownRecipient], fleets: Sequence[str], now: datetime) -> tuple[Gap, ...]:
    """What is not covered in the next 24 h, by fleet, role and time. Who has no channel covers nothing."""
    return tuple(gap for fleet in fleets for role in COVERED for gap in _gaps(people, fleet, role, now))


def drills_due(people: Sequence[KnownRecipient], now: datetime) -> tuple[str, ...]:
    """Recipients of whom no way was proved within a month."""
    return tuple(
        each.recipient.recipient_id
        for each in people
        if each.recipient.role is not None
        and not any(way.tested_at is not None and now - way.tested_at <= TESTED_WITHIN for way in each.ways)
    )


def _gaps(people: Sequence[KnownRecipient], fleet_id: str, role: Role, now: datetime) -> Iterator[Gap]:
    until, end = now, now + AHEAD
    for from_at, until_at in sorted(_times(people, fleet_id, role, now, end)):
        if from_at > until:
            yield Gap(role=role, fleet_id=fleet_id, from_at=until, until_at=min(from_at, end))
        until = max(until, until_at)
        if until >= end:
            return
    if until < end:
        yield Gap(role=role, fleet_id=fleet_id, from_at=until, until_at=end)


def _times(
    people: Sequence[KnownRecipient], fleet_id: str, role: Role, now: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    for each in people:
        person = each.recipient
        if person.role is not role or person.fleet_id not in {None, fleet_id} or not each.ways:
            continue
        if person.vehicle_id is not None:
            continue
        if person.always_on_duty:
            yield now, end
        for duty in each.duties:
            if duty.from_at < end and duty.until_at > now:
                yield duty.from_at, duty.until_at
