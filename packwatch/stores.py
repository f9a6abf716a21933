"""Opens the telemetry store that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packwatch.settings import SettingsError, StoreKind

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.stores.influx_server import InfluxAccess
    from ingest.stores.moving import MovableStore
    from packwatch.settings import Settings


def open_store(settings: Settings) -> MovableStore:
    """The store; blocks. Raises StoreError when it cannot be opened, SettingsError when a setting is missing."""
    import pyarrow as pa

    pa.array(())  # with its first array pyarrow imports pandas: half a second that no flush should take
    match settings.store.kind:
        case StoreKind.DUCKDB:
            from ingest.stores.duckdb import DuckDBStore

            return DuckDBStore(
                store_path(settings),
                threads=settings.store.threads,
                memory_limit_mb=settings.store.memory_limit_mb,
            )
        case StoreKind.INFLUXDB:
            from ingest.stores.influx import InfluxDBStore

            store = InfluxDBStore(influx_access(settings))
            try:
                store.check()
            except BaseException:
                store.close()
                raise
            return store


def influx_access(settings: Settings) -> InfluxAccess:
    """Where the InfluxDB is. Raises SettingsError without `store.url`."""
    from ingest.stores.influx_server import InfluxAccess

    section = settings.store
    if section.url is None:
        raise SettingsError("store.url is not set: name the InfluxDB, for example http://127.0.0.1:8086")
    if urlsplit(section.url).username is not None:
        raise SettingsError("store.url holds an account: set store.username and store.password, which logs never show")
    return InfluxAccess(
        url=section.url,
        database=section.database,
        token=section.token.get_secret_value() if section.token else None,
        organisation=section.organisation,
        username=section.username,
        password=section.password.get_secret_value() if section.password else None,
        retention_days=section.retention_days,
    )


def is_shared(settings: Settings) -> bool:
    """Whether any process may open the store, and not only one."""
    return settings.store.kind is StoreKind.INFLUXDB


def store_path(settings: Settings) -> Path:
    """The embedded store's file."""
    return settings.data_dir / "telemetry.duckdb"
