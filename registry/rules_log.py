"""Which alert rules were in force when, and who changed them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from registry.audit import Action, Actor, append
from registry.audit_records import ActorKind
from registry.database import Database
from registry.errors import ConflictError
from registry.records import RulesChange

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class RulesLog(Database):
    """The record of the rules."""

    def add_rules_change(self, change: RulesChange) -> bool:
        """Keep a change, unless the rules in force are the same already: each worker that takes them on tells it.

        Returns whether it was kept. Changes stand in one row: each follows another one, of two at once one goes first.
        """

        def work(session: Session) -> bool:
            before = _latest(session)
            if before is not None and before.content_hash == change.content_hash:
                return False
            row = {name: getattr(change, name) for name in _COLUMNS}
            kept = RulesChange(**row)
            kept.follows = 0 if before is None else before.id
            session.add(kept)
            append(session, [_action(kept)])
            return True

        while True:
            try:
                return self._write(work)
            except ConflictError:  # another worker was first
                continue

    def latest_rules_change(self) -> RulesChange | None:
        """The one that says which rules are in force; None: they were never noted."""
        return self._read(_latest)

    def rules_changes(self, limit: int = 100, offset: int = 0) -> tuple[RulesChange, ...]:
        """All changes, the latest first."""
        query = select(RulesChange).order_by(RulesChange.id.desc()).limit(limit).offset(offset)
        return self._read(lambda session: tuple(session.scalars(query)))


_COLUMNS = tuple(column.key for column in RulesChange.__table__.columns if column.key not in {"id", "follows"})


def _action(change: RulesChange) -> Action:
    """The file itself stays in the change's own row, which its hash vouches for."""
    return Action(
        actor=Actor(kind=ActorKind.PERSON, id=change.actor),
        action="change rules",
        subject=f"rules/{change.version}",
        at=change.at,
        detail={"content_hash": change.content_hash, "source": change.source, "note": change.note},
    )


def _latest(session: Session) -> RulesChange | None:
    return session.scalars(select(RulesChange).order_by(RulesChange.id.desc()).limit(1)).one_or_none()
