"""The audit log, which the database itself keeps from being changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0005"
down_revision = "r0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the log, its end, and the triggers that refuse what would change either."""
    op.create_table(
        "audit_log",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.String(32), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("actor_role", sa.String(200), nullable=True),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("detail", sa.String(262_144), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_log")),
    )
    op.create_index(op.f("ix_audit_log_subject"), "audit_log", ["subject"])
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.bulk_insert(head, [{"id": 1, "sequence": 0, "hash": "0" * 64}])
    statements = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    for statement in statements:
        op.execute(statement)


_ONLY_ADDED = "the audit log is only ever added to"
_FOLLOWS = "a row of the audit log follows the one before it"
_MOVES_ON = "the end of the audit log only moves on"
_TAKEN = "EXISTS (SELECT 1 FROM audit_log WHERE sequence = NEW.sequence)"
_UNCHAINED = """(NEW.sequence > 1 AND NOT EXISTS
    (SELECT 1 FROM audit_log WHERE sequence = NEW.sequence - 1 AND hash = NEW.previous))"""
_BACKWARDS = "(NEW.sequence <= OLD.sequence OR NEW.id <> OLD.id)"


def _sqlite_guard(table: str, change: str, message: str, condition: str = "1") -> str:
    return f"""CREATE TRIGGER {table}_{change.lower()} BEFORE {change} ON {table} WHEN {condition}
        BEGIN SELECT RAISE(ABORT, '{message}'); END"""


_SQLITE = (
    _sqlite_guard("audit_log", "UPDATE", _ONLY_ADDED),
    _sqlite_guard("audit_log", "DELETE", _ONLY_ADDED),
    # INSERT OR REPLACE takes a row away without a DELETE trigger
    _sqlite_guard("audit_log", "INSERT", _FOLLOWS, f"{_TAKEN} OR {_UNCHAINED}"),
    _sqlite_guard("audit_head", "UPDATE", _MOVES_ON, _BACKWARDS),
    _sqlite_guard("audit_head", "DELETE", _MOVES_ON),
    _sqlite_guard("audit_head", "INSERT", _MOVES_ON),
)


def _postgresql_check(name: str, message: str, condition: str = "true") -> str:
    return f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF {condition} THEN RAISE EXCEPTION '{message}' USING ERRCODE = 'restrict_violation'; END IF;
        RETURN NEW;
        END $$"""


def _postgresql_guard(table: str, changes: str, check: str, each: str = "STATEMENT") -> str:
    name = f"{table}_{changes.split(maxsplit=1)[0].lower()}"
    return f"CREATE TRIGGER {name} BEFORE {changes} ON {table} FOR EACH {each} EXECUTE FUNCTION {check}()"


_POSTGRESQL = (
    _postgresql_check("audit_only_added", _ONLY_ADDED),
    _postgresql_check("audit_follows", _FOLLOWS, _UNCHAINED),
    _postgresql_check("audit_moves_on", _MOVES_ON, _BACKWARDS),
    _postgresql_guard("audit_log", "UPDATE OR DELETE OR TRUNCATE", "audit_only_added"),
    _postgresql_guard("audit_log", "INSERT", "audit_follows", "ROW"),
    _postgresql_guard("audit_head", "UPDATE", "audit_moves_on", "ROW"),
    _postgresql_guard("audit_head", "DELETE OR INSERT OR TRUNCATE", "audit_only_added"),
)
