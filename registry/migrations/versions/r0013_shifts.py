"""Shifts that one person hands to another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0013"
down_revision = "r0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "shift_handovers",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("from_account", sa.String(64), nullable=False),
        sa.Column("to_account", sa.String(64), nullable=False),
        sa.Column("note", sa.String(1000), nullable=False),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(
            ["from_account"], ["accounts.account_id"], name=op.f("fk_shift_handovers_from_account")
        ),
        sa.ForeignKeyConstraint(["to_account"], ["accounts.account_id"], name=op.f("fk_shift_handovers_to_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shift_handovers")),
    )
    op.create_index(op.f("ix_shift_handovers_to_account"), "shift_handovers", ["to_account"])
    op.create_index(
        "uq_shift_handovers_open",
        "shift_handovers",
        ["from_account"],
        unique=True,
        sqlite_where=sa.text("answered_at IS NULL"),
        postgresql_where=sa.text("answered_at IS NULL"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("shift_handovers")
