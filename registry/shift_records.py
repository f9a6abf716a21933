"""A shift that one person hands to another, as a record."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLAlchemy reads it

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from registry.records import Base, Line, SerialId


class ShiftHandover(Base, kw_only=True):
    """An offer, and its answer. Until it is accepted, who offered it keeps everything."""

    __tablename__ = "shift_handovers"
    __table_args__ = (
        Index(
            "uq_shift_handovers_open",
            "from_account",
            unique=True,
            sqlite_where=text("answered_at IS NULL"),
            postgresql_where=text("answered_at IS NULL"),
        ),
    )
    id: Mapped[SerialId] = mapped_column(init=False)
    from_account: Mapped[str] = mapped_column(ForeignKey("accounts.account_id"))
    to_account: Mapped[str] = mapped_column(ForeignKey("accounts.account_id"), index=True)
    note: Mapped[Line]
    """What the next one has to know."""
    offered_at: Mapped[datetime]
    answered_at: Mapped[datetime | None] = mapped_column(default=None)
    accepted: Mapped[bool | None] = mapped_column(default=None)
    """False: declined, or taken back."""
