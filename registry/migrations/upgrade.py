"""Brings a database to this program's schema, once, however many processes start at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text

from registry.errors import UnusableError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LOCK = 0x7061636B
"""PostgreSQL's advisory lock for migrations: "pack" in ASCII, a number that nothing else here uses."""


def configuration() -> Config:
    """Alembic's settings for the steps that are installed beside this file."""
    config = Config()
    config.set_main_option("script_location", "registry:migrations")
    config.set_main_option("path_separator", "os")
    return config


def upgrade(connection: Connection, where: str) -> None:
    """Run the missing steps in the caller's transaction, which on SQLite must hold the write lock already.

    Raises UnusableError when the schema comes from a newer program; then nothing was changed.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = configuration()
    script = ScriptDirectory.from_config(config)
    found = MigrationContext.configure(connection).get_current_revision()
    if found == script.get_current_head():
        return
    try:
        script.get_revision(found or "base")
    except CommandError:
        raise UnusableError(
            f"the registry at {where} has schema {found!r}, which this program does not know: a newer Packwatch wrote "
            "it. Install that version, or choose another data directory"
        ) from None
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
