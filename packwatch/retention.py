"""Deletes samples that are older than their retention, once an hour; held ones stay."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from ingest.stores.contract import StoreError

if TYPE_CHECKING:
    from ingest.stores.contract import TelemetryStore

_EVERY_S = 3600.0
_DAY_MS = 86_400_000


async def keep_retention(store: TelemetryStore, days: int | None) -> None:
    """Run until cancelled. `days` None keeps everything. A store that cannot delete now is asked again next time."""
    log = structlog.get_logger("packwatch.retention")
    while True:
        if days is not None:
            cutoff_ms = time.time_ns() // 1_000_000 - days * _DAY_MS
            try:
                rows = await asyncio.to_thread(store.delete_before, cutoff_ms)
            except StoreError as error:
                log.warning("retention_failed", reason=str(error))
            else:
                log.info("retention_kept", deleted_rows=rows, days=days)
        await asyncio.sleep(_EVERY_S)
