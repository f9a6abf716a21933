"""Deletes samples that are older than their retention, once an hour; those of incidents are held and stay."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from ingest.stores.contract import StoreError, UnitSpan
from registry.errors import RegistryError

if TYPE_CHECKING:
    from ingest.stores.contract import TelemetryStore
    from registry.registry import Registry

_EVERY_S = 3600.0
_DAY_MS = 86_400_000


async def keep_retention(store: TelemetryStore, days: int | None, registry: Registry) -> None:
    """Run until cancelled. `days` None keeps everything. A store that cannot delete now is asked again next time."""
    log = structlog.get_logger("packwatch.retention")
    while True:
        if days is not None:
            now_ms = time.time_ns() // 1_000_000
            try:
                holds = await asyncio.to_thread(hold_incidents, store, registry, now_ms)
                rows = await asyncio.to_thread(store.delete_before, now_ms - days * _DAY_MS)
            except (StoreError, RegistryError) as error:
                log.warning("retention_failed", reason=str(error))
            else:
                log.info("retention_kept", deleted_rows=rows, days=days, new_holds=holds)
        await asyncio.sleep(_EVERY_S)


def hold_incidents(store: TelemetryStore, registry: Registry, now_ms: int) -> int:
    """Hold what incidents span, back to the start of the trip; how many holds are new. Blocks.

    An incident's hold grows by whole days, and ahead of the time, so that an open one is made anew once a day. A hold
    of the same unit from the same instant that it replaces is released.
    """
    held = set(store.holds())
    made = 0
    for unit_id, start, end in registry.case_spans(datetime.fromtimestamp(now_ms / 1000, UTC)):
        start_ms = round(start.timestamp() * 1000)
        end_ms = (round(end.timestamp() * 1000) // _DAY_MS + 2) * _DAY_MS
        span = UnitSpan(unit_id, start_ms, end_ms)
        shorter = [each for each in held if each[:2] == span[:2] and each.end_ms < end_ms]
        if any(each[:2] == span[:2] and each.end_ms >= end_ms for each in held):
            continue
        store.hold(span)
        held.add(span)
        made += 1
        for each in shorter:
            store.release(each)
            held.discard(each)
    return made
