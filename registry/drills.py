"""Drills: what is decided upon, and how one begins, goes on to the next way, and ends. Each step is one transaction."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select

from registry.audit import Action, Actor, append
from registry.audit_records import ActorKind
from registry.database import Database
from registry.drill_records import Drill, DrillState, drill_page_key
from registry.errors import NotFoundError
from registry.incident_records import Incident
from registry.kinds import IncidentState, Level, Role
from registry.outbox import page_action, page_id_of
from registry.paging_kinds import Channel, PageKind, PageState
from registry.paging_records import CaseRecipient, Duty, Guardian, Page, Recipient, RecipientChannel
from registry.recipients import BY_RULE, KnownRecipient
from registry.response_kinds import Situation
from registry.trip_records import Trip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

STANDS = frozenset({Situation.PARKED, Situation.LOADING, Situation.DROPPED})
"""Situations in which a driver may be called, and is awake."""
KEPT = timedelta(days=100)
"""**Assumed**: how far back the last drill is looked for; longer than any setting asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillFacts:
    """What is decided upon, of one person."""

    known: KnownRecipient
    """Without devices."""
    running: Drill | None
    last: Drill | None
    """The latest one that told something: proved or missed."""
    busy_with: str | None
    """An open incident about which the person may be paged, or that he or she works on."""
    guards: bool
    """The person is called first about a vehicle, or was asked to be."""
    asked_at: datetime | None
    """When the person was last asked to guard a vehicle, and has not answered."""
    on_trip: bool
    """A driver whose vehicle is on a trip."""
    parked_at: datetime | None
    """When that driver last said that the vehicle stands, and has not said anything else since."""


class Drills(Database):
    """Drills."""

    def drill_facts(self, now: datetime) -> tuple[DrillFacts, ...]:
        """Of all people who may be paged, by id."""
        return self._read(lambda session: _facts(session, now))

    def begin_drill(
        self, recipient_id: str, steps: Sequence[Sequence[Channel]], now: datetime, *, why: str
    ) -> tuple[Page, ...]:
        """Send a drill on the channels of the first step; nothing, where the person had one today or is in one."""

        def work(session: Session) -> tuple[Page, ...]:
            person = session.get(Recipient, recipient_id, with_for_update=True)
            if person is None or person.retired_at is not None:
                return ()
            drill_id = f"{recipient_id}/{now:%Y-%m-%d}"
            running = select(Drill.drill_id).where(
                Drill.recipient_id == recipient_id,
                or_(Drill.state == DrillState.RUNNING, Drill.drill_id == drill_id),
            )
            if session.scalar(running.limit(1)) is not None:
                return ()
            drill = _new(drill_id, person, steps, now)
            drill.why = why
            return _begin(session, drill, person, _BY_RULE)

        return self._write(work)

    def start_drill(self, recipient_id: str, now: datetime, *, by: Actor) -> tuple[Page, ...]:
        """Send a drill on each of a person's channels: who confirms one has proved it. Raises NotFoundError."""

        def work(session: Session) -> tuple[Page, ...]:
            person = session.get(Recipient, recipient_id)
            if person is None or person.retired_at is not None:
                raise NotFoundError(f"there is no recipient {recipient_id!r}")
            query = select(RecipientChannel.channel).where(RecipientChannel.recipient_id == recipient_id)
            ways = session.scalars(query.order_by(RecipientChannel.step, RecipientChannel.id)).all()
            drill_id = f"{recipient_id}/{now:%Y%m%dT%H%M%S.%f}"
            drill = _new(drill_id, person, [ways], now)
            drill.started_by, drill.why = by.id, f"a drill, by {by.id}"
            return _begin(session, drill, person, by)

        return self._write(work)

    def go_on_with_drill(self, drill_id: str, step: int, now: datetime, *, why: str) -> tuple[Page, ...]:
        """Send it on the channels of the next step; nothing, where it ended or went on meanwhile."""

        def work(session: Session) -> tuple[Page, ...]:
            drill = session.get(Drill, drill_id, with_for_update=True)
            if drill is None or drill.state is not DrillState.RUNNING or drill.step != step - 1:
                return ()
            drill.step, drill.step_at, drill.why = step, now, why
            person = session.get_one(Recipient, drill.recipient_id)
            pages, actions = _queued(session, drill, person)
            append(session, [_action(drill, "go on with drill", _BY_RULE, now), *actions])
            return pages

        return self._write(work)

    def end_drill(self, drill_id: str, state: DrillState, now: datetime, *, why: str) -> bool:
        """End one that runs: missed or put off. What was not sent yet is not sent. False: it had ended."""

        def work(session: Session) -> bool:
            drill = session.get(Drill, drill_id, with_for_update=True)
            if drill is None or drill.state is not DrillState.RUNNING:
                return False
            drill.state, drill.ended_at, drill.why = state, now, why
            waiting = (
                select(Page)
                .where(Page.key.in_(_keys(drill)), Page.state == PageState.QUEUED)
                .order_by(Page.key)
                .with_for_update()
            )
            actions = [_action(drill, f"drill {state}", _BY_RULE, now)]
            for page in session.scalars(waiting):
                page.state, page.next_at, page.why = PageState.FAILED, None, f"not sent any more: {why}"
                actions.append(page_action(session, page, PageState.FAILED, now, page.why))
            append(session, actions)
            return True

        return self._write(work)

    def drills(self, recipient_id: str | None = None, *, limit: int = 100) -> tuple[Drill, ...]:
        """Drills, of one recipient or all, the latest first."""
        query = select(Drill).order_by(Drill.started_at.desc(), Drill.drill_id).limit(limit)
        if recipient_id is not None:
            query = query.where(Drill.recipient_id == recipient_id)
        return self._read(lambda session: tuple(session.scalars(query)))


_BY_RULE = Actor(kind=ActorKind.RULE, id=BY_RULE)


def _new(drill_id: str, person: Recipient, steps: Sequence[Sequence[Channel]], now: datetime) -> Drill:
    return Drill(
        drill_id=drill_id,
        recipient_id=person.recipient_id,
        started_by=BY_RULE,
        started_at=now,
        steps=[",".join(step) for step in steps],
        step_at=now,
    )


def _begin(session: Session, drill: Drill, person: Recipient, by: Actor) -> tuple[Page, ...]:
    session.add(drill)
    session.flush()
    pages, actions = _queued(session, drill, person)
    append(session, [_action(drill, "begin drill", by, drill.started_at), *actions])
    return pages


def _queued(session: Session, drill: Drill, person: Recipient) -> tuple[tuple[Page, ...], list[Action]]:
    """The pages of the drill's step, put into the outbox."""
    pages = []
    for channel in _channels(drill)[drill.step]:
        key = drill_page_key(drill.drill_id, channel)
        page = Page(
            key=key,
            page_id=page_id_of(key),
            kind=PageKind.DRILL,
            recipient_id=person.recipient_id,
            role=person.role,
            channel=channel,
            level=Level.NORMAL,
            reason="a drill",
            due_at=drill.step_at,
            created_at=drill.step_at,
            next_at=drill.step_at,
        )
        session.add(page)
        pages.append(page)
    queued = [page_action(session, page, PageState.QUEUED, drill.step_at, drill.why) for page in pages]
    return tuple(pages), queued


def _channels(drill: Drill) -> list[list[Channel]]:
    return [[Channel(word) for word in step.split(",") if word] for step in drill.steps]


def _keys(drill: Drill) -> list[str]:
    return [drill_page_key(drill.drill_id, channel) for step in _channels(drill) for channel in step]


def _action(drill: Drill, action: str, by: Actor, at: datetime) -> Action:
    detail = {"recipient": drill.recipient_id, "step": drill.step, "why": drill.why}
    return Action(actor=by, action=action, subject=f"drill/{drill.drill_id}", at=at, detail=detail)


def _facts(session: Session, now: datetime) -> tuple[DrillFacts, ...]:
    """All in a handful of queries, however many people there are."""
    ways: dict[str, list[RecipientChannel]] = defaultdict(list)
    for way in session.scalars(select(RecipientChannel).order_by(RecipientChannel.step, RecipientChannel.id)):
        ways[way.recipient_id].append(way)
    duties: dict[str, list[Duty]] = defaultdict(list)
    for duty in session.scalars(select(Duty).where(Duty.until_at > now).order_by(Duty.from_at)):
        duties[duty.recipient_id].append(duty)
    running, last = _latest(session, now)
    guards, asked = _guards(session)
    busy = _busy(session, now)
    trips = {trip.vehicle_id: trip for trip in session.scalars(select(Trip).where(Trip.closed_at.is_(None)))}
    people = select(Recipient).where(Recipient.retired_at.is_(None), Recipient.role.is_not(None))
    return tuple(
        DrillFacts(
            known=KnownRecipient(
                recipient=person,
                ways=tuple(ways[person.recipient_id]),
                devices=(),
                duties=tuple(duties[person.recipient_id]),
            ),
            running=running.get(person.recipient_id),
            last=last.get(person.recipient_id),
            busy_with=busy.get(person.recipient_id),
            guards=person.recipient_id in guards,
            asked_at=asked.get(person.recipient_id),
            on_trip=person.role is Role.DRIVER and person.vehicle_id in trips,
            parked_at=_parked_at(trips.get(person.vehicle_id or "")),
        )
        for person in session.scalars(people.order_by(Recipient.recipient_id))
    )


def _parked_at(trip: Trip | None) -> datetime | None:
    return trip.situation_at if trip is not None and trip.situation in STANDS else None


def _latest(session: Session, now: datetime) -> tuple[dict[str, Drill], dict[str, Drill]]:
    """Each person's drill that runs, and the latest one that told something."""
    query = select(Drill).where(or_(Drill.state == DrillState.RUNNING, Drill.started_at > now - KEPT))
    running, last = {}, {}
    for drill in session.scalars(query.order_by(Drill.started_at, Drill.drill_id)):
        if drill.state is DrillState.RUNNING:
            running[drill.recipient_id] = drill
        elif drill.state is not DrillState.PUT_OFF:
            last[drill.recipient_id] = drill
    return running, last


def _guards(session: Session) -> tuple[set[str], dict[str, datetime]]:
    """Who is a guardian or was asked to be; and when those who have not answered were asked."""
    guards, asked = set(), {}
    query = select(Guardian).where(Guardian.ended_at.is_(None)).order_by(Guardian.proposed_at)
    for guardian in session.scalars(query):
        guards.add(guardian.recipient_id)
        if guardian.accepted_at is None:
            asked[guardian.recipient_id] = guardian.proposed_at
    return guards, asked


def _busy(session: Session, now: datetime) -> dict[str, str]:
    """Who may be paged about an open incident, or works on one; and which."""
    paged = (
        select(CaseRecipient.recipient_id, func.min(Incident.incident_id))
        .join(Incident, Incident.incident_id == CaseRecipient.case_id)
        .where(Incident.state == IncidentState.OPEN)
        .where(or_(CaseRecipient.until_at.is_(None), CaseRecipient.until_at > now))
        .group_by(CaseRecipient.recipient_id)
    )
    working = (
        select(Recipient.recipient_id, func.min(Incident.incident_id))
        .join(Incident, Incident.assigned_to == Recipient.account_id)
        .where(Incident.state == IncidentState.OPEN)
        .group_by(Recipient.recipient_id)
    )
    return {row[0]: row[1] for query in (paged, working) for row in session.execute(query)}
