"""The outbox's SQLite file: its tables, how it is opened, and what becomes of one that is damaged."""

from __future__ import annotations

import sqlite3
import uuid
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from pathlib import Path

_log = structlog.get_logger()

FORMAT = 1
"""`user_version` of the file."""
PAGE_BYTES = 4096
"""SQLite's own default, and the block of flash."""
LEAST_BYTES = 64 * PAGE_BYTES
"""Below this the tables themselves leave no room."""

_TABLES = """
CREATE TABLE outbox (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    outbox_id TEXT NOT NULL,
    next_sequence INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL
);
CREATE TABLE records (
    sequence INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    unit_id TEXT,
    boot_id TEXT,
    first_tick_ms INTEGER,
    last_tick_ms INTEGER,
    accepted_at_ms INTEGER NOT NULL,
    utc_at_tick_zero_ms INTEGER,
    uncertainty_s REAL,
    quality INTEGER,
    thinned INTEGER NOT NULL DEFAULT 0,
    published INTEGER NOT NULL DEFAULT 0,
    payload BLOB NOT NULL
);
CREATE INDEX unmapped ON records (unit_id, boot_id, sequence) WHERE kind = 1 AND utc_at_tick_zero_ms IS NULL;
CREATE TABLE settled (first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE taken (
    unit_id TEXT NOT NULL, boot_id TEXT NOT NULL, used INTEGER NOT NULL, ranges TEXT NOT NULL,
    PRIMARY KEY (unit_id, boot_id)
) WITHOUT ROWID;
CREATE TABLE clocks (unit_id TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE suspicious (unit_id TEXT PRIMARY KEY, until_ms INTEGER NOT NULL) WITHOUT ROWID;
"""
_GIVEN = """
CREATE TABLE IF NOT EXISTS given (
    unit_id TEXT NOT NULL, boot_id TEXT NOT NULL,
    first_tick_ms INTEGER NOT NULL, last_tick_ms INTEGER NOT NULL, utc_at_tick_zero_ms INTEGER NOT NULL,
    PRIMARY KEY (unit_id, boot_id)
) WITHOUT ROWID
"""
"""Of each boot, the latest frame that was given a time since `clocks` were kept. Files made before it lack it, and the
program that made them reads those that have it: no other format."""
_NAMES = frozenset({"outbox", "records", "settled", "taken", "clocks", "suspicious"})


class OutboxFullError(Exception):
    """The disk, or the outbox's share of it, has no room: nothing was changed. Try again later."""


class OutboxDamagedError(Exception):
    """The file is no outbox any more. Open it again: it is set aside then."""


def classified(error: sqlite3.Error) -> Exception:
    """What a caller does about an error of SQLite: wait, open anew, or nothing, since it is a mistake of ours."""
    code = getattr(error, "sqlite_errorcode", None)
    match None if code is None else code & 0xFF:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return OutboxDamagedError(str(error))
        case (
            sqlite3.SQLITE_FULL
            | sqlite3.SQLITE_IOERR
            | sqlite3.SQLITE_CANTOPEN
            | sqlite3.SQLITE_READONLY
            | sqlite3.SQLITE_BUSY
            | sqlite3.SQLITE_NOMEM
        ):
            return OutboxFullError(str(error))
    return error


def open_database(path: Path | None, *, max_bytes: int) -> sqlite3.Connection:
    """Open the outbox at `path`, or make it; None = in memory.

    Durability: WAL with synchronous FULL. A frame is acknowledged, and so deleted by its unit, after the commit, and a
    vehicle's box loses its power without warning: with NORMAL the last commits would be gone, and their sequence
    numbers given again. One commit carries all frames of a turn, so the cost is one fsync a turn and not one a frame.
    Raises OutboxFullError where the disk does not let it be opened, OutboxDamagedError for what is no outbox.
    """
    try:
        return _open(path, max_bytes)
    except sqlite3.Error as error:
        raise classified(error) from error


def set_aside(path: Path, why: str, now_ms: int) -> None:
    """Rename a damaged file, and what SQLite keeps beside it, for whoever wants to salvage it; tell so."""
    aside = path.with_name(f"{path.name}.damaged-{now_ms}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    _log.error(
        "outbox_damaged",
        path=str(path),
        set_aside=str(aside),
        error=why,
        meaning="records in it that were not settled are lost; the gateway goes on with a new outbox",
    )


def _open(path: Path | None, max_bytes: int) -> sqlite3.Connection:
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutboxFullError(str(error)) from error
    # isolation_level None: transactions begin and end where this room says so.
    database = sqlite3.connect(
        ":memory:" if path is None else path, isolation_level=None, check_same_thread=False, timeout=5.0
    )
    try:
        database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA cache_size = -8192")  # KiB; pages are read once, on their way out
        database.execute("PRAGMA journal_size_limit = 16777216")
        # Another process on the same file would give the same sequence numbers.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        _fit(database)
        database.execute(f"PRAGMA max_page_count = {max(LEAST_BYTES, max_bytes) // PAGE_BYTES}")
    except BaseException:
        database.close()
        raise
    return database


def _fit(database: sqlite3.Connection) -> None:
    """Make the tables in an empty file; refuse one that is another program's, or lacks what it needs."""
    database.execute("BEGIN IMMEDIATE")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if version == 0 and not tables:
        for statement in _TABLES.split(";"):
            database.execute(statement)
        database.execute("INSERT INTO outbox VALUES (1, ?, 1, 0, 0)", (uuid.uuid4().hex,))
        database.execute(f"PRAGMA user_version = {FORMAT}")
    elif version != FORMAT or not tables >= _NAMES:
        database.execute("ROLLBACK")
        raise OutboxDamagedError(f"format {version}, not {FORMAT}, or tables are missing")
    elif database.execute("SELECT count(*) FROM outbox").fetchone() != (1,):
        database.execute("ROLLBACK")
        raise OutboxDamagedError("it does not say which outbox it is")
    database.execute(_GIVEN)
    database.execute("COMMIT")
