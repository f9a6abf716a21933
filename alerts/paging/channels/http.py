"""HTTP requests of the channels: what an answer means for the message."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from alerts.paging.channels.contract import GiveUpError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Mapping

WITHIN_S = 9.0
"""s for a whole request, so that its own end is told and not the sender's."""
_LATER = frozenset({408, 425, 429, 503})
"""The server says that it did not take it, and that another time may do (RFC 9110, RFC 6585)."""


def http_client() -> httpx.AsyncClient:
    """A client for all channels. It follows no redirect: a message goes where it was to go, or nowhere."""
    limits = httpx.Limits(max_connections=256, max_keepalive_connections=32)
    return httpx.AsyncClient(timeout=WITHIN_S, limits=limits, follow_redirects=False)


def checked_url(url: str) -> str:
    """The URL, when messages may go there: by TLS, or to this machine. Raises GiveUpError."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise GiveUpError(f"{url[:80]!r} is no address: {error}") from error
    if parts.scheme == "https" and host:
        return url
    if parts.scheme == "http" and _is_loopback(host):
        return url
    raise GiveUpError(f"{parts.scheme}://{host} is refused: messages go by https, or to this machine")


async def post(client: httpx.AsyncClient, url: str, *, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
    """Send, and return the answer that took it (2xx). Raises TryAgainError and GiveUpError."""
    try:
        answer = await client.post(checked_url(url), content=content, headers=dict(headers))
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise TryAgainError(f"it cannot be reached: {error or type(error).__name__}") from error
    except httpx.TimeoutException as error:
        raise TryAgainError(f"it did not answer within {WITHIN_S:g} s", uncertain=True) from error
    except httpx.InvalidURL as error:
        raise GiveUpError(f"the address is none: {error}") from error
    except httpx.HTTPError as error:
        raise TryAgainError(f"the connection broke: {error or type(error).__name__}", uncertain=True) from error
    if answer.is_success:
        return answer
    why = f"it answered {answer.status_code} {answer.reason_phrase}"
    if answer.status_code in _LATER:
        raise TryAgainError(why, after_s=retry_after_s(answer.headers.get("retry-after"), datetime.now(UTC)))
    if answer.is_server_error:
        raise TryAgainError(why, uncertain=True)
    raise Refused(answer.status_code, why)


class Refused(GiveUpError):  # noqa: N818  a refusal that one channel looks into
    """The answer was 3xx or 4xx: the same request will get it again."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3); None: it is missing, or says nothing."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
