"""Reviews of incidents, their entries, attachments and re-runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0011"
down_revision = "r0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "reviews",
        sa.Column("incident_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("cause", sa.String(32), nullable=True),
        sa.Column("cause_note", sa.String(10_000), nullable=False),
        *_signature("signed"),
        *_signature("countersigned"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.incident_id"], name=op.f("fk_reviews_incident_id")),
        sa.ForeignKeyConstraint(["signed_id"], ["accounts.account_id"], name=op.f("fk_reviews_signed_id")),
        sa.ForeignKeyConstraint(
            ["countersigned_id"], ["accounts.account_id"], name=op.f("fk_reviews_countersigned_id")
        ),
        sa.PrimaryKeyConstraint("incident_id", name=op.f("pk_reviews")),
    )
    op.create_table(
        "review_entries",
        sa.Column("entry_id", sa.String(64), nullable=False),
        sa.Column("incident_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("text", sa.String(10_000), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pack_id", sa.String(200), nullable=True),
        sa.Column("probe", sa.Integer(), nullable=True),
        sa.Column("owner_id", sa.String(64), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_by", sa.String(200), nullable=True),
        sa.Column("written_by", sa.String(200), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["reviews.incident_id"], name=op.f("fk_review_entries_incident_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["accounts.account_id"], name=op.f("fk_review_entries_owner_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_review_entries")),
    )
    op.create_index(op.f("ix_review_entries_incident_id"), "review_entries", ["incident_id"])
    op.create_table(
        "attachments",
        sa.Column("incident_id", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("media_type", sa.String(200), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("added_by", sa.String(200), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["reviews.incident_id"], name=op.f("fk_attachments_incident_id")),
        sa.PrimaryKeyConstraint("incident_id", "sha256", name=op.f("pk_attachments")),
    )
    op.create_table(
        "reruns",
        sa.Column("rerun_id", sa.String(64), nullable=False),
        sa.Column("incident_id", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("rules_version", sa.Integer(), nullable=False),
        sa.Column("rules_hash", sa.String(64), nullable=False),
        sa.Column("rules", sa.String(1_000_000), nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("to_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(1_000_000), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["reviews.incident_id"], name=op.f("fk_reruns_incident_id")),
        sa.PrimaryKeyConstraint("rerun_id", name=op.f("pk_reruns")),
    )
    op.create_index(op.f("ix_reruns_incident_id"), "reruns", ["incident_id"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("reruns", "attachments", "review_entries", "reviews"):
        op.drop_table(table)


def _signature(name: str) -> tuple[sa.Column[object], ...]:
    return (
        sa.Column(f"{name}_id", sa.String(64), nullable=True),
        sa.Column(f"{name}_by", sa.String(200), nullable=True),
        sa.Column(f"{name}_at", sa.DateTime(timezone=True), nullable=True),
    )
