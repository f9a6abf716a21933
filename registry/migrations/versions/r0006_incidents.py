"""Incidents, shelves, re-ignition watches, and what the life cycle adds to alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0006"
down_revision = "r0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and tables. Whoever acknowledged before was a dispatcher: there was no other role."""
    op.add_column("alerts", sa.Column("acknowledged_roles", sa.JSON(), nullable=True))
    op.add_column("alerts", sa.Column("shelved_by", sa.String(200), nullable=True))
    op.add_column("alerts", sa.Column("shelved_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("alerts", sa.Column("shelf_reason", sa.String(1000), nullable=True))
    op.add_column("alerts", sa.Column("releasing_authority", sa.String(1000), nullable=True))
    op.execute("UPDATE alerts SET acknowledged_roles = '[]' WHERE acknowledged_by IS NULL")
    op.execute("UPDATE alerts SET acknowledged_roles = '[\"dispatcher\"]' WHERE acknowledged_by IS NOT NULL")
    op.add_column("alert_events", sa.Column("actor_role", sa.String(32), nullable=True))
    _incidents()
    _events()
    op.create_table(
        "reignition_watches",
        sa.Column("alert_id", sa.String(64), nullable=False),
        sa.Column("fleet_id", sa.String(200), nullable=False),
        sa.Column("pack_id", sa.String(200), nullable=True),
        sa.Column("unit_id", sa.String(200), nullable=True),
        sa.Column("provenance", sa.String(32), nullable=False),
        sa.Column("level", sa.String(32), nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_by", sa.String(200), nullable=False),
        sa.Column("releasing_authority", sa.String(1000), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.alert_id"], name=op.f("fk_reignition_watches_alert_id")),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_reignition_watches")),
    )
    op.create_index(op.f("ix_reignition_watches_pack_id"), "reignition_watches", ["pack_id"])
    op.create_index(op.f("ix_reignition_watches_until_at"), "reignition_watches", ["until_at"])


def _incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("incident_id", sa.String(64), nullable=False),
        sa.Column("fleet_id", sa.String(200), nullable=False),
        sa.Column("vehicle_id", sa.String(200), nullable=True),
        sa.Column("cause", sa.String(200), nullable=False),
        sa.Column("title", sa.String(2000), nullable=False),
        sa.Column("provenance", sa.String(32), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("level", sa.String(32), nullable=False),
        sa.Column("assigned_to", sa.String(64), nullable=True),
        sa.Column("handover_to", sa.String(64), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_by", sa.String(200), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("close_reason", sa.String(1000), nullable=True),
        sa.Column("releasing_authority", sa.String(1000), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["assigned_to"], ["accounts.account_id"], name=op.f("fk_incidents_assigned_to")),
        sa.ForeignKeyConstraint(["handover_to"], ["accounts.account_id"], name=op.f("fk_incidents_handover_to")),
        sa.PrimaryKeyConstraint("incident_id", name=op.f("pk_incidents")),
    )
    op.create_index(op.f("ix_incidents_state"), "incidents", ["state"])
    op.create_index(op.f("ix_incidents_opened_at"), "incidents", ["opened_at"])
    op.create_table(
        "incident_alerts",
        sa.Column("alert_id", sa.String(64), nullable=False),
        sa.Column("incident_id", sa.String(64), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.alert_id"], name=op.f("fk_incident_alerts_alert_id")),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.incident_id"], name=op.f("fk_incident_alerts_incident_id")
        ),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_incident_alerts")),
    )
    op.create_index(op.f("ix_incident_alerts_incident_id"), "incident_alerts", ["incident_id"])


def _events() -> None:
    op.create_table(
        "incident_keys",
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("incident_id", sa.String(64), nullable=True),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.incident_id"], name=op.f("fk_incident_keys_incident_id")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_incident_keys")),
    )
    op.create_table(
        "incident_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("incident_id", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("level", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(200), nullable=True),
        sa.Column("actor_role", sa.String(32), nullable=True),
        sa.Column("regarding", sa.String(200), nullable=True),
        sa.Column("comment", sa.String(1000), nullable=True),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.incident_id"], name=op.f("fk_incident_events_incident_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_events")),
    )
    op.create_index(op.f("ix_incident_events_incident_id"), "incident_events", ["incident_id"])
