"""Takes an address to listen at, or says in one line why it cannot be had."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packwatch.settings import HostPort

_BACKLOG = 2048
_DEAD_AFTER_MS = 60_000
"""A connection whose other end takes nothing for so long is cut by the kernel, whatever waits in it. **assumed**"""


class AddressError(RuntimeError):
    """The address cannot be listened at. The message says why and what to do."""


def listen(address: HostPort, what: str, flag: str) -> socket.socket:
    """A listening socket at the address, for `what`, which `flag` chooses. Raises AddressError."""
    listener = _bound(address, what, flag)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MS)  # connections inherit it
    listener.listen(_BACKLOG)
    listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    return listener


def require_free(address: HostPort, what: str, flag: str) -> None:
    """Raise AddressError when nothing more can listen at the address: for a child process that will."""
    _bound(address, what, flag).close()


def is_free(address: HostPort) -> bool:
    """Whether the address can be bound now."""
    try:
        require_free(address, "", "")
    except AddressError:
        return False
    return True


def _bound(address: HostPort, what: str, flag: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address.host, address.port))
    except OSError as error:
        bound.close()
        raise AddressError(
            f"{what} cannot listen on {address}: {error.strerror or error}. "
            f"Stop what uses it, or choose another with {flag} HOST:PORT."
        ) from error
    return bound
