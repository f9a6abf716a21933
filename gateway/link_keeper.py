"""Keeps a connection: again and again, with longer and longer waits, and never at another connection's expense."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from gateway.backoff import Backoff
from gateway.link import LINK_ERRORS

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

_log = structlog.get_logger()

SETTLED_S = 10.0
"""A connection that lasted this long counts as a success for the next wait. **Assumed**: two gateways with the same id
throw each other out at once, and must not do so four times a second."""


async def keep_link(
    name: str, connection: Callable[[], Awaitable[None]], jitter: random.Random, **context: str
) -> None:
    """Run `connection` until cancelled; whenever it returns or raises one of LINK_ERRORS, wait and run it again."""
    backoff = Backoff(jitter)
    while True:
        began_s = time.monotonic()
        error: str | None = None
        try:
            await connection()
        except LINK_ERRORS as lost:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # the farewell failed: that is no reason to stay
                raise asyncio.CancelledError from lost
            error = str(lost) or type(lost).__name__
        if time.monotonic() - began_s >= SETTLED_S:
            backoff.succeeded()
        wait_s = backoff.next_s()
        _log.warning("link_ended", link=name, error=error, retry_in_s=round(wait_s, 2), **context)
        await asyncio.sleep(wait_s)


async def run_until_first_ends(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until one returns or raises; cancel the others. An error is raised as itself.

    No TaskGroup: Python 3.11 leaves the parent of a failed one marked as cancelled.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
