"""One database under the registry: how it is opened, read and written, on SQLite and on PostgreSQL.

Writes on SQLite begin IMMEDIATE: a writer waits its turn at the start (busy_timeout), instead of failing half-way
when another process wrote since it first read. On PostgreSQL, writers of one thing take a row's lock instead.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from sqlalchemy import URL, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import InsertmanyvaluesSentinelOpts

from registry.errors import ConflictError, NotFoundError, RefusedError, UnavailableError, UnusableError
from registry.migrations.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

BUSY_TIMEOUT_S = 5.0
"""**Assumed**: longer than any write of ours holds SQLite's lock, shorter than a person waits."""
ATTEMPTS = 3
"""**Assumed**: tries of one write that the database rolled back for want of a lock."""
WAL_ATTEMPTS = 20
"""**Assumed**: each lost try means that another process got a step further, and a new file's first steps are few."""
RETRY_PAUSE_S = 0.05
"""**Assumed**: before the next try, s, times the tries so far. The loser of a deadlock that comes back at once can take
its first row again before the winner wakes up, and so lose again: seen on PostgreSQL 15."""
CONNECT_TIMEOUT_S = 10
"""**Assumed**: how long PostgreSQL may take to answer a new connection, s."""
_ROLLED_BACK_SQLSTATES = {"40001", "40P01"}
"""PostgreSQL, appendix A: serialization_failure, deadlock_detected. The whole transaction was undone."""
_UNIQUE_CODES = {"23505", sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}
_FOREIGN_KEY_CODES = {"23503", sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY}

_T = TypeVar("_T")


class Database:
    """Transactions on one database. Safe to share among threads; several processes may open the same one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(packwatch_writes=True)
        # Threads of one process take turns here: SQLite lets them look again and again, in pauses of up to 0.1 s.
        self._turn = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @classmethod
    def open(cls, url: str) -> Self:
        """Connect, and bring the schema to this program's.

        `url`: `sqlite:///FILE` (made with its folder when missing) or `postgresql+psycopg://...`.
        Raises UnusableError or UnavailableError, and then holds nothing open.
        """
        address = _parse_url(url)
        engine = _sqlite_engine(address) if address.get_backend_name() == "sqlite" else _postgresql_engine(address)
        where = address.render_as_string(hide_password=True)
        database = cls(engine)
        try:
            with database._writing.begin() as connection:
                upgrade(connection, where)
        except SQLAlchemyError as error:
            engine.dispose()
            raise _at_opening(error, where) from error
        except BaseException:
            engine.dispose()
            raise
        return database

    def close(self) -> None:
        """Let go of all connections. No call may follow, and none may be under way."""
        self._engine.dispose()

    def _read(self, work: Callable[[Session], _T]) -> _T:
        """Run `work` on one snapshot (SQLite) or on committed data (PostgreSQL)."""
        try:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                return work(session)
        except (DBAPIError, UnicodeEncodeError) as error:
            raise _translated(error) from error

    def _write(self, work: Callable[[Session], _T]) -> _T:
        """Run `work` in one transaction, all or nothing.

        It runs again, from its start, when the database undid it for want of a lock: `work` keeps no state of its own.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._turn, Session(self._writing, expire_on_commit=False) as session, session.begin():
                    return work(session)
            except (DBAPIError, UnicodeEncodeError) as error:
                if attempt == ATTEMPTS or not _was_rolled_back(error):
                    raise _translated(error) from error
            time.sleep(attempt * RETRY_PAUSE_S)
        raise AssertionError  # the last attempt returned or raised


def database_time(session: Session) -> datetime:
    """The time now where the database runs, which all its users share; SQLite runs here."""
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)
    told = session.scalar(select(func.clock_timestamp()))
    if not isinstance(told, datetime):
        raise TypeError(f"the database tells the time as {told!r}")
    return told


def _parse_url(url: str) -> URL:
    try:
        address = make_url(url)
        backend = address.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise UnusableError(
            "the registry's address is no URL such as sqlite:///FILE or postgresql+psycopg://..."
        ) from error
    if backend not in {"sqlite", "postgresql"}:
        raise UnusableError(f"the registry cannot live in {backend}: use sqlite:///FILE or postgresql+psycopg://...")
    if backend == "sqlite" and address.database in {None, "", ":memory:"}:
        raise UnusableError("the registry needs a file: one in memory could not be shared, and would be forgotten")
    return address.set(drivername="postgresql+psycopg") if backend == "postgresql" else address


def _sqlite_engine(address: URL) -> Engine:
    path = Path(address.database or "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Password hashes lie in it; SQLite gives its -wal and -shm files the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise UnusableError(f"the registry's file {path} cannot be opened: {error.strerror}") from error
    engine = create_engine(address, connect_args={"timeout": BUSY_TIMEOUT_S})
    # New rows go in one statement instead of one each: SQLite numbers them in the order in which they stand in it.
    engine.dialect.insertmanyvalues_implicit_sentinel = InsertmanyvaluesSentinelOpts.ANY_AUTOINCREMENT

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # BEGIN is ours: the driver's own comes late, and is never IMMEDIATE
        connection.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1000)}")
        connection.execute("PRAGMA foreign_keys = ON")
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("packwatch_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Change the file's journal for good, or find it changed; `busy_timeout` does not hold for this one step.

    Raises sqlite3.OperationalError when other processes are in the way throughout.
    """
    for attempt in range(1, WAL_ATTEMPTS + 1):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if attempt == WAL_ATTEMPTS or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            connection.execute("BEGIN IMMEDIATE")  # waits, up to busy_timeout, for whoever is in the way
            connection.execute("ROLLBACK")
        else:
            return


def _postgresql_engine(address: URL) -> Engine:
    return create_engine(address, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})


def _code(error: DBAPIError) -> str | int | None:
    """The driver's own word for it: an SQLSTATE, or SQLite's extended result code."""
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorcode", None)


def _was_rolled_back(error: Exception) -> bool:
    code = _code(error) if isinstance(error, DBAPIError) else None
    if isinstance(code, int):
        return code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}  # extended codes keep the primary one there
    return code in _ROLLED_BACK_SQLSTATES


def _translated(error: DBAPIError | UnicodeEncodeError) -> Exception:
    """The registry's error for the driver's, by what a caller can do about it."""
    if isinstance(error, UnicodeEncodeError):
        return RefusedError(f"the database cannot hold that text: {error.reason}")
    if isinstance(error, DataError):
        return RefusedError(f"the database cannot hold that value: {error.orig}")
    code = _code(error)
    if isinstance(error, IntegrityError):
        if code in _UNIQUE_CODES:
            return ConflictError(f"it exists already: {error.orig}")
        if code in _FOREIGN_KEY_CODES:
            return NotFoundError(f"it names something unknown, or that is still in use: {error.orig}")
        return RefusedError(f"the database refuses it: {error.orig}")
    return UnavailableError(f"the registry's database is busy or away: {error.orig}")


def _at_opening(error: SQLAlchemyError, where: str) -> Exception:
    cause = error.orig if isinstance(error, DBAPIError) else error
    away = isinstance(error, OperationalError) and where.startswith("postgresql")
    if away or _was_rolled_back(error):
        return UnavailableError(f"the registry at {where} does not answer: {cause}")
    return UnusableError(f"the registry at {where} cannot be used: {cause}")
