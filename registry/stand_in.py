"""The copy that pages people while the registry is away: a registry of its own, in a small file of mode 0600.

It knows the people, their ways, duties and vehicles, and what is open, as they were last seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import delete, event, insert, select, text, update

from registry.audit_chain import FIRST_PREVIOUS
from registry.audit_records import AuditHead, AuditRow
from registry.copies import BY_ALERT, BY_CASE, DIRECTORY, SentPage
from registry.incident_records import Incident, IncidentAlert
from registry.paging_kinds import PageState
from registry.paging_records import Page, PageEvent
from registry.registry import Registry

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence

    from sqlalchemy.orm import Session

    from registry.copies import Rows
    from registry.records import Base


class StandIn(Registry):
    """Opened with `StandIn.open("sqlite:///FILE")`. Only what was done in it has rows in its audit log."""

    @classmethod
    def open(cls, url: str) -> Self:
        """As Registry. What it copies refers to much that it does not, and each commit is on the disk."""
        opened = super().open(url)
        opened.set_apart()
        return opened

    def set_apart(self) -> None:
        """Be no registry that others rely on."""
        event.listen(self._engine, "connect", _set_up)
        self._engine.dispose()
        self._write(_let_go_of_the_log)

    def learn_directory(self, rows: Rows) -> None:
        """Replace the directory."""

        def work(session: Session) -> None:
            for table in DIRECTORY:
                session.execute(delete(table))
                _insert(session, table, rows[table])

        self._write(work)

    def learn_cases(self, case_ids: Sequence[str], rows: Rows) -> None:
        """Replace what is known of incidents. What somebody has in his hands is not sent from here."""

        def work(session: Session) -> None:
            query = select(IncidentAlert.alert_id).where(IncidentAlert.incident_id.in_(case_ids))
            alerts = {*session.scalars(query), *(row["alert_id"] for row in rows[IncidentAlert])}
            for where, ids in ((BY_ALERT, alerts), (BY_CASE, case_ids)):
                for table, column in where:
                    session.execute(delete(table).where(column.in_(ids)))
                    _insert(session, table, rows[table])
            _leave(session, Page.state == PageState.HANDED_OVER)

        self._write(work)

    def leave_pages(self, keys: Collection[str]) -> None:
        """These were handed over elsewhere: they are not sent from here."""
        self._write(lambda session: _leave(session, Page.key.in_(keys), Page.state == PageState.QUEUED))

    def knows_cases(self) -> bool:
        """Whether there are incidents in it."""
        return self._read(lambda session: session.scalar(select(Incident.incident_id).limit(1))) is not None

    def sent_pages(self) -> tuple[SentPage, ...]:
        """What was handed over from here, and not forgotten since."""

        def work(session: Session) -> tuple[SentPage, ...]:
            events: dict[str, list[PageEvent]] = {}
            for each in session.scalars(select(PageEvent).where(PageEvent.attempt > 0).order_by(PageEvent.id)):
                events.setdefault(each.key, []).append(each)
            pages = [session.get_one(Page, key) for key in events]
            return tuple(SentPage(page=page, events=tuple(events[page.key])) for page in pages)

        return self._read(work)

    def forget_steps(self, sent: Sequence[SentPage]) -> None:
        """The registry has these steps."""
        ids = [each.id for one in sent for each in one.events]
        self._write(lambda session: session.execute(delete(PageEvent).where(PageEvent.id.in_(ids))))

    def touched_alerts(self) -> tuple[str, ...]:
        """Alerts that got steps here, in order."""
        query = select(AuditRow.subject).where(AuditRow.subject.startswith("alert/")).order_by(AuditRow.sequence)
        subjects = self._read(lambda session: session.scalars(query).all())
        return tuple(dict.fromkeys(subject.partition("/")[2] for subject in subjects))

    def forget_cases(self) -> None:
        """Begin anew; the directory stays."""

        def work(session: Session) -> None:
            session.execute(delete(PageEvent))
            session.execute(delete(AuditRow))
            for table, _ in (*BY_ALERT, *BY_CASE):
                session.execute(delete(table))
            session.execute(update(AuditHead).values(sequence=0, hash=FIRST_PREVIOUS))

        self._write(work)


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA synchronous = FULL")


def _let_go_of_the_log(session: Session) -> None:
    """It proves nothing here: what is done in a copy is told to the registry's own log."""
    for name in session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
        session.execute(text(f'DROP TRIGGER "{name}"'))


def _leave(session: Session, *which: Any) -> None:
    session.execute(update(Page).where(*which).values(state=PageState.ACCEPTED, next_at=None))


def _insert(session: Session, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        # What named another incident before is replaced: of one key the latest counts.
        session.execute(insert(table).prefix_with("OR REPLACE").execution_options(render_nulls=True), rows)
