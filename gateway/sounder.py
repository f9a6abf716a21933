"""Drives an output of the cab: siren or lamp, by a command or a GPIO line. It never waits for one, and never gives up.

A command is run with one further word, `siren`, `chirp`, `off`, or for a lamp `on` and `off`; it sets its output, or
plays for a moment, and ends. While something is to be heard it is run again, so that an output that fell off comes
back.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
from typing import TYPE_CHECKING, Any, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

_log = structlog.get_logger()

COMMAND_S = 5.0
"""s until a command that does not end is killed. **Assumed**: a relay is set in less, a player plays as long."""
AGAIN_S = 5.0
"""s between runs while something is to be heard or seen. **Assumed**."""
FAILED_AGAIN_S = 1.0
"""s until one that failed is tried again."""
CHIRP_S = 0.2
"""s that a line is on for a chirp. **Assumed**."""
_QUIET = frozenset({"off"})


class OutputError(Exception):
    """An output did not do what it was told. The message says what happened and what to look at."""


class Output(Protocol):
    """Siren or lamp."""

    async def set(self, word: str) -> None:
        """Do what the word says. Raises OutputError. May be cancelled at any time by the next word."""


async def run_command(argv: Sequence[str], *, within_s: float = COMMAND_S) -> None:
    """Run a command to its end, without input or a shell. Raises OutputError; nothing of it is left running."""
    try:
        child = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise OutputError(f"{argv[0]} cannot be run: {getattr(error, 'strerror', None) or error}") from error
    try:
        async with asyncio.timeout(within_s):
            code = await child.wait()
    except TimeoutError as error:
        raise OutputError(f"{argv[0]} did not end within {within_s:g} s, and was killed") from error
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await asyncio.shield(child.wait())
    if code != 0:
        raise OutputError(f"{argv[0]} ended with status {code}")


class CommandOutput:
    """An output behind a command."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = tuple(argv)

    async def set(self, word: str) -> None:
        await run_command((*self._argv, word))


class LineOutput:
    """An output on a GPIO line, "/dev/gpiochip0:17", through libgpiod's own bindings."""

    def __init__(self, line: str, library: Any = None) -> None:
        self._chip, _, offset = line.rpartition(":")
        self._offset = int(offset)
        self._library = library
        self._request: Any = None

    async def set(self, word: str) -> None:
        self._write(on=word not in _QUIET)
        if word == "chirp":
            await asyncio.sleep(CHIRP_S)
            self._write(on=False)

    def _write(self, *, on: bool) -> None:
        try:
            gpiod = self._library or importlib.import_module("gpiod")
            value = gpiod.line.Value.ACTIVE if on else gpiod.line.Value.INACTIVE
            if self._request is None:
                settings = gpiod.LineSettings(direction=gpiod.line.Direction.OUTPUT, output_value=value)
                self._request = gpiod.request_lines(self._chip, consumer="packwatch", config={self._offset: settings})
            else:
                self._request.set_value(self._offset, value)
        except (ImportError, OSError, ValueError) as error:
            self._request = None
            raise OutputError(f"the GPIO line {self._chip}:{self._offset} cannot be set: {error}") from error


class Sounder:
    """Keeps one output at the word that it was told last. `run` until cancelled; the output is left as it is then."""

    def __init__(self, name: str, output: Output, told: Callable[[str, str | None], None]) -> None:
        """`told` gets the name, and what is wrong with it: None once it did what it was told."""
        self.works: bool | None = None
        """Whether it did what it was last told; None before."""
        self._name = name
        self._output = output
        self._told = told
        self._word = "off"
        self._due = asyncio.Event()
        self._due.set()

    def set(self, word: str) -> None:
        """From now on. Returns at once."""
        if word != self._word:
            self._word = word
            self._due.set()

    async def run(self) -> None:
        """Run until cancelled."""
        again_s: float | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(again_s):
                    await self._due.wait()
            self._due.clear()
            again_s = await self._step(self._word)

    async def _step(self, word: str) -> float | None:
        """Do it once, unless another word comes meanwhile; s until it is due again."""
        doing = asyncio.create_task(self._try(word), name=f"{self._name} {word}")
        changed = asyncio.create_task(self._due.wait())
        try:
            await asyncio.wait({doing, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            if not doing.done():
                doing.cancel()
            await asyncio.gather(doing, changed, return_exceptions=True)
        if doing.cancelled():
            return None
        if not doing.result():
            return FAILED_AGAIN_S
        return None if word in _QUIET else AGAIN_S

    async def _try(self, word: str) -> bool:
        try:
            await self._output.set(word)
        except OutputError as error:
            if self.works is not False:
                _log.error("cab_output_failed", output=self._name, word=word, error=str(error))
            self.works = False
            self._told(self._name, str(error))
            return False
        if self.works is False:
            _log.info("cab_output_works_again", output=self._name)
        self.works = True
        self._told(self._name, None)
        return True


async def check_loop(argv: Sequence[str]) -> None:
    """Whether the siren would answer: the loop's own test, which sounds nothing. Raises OutputError."""
    await run_command(argv)


class Button:
    """A fixed button on a GPIO line, read often; a press is the moment at which it closes."""

    EVERY_S = 0.05

    def __init__(self, line: str, pressed: Callable[[], None], library: Any = None) -> None:
        self._chip, _, offset = line.rpartition(":")
        self._offset = int(offset)
        self._pressed = pressed
        self._library = library

    async def run(self, told: Callable[[str, str | None], None], sleep: Callable[[float], Awaitable[None]]) -> None:
        """Until cancelled. What cannot be read is told, and tried again."""
        request: Any = None
        held = True  # one that is stuck closed from the start is no press
        while True:
            try:
                gpiod = self._library or importlib.import_module("gpiod")
                if request is None:
                    settings = gpiod.LineSettings(direction=gpiod.line.Direction.INPUT)
                    request = gpiod.request_lines(self._chip, consumer="packwatch", config={self._offset: settings})
                closed = request.get_value(self._offset) == gpiod.line.Value.ACTIVE
            except (ImportError, OSError, ValueError) as error:
                request = None
                told("button", f"the button's line {self._chip}:{self._offset} cannot be read: {error}")
                await sleep(AGAIN_S)
                continue
            told("button", None)
            if closed and not held:
                self._pressed()
            held = closed
            await sleep(self.EVERY_S)
