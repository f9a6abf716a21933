"""Serves the pages with uvicorn inside a process whose signals belong to the composition root."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from starlette.applications import Starlette


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: the root ends the server like any other task."""
        yield


class WebServer:
    """One application at one address."""

    def __init__(self, app: Starlette, listener: socket.socket, *, shutdown: asyncio.Event) -> None:
        """`listener`: from packwatch.addresses.listen; it is closed when the server ends."""
        self._shutdown = shutdown
        self._listener = listener
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=1,
                server_header=False,
            )
        )

    async def run(self) -> None:
        """Serve until cancelled; then tell open streams to end, and close."""
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]), name="uvicorn")
        try:
            await asyncio.shield(serving)
        finally:
            self._shutdown.set()
            self._server.should_exit = True
            await serving

    async def ready(self) -> None:
        """Return once requests are answered."""
        while not self._server.started:  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.02)
