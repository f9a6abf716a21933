"""The first tables: what travels, who watches it, alerts, the quarantine, people."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables of version 0.1."""
    _owners_and_vehicles()
    _packs_and_units()
    _shipments()
    _alerts()
    _quarantine()
    _people()
    op.create_table("revision", _id(), _needs("number", sa.BigInteger()), _key("revision", "id"))
    op.execute("INSERT INTO revision (id, number) VALUES (1, 0)")


def _owners_and_vehicles() -> None:
    op.create_table(
        "organisations", _needs("organisation_id", _name(64)), _needs("name"), _key("organisations", "organisation_id")
    )
    op.create_table(
        "fleets",
        _needs("fleet_id", _name(64)),
        _may("organisation_id", _name(64)),
        _key("fleets", "fleet_id"),
        _refers("fleets", "organisation_id", "organisations"),
    )
    op.create_table(
        "vehicles",
        _needs("vehicle_id", _name(64)),
        _needs("fleet_id", _name(64)),
        _needs("name"),
        _may("driver_name"),
        _key("vehicles", "vehicle_id"),
        _refers("vehicles", "fleet_id", "fleets"),
    )
    _index("vehicles", "fleet_id")
    op.create_table(
        "gateways",
        _needs("gateway_id", _name(64)),
        _needs("fleet_id", _name(64)),
        _may("vehicle_id", _name(64)),
        _key("gateways", "gateway_id"),
        _refers("gateways", "fleet_id", "fleets"),
        _refers("gateways", "vehicle_id", "vehicles"),
    )
    _index("gateways", "fleet_id")
    _index("gateways", "vehicle_id")


def _packs_and_units() -> None:
    op.create_table(
        "packs",
        _needs("pack_id", _name(64)),
        _needs("chemistry", _name(32)),
        _needs("pack_class", _name(32)),
        _may("class_assessed_by"),
        _may("class_criteria", _name(1000)),
        _may("class_outcome", _name(1000)),
        _may("capacity_ah", sa.Double()),
        _may("series_count", sa.Integer()),
        _may("max_operating_temperature_c", sa.Double()),
        _may("passport_id"),
        _may("passport_status"),
        _needs("description", _name(1000)),
        _key("packs", "pack_id"),
    )
    op.create_table(
        "sensor_units",
        _needs("unit_id", _name(64)),
        _needs("temperature_channels", sa.Integer()),
        _needs("voltage_channels", sa.Integer()),
        _needs("report_interval_s", sa.Double()),
        _needs("simulated", sa.Boolean()),
        _key("sensor_units", "unit_id"),
    )
    op.create_table(
        "channels",
        _needs("unit_id", _name(64)),
        _needs("kind", _name(32)),
        _needs("column", sa.Integer()),
        _needs("measures", _name(32)),
        _needs("label"),
        _key("channels", "unit_id", "kind", "column"),
        _refers("channels", "unit_id", "sensor_units"),
    )
    op.create_table(
        "bindings",
        _serial(),
        _needs("unit_id", _name(64)),
        _needs("pack_id", _name(64)),
        _may("gateway_id", _name(64)),
        _needs("bound_from", _instant()),
        _may("bound_to", _instant()),
        _key("bindings", "id"),
        _refers("bindings", "unit_id", "sensor_units"),
        _refers("bindings", "pack_id", "packs"),
        _refers("bindings", "gateway_id", "gateways"),
        sa.CheckConstraint("bound_to IS NULL OR bound_to >= bound_from", name=op.f("ck_bindings_ends_after_it_begins")),
    )
    _index("bindings", "unit_id")
    _index("bindings", "pack_id")
    still_open = sa.text("bound_to IS NULL")
    op.create_index(
        "uq_bindings_open_unit",
        "bindings",
        ["unit_id"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )


def _shipments() -> None:
    op.create_table(
        "shipments",
        _needs("shipment_id", _name(64)),
        _needs("origin"),
        _needs("destination"),
        _may("vehicle_id", _name(64)),
        _may("emergency_number"),
        _needs("simulated", sa.Boolean()),
        _may("departed_at", _instant()),
        _may("closed_at", _instant()),
        _key("shipments", "shipment_id"),
        _refers("shipments", "vehicle_id", "vehicles"),
    )
    op.create_table(
        "shipment_packs",
        _needs("shipment_id", _name(64)),
        _needs("pack_id", _name(64)),
        _key("shipment_packs", "shipment_id", "pack_id"),
        _refers("shipment_packs", "shipment_id", "shipments"),
        _refers("shipment_packs", "pack_id", "packs"),
    )
    _index("shipment_packs", "pack_id")


def _alerts() -> None:
    op.create_table(
        "alerts",
        _needs("alert_id", _name(64)),
        _needs("kind", _name(32)),
        _needs("cause"),
        _needs("fleet_id"),
        _may("pack_id"),
        _may("unit_id"),
        _may("gateway_id"),
        _needs("level", _name(32)),
        _needs("peak_level", _name(32)),
        _needs("state", _name(32)),
        _needs("provenance", _name(32)),
        _needs("reasons", sa.JSON()),
        _needs("sampled_at", _instant()),
        _needs("raised_at", _instant()),
        _may("cleared_at", _instant()),
        _may("acknowledged_by"),
        _may("acknowledged_at", _instant()),
        _may("acknowledgement_comment", _name(1000)),
        _may("closed_by"),
        _may("closed_at", _instant()),
        _may("close_reason", _name(1000)),
        _needs("version", sa.Integer()),
        _key("alerts", "alert_id"),
    )
    _index("alerts", "state")
    _index("alerts", "raised_at")
    _index("alerts", "pack_id", "raised_at")
    op.create_table(
        "alert_events",
        _serial(),
        _needs("alert_id", _name(64)),
        _needs("at", _instant()),
        _needs("action", _name(64)),
        _may("from_state", _name(32)),
        _needs("to_state", _name(32)),
        _needs("level", _name(32)),
        _may("sampled_at", _instant()),
        _may("actor"),
        _may("comment", _name(1000)),
        _needs("reasons", sa.JSON()),
        _key("alert_events", "id"),
        _refers("alert_events", "alert_id", "alerts"),
    )
    _index("alert_events", "alert_id")


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        _serial(),
        _needs("received_at", _instant()),
        _needs("reason", _name(64)),
        _needs("detail", _name(2000)),
        _needs("topic", _name(2000)),
        _needs("payload", sa.LargeBinary()),
        _needs("payload_size", sa.Integer()),
        _may("fleet_id"),
        _may("gateway_id"),
        _may("unit_id"),
        _key("quarantine", "id"),
    )
    op.create_table(
        "quarantine_counts",
        _needs("reason", _name(64)),
        _needs("entries", sa.BigInteger()),
        _key("quarantine_counts", "reason"),
    )


def _people() -> None:
    op.create_table(
        "accounts",
        _needs("account_id", _name(64)),
        _needs("name"),
        _needs("display_name"),
        _needs("created_at", _instant()),
        _needs("role"),
        _may("organisation_id", _name(64)),
        _may("password_hash", _name(500)),
        _needs("session_epoch", sa.Integer()),
        _key("accounts", "account_id"),
        _refers("accounts", "organisation_id", "organisations"),
        sa.UniqueConstraint("name", name=op.f("uq_accounts_name")),
    )
    op.create_table(
        "claim_links",
        _needs("token_hash", _name(500)),
        _needs("account_id", _name(64)),
        _needs("expires_at", _instant()),
        _may("used_at", _instant()),
        _key("claim_links", "token_hash"),
        _refers("claim_links", "account_id", "accounts"),
    )
    _index("claim_links", "account_id")


def _name(length: int) -> sa.String:
    return sa.String(length)


def _instant() -> sa.DateTime:
    return sa.DateTime(timezone=True)


def _needs(name: str, kind: Any = None) -> sa.Column[Any]:
    return sa.Column(name, _name(200) if kind is None else kind, nullable=False)


def _may(name: str, kind: Any = None) -> sa.Column[Any]:
    return sa.Column(name, _name(200) if kind is None else kind, nullable=True)


def _id() -> sa.Column[Any]:
    return sa.Column("id", sa.Integer(), autoincrement=False, nullable=False)


def _serial() -> sa.Column[Any]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _refers(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.{column}"], name=op.f(f"fk_{table}_{column}"))


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))
