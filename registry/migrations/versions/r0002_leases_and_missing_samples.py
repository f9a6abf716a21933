"""Who may write for a group, and which samples are missing for good."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the two tables, and the row that all takers of leases lock."""
    op.create_table(
        "leases",
        sa.Column("group", sa.String(200), nullable=False),
        sa.Column("holder", sa.String(200), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("group", name=op.f("pk_leases")),
    )
    op.execute(
        "INSERT INTO leases (\"group\", holder, fence, expires_at) VALUES ('*', '', 0, '1970-01-01 00:00:00+00')"
    )
    op.create_table(
        "missing_samples",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.String(200), nullable=False) for name in ("fleet_id", "gateway_id", "outbox_id")),
        sa.Column("outbox_sequence", sa.BigInteger(), nullable=False),
        sa.Column("entry", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.String(200), nullable=True) for name in ("unit_id", "boot_id")),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in ("first_frame", "last_frame")),
        sa.Column("samples_lost", sa.BigInteger(), nullable=False),
        sa.Column("kept_period_ms", sa.BigInteger(), nullable=True),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("to_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("why", sa.String(2000), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_missing_samples")),
        sa.UniqueConstraint(
            "fleet_id", "gateway_id", "outbox_id", "outbox_sequence", "entry", name="uq_missing_samples_record"
        ),
    )
    op.create_index(op.f("ix_missing_samples_unit_id"), "missing_samples", ["unit_id"])
