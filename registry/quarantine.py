"""What the wire brought and could not be taken: the last entries with their payloads, and how many there ever were."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from registry.database import Database
from registry.records import QuarantineCount, QuarantineEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

_COLUMNS = tuple(column.key for column in QuarantineEntry.__table__.columns if column.key != "id")


class Quarantine(Database):
    """The quarantine's entries and counts."""

    def add_quarantine(self, entries: Sequence[QuarantineEntry], keep: int = 10_000) -> None:
        """Keep entries and count them by reason. At most the newest `keep` entries stay; counts stay for good."""
        if not entries:
            return
        rows = [{name: getattr(entry, name) for name in _COLUMNS} for entry in entries]
        by_reason = Counter(entry.reason for entry in entries)

        def work(session: Session) -> None:
            session.execute(insert(QuarantineEntry), rows)
            for reason, number in sorted(by_reason.items()):  # always in one order: two writers never deadlock
                _count(session, reason, number)
            newest = session.scalar(select(func.max(QuarantineEntry.id))) or 0
            session.execute(delete(QuarantineEntry).where(QuarantineEntry.id <= newest - keep))

        self._write(work)

    def quarantine(self, limit: int = 100, offset: int = 0) -> tuple[QuarantineEntry, ...]:
        """Entries with their payloads, newest first."""
        query = select(QuarantineEntry).order_by(QuarantineEntry.id.desc()).limit(limit).offset(offset)
        return self._read(lambda session: tuple(session.scalars(query)))

    def quarantine_counts(self) -> dict[str, int]:
        """How many entries each reason ever had."""
        query = select(QuarantineCount.reason, QuarantineCount.entries).order_by(QuarantineCount.reason)
        return self._read(lambda session: {row.reason: row.entries for row in session.execute(query)})


def _count(session: Session, reason: str, number: int) -> None:
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    counting = dialect.insert(QuarantineCount).values(reason=reason, entries=number)
    session.execute(
        counting.on_conflict_do_update(
            index_elements=[QuarantineCount.reason], set_={"entries": QuarantineCount.entries + number}
        )
    )
