"""One DuckDB file: opened, checked, and its errors told apart by what the caller can do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from ingest.stores.contract import (
    StoreCorruptError,
    StoreError,
    StoreInUseError,
    StoreRefusedError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = 3

_TABLES = """
CREATE TABLE store_version (version INTEGER NOT NULL);
INSERT INTO store_version VALUES (3);
CREATE TABLE samples (
    unit_id VARCHAR NOT NULL, boot_id VARCHAR, frame UBIGINT, gateway_id VARCHAR NOT NULL,
    sampled_at TIMESTAMP_MS NOT NULL, received_at TIMESTAMP_MS NOT NULL, time_uncertainty_s FLOAT,
    provenance VARCHAR NOT NULL, temperature_c FLOAT[] NOT NULL, voltage_v FLOAT[] NOT NULL,
    ambient_c FLOAT, humidity_pct FLOAT, hydrogen_ppm FLOAT, carbon_monoxide_ppm FLOAT, voc_ppm FLOAT, shock_g FLOAT,
    quality UINTEGER NOT NULL);
CREATE TABLE progress (
    unit_id VARCHAR NOT NULL, boot_id VARCHAR NOT NULL, first_frame UBIGINT NOT NULL, last_frame UBIGINT NOT NULL,
    received_at TIMESTAMP_MS NOT NULL);
CREATE TABLE positions (
    fleet_id VARCHAR NOT NULL, gateway_id VARCHAR NOT NULL, fixed_at TIMESTAMP_MS NOT NULL,
    latitude_deg DOUBLE NOT NULL, longitude_deg DOUBLE NOT NULL, speed_m_s DOUBLE, heading_deg DOUBLE,
    accuracy_m DOUBLE);
CREATE TABLE holds (unit_id VARCHAR NOT NULL, start_at TIMESTAMP_MS NOT NULL, end_at TIMESTAMP_MS NOT NULL);
"""
_SINCE_2 = """
CREATE TABLE outbox_progress (
    fleet_id VARCHAR NOT NULL, gateway_id VARCHAR NOT NULL, outbox_id VARCHAR NOT NULL,
    first_sequence UBIGINT NOT NULL, last_sequence UBIGINT NOT NULL);
CREATE TABLE fences (lease_group VARCHAR NOT NULL, number UBIGINT NOT NULL);
"""
_SINCE_3 = """
CREATE TABLE hot_days (unit_id VARCHAR, day_at TIMESTAMP_MS, hottest_c FLOAT NOT NULL, PRIMARY KEY (unit_id, day_at));
"""
HOT_DAYS = """
INSERT INTO hot_days
SELECT unit_id, date_trunc('day', sampled_at)::TIMESTAMP_MS AS day_at, max(list_max(temperature_c)) AS hottest_c
FROM {rows} GROUP BY ALL HAVING hottest_c IS NOT NULL
ON CONFLICT DO UPDATE SET hottest_c = greatest(hottest_c, excluded.hottest_c)
"""
"""Takes rows into the hottest temperatures of each unit's days."""

_UNFIT = (
    duckdb.DataError,
    duckdb.IntegrityError,
    duckdb.InternalError,
    duckdb.InvalidInputException,
    duckdb.NotSupportedError,
    pa.ArrowException,
    OverflowError,
    UnicodeError,
)
"""What DuckDB and Arrow raise for values that they cannot hold or stumble over, however often one tries."""


def open_file(path: Path, *, threads: int, memory_limit_mb: int) -> duckdb.DuckDBPyConnection:
    """Open or create the store at `path`. Raises the StoreError that says what is in the way."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(
            str(path),
            config={
                "threads": threads,
                "memory_limit": f"{memory_limit_mb}MB",
                # Nothing is ever fetched from the network to open a local file.
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
    except OSError as error:
        raise StoreUnavailableError(f"the telemetry store {path} cannot be opened: {error}") from error
    except duckdb.Error as error:
        raise _opening_error(path, error) from error
    try:
        _check_tables(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def told_apart() -> Iterator[None]:
    """Turn DuckDB's and Arrow's errors into the contract's."""
    try:
        yield
    except StoreError:
        raise
    except (duckdb.OutOfMemoryException, duckdb.InterruptException) as error:
        raise StoreUnavailableError(f"the telemetry store ran out of room or time: {error}") from error
    except _UNFIT as error:
        raise StoreRefusedError(f"the telemetry store refuses these values: {error}") from error
    except (duckdb.Error, OSError) as error:
        raise StoreUnavailableError(f"the telemetry store does not serve now: {error}") from error


@contextmanager
def registered(cursor: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    """Let SQL see an Arrow table under a name."""
    cursor.register(name, table)
    try:
        yield
    finally:
        cursor.unregister(name)


def _check_tables(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        names = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        if not names:
            connection.begin()
            connection.execute(_TABLES + _SINCE_2 + _SINCE_3)
            connection.commit()
            return
        if "store_version" not in names:
            raise StoreCorruptError(f"{path} is a DuckDB file, but no telemetry store of Packwatch")
        (version,) = connection.execute("SELECT version FROM store_version").fetchall()[0]
        if version in {1, 2}:
            connection.begin()
            if version == 1:
                connection.execute(_SINCE_2)
            connection.execute(_SINCE_3)
            connection.execute(HOT_DAYS.format(rows="samples"))
            connection.execute("UPDATE store_version SET version = 3")
            connection.commit()
            return
    except duckdb.Error as error:
        raise _opening_error(path, error) from error
    if version != SCHEMA_VERSION:
        raise StoreCorruptError(
            f"the telemetry store {path} has format {version}, this version of Packwatch reads {SCHEMA_VERSION}"
        )


def _opening_error(path: Path, error: duckdb.Error) -> StoreError:
    text = str(error)
    if "Could not set lock" in text or "Conflicting lock" in text:
        return StoreInUseError(f"the telemetry store {path} is open in another process; stop it or ask it ({text})")
    if isinstance(error, duckdb.IOException) and any(sign in text for sign in ("Cannot open file", "Permission")):
        return StoreUnavailableError(f"the telemetry store {path} cannot be opened: {text}")
    return StoreCorruptError(f"{path} is damaged or is no telemetry store; put a backup in its place ({text})")
