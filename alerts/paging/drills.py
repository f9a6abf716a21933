"""Drills, pure: a person's ways and last drill, and the time -> whether one begins, goes on or ends, and why.

Each person has one a month. It starts with the way that was proved the longest ago, so that each has its turn; of who
guards a vehicle, with the phone. Without a proof the next way follows, and who answers on none counts as unreachable.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from registry.paging_kinds import Channel
from registry.recipients import BY_RULE, TALKING, TESTED_WITHIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.drill_records import Drill
    from registry.drills import DrillFacts
    from registry.paging_records import Recipient, RecipientChannel

PROVABLE = frozenset({Channel.VOICE, Channel.SMS, Channel.PUSH, Channel.BOARD, Channel.EMAIL, Channel.CHAT})
"""Ways on which a person, or the device, can answer: by receipt, by a key, or by the link in a message."""
FIRST_AFTER = timedelta(hours=1)
FIRST_WITHIN = timedelta(days=7)
"""**Assumed**: the first drills of people who were entered together are spread over so long."""
STANDS_FOR = timedelta(minutes=30)
"""**Assumed**: how long a driver's word that the vehicle stands is taken for true. Nobody is tested who may be driving
(49 CFR 392.80, 392.82)."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillPolicy:
    """When drills are held."""

    every: timedelta = timedelta(days=28)
    """Less than the 31 days within which a phone counts as proved: days off and open incidents delay a drill."""
    from_hour: int = 9
    until_hour: int = 20
    """A person who is always on duty is tested between these hours, in the person's own time zone."""
    proof_within: timedelta = timedelta(minutes=15)
    """Without a proof by then the next way follows."""


class DrillAct(StrEnum):
    """What is to be done about a person's drill."""

    WAIT = "wait"
    BEGIN = "begin"
    GO_ON = "go on"
    MISS = "miss"
    PUT_OFF = "put off"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillDecision:
    """What is to be done now, and why."""

    act: DrillAct
    why: str
    steps: tuple[tuple[Channel, ...], ...] = ()
    """Of one that begins: the ways in order; those of one step go together."""


def decide_drill(facts: DrillFacts, now: datetime, policy: DrillPolicy) -> DrillDecision:
    """What is to be done about one person's drill."""
    if facts.running is not None:
        return _running(facts, facts.running, now, policy)
    steps = _steps(facts)
    if not steps:
        return _wait("no way of this person can prove that a message arrives")
    due_at, why = _due(facts, policy)
    if now < due_at:
        return _wait(f"due on {due_at:%Y-%m-%d %H:%M} UTC: {why}")
    if hindrance := _hindrance(facts, now, policy, len(steps) * policy.proof_within):
        return _wait(hindrance)
    return DrillDecision(act=DrillAct.BEGIN, why=why, steps=steps)


def _wait(why: str) -> DrillDecision:
    return DrillDecision(act=DrillAct.WAIT, why=why)


def _running(facts: DrillFacts, drill: Drill, now: datetime, policy: DrillPolicy) -> DrillDecision:
    by_itself = drill.started_by == BY_RULE
    if by_itself and facts.busy_with is not None:
        return DrillDecision(act=DrillAct.PUT_OFF, why=f"incident {facts.busy_with} is open")
    if by_itself and _may_drive(facts, now):
        return DrillDecision(act=DrillAct.PUT_OFF, why="may be driving")
    over_at = drill.step_at + policy.proof_within
    if now < over_at:
        return _wait(f"a proof may come until {over_at:%H:%M:%S} UTC")
    if drill.step + 1 < len(drill.steps):
        if now > over_at + policy.proof_within:
            return DrillDecision(act=DrillAct.PUT_OFF, why="the alert service was away meanwhile")
        return DrillDecision(act=DrillAct.GO_ON, why=f"no proof on {_told(drill.steps[drill.step])}")
    return DrillDecision(act=DrillAct.MISS, why=f"no proof on {_told(','.join(drill.steps))}")


def _may_drive(facts: DrillFacts, now: datetime) -> bool:
    return facts.on_trip and (facts.parked_at is None or now - facts.parked_at > STANDS_FOR)


def _told(channels: str) -> str:
    return ", ".join(channels.split(","))


def _due(facts: DrillFacts, policy: DrillPolicy) -> tuple[datetime, str]:
    """From when on the next drill may begin, and why then."""
    person, last, asked_at = facts.known.recipient, facts.last, facts.asked_at
    if asked_at is not None and (last is None or last.started_at < asked_at) and not _phone_proved(facts, asked_at):
        return asked_at, "asked to guard a vehicle, and no phone was proved within a month"
    if last is not None:
        return last.started_at + policy.every, f"the last one was on {last.started_at:%Y-%m-%d}"
    return person.created_at + FIRST_AFTER + _share(person) * FIRST_WITHIN, "the first one"


def _hindrance(facts: DrillFacts, now: datetime, policy: DrillPolicy, lasts: timedelta) -> str | None:
    """Why one that is due does not begin now."""
    if _may_drive(facts, now):
        return "may be driving: it waits until the driver says that the vehicle stands"
    if facts.busy_with is not None:
        return f"incident {facts.busy_with} is open"
    hours = _hours(facts, now, policy)
    if hours is None:
        return "off duty, or not awake by the hours that are set"
    from_at, until_at = _slot(facts.known.recipient, hours, lasts)
    if not from_at <= now <= until_at:
        return f"begins between {from_at:%Y-%m-%d %H:%M} and {until_at:%H:%M} UTC"
    return None


def _phone_proved(facts: DrillFacts, at: datetime) -> bool:
    return any(
        way.channel in TALKING and way.tested_at is not None and way.tested_at > at - TESTED_WITHIN
        for way in facts.known.ways
    )


def _steps(facts: DrillFacts) -> tuple[tuple[Channel, ...], ...]:
    """The ways that can prove something: a guardian's phone first, then what was proved the longest ago."""
    groups: dict[int, list[RecipientChannel]] = {}
    for way in facts.known.ways:
        if way.channel in PROVABLE:
            groups.setdefault(way.step, []).append(way)
    ordered = sorted(groups.items(), key=lambda pair: _turn(facts, pair[0], pair[1]))
    return tuple(tuple(way.channel for way in ways) for _, ways in ordered)


def _turn(facts: DrillFacts, step: int, ways: Sequence[RecipientChannel]) -> tuple[bool, datetime, int]:
    is_phone = any(way.channel in TALKING for way in ways)
    return not (facts.guards and is_phone), min(way.tested_at or LONG_AGO for way in ways), step


def _hours(facts: DrillFacts, now: datetime, policy: DrillPolicy) -> tuple[datetime, datetime] | None:
    """The waking hours, or the duty, of which `now` is a part; None: it is of none."""
    person = facts.known.recipient
    if not person.always_on_duty:
        times = ((duty.from_at, duty.until_at) for duty in facts.known.duties)
        return next(((from_at, until_at) for from_at, until_at in times if from_at <= now < until_at), None)
    zone = _zone(person.time_zone)
    day = now.astimezone(zone).date()
    from_at = datetime.combine(day, time(policy.from_hour), zone).astimezone(UTC)
    until_at = datetime.combine(day, time(policy.until_hour), zone).astimezone(UTC)
    return (from_at, until_at) if from_at <= now < until_at else None


def _slot(person: Recipient, hours: tuple[datetime, datetime], lasts: timedelta) -> tuple[datetime, datetime]:
    """When it may begin, so that it ends within the hours, and not everybody's at once."""
    room = max(timedelta(0), hours[1] - hours[0] - lasts)
    until_at = hours[0] + room if room else hours[1]
    return hours[0] + _share(person) * room / 2, until_at


def _share(person: Recipient) -> float:
    """In [0, 1), the same for a person always: by it people are spread."""
    return int.from_bytes(hashlib.sha256(person.recipient_id.encode()).digest()[:4]) / 2**32


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
