"""Waiting for a channel: its silence counts, and what this process itself was held up for does not."""

from __future__ import annotations

import asyncio
import time

import pytest

from alerts.paging.patience import within


async def answered_by_another_thread() -> str:
    """Three answers, one after the other, as a mail server gives them."""
    for _ in range(3):
        await asyncio.to_thread(lambda: None)
    return "250 taken"


async def test_an_answer_that_came_while_the_loop_stood_still_is_read() -> None:
    async def stand_still() -> None:
        for _ in range(4):
            time.sleep(0.3)  # noqa: ASYNC251  the loop is to stand still for longer than the channel has
            await asyncio.sleep(0)

    stalled = asyncio.create_task(stand_still())
    assert await within(0.25, answered_by_another_thread()) == "250 taken"
    await stalled


async def test_a_channel_that_says_nothing_is_given_up_and_cancelled() -> None:
    ended = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await within(0.05, hang())
    assert ended.is_set()


async def test_what_a_channel_raises_is_raised() -> None:
    async def refuse() -> None:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        await within(1.0, refuse())


async def test_who_waits_takes_the_work_along_when_cancelled() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(within(60.0, hang()))
    await began.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
