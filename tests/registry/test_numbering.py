"""Many new rows in one statement: each record gets the number of its own row, in the order in which they were added."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from registry.kinds import Role
from registry.paging_records import Duty, Recipient

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from registry.registry import Registry

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MANY = 2_500
"""More than go in one statement."""


def test_records_that_are_kept_together_have_their_own_rows_numbers(registry: Registry) -> None:
    person = Recipient(recipient_id="ana", name="Ana", role=Role.DISPATCHER, created_at=NOW)
    duties = [
        Duty(recipient_id="ana", from_at=NOW, until_at=NOW + timedelta(hours=1), entered_by=f"{number:x}")
        for number in range(MANY)
    ]

    def keep(session: Session) -> None:
        session.add(person)
        session.flush()
        session.add_all(duties)

    registry._write(keep)
    ids = [duty.id for duty in duties]
    assert ids == sorted(ids)
    kept = registry._read(lambda session: [session.get_one(Duty, number).entered_by for number in ids])
    assert kept == [duty.entered_by for duty in duties]
