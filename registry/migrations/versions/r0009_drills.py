"""Drills that are sent by themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0009"
down_revision = "r0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "drills",
        sa.Column("drill_id", sa.String(200), nullable=False),
        sa.Column("recipient_id", sa.String(64), nullable=False),
        sa.Column("started_by", sa.String(200), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("step_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("proved_on", sa.String(32), nullable=True),
        sa.Column("why", sa.String(2000), nullable=True),
        sa.ForeignKeyConstraint(["recipient_id"], ["recipients.recipient_id"], name=op.f("fk_drills_recipient_id")),
        sa.PrimaryKeyConstraint("drill_id", name=op.f("pk_drills")),
    )
    op.create_index(op.f("ix_drills_recipient_id_started_at"), "drills", ["recipient_id", "started_at"])
    op.create_index(op.f("ix_drills_state"), "drills", ["state"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("drills")
