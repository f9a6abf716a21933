"""Which incidents are to be planned, and planning whom to page about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select

from registry.audit_records import AuditRow
from registry.errors import NotFoundError
from registry.incident_records import Incident, IncidentAlert
from registry.incidents import Incidents
from registry.kinds import IncidentState
from registry.paging_facts import CaseFacts
from registry.paging_records import CaseHappening, CaseRecipient, Page, PagingCase
from registry.planning import Planning, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from registry.kinds import Level
    from registry.paging_facts import Decision
    from telemetry.samples import Provenance

_NEWS_AT_ONCE = 5_000


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
            happenings = select(CaseHappening).where(CaseHappening.case_id == case_id)
            return CaseFacts(
                case_id=case_id,
                recipients=tuple(session.scalars(recipients)),
                happenings=tuple(session.scalars(happenings.order_by(CaseHappening.at, CaseHappening.id))),
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
        events = self.events_of_cases(case_ids)
        planning = Planning(now=now, decide=decide, from_level=from_level, provenances=provenances)
        return self._write(lambda session: plan(session, events, planning))


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
