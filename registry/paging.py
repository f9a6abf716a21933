"""Planning whom to page about an incident: what happened and who may be told go in, pages come out, in one transaction.

What is due is decided by the caller's pure `decide`. Here it is made sure that it sees everything in one order, that
nothing bears upon what was planned before, and that each page is kept once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from registry.audit import append
from registry.audit_records import AuditRow
from registry.errors import NotFoundError
from registry.incident_records import Incident, IncidentAlert
from registry.incidents import CaseEventKind, Incidents
from registry.kinds import IncidentState, Level, Role
from registry.outbox import page_action, page_id_of
from registry.paging_kinds import Channel, PageKind, PageState
from registry.paging_records import (
    CaseHappening,
    CaseRecipient,
    Duty,
    Guardian,
    Page,
    PagingCase,
    Recipient,
    RecipientChannel,
)
from registry.records import Alert, Gateway

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from sqlalchemy.orm import Session

    from registry.audit import Action
    from registry.incidents import CaseEvent
    from telemetry.samples import Provenance

SHOWN = "shown"
FLAGGED = "flagged"
"""Kinds of happening besides those of `CaseEventKind`."""
ALWAYS = "always"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_NEWS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Another system that is told what happens."""

    recipient_id: str
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFacts:
    """What is decided upon."""

    case_id: str
    recipients: tuple[CaseRecipient, ...]
    happenings: tuple[CaseHappening, ...]
    """All, in order."""
    fresh: tuple[CaseHappening, ...]
    """Those that nobody has decided upon yet."""
    systems: tuple[System, ...]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PageDraft:
    """A page that is due."""

    key: str
    kind: PageKind
    recipient_id: str
    role: Role | None
    channel: Channel
    level: Level
    reason: str
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is due up to now."""

    pages: tuple[PageDraft, ...]
    """Those that are kept already may be among them."""
    notices: tuple[str, ...]
    next_at: datetime | None
    """When the next page is due if nothing happens."""
    answered: tuple[tuple[Role, Level], ...] = ()
    """Roles whose pages, up to the level, need not be tried any more."""
    closed: bool = False
    """No page of the case need be tried any more."""


class Paging(Incidents):
    """Planning pages."""

    def cases_to_plan(self) -> tuple[str, ...]:
        """Incidents that are open, or whose next page is still to come: all that may need a plan at the start."""
        query = (
            select(Incident.incident_id)
            .outerjoin(PagingCase, PagingCase.case_id == Incident.incident_id)
            .where(or_(Incident.state == IncidentState.OPEN, PagingCase.next_at.is_not(None)))
            .order_by(Incident.opened_at)
        )
        return self._read(lambda session: tuple(session.scalars(query)))

    def cases_due(self, now: datetime) -> tuple[str, ...]:
        """Incidents whose next page is due by now."""
        query = select(PagingCase.case_id).where(PagingCase.next_at <= now)
        return self._read(lambda session: tuple(session.scalars(query)))

    def next_case_at(self) -> datetime | None:
        """When the next page of any incident is due."""
        return self._read(lambda session: session.scalar(select(func.min(PagingCase.next_at))))

    def case_news(self, after: int) -> tuple[int, tuple[str, ...]]:
        """How far the audit log goes, and the incidents about which it says something new after row `after`.

        The log's rows are in the order in which their transactions ended, so nothing is ever passed by.
        """

        def work(session: Session) -> tuple[int, tuple[str, ...]]:
            query = (
                select(AuditRow.sequence, AuditRow.subject)
                .where(AuditRow.sequence > after)
                .order_by(AuditRow.sequence)
                .limit(_NEWS_AT_ONCE)
            )
            rows = session.execute(query).all()
            subjects: dict[str, set[str]] = {}
            for row in rows:
                kind, _, name = row.subject.partition("/")
                subjects.setdefault(kind, set()).add(name)
            end = rows[-1].sequence if rows else after
            return end, tuple(_concerned(session, subjects))

        return self._read(work)

    def case_facts(self, case_id: str) -> CaseFacts:
        """What was decided upon last about an incident. Raises NotFoundError."""

        def work(session: Session) -> CaseFacts:
            case = session.get(PagingCase, case_id)
            if case is None:
                raise NotFoundError(f"nobody was ever to be paged about incident {case_id!r}")
            recipients = select(CaseRecipient).where(CaseRecipient.case_id == case_id).order_by(CaseRecipient.id)
            return CaseFacts(
                case_id=case_id,
                recipients=tuple(session.scalars(recipients)),
                happenings=_happenings(session, case_id),
                fresh=(),
                systems=(),
                now=case.planned_at,
            )

        return self._read(work)

    def plan_cases(
        self,
        case_ids: Sequence[str],
        now: datetime,
        decide: Callable[[CaseFacts], Decision],
        *,
        from_level: Level,
        provenances: Collection[Provenance],
    ) -> int:
        """Plan incidents up to now, in one transaction; returns how many pages are new.

        Nothing is done below `from_level`, for what is of no such provenance, and for what nobody knows.
        """
        events = {case_id: self.case_events(case_id) for case_id in case_ids}

        def work(session: Session) -> int:
            people, new = _People(session), 0
            actions: list[Action] = []
            for case_id in sorted(events):
                incident = session.get_one(Incident, case_id)
                if incident.provenance not in provenances:
                    continue
                case = _locked(session, case_id)
                if case is None:
                    if not _rises_to(events[case_id], from_level):
                        continue
                    case = _made(session, case_id)
                first = case.planned_at == _BEGINNING
                facts = _facts(people, incident, case, events[case_id], max(now, case.planned_at))
                decision = decide(facts)
                case.planned_at, case.next_at = facts.now, decision.next_at
                case.notices = list(dict.fromkeys(decision.notices))
                kept = _keep(session, case_id, decision, facts.now, first=first)
                new += kept[0]
                actions += kept[1]
            append(session, actions)
            return new

        return self._write(work)


class _People:
    """Recipients and their ways, asked for once in a transaction."""

    def __init__(self, session: Session) -> None:
        self.session = session
        query = select(Recipient).where(Recipient.retired_at.is_(None)).order_by(Recipient.recipient_id)
        self._all = session.scalars(query).all()
        steps: dict[str, dict[int, list[str]]] = {}
        for way in session.scalars(select(RecipientChannel).order_by(RecipientChannel.step, RecipientChannel.id)):
            steps.setdefault(way.recipient_id, {}).setdefault(way.step, []).append(way.channel)
        open_ones = select(Guardian).where(Guardian.accepted_at.is_not(None), Guardian.ended_at.is_(None))
        self._guardians = {each.vehicle_id: each.recipient_id for each in session.scalars(open_ones)}
        self._ways = {name: [",".join(channels) for channels in mine.values()] for name, mine in steps.items()}

    def of_fleet(self, fleet_id: str) -> Iterator[tuple[Recipient, list[str]]]:
        """Those who have a way and may hear of the fleet, each with one text a step."""
        for person in self._all:
            ways = self._ways.get(person.recipient_id)
            if ways and person.fleet_id in {None, fleet_id}:
                yield person, ways

    def guardians(self, vehicles: Collection[str]) -> set[str]:
        """Who is in charge of them."""
        return {self._guardians[vehicle_id] for vehicle_id in vehicles if vehicle_id in self._guardians}

    def unreachable(self) -> Iterator[Recipient]:
        """Those who are flagged."""
        return (person for person in self._all if person.unreachable_why is not None)

    def duties(self, person: Recipient, now: datetime) -> Sequence[Duty]:
        """Times on the roster that are not over."""
        query = select(Duty).where(Duty.recipient_id == person.recipient_id, Duty.until_at > now)
        return self.session.scalars(query.order_by(Duty.from_at)).all()


def _facts(
    people: _People, incident: Incident, case: PagingCase, events: Sequence[CaseEvent], now: datetime
) -> CaseFacts:
    session = people.session
    first = case.planned_at == _BEGINNING
    fresh = _take_notice(people, case, events, now)
    recipients = _merged(session, incident, case, now, people)
    return CaseFacts(
        case_id=case.case_id,
        recipients=recipients,
        happenings=tuple(fresh) if first else _happenings(session, case.case_id),
        fresh=tuple(fresh),
        systems=_systems(incident, people),
        now=now,
    )


def _concerned(session: Session, subjects: dict[str, set[str]]) -> Iterator[str]:
    """The incidents that these subjects of the audit log are about."""
    found: dict[str, None] = dict.fromkeys(subjects.get("incident", ()))
    for alerts in _chunks(subjects.get("alert", set())):
        query = select(IncidentAlert.incident_id).where(IncidentAlert.alert_id.in_(alerts)).distinct()
        found |= dict.fromkeys(session.scalars(query))
    for pages in _chunks(subjects.get("page", set())):
        answered = select(Page.case_id).where(Page.page_id.in_(pages), Page.shown_at.is_not(None)).distinct()
        found |= {case_id: None for case_id in session.scalars(answered) if case_id is not None}
    if subjects.keys() & {"recipient", "guardian"}:
        open_ones = select(Incident.incident_id).where(Incident.state == IncidentState.OPEN)
        found |= dict.fromkeys(session.scalars(open_ones))
    yield from found


def _chunks(names: set[str]) -> Iterator[list[str]]:
    ordered = sorted(names)
    for first in range(0, len(ordered), 500):
        yield ordered[first : first + 500]


def _rises_to(events: Iterable[CaseEvent], level: Level) -> bool:
    return any(each.kind is CaseEventKind.RAISED and each.level.rank >= level.rank for each in events)


def _locked(session: Session, case_id: str) -> PagingCase | None:
    return session.get(PagingCase, case_id, with_for_update=True)


def _made(session: Session, case_id: str) -> PagingCase:
    make = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = {"case_id": case_id, "planned_at": _BEGINNING, "notices": []}
    session.execute(make(PagingCase).values(row).on_conflict_do_nothing())
    return session.get_one(PagingCase, case_id, with_for_update=True)


def _take_notice(people: _People, case: PagingCase, events: Sequence[CaseEvent], now: datetime) -> list[CaseHappening]:
    """Keep what is new, in order, each not before what was planned already."""
    session, first, fresh = people.session, case.planned_at == _BEGINNING, []
    known: set[str] = set()
    wanted = [*_of_events(case.case_id, events)]
    if not first:
        known |= set(session.scalars(select(CaseHappening.source).where(CaseHappening.case_id == case.case_id)))
        wanted += _of_pages(session, case.case_id)
    for happening in sorted(wanted, key=lambda each: each.at):
        if happening.source not in known:
            happening.at = min(max(happening.at, case.planned_at), now)
            fresh.append(happening)
    if first:
        fresh += [_flag(case.case_id, person, 0, now) for person in people.unreachable()]
    else:
        fresh += _of_flags(session, case.case_id, now)
    session.add_all(fresh)
    session.flush()
    return fresh


def _of_events(case_id: str, events: Sequence[CaseEvent]) -> Iterator[CaseHappening]:
    """Two that say the same are told apart by counting."""
    counts: dict[str, int] = {}
    for event in events:
        told = f"{event.at.isoformat()}/{event.kind}/{event.role}/{event.level}/{event.pack_id}"
        counts[told] = counts.get(told, 0) + 1
        yield CaseHappening(
            case_id=case_id,
            source=hashlib.sha256(f"{told}/{counts[told]}".encode()).hexdigest(),
            at=event.at,
            kind=event.kind,
            role=event.role,
            level=event.level,
            regarding=event.pack_id,
        )


def _of_pages(session: Session, case_id: str) -> Iterator[CaseHappening]:
    query = select(Page).where(Page.case_id == case_id, Page.shown_at.is_not(None))
    for page in session.scalars(query):
        if page.shown_at is not None:
            yield CaseHappening(
                case_id=case_id, source=f"shown {page.page_id}", at=page.shown_at, kind=SHOWN, regarding=page.key
            )


def _of_flags(session: Session, case_id: str, now: datetime) -> Iterator[CaseHappening]:
    """Who cannot be reached now, where that is another answer than the last one."""
    query = (
        select(CaseHappening)
        .where(CaseHappening.case_id == case_id, CaseHappening.kind == FLAGGED)
        .order_by(CaseHappening.id)
    )
    last = {each.regarding: each for each in session.scalars(query)}
    of_case = select(CaseRecipient.recipient_id).where(CaseRecipient.case_id == case_id)
    people = select(Recipient).where(or_(Recipient.recipient_id.in_(of_case), Recipient.unreachable_why.is_not(None)))
    for person in session.scalars(people.order_by(Recipient.recipient_id)):
        before = last.get(person.recipient_id)
        if (None if before is None else before.why) != person.unreachable_why:
            yield _flag(case_id, person, 0 if before is None else before.id, now)


def _flag(case_id: str, person: Recipient, before: int, now: datetime) -> CaseHappening:
    return CaseHappening(
        case_id=case_id,
        source=hashlib.sha256(f"flag/{before}/{person.recipient_id}".encode()).hexdigest(),
        at=now,
        kind=FLAGGED,
        regarding=person.recipient_id,
        why=person.unreachable_why,
    )


def _happenings(session: Session, case_id: str) -> tuple[CaseHappening, ...]:
    query = select(CaseHappening).where(CaseHappening.case_id == case_id).order_by(CaseHappening.at, CaseHappening.id)
    return tuple(session.scalars(query))


def _merged(
    session: Session, incident: Incident, case: PagingCase, now: datetime, people: _People
) -> tuple[CaseRecipient, ...]:
    """The case's recipients: who is new is added from now on, and who is gone is ended now."""
    query = select(CaseRecipient).where(CaseRecipient.case_id == case.case_id).order_by(CaseRecipient.id)
    first = case.planned_at == _BEGINNING
    rows = () if first else session.scalars(query)
    kept = {(each.recipient_id, each.role, each.source): each for each in rows}
    wanted = {(each.recipient_id, each.role, each.source): each for each in _wanted(session, incident, now, people)}
    for key, row in kept.items():
        if key in wanted:
            row.channels = wanted[key].channels
            if row.until_at is not None and row.until_at <= now and wanted[key].until_at is None:
                row.until_at = None  # who was gone is back
        elif row.until_at is None or row.until_at > now:
            row.until_at = now
    for key, row in wanted.items():
        if key not in kept:
            if not first:
                row.from_at = now if row.from_at is None else max(row.from_at, now)
            if row.until_at is None or row.from_at is None or row.until_at > row.from_at:
                session.add(row)
                kept[key] = row
    session.flush()
    return tuple(kept.values())


def _wanted(session: Session, incident: Incident, now: datetime, people: _People) -> Iterator[CaseRecipient]:
    """Who may be paged about the incident, as the registry knows it now."""
    vehicles = _vehicles(session, incident)
    guardians = people.guardians(vehicles)
    for person, ways in people.of_fleet(incident.fleet_id):
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
        for duty in people.duties(person, now):
            row = _case_recipient(incident, person, person.role, str(duty.id), ways)
            row.from_at, row.until_at = duty.from_at, duty.until_at
            yield row


def _case_recipient(incident: Incident, person: Recipient, role: Role, source: str, ways: list[str]) -> CaseRecipient:
    return CaseRecipient(
        case_id=incident.incident_id, recipient_id=person.recipient_id, role=role, source=source, channels=ways
    )


def _vehicles(session: Session, incident: Incident) -> set[str]:
    query = (
        select(Gateway.vehicle_id)
        .join(Alert, Alert.gateway_id == Gateway.gateway_id)
        .join(IncidentAlert, IncidentAlert.alert_id == Alert.alert_id)
        .where(IncidentAlert.incident_id == incident.incident_id)
    )
    return {vehicle_id for vehicle_id in [incident.vehicle_id, *session.scalars(query)] if vehicle_id is not None}


def _systems(incident: Incident, people: _People) -> tuple[System, ...]:
    return tuple(
        System(recipient_id=each.recipient_id, channels=tuple(Channel(word) for way in ways for word in way.split(",")))
        for each, ways in people.of_fleet(incident.fleet_id)
        if each.role is None
    )


def _keep(
    session: Session, case_id: str, decision: Decision, now: datetime, *, first: bool
) -> tuple[int, list[Action]]:
    """Keep the pages that are new, and give up those that nobody waits for; how many are new, and what to log."""
    known = set() if first else set(session.scalars(select(Page.key).where(Page.case_id == case_id)))
    drafts = {draft.key: draft for draft in decision.pages if draft.key not in known}
    actions = []
    for draft in drafts.values():
        page = Page(
            key=draft.key,
            page_id=page_id_of(draft.key),
            kind=draft.kind,
            case_id=case_id,
            recipient_id=draft.recipient_id,
            role=draft.role,
            channel=draft.channel,
            level=draft.level,
            reason=draft.reason,
            due_at=draft.due_at,
            created_at=now,
            next_at=now,
        )
        session.add(page)
        actions.append(page_action(session, page, PageState.QUEUED, now, draft.reason))
    answered = dict(decision.answered)
    if decision.closed or answered:
        waiting = (
            select(Page)
            .where(Page.case_id == case_id, Page.kind == PageKind.ALERT, Page.state == PageState.QUEUED)
            .where(Page.key.in_(known))
            .order_by(Page.key)
            .with_for_update()  # a sender may be taking one: then it is not queued any more
            .execution_options(populate_existing=True)
        )
        for page in session.scalars(waiting):
            level = None if page.role is None else answered.get(page.role)
            if decision.closed or (level is not None and level.rank >= page.level.rank):
                why = "the case was closed" if decision.closed else f"the {page.role} had acknowledged"
                page.state, page.next_at, page.why = PageState.FAILED, None, f"not sent any more: {why}"
                actions.append(page_action(session, page, PageState.FAILED, now, page.why))
    session.flush()
    return len(drafts), actions
