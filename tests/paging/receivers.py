"""Receivers on loopback that speak the standards: a push service (RFC 8030) with a browser behind it, and a webhook.

As a program it also runs a mail server, and writes each arrival to a file, for the benchmark:
`receivers.py --http PORT --mail PORT --log FILE`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import http_ece
from aiosmtpd.controller import UnthreadedController
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@dataclass
class Browser:
    """A browser's side of web push (RFC 8291): its keys, and what it decrypts."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    auth: bytes = field(default_factory=lambda: os.urandom(16))

    @property
    def p256dh(self) -> str:
        form = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return _text(self.key.public_key().public_bytes(*form))

    @property
    def auth_text(self) -> str:
        return _text(self.auth)

    def decrypt(self, body: bytes) -> dict[str, Any]:
        plain = http_ece.decrypt(body, private_key=self.key, auth_secret=self.auth, version="aes128gcm")
        return json.loads(plain)


@dataclass(frozen=True)
class Arrival:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float


@dataclass
class HttpReceiver:
    """Takes any POST. `answer` says what to: a status with headers, or an event to hang on."""

    port: int
    arrivals: list[Arrival] = field(default_factory=list)
    answer: Callable[[Arrival], tuple[int, dict[str, str]] | asyncio.Event] = lambda _arrival: (201, {})
    on_arrival: Callable[[Arrival], None] = lambda _arrival: None

    def at(self, path: str) -> list[Arrival]:
        return [arrival for arrival in self.arrivals if arrival.path == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                arrival = Arrival(first.split()[1], headers, body, time.time())
                self.arrivals.append(arrival)
                self.on_arrival(arrival)
                said = self.answer(arrival)
                if isinstance(said, asyncio.Event):
                    await said.wait()
                    said = (201, {})
                status, more = said
                extra = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                writer.write(f"HTTP/1.1 {status} Said\r\n{extra}content-length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def http_receiver(port: int) -> AsyncIterator[HttpReceiver]:
    receiver = HttpReceiver(port)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port)
    try:
        yield receiver
    finally:
        server.close()


class LoggedMail:
    """Mails' headers, to a file."""

    def __init__(self, note: Callable[[str, str, float], None]) -> None:
        self._note = note

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802  its own name
        at_s = time.time()
        text = envelope.content.decode("utf-8", "replace")
        self._note("mail", text, at_s)
        return "250 taken"


async def record(http_port: int, mail_port: int, log: Path) -> None:
    """Write one line an arrival, until the program is ended."""
    with log.open("w", buffering=1) as file:

        def note(kind: str, what: str, at_s: float) -> None:
            file.write(json.dumps({"kind": kind, "at_s": at_s, "what": what}) + "\n")

        def arrived(arrival: Arrival) -> None:
            kind = arrival.path.split("/")[1]
            what = arrival.body.decode() if kind == "hook" else base64.b64encode(arrival.body).decode()
            note(kind, what, arrival.at_s)

        controller = UnthreadedController(
            LoggedMail(note), hostname="127.0.0.1", port=mail_port, loop=asyncio.get_running_loop()
        )
        controller.server = await controller._create_server()
        async with http_receiver(http_port) as receiver:
            receiver.on_arrival = arrived
            receiver.arrivals = _Nowhere()
            await asyncio.Event().wait()


class _Nowhere(list):
    """Forgets: the file has it."""

    def append(self, _arrival: object) -> None:
        pass


def _text(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


if __name__ == "__main__":
    from pathlib import Path

    options = argparse.ArgumentParser()
    options.add_argument("--http", type=int, required=True)
    options.add_argument("--mail", type=int, required=True)
    options.add_argument("--log", type=Path, required=True)
    chosen = options.parse_args()
    asyncio.run(record(chosen.http, chosen.mail, chosen.log))
