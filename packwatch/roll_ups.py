"""Keeps a store's roll-ups near its samples: a month is drawn from them, and hot days are found by them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from ingest.stores.contract import StoreError

if TYPE_CHECKING:
    from ingest.stores.contract import TelemetryStore

_EVERY_S = 60.0
_PAUSE_S = 1.0
"""Between portions of a backlog, such as an old store's: what comes in goes first. **assumed**"""


async def keep_roll_ups(store: TelemetryStore) -> None:
    """Run until cancelled. What cannot be rolled up now waits."""
    log = structlog.get_logger("packwatch.roll_ups")
    while True:
        more = False
        try:
            more = await asyncio.to_thread(store.roll_up, time.time_ns() // 1_000_000)
        except StoreError as error:
            log.warning("roll_up_failed", reason=str(error))
        await asyncio.sleep(_PAUSE_S if more else _EVERY_S)
