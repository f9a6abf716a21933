"""The tasks of a process, each with a name: started in order, ended in reverse, and none dies unnoticed."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Coroutine


class TaskDiedError(RuntimeError):
    """A task that should run for as long as its service ended by itself."""


class Crew:
    """Runs named tasks until told to stop or one of them ends; then ends them in reverse order of their start."""

    def __init__(self, *, dismiss_within_s: float = 2.0) -> None:
        """`dismiss_within_s`: for the farewells of all together."""
        self._tasks: list[asyncio.Task[None]] = []
        self._dismiss_within_s = dismiss_within_s
        self._log = structlog.get_logger("packwatch.crew")

    def start(self, name: str, work: Coroutine[object, object, None]) -> None:
        """Begin a task that runs until the crew is dismissed."""
        self._tasks.append(asyncio.create_task(work, name=name))

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for `stop`. Raises TaskDiedError, with the cause, as soon as a task ends before that."""
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait([stopped, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        for task in done - {stopped}:
            cause = None if task.cancelled() else task.exception()
            raise TaskDiedError(f"{task.get_name()} ended unexpectedly: {cause or 'no error'}") from cause

    async def dismiss(self) -> None:
        """Cancel the tasks, last started first, each given what is left of the time for its farewell."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._dismiss_within_s
        for task in reversed(self._tasks):
            task.cancel()
            _, late = await asyncio.wait([task], timeout=max(0.1, until_s - loop.time()))
            if late:
                self._log.warning("task_slow_to_stop", task=task.get_name())
            elif not task.cancelled() and (error := task.exception()) is not None:
                self._log.error("task_failed", task=task.get_name(), error=repr(error))


def stop_on_signals() -> asyncio.Event:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        stop.set()
        loop.add_signal_handler(signal.SIGINT, signal.default_int_handler, signal.SIGINT, None)

    loop.add_signal_handler(signal.SIGINT, asked)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    return stop
