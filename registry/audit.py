"""The audit log: what people, rules, devices and deliveries did, in one chain that shows any later change.

An action is appended in the transaction of the change that it tells of, and last in it: appending takes the lock of the
log's end until the transaction is over, so that of two processes one waits, and no lock is ever taken after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update

from registry.audit_chain import ChainError, canonical, check_end, row_hash, row_object, verified
from registry.audit_records import ActorKind, AuditHead, AuditRow
from registry.columns import admitted, as_utc
from registry.database import Database, database_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

PAGE_ROWS = 5_000
"""**Assumed**: rows that are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts."""

    kind: ActorKind
    id: str
    role: str | None = None
    """The role in which a person acted."""


PROGRAM = Actor(kind=ActorKind.PROGRAM, id="packwatch")
"""Whoever may run Packwatch's commands, or Packwatch by itself."""


def person_or_rule(person: str | None, role: str | None, *, rule: str) -> Actor:
    """The person who took a step; None: the alert engine did, by a rule."""
    if person is None:
        return Actor(kind=ActorKind.RULE, id=rule)
    return Actor(kind=ActorKind.PERSON, id=person, role=role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What was done, to be appended."""

    actor: Actor
    action: str
    """A short word or two: "acknowledge", "sign in"."""
    subject: str
    """Kind, slash, id: "alert/3f2a"."""
    at: datetime | None = None
    """None: the database's clock."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Texts, whole numbers, instants, lists and objects with ASCII keys. Never a password, a token or their hashes."""


def append(session: Session, actions: Sequence[Action]) -> None:
    """Append actions in the caller's transaction, as its last step. Raises RefusedError for a detail that is none."""
    if not actions:
        return
    session.flush()  # what the actions tell of is refused first, if it is
    head = session.execute(select(AuditHead.sequence, AuditHead.hash).with_for_update()).one()
    sequence, previous = head.sequence, head.hash
    now = as_utc(database_time(session)) if any(action.at is None for action in actions) else None
    rows = []
    for action in actions:
        sequence += 1
        row = _row(action, sequence, previous, now)
        previous = row["hash"]
        rows.append(row)
    session.execute(insert(AuditRow), rows, execution_options={"render_nulls": True})  # as one statement
    session.execute(
        update(AuditHead).values(sequence=sequence, hash=previous).execution_options(synchronize_session=False)
    )


class AuditLog(Database):
    """Reading the log, and appending what changes no record."""

    def append_audit(self, actions: Sequence[Action]) -> None:
        """Append actions that change no record of the registry, in order, all or none."""
        self._write(lambda session: append(session, actions))

    def audit_end(self) -> tuple[int, str]:
        """The last row's sequence and hash, which prove all before it; 0 and 64 zeros: nothing was logged."""
        head = select(AuditHead.sequence, AuditHead.hash)
        sequence, end_hash = self._read(lambda session: session.execute(head).one())
        return sequence, end_hash

    def audit_rows(
        self, *, after: int = 0, limit: int = PAGE_ROWS, subject: str | None = None
    ) -> tuple[dict[str, Any], ...]:
        """Rows as they are exported, in order, from the one after `after` on; of one subject, or of all."""
        query = select(AuditRow.__table__).where(AuditRow.sequence > after).order_by(AuditRow.sequence).limit(limit)
        if subject is not None:
            query = query.where(AuditRow.subject == subject)
        rows = self._read(lambda session: session.execute(query).mappings().all())
        return tuple(row_object(dict(row)) for row in rows)

    def first_audit_row(self, subjects: Sequence[str]) -> int | None:
        """The sequence of the first row about any of the subjects; None: there is none."""
        query = select(func.min(AuditRow.sequence)).where(AuditRow.subject.in_(subjects))
        return self._read(lambda session: session.scalar(query))

    def audit_objects(self, until: int, after: int = 0) -> Iterator[dict[str, Any]]:
        """The rows after `after` up to `until`, a page at a time. Raises ChainError for a row that cannot be read."""
        while rows := self._readable(after):
            for row in rows:
                if row["sequence"] > until:
                    return
                yield row
            after = rows[-1]["sequence"]

    def _readable(self, after: int) -> tuple[dict[str, Any], ...]:
        try:
            return self.audit_rows(after=after)
        except (ValueError, LookupError):
            return self._before_the_unreadable(after)

    def _before_the_unreadable(self, after: int) -> tuple[dict[str, Any], ...]:
        """The rows of a page before the one that cannot be read. Raises ChainError when it is the first."""
        rows: list[dict[str, Any]] = []
        while True:
            sequence = after + len(rows)
            try:
                rows += self.audit_rows(after=sequence, limit=1)
            except (ValueError, LookupError) as error:
                if rows:
                    return tuple(rows)
                raise ChainError(sequence + 1, f"row {sequence + 1} was altered: it cannot be read") from error

    def verify_audit(self, noted: Mapping[int, str] | None = None) -> tuple[int, str]:
        """Check the whole log; its last row's sequence and hash. Raises ChainError.

        `noted`: hashes that somebody wrote down elsewhere, by sequence: they tell of a log that was written anew.
        """
        newest = select(func.max(AuditRow.sequence)).scalar_subquery()
        both = select(AuditHead.sequence, AuditHead.hash, newest)  # one statement: one moment of the database
        sequence, end_hash, found = self._read(lambda session: session.execute(both).one())
        last = verified(self.audit_objects(until=sequence), noted)
        check_end(last, (sequence, end_hash))
        if (found or 0) > sequence:
            check_end((found, ""), (sequence, end_hash))
        return last


def _row(action: Action, sequence: int, previous: str, now: datetime | None) -> dict[str, Any]:
    given = {
        "sequence": sequence,
        "at": action.at if action.at is not None else now,
        "actor_kind": action.actor.kind,
        "actor_id": action.actor.id,
        "actor_role": action.actor.role,
        "action": action.action,
        "subject": action.subject,
        "detail": canonical(action.detail),
        "previous": previous,
    }
    row = {name: admitted(value, _COLUMNS[name], f"AuditRow.{name}") for name, value in given.items()}
    return row | {"hash": row_hash(row_object(row))}


_COLUMNS: Mapping[str, Any] = {column.key: column for column in AuditRow.__table__.columns}
