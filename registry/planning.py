"""Planning many incidents in one transaction: the database is asked as often for fifty of them as for one.

What is due is decided by the caller's pure `decide`. Here it is made sure that it sees everything in one order, that
nothing bears upon what was planned before, and that each page is kept once.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from registry.audit import append
from registry.incident_records import Incident, IncidentAlert
from registry.incidents import CaseEventKind
from registry.outbox import page_action, page_id_of
from registry.paging_facts import FLAGGED, SHOWN, CaseFacts
from registry.paging_kinds import PageKind, PageState
from registry.paging_people import People
from registry.paging_records import CaseHappening, CaseRecipient, Page, PagingCase
from registry.records import Alert, Gateway

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.orm import Session

    from registry.audit import Action
    from registry.incidents import CaseEvent
    from registry.kinds import Level
    from registry.paging_facts import Decision, PageDraft
    from registry.paging_records import Recipient
    from telemetry.samples import Provenance

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """What a round of planning goes by."""

    now: datetime
    decide: Callable[[CaseFacts], Decision]
    from_level: Level
    """What never rose to it makes no case."""
    provenances: Collection[Provenance]
    """Only incidents of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the registry has about cases, by the case's id."""

    happenings: Mapping[str, list[CaseHappening]]
    """In order."""
    recipients: Mapping[str, list[CaseRecipient]]
    pages: Mapping[str, dict[str, tuple[str, datetime | None]]]
    """By key: what receivers call it, and when it was shown."""


def plan(session: Session, events: Mapping[str, Sequence[CaseEvent]], planning: Planning) -> int:
    """Plan these incidents as the last steps of a transaction; returns how many pages are new."""
    of_provenances = Incident.incident_id.in_(events), Incident.provenance.in_(planning.provenances)
    incidents = {each.incident_id: each for each in session.scalars(select(Incident).where(*of_provenances))}
    cases = _locked(session, {name: events[name] for name in incidents}, planning.from_level)
    if not cases:
        return 0
    known = _known(session, cases)  # of new ones too: pages that were sent while the registry was away come first
    people, vehicles = People(session, planning.now), _vehicles(session, cases)
    fresh, recipients, now = {}, {}, {}
    for case_id, case in cases.items():
        now[case_id] = max(planning.now, case.planned_at)
        fresh[case_id] = list(_fresh(case, events[case_id], known, people, now[case_id]))
        wanted = people.wanted(incidents[case_id], vehicles[case_id], now[case_id])
        recipients[case_id] = _merged(case, wanted, known, now[case_id])
        session.add_all(fresh[case_id])
        session.add_all(recipients[case_id])
    session.flush()  # what is fresh gets its number
    decisions = {}
    for case_id, case in cases.items():
        happenings = sorted([*known.happenings[case_id], *fresh[case_id]], key=lambda each: each.at)
        decisions[case_id] = planning.decide(
            CaseFacts(
                case_id=case_id,
                recipients=tuple(recipients[case_id]),
                happenings=tuple(happenings),
                fresh=tuple(fresh[case_id]),
                systems=people.systems(incidents[case_id]),
                now=now[case_id],
            )
        )
        case.planned_at, case.next_at = now[case_id], decisions[case_id].next_at
        case.notices = list(dict.fromkeys(decisions[case_id].notices))
    actions = list(_given_up(session, decisions, now))
    drafts = {
        draft.key: (case_id, draft)
        for case_id, decision in decisions.items()
        for draft in decision.pages
        if draft.key not in known.pages[case_id]
    }
    pages = [_page(case_id, draft, now[case_id]) for case_id, draft in drafts.values()]
    session.add_all(pages)
    actions += [page_action(session, page, PageState.QUEUED, page.created_at, page.reason) for page in pages]
    append(session, actions)
    return len(pages)


def _locked(session: Session, events: Mapping[str, Sequence[CaseEvent]], from_level: Level) -> dict[str, PagingCase]:
    """The cases' rows, by id; made for incidents that rose to the level and have none."""
    cases = _lock(session, events)
    new = sorted(name for name in events if name not in cases and _rises_to(events[name], from_level))
    if new:
        make = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        rows = [{"case_id": case_id, "planned_at": _BEGINNING, "notices": []} for case_id in new]
        session.execute(make(PagingCase).values(rows).on_conflict_do_nothing())
        cases |= _lock(session, new)
    return dict(sorted(cases.items()))


def _lock(session: Session, case_ids: Collection[str]) -> dict[str, PagingCase]:
    query = select(PagingCase).where(PagingCase.case_id.in_(case_ids)).order_by(PagingCase.case_id).with_for_update()
    return {case.case_id: case for case in session.scalars(query)}


def _rises_to(events: Iterable[CaseEvent], level: Level) -> bool:
    return any(each.kind is CaseEventKind.RAISED and each.level.rank >= level.rank for each in events)


def _known(session: Session, case_ids: Collection[str]) -> _Known:
    happenings: dict[str, list[CaseHappening]] = defaultdict(list)
    recipients: dict[str, list[CaseRecipient]] = defaultdict(list)
    pages: dict[str, dict[str, tuple[str, datetime | None]]] = defaultdict(dict)
    if case_ids:
        for happening in session.scalars(
            select(CaseHappening)
            .where(CaseHappening.case_id.in_(case_ids))
            .order_by(CaseHappening.at, CaseHappening.id)
        ):
            happenings[happening.case_id].append(happening)
        mine = select(CaseRecipient).where(CaseRecipient.case_id.in_(case_ids)).order_by(CaseRecipient.id)
        for recipient in session.scalars(mine):
            recipients[recipient.case_id].append(recipient)
        for row in session.execute(
            select(Page.case_id, Page.key, Page.page_id, Page.shown_at).where(Page.case_id.in_(case_ids))
        ):
            pages[row.case_id][row.key] = row.page_id, row.shown_at
    return _Known(happenings=happenings, recipients=recipients, pages=pages)


def _vehicles(session: Session, cases: Collection[str]) -> dict[str, set[str]]:
    """Of each case, the vehicles that its alerts and its incident are about."""
    found: dict[str, set[str]] = {case_id: set() for case_id in cases}
    of_alerts = (
        select(IncidentAlert.incident_id, Gateway.vehicle_id)
        .join(Alert, Alert.alert_id == IncidentAlert.alert_id)
        .join(Gateway, Gateway.gateway_id == Alert.gateway_id)
        .where(IncidentAlert.incident_id.in_(cases), Gateway.vehicle_id.is_not(None))
        .distinct()
    )
    of_incidents = select(Incident.incident_id, Incident.vehicle_id).where(
        Incident.incident_id.in_(cases), Incident.vehicle_id.is_not(None)
    )
    for incident_id, vehicle_id in [*session.execute(of_alerts), *session.execute(of_incidents)]:
        found[incident_id].add(vehicle_id)
    return found


def _fresh(
    case: PagingCase, events: Sequence[CaseEvent], known: _Known, people: People, now: datetime
) -> Iterator[CaseHappening]:
    """What is new, in order, each not before what was planned already."""
    before = known.happenings[case.case_id]
    sources = {each.source for each in before}
    happenings = [*_of_events(case.case_id, events), *_of_pages(case.case_id, known)]
    for happening in sorted(happenings, key=lambda each: each.at):
        if happening.source not in sources:
            happening.at = min(max(happening.at, case.planned_at), now)
            yield happening
    if case.planned_at == _BEGINNING:
        yield from (_flag(case.case_id, person, 0, now) for person in people.unreachable())
    else:
        names = {each.recipient_id for each in known.recipients[case.case_id]}
        yield from _of_flags(case.case_id, before, people.flagged_or_among(names), now)


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


def _of_pages(case_id: str, known: _Known) -> Iterator[CaseHappening]:
    for key, (page_id, shown_at) in known.pages[case_id].items():
        if shown_at is not None:
            yield CaseHappening(case_id=case_id, source=f"shown {page_id}", at=shown_at, kind=SHOWN, regarding=key)


def _of_flags(
    case_id: str, before: Sequence[CaseHappening], people: Iterable[Recipient], now: datetime
) -> Iterator[CaseHappening]:
    """Who cannot be reached now, where that is another answer than the last one."""
    flags = sorted((each for each in before if each.kind == FLAGGED), key=lambda each: each.id)
    last = {each.regarding: each for each in flags}
    for person in people:
        told = last.get(person.recipient_id)
        if (None if told is None else told.why) != person.unreachable_why:
            yield _flag(case_id, person, 0 if told is None else told.id, now)


def _flag(case_id: str, person: Recipient, before: int, now: datetime) -> CaseHappening:
    return CaseHappening(
        case_id=case_id,
        source=hashlib.sha256(f"flag/{before}/{person.recipient_id}".encode()).hexdigest(),
        at=now,
        kind=FLAGGED,
        regarding=person.recipient_id,
        why=person.unreachable_why,
    )


def _merged(case: PagingCase, mine: Iterable[CaseRecipient], known: _Known, now: datetime) -> list[CaseRecipient]:
    """The case's recipients: who is new is added from now on, and who is gone is ended now."""
    first = case.planned_at == _BEGINNING
    kept = {(each.recipient_id, each.role, each.source): each for each in known.recipients[case.case_id]}
    wanted = {(each.recipient_id, each.role, each.source): each for each in mine}
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
                kept[key] = row
    return list(kept.values())


def _given_up(session: Session, decisions: Mapping[str, Decision], now: Mapping[str, datetime]) -> Iterator[Action]:
    """Give up the pages that nobody waits for any more."""
    over = [case_id for case_id, decision in decisions.items() if decision.closed or decision.answered]
    if not over:
        return
    waiting = (
        select(Page)
        .where(Page.case_id.in_(over), Page.kind == PageKind.ALERT, Page.state == PageState.QUEUED)
        .order_by(Page.key)
        .with_for_update()  # a sender may be taking one: then it is not queued any more
    )
    for page in session.scalars(waiting):
        case_id = page.case_id or ""
        decision = decisions[case_id]
        level = None if page.role is None else dict(decision.answered).get(page.role)
        if decision.closed or (level is not None and level.rank >= page.level.rank):
            why = "the case was closed" if decision.closed else f"the {page.role} had acknowledged"
            page.state, page.next_at, page.why = PageState.FAILED, None, f"not sent any more: {why}"
            yield page_action(session, page, PageState.FAILED, now[case_id], page.why)


def _page(case_id: str, draft: PageDraft, now: datetime) -> Page:
    return Page(
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
