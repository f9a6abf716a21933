"""Ports for servers under test."""

import contextlib
import random
import socket

PORTS = (15_000, 30_000)
"""Below what systems give to outgoing connections (32,768 on Linux, 49,152 elsewhere)."""


def free_port() -> int:
    """A port that nobody uses now, and that no outgoing connection is given: a server may be away for a while."""
    while True:
        port = random.randrange(*PORTS)  # noqa: S311 - spreads runs, guards nothing
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
