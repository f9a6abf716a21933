"""The thread that owns the outbox's file: what is asked for while it commits is done in the next transaction."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from gateway.outbox_schema import OutboxDamagedError, classified

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.outbox_file import OutboxFile

_T = TypeVar("_T")

JOBS_WAITING = 1_024
"""Jobs that may wait for the writer. Callers wait for theirs, so there are only ever a few a task. **Assumed**."""


class _Job(NamedTuple):
    work: Callable[[OutboxFile], Any]
    done: Callable[[Any, BaseException | None], None]


class FileState(NamedTuple):
    """What the loop knows of the file, as of the last transaction."""

    outbox_id: str
    acknowledged: bool
    records: int
    published: int
    unmapped: int
    next_sequence: int
    floor: int
    above: tuple[tuple[int, int], ...]
    used_bytes: int

    @classmethod
    def of(cls, file: OutboxFile) -> FileState:
        return cls(
            outbox_id=file.outbox_id,
            acknowledged=file.acknowledged,
            records=file.records,
            published=file.published,
            unmapped=file.unmapped,
            next_sequence=file.next_sequence,
            floor=file.floor,
            above=tuple(file.above),
            used_bytes=file.used_bytes(),
        )


class OutboxWriter:
    """Call it from one event loop. `changed` is called there with what the file says after each transaction."""

    def __init__(self, file: OutboxFile, changed: Callable[[FileState], None]) -> None:
        self._file = file
        self._changed = changed
        self._state = FileState.of(file)
        self._jobs: queue.Queue[_Job | None] = queue.Queue(JOBS_WAITING)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write, name="gateway-outbox", daemon=True)
        changed(self._state)
        self._thread.start()

    async def close(self) -> None:
        """Finish what was asked for, and close the file. Nothing may be asked for afterwards."""
        self._jobs.put_nowait(None)
        await asyncio.to_thread(self._thread.join)

    async def run(self, work: Callable[[OutboxFile], _T]) -> _T:
        """Do this in a transaction; it is committed when this returns. Raises what `meaning` makes of an error."""
        future: asyncio.Future[_T] = self._loop.create_future()

        def done(result: _T, error: BaseException | None) -> None:
            if future.done():  # its caller was cancelled
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self._jobs.put_nowait(_Job(work, done))
        return await future

    def _write(self) -> None:
        """Thread: one transaction for all jobs that wait."""
        stopping = False
        while not stopping:
            jobs: list[_Job] = []
            item = self._jobs.get()
            while True:
                if item is None:
                    stopping = True
                else:
                    jobs.append(item)
                try:
                    item = self._jobs.get_nowait()
                except queue.Empty:
                    break
            if jobs:
                self._transact(jobs)
        with contextlib.suppress(sqlite3.Error):
            self._file.database.close()

    def _transact(self, jobs: Sequence[_Job]) -> None:
        file, database = self._file, self._file.database
        results: list[Any] = []
        error: BaseException | None = None
        try:
            database.execute("BEGIN IMMEDIATE")
            results = [job.work(file) for job in jobs]
            file.before_commit()
            database.execute("COMMIT")
        except Exception as failed:  # noqa: BLE001  # whoever asked is told; the thread goes on
            error = meaning(failed)
            try:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                file.forget_changes()
            except (sqlite3.Error, TypeError, ValueError) as broken:
                error = meaning(broken)
        if len(jobs) > 1 and error is not None and not isinstance(error, OutboxDamagedError):
            for job in jobs:  # what one could not do must not keep the others from it, say a settlement that makes room
                self._transact([job])
            return
        try:
            state = FileState.of(file)
        except (sqlite3.Error, AttributeError):  # it could not even be read again
            state = self._state
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._finish, jobs, results, error, state)

    def _finish(
        self, jobs: Sequence[_Job], results: Sequence[Any], error: BaseException | None, state: FileState
    ) -> None:
        """In the loop: tell what the file says now, then wake those who asked."""
        self._state = state
        self._changed(state)
        for at, job in enumerate(jobs):
            job.done(results[at] if error is None else None, error)


def meaning(error: Exception) -> Exception:
    """What to do about an error of a transaction: SQLite's are classified; a row that nobody wrote is damage."""
    if isinstance(error, sqlite3.Error):
        return classified(error)
    return OutboxDamagedError(repr(error)) if isinstance(error, TypeError | ValueError) else error
