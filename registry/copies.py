"""What pages people, read out for a copy that serves while this registry is away; and what it sent, taken in.

Rows are read and kept as they are. Pages that the copy sent are known by their keys, which are the same here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select, update

from registry.audit import Action, append
from registry.audit_records import AuditRow
from registry.database import Database
from registry.incident_records import Incident, IncidentAlert, IncidentEvent, IncidentKey
from registry.kinds import IncidentState
from registry.outbox import page_action
from registry.paging_kinds import PageKind, PageState
from registry.paging_records import (
    CaseHappening,
    CaseRecipient,
    Duty,
    Guardian,
    Page,
    PageEvent,
    PagingCase,
    PushDevice,
    Recipient,
    RecipientChannel,
)
from registry.records import Alert, AlertEvent, Base, Fleet, Gateway, Revision, Shipment, ShipmentPack, Vehicle

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import InstrumentedAttribute, Session

    Rows = dict[type[Base], Sequence[dict[str, Any]]]

DIRECTORY = (
    Fleet,
    Vehicle,
    Gateway,
    Recipient,
    RecipientChannel,
    PushDevice,
    Duty,
    Guardian,
    Shipment,
    ShipmentPack,
)
"""Whom to page on which way, and what tells to which incident an alert belongs."""
BY_CASE: tuple[tuple[type[Base], InstrumentedAttribute[Any]], ...] = (
    (Incident, Incident.incident_id),
    (IncidentAlert, IncidentAlert.incident_id),
    (IncidentEvent, IncidentEvent.incident_id),
    (IncidentKey, IncidentKey.incident_id),
    (PagingCase, PagingCase.case_id),
    (CaseRecipient, CaseRecipient.case_id),
    (CaseHappening, CaseHappening.case_id),
    (Page, Page.case_id),
)
BY_ALERT: tuple[tuple[type[Base], InstrumentedAttribute[Any]], ...] = (
    (Alert, Alert.alert_id),
    (AlertEvent, AlertEvent.alert_id),
)
CLOSED_KEPT = timedelta(days=15)
"""A closed incident may open again for 14 days (alerts/life.toml), a day for clocks that differ."""
NEWS_AT_ONCE = 5_000
_AWAY = "registry away"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyNews:
    """What a copy lacks."""

    end: int
    """How far the audit log was read."""
    revision: int
    cases: tuple[str, ...]
    """Incidents of which something changed."""
    directory: bool
    """Whether people, ways, duties or vehicles may have changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPage:
    """A page that the copy tried to hand over, with the steps that it took there."""

    page: Page
    events: tuple[PageEvent, ...]


class Copies(Database):
    """Reading for a copy, and taking in what it sent."""

    def copy_news(self, after: int, revision: int) -> CopyNews:
        """What changed since the audit log's row `after` and the registry's `revision`."""

        def work(session: Session) -> CopyNews:
            query = select(AuditRow.sequence, AuditRow.subject).where(AuditRow.sequence > after)
            rows = session.execute(query.order_by(AuditRow.sequence).limit(NEWS_AT_ONCE)).all()
            subjects: dict[str, set[str]] = {}
            for row in rows:
                kind, _, name = row.subject.partition("/")
                subjects.setdefault(kind, set()).add(name)
            newest = session.scalars(select(Revision.number)).one_or_none() or 0
            return CopyNews(
                end=rows[-1].sequence if rows else after,
                revision=newest,
                cases=tuple(sorted(_cases(session, subjects))),
                directory=newest != revision or bool(subjects.keys() - {"incident", "alert", "page"}),
            )

        return self._read(work)

    def cases_to_copy(self, now: datetime, fleets: Collection[str]) -> tuple[str, ...]:
        """Incidents that are open, or may open again, of these fleets; none named: of all. The newest first."""
        query = select(Incident.incident_id).where(
            or_(Incident.state == IncidentState.OPEN, Incident.closed_at > now - CLOSED_KEPT)
        )
        if fleets:
            query = query.where(Incident.fleet_id.in_(fleets))
        return self._read(lambda session: tuple(session.scalars(query.order_by(Incident.opened_at.desc()))))

    def directory_rows(self) -> Rows:
        """All of the directory; of shipments, those that are open."""
        opened = select(Shipment.shipment_id).where(Shipment.closed_at.is_(None))
        only = {Shipment: Shipment.closed_at.is_(None), ShipmentPack: ShipmentPack.shipment_id.in_(opened)}
        return self._read(lambda session: {table: _rows(session, table, only.get(table)) for table in DIRECTORY})

    def case_rows(self, case_ids: Sequence[str], fleets: Collection[str]) -> Rows:
        """All that belongs to incidents, as far as they are of these fleets. Pages: what escalation says only."""

        def work(session: Session) -> Rows:
            mine = select(Incident.incident_id).where(Incident.incident_id.in_(case_ids))
            if fleets:
                mine = mine.where(Incident.fleet_id.in_(fleets))
            ids = session.scalars(mine).all()
            rows = {table: _rows(session, table, column.in_(ids)) for table, column in BY_CASE}
            rows[Page] = [row for row in rows[Page] if row["kind"] is PageKind.ALERT]
            alerts = [row["alert_id"] for row in rows[IncidentAlert]]
            return rows | {table: _rows(session, table, column.in_(alerts)) for table, column in BY_ALERT}

        return self._read(work)

    def enter_pages(self, sent: Sequence[SentPage]) -> None:
        """Take in what a copy sent. The same again changes nothing; what went out on both sides may have come twice."""

        def work(session: Session) -> None:
            actions: list[Action] = []
            for each in sorted(sent, key=lambda one: one.page.key):
                actions += _entered(session, each)
            # That it can be written to is asked also where nothing was sent.
            session.execute(update(Page).where(Page.key == "").values(key=""))
            append(session, actions)

        self._write(work)


def _entered(session: Session, sent: SentPage) -> list[Action]:
    theirs = sent.page
    page = session.get(Page, theirs.key, with_for_update=True)
    known: set[tuple[datetime, PageState]] = set()
    if page is None:
        page = Page(**{column.key: getattr(theirs, column.key) for column in Page.__table__.columns})
        session.add(page)
        session.flush()
    else:
        query = select(PageEvent.at, PageEvent.state).where(PageEvent.key == page.key)
        known = {(row.at, row.state) for row in session.execute(query)}
        tried = page.handed_over_at is not None and (page.handed_over_at, PageState.HANDED_OVER) in {
            (event.at, event.state) for event in sent.events
        }
        if page.state is PageState.QUEUED or (tried and page.state is PageState.HANDED_OVER):
            for name in _TRIED:
                setattr(page, name, getattr(theirs, name))
        elif tried:  # shown meanwhile
            page.accepted_at = theirs.accepted_at
        else:
            page.may_repeat = True
    return [
        page_action(session, page, event.state, event.at, f"{_AWAY}: {event.detail}" if event.detail else _AWAY)
        for event in sent.events
        if (event.at, event.state) not in known
    ]


_TRIED = (
    "state",
    "attempts",
    "next_at",
    "why",
    "may_repeat",
    "message_id",
    "holder",
    "handed_over_at",
    "accepted_at",
)


def _cases(session: Session, subjects: dict[str, set[str]]) -> set[str]:
    found = set(subjects.get("incident", ()))
    of_alerts = select(IncidentAlert.incident_id).distinct()
    of_pages = select(Page.case_id).where(Page.case_id.is_not(None)).distinct()
    for kind, query, column in (("alert", of_alerts, IncidentAlert.alert_id), ("page", of_pages, Page.page_id)):
        names = sorted(subjects.get(kind, ()))
        for first in range(0, len(names), 500):
            found |= set(session.scalars(query.where(column.in_(names[first : first + 500]))))
    return found


def _rows(session: Session, table: type[Base], where: ColumnElement[bool] | None = None) -> list[dict[str, Any]]:
    query = select(table.__table__)
    if where is not None:
        query = query.where(where)
    return [dict(row) for row in session.execute(query).mappings()]
