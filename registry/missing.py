"""Samples that are missing for good, as their gateways told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from registry.database import Database
from registry.records import MissingSamples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

_COLUMNS = tuple(column.key for column in MissingSamples.__table__.columns if column.key != "id")


class Missing(Database):
    """The record of what was let go."""

    def add_missing_samples(self, records: Sequence[MissingSamples]) -> int:
        """Keep records, each once however often its gateway tells it. Returns how many were new."""
        if not records:
            return 0
        rows = [{name: getattr(record, name) for name in _COLUMNS} for record in records]
        # Always in one order: two writers never deadlock.
        rows.sort(key=lambda row: tuple(str(row[name]) for name in ("gateway_id", "outbox_sequence", "entry")))

        def work(session: Session) -> int:
            dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
            adding = dialect.insert(MissingSamples).on_conflict_do_nothing().returning(MissingSamples.id)
            return len(session.scalars(adding.values(rows)).all())

        return self._write(work)

    def missing_samples(
        self, unit_id: str | None = None, limit: int = 100, offset: int = 0
    ) -> tuple[MissingSamples, ...]:
        """Records, of one unit or of all, those told last first."""
        query = select(MissingSamples).order_by(MissingSamples.id.desc()).limit(limit).offset(offset)
        if unit_id is not None:
            query = query.where(MissingSamples.unit_id == unit_id)
        return self._read(lambda session: tuple(session.scalars(query)))
