"""How long to wait for somebody else, when this process itself may be held up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

_T = TypeVar("_T")

LOOKS = 20
"""Into how many parts the time is cut. What the event loop was late by counts as one of them at most: an answer that
came while this process was held up is read and not taken for missing."""


async def within(seconds: float, work: Coroutine[object, object, _T]) -> _T:
    """What `work` comes to. Raises TimeoutError, and cancels it, when it took longer, by a loop that runs."""
    task = asyncio.ensure_future(work)
    try:
        for _ in range(LOOKS):
            await asyncio.wait({task}, timeout=seconds / LOOKS)
            if task.done():
                return task.result()
        raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # what it says at its end comes too late
