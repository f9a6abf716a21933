"""Real processes without their start-up: one process imports the programs once, and each part is a fork of it.

Importing `packwatch` takes seconds of CPU, and a round kills and starts a dozen processes. A fork has its own process
group, environment and log, runs the same `main`, and is killed like any other. Run as a program, this is the parent of
them all; it reads requests from its standard input and ends, with all its children, when that closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SET_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG, linux/prctl.h."""
PROGRAMS = {"packwatch": ("packwatch.cli", "main"), "one_unit": ("firmware_sim.one_unit", "main")}
IMPORTED = (
    "packwatch.cli",
    "packwatch.alone.ingest",
    "packwatch.alone.gateway",
    "ingest.stores.duckdb",
    "ingest.stores.influx",
    "firmware_sim.one_unit",
)
START_S = 60.0


class Process:
    """A part that was started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.exit_code: int | None = None
        self.ended = asyncio.Event()

    def signal(self, number: int) -> None:
        """Send a signal to the process and its group, if it still runs."""
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.signal(signal.SIGKILL)
        await self.ended.wait()

    async def terminate(self, within_s: float) -> int | None:
        """SIGTERM, and its exit code; None when it had to be killed."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(within_s):
                await self.ended.wait()
        except TimeoutError:
            await self.kill()
            return None
        return self.exit_code


class Nursery:
    """Starts processes. One event loop."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        """`environment`: for the parent and all that it starts, beside this process's own."""
        self._environment = {**os.environ, **(environment or {})}
        self._parent: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._asked: dict[int, asyncio.Future[int]] = {}
        self._children: dict[int, Process] = {}
        self._number = 0

    async def open(self) -> None:
        """Start the parent; takes the seconds that each part is spared."""
        self._parent = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
        )
        async with asyncio.timeout(START_S):
            line = await self._parent.stdout.readline()
        if json.loads(line or "{}") != {"ready": True}:
            raise RuntimeError("the nursery did not start")
        self._reading = asyncio.create_task(self._read(), name="nursery")

    async def close(self) -> None:
        """End the parent and every process it started."""
        if self._parent is None:
            return
        for child in self._children.values():
            child.signal(signal.SIGKILL)
        self._parent.stdin.close()
        await self._parent.wait()
        if self._reading is not None:
            await self._reading

    async def start(self, program: str, *words: object, environment: dict[str, str], log: Path) -> Process:
        """Start one of PROGRAMS with these command-line words."""
        self._number += 1
        asked = self._asked[self._number] = asyncio.get_running_loop().create_future()
        request = {
            "id": self._number,
            "program": program,
            "words": [str(word) for word in words],
            "environment": environment,
            "log": str(log),
        }
        self._parent.stdin.write(json.dumps(request).encode() + b"\n")
        await asked
        return self._children[asked.result()]

    async def _read(self) -> None:
        async for line in self._parent.stdout:
            said = json.loads(line)
            if "started" in said:
                # The child is known before its end can be told.
                self._children[said["started"]] = Process(said["started"])
                self._asked.pop(said["id"]).set_result(said["started"])
            else:
                child = self._children.pop(said["ended"])
                child.exit_code = said["code"]
                child.ended.set()


def _main() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    bell, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _say({"ready": True})
    pending = b""
    while True:
        readable, _, _ = select.select([0, bell], [], [])
        if bell in readable:
            os.read(bell, 4096)
        _reap()
        if 0 in readable:
            more = os.read(0, 65_536)
            if not more:
                return
            *lines, pending = (pending + more).split(b"\n")
            for line in lines:
                request = json.loads(line)
                _say({"id": request["id"], "started": _fork(request, (bell, ring))})


def _fork(request: dict[str, Any], not_its_own: tuple[int, int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        for left in (null, log, *not_its_own):
            os.close(left)
        os.environ.update(request["environment"])
        sys.argv = [request["program"], *request["words"]]
        module, function = PROGRAMS[request["program"]]
        getattr(importlib.import_module(module), function)()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 - a fork must never return into its parent's program
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _say(what: dict[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    del sys.path[0]  # this folder: none of its modules is meant to be found by the programs
    _main()
    # Nothing is left to tidy, and frozen objects would be reported as leaked.
    os._exit(0)
