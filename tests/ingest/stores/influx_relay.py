"""A real HTTP server between the store and its database, for tests to refuse, delay or look on."""

from __future__ import annotations

import http.server
from typing import Any, ClassVar

import httpx


class Relay(http.server.BaseHTTPRequestHandler):
    """A real HTTP server between the store and its database, that refuses, delays or looks on."""

    target: ClassVar[str]
    seen: ClassVar[list[tuple[str, dict[str, str], bytes]]]
    script: ClassVar[list[tuple[int, dict[str, str], bytes] | str]]
    """Answers to the next writes: a status with headers and body, "pass", or "lose" the answer after passing."""
    version: ClassVar[str | None] = None
    """What /ping tells instead."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        cls = type(self)
        cls.seen.append((self.path, dict(self.headers), body))
        step: Any = "pass"
        if "/write" in self.path and cls.script:
            step = cls.script.pop(0)
        if isinstance(step, tuple):
            self._answer(*step)
            return
        headers = {name: value for name, value in self.headers.items() if name not in {"Host", "Content-Length"}}
        answer = httpx.request(
            self.command, cls.target + self.path, content=body, headers=headers, trust_env=False, timeout=60
        )
        if step == "lose":
            self.close_connection = True
            return
        kept = {name: value for name, value in answer.headers.items() if name.startswith(("x-", "content-type"))}
        if cls.version is not None:
            kept["x-influxdb-version"] = cls.version
        self._answer(answer.status_code, kept, answer.content)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
