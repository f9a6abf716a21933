"""Recipients, rosters, guardians, the outbox of pages, and what escalation went by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0007"
down_revision = "r0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    _people()
    _cases()
    _outbox()


def _people() -> None:
    op.create_table(
        "recipients",
        sa.Column("recipient_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(32), nullable=True),
        sa.Column("language", sa.String(64), nullable=False),
        sa.Column("time_zone", sa.String(200), nullable=False),
        sa.Column("fleet_id", sa.String(200), nullable=True),
        sa.Column("vehicle_id", sa.String(200), nullable=True),
        sa.Column("account_id", sa.String(64), nullable=True),
        sa.Column("always_on_duty", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unreachable_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unreachable_why", sa.String(2000), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=op.f("fk_recipients_account_id")),
        sa.PrimaryKeyConstraint("recipient_id", name=op.f("pk_recipients")),
    )
    op.create_table(
        "recipient_channels",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("recipient_id", sa.String(64), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("address", sa.String(2000), nullable=False),
        sa.Column("secret", sa.String(500), nullable=True),
        sa.Column("tested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_why", sa.String(2000), nullable=True),
        sa.ForeignKeyConstraint(
            ["recipient_id"], ["recipients.recipient_id"], name=op.f("fk_recipient_channels_recipient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipient_channels")),
        sa.UniqueConstraint("recipient_id", "channel", name=op.f("uq_recipient_channels_channel")),
    )
    op.create_table(
        "push_devices",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("recipient_id", sa.String(64), nullable=False),
        sa.Column("endpoint", sa.String(2000), nullable=False),
        sa.Column("p256dh", sa.String(500), nullable=False),
        sa.Column("auth", sa.String(500), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_why", sa.String(2000), nullable=True),
        sa.ForeignKeyConstraint(
            ["recipient_id"], ["recipients.recipient_id"], name=op.f("fk_push_devices_recipient_id")
        ),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_push_devices")),
    )
    op.create_index(op.f("ix_push_devices_recipient_id"), "push_devices", ["recipient_id"])
    op.create_table(
        "duties",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("recipient_id", sa.String(64), nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entered_by", sa.String(200), nullable=False),
        sa.CheckConstraint("until_at > from_at", name=op.f("ck_duties_ends_after_it_begins")),
        sa.ForeignKeyConstraint(["recipient_id"], ["recipients.recipient_id"], name=op.f("fk_duties_recipient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_duties")),
    )
    op.create_index(op.f("ix_duties_recipient_id"), "duties", ["recipient_id"])
    op.create_index(op.f("ix_duties_until_at"), "duties", ["until_at"])
    op.create_table(
        "guardians",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("vehicle_id", sa.String(200), nullable=False),
        sa.Column("recipient_id", sa.String(64), nullable=False),
        sa.Column("proposed_by", sa.String(200), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["recipient_id"], ["recipients.recipient_id"], name=op.f("fk_guardians_recipient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guardians")),
    )
    op.create_index(op.f("ix_guardians_recipient_id"), "guardians", ["recipient_id"])
    op.create_index(
        op.f("uq_guardians_in_charge"),
        "guardians",
        ["vehicle_id"],
        unique=True,
        sqlite_where=sa.text("accepted_at IS NOT NULL AND ended_at IS NULL"),
        postgresql_where=sa.text("accepted_at IS NOT NULL AND ended_at IS NULL"),
    )


def _cases() -> None:
    op.create_table(
        "paging_cases",
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("notices", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_paging_cases")),
    )
    op.create_index(op.f("ix_paging_cases_next_at"), "paging_cases", ["next_at"])
    op.create_table(
        "case_recipients",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("recipient_id", sa.String(64), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("channels", sa.JSON(), nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["paging_cases.case_id"], name=op.f("fk_case_recipients_case_id")),
        sa.ForeignKeyConstraint(
            ["recipient_id"], ["recipients.recipient_id"], name=op.f("fk_case_recipients_recipient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_recipients")),
        sa.UniqueConstraint("case_id", "recipient_id", "role", "source", name=op.f("uq_case_recipients_source")),
    )
    op.create_table(
        "case_happenings",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("role", sa.String(32), nullable=True),
        sa.Column("level", sa.String(32), nullable=True),
        sa.Column("regarding", sa.String(200), nullable=True),
        sa.Column("why", sa.String(2000), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["paging_cases.case_id"], name=op.f("fk_case_happenings_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_happenings")),
        sa.UniqueConstraint("case_id", "source", name=op.f("uq_case_happenings_source")),
    )


def _outbox() -> None:
    op.create_table(
        "pages",
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("page_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=True),
        sa.Column("recipient_id", sa.String(64), nullable=False),
        sa.Column("role", sa.String(32), nullable=True),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("level", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(2000), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("why", sa.String(2000), nullable=True),
        sa.Column("may_repeat", sa.Boolean(), nullable=False),
        sa.Column("message_id", sa.String(64), nullable=True),
        sa.Column("holder", sa.String(200), nullable=True),
        sa.Column("handed_over_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shown_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["recipient_id"], ["recipients.recipient_id"], name=op.f("fk_pages_recipient_id")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_pages")),
        sa.UniqueConstraint("page_id", name=op.f("uq_pages_page_id")),
    )
    op.create_index(op.f("ix_pages_case_id_state"), "pages", ["case_id", "state"])
    op.create_index(op.f("ix_pages_message_id"), "pages", ["message_id"])
    op.create_index(op.f("ix_pages_recipient_id"), "pages", ["recipient_id"])
    op.create_index(op.f("ix_pages_state_next_at"), "pages", ["state", "next_at"])
    op.create_table(
        "page_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("detail", sa.String(2000), nullable=True),
        sa.ForeignKeyConstraint(["key"], ["pages.key"], name=op.f("fk_page_events_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_page_events")),
    )
    op.create_index(op.f("ix_page_events_key"), "page_events", ["key"])
    op.create_table(
        "board_heartbeats",
        sa.Column("board_id", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sounding", sa.Boolean(), nullable=False),
        sa.Column("why", sa.String(1000), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=op.f("fk_board_heartbeats_account_id")),
        sa.PrimaryKeyConstraint("board_id", name=op.f("pk_board_heartbeats")),
    )
    op.create_index(op.f("ix_board_heartbeats_account_id"), "board_heartbeats", ["account_id"])
