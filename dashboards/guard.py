"""What is refused before any route sees it, and the headers that every answer carries."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_HEADER = "x-packwatch"
"""A header that a foreign page cannot send without this server's consent, which it never gives (no CORS)."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; manifest-src 'self'; media-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",  # a claim link's token stays out of every log but ours
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def host_refusal(host_header: str | None, allowed_hosts: Collection[str]) -> str | None:
    """Why a request to this Host is refused, or None.

    A page that rebinds its own domain name to this machine's address (DNS rebinding) still sends its domain name, so
    only names that were allowed pass. An address in digits cannot be rebound and always passes.
    """
    try:
        host = urlsplit(f"//{host_header or ''}").hostname
    except ValueError:
        host = None
    if not host:
        return "The request names no valid host: send a Host header."
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if host in allowed_hosts:
            return None
        return f"This service does not answer as {host[:100]!r}: use its own address, or add the name to public_hosts."
    return None


def cross_site_refusal(method: str, headers: Mapping[str, str]) -> str | None:
    """Why a request that would change something is taken for forged by another site, or None.

    Source: OWASP CSRF prevention, "Fetch Metadata", "Verifying origin" and "Custom request headers", all three.
    """
    if method in SAFE_METHODS or headers.get("authorization", "").lower().startswith("bearer "):
        return None  # a bearer token is never sent by a browser on its own
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return "The request comes from another site: do this on Packwatch's own page."
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        return "The request's Origin is another site: do this on Packwatch's own page."
    if headers.get(PAGE_HEADER) != "1":
        return "The header X-Packwatch: 1 is missing: every request that changes something sends it."
    return None


class Guard:
    """ASGI middleware, outermost: refuses foreign hosts and forged requests, and adds the security headers."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: Collection[str], map_origins: Sequence[str] = ()) -> None:
        """map_origins: where browsers may get the map's style and tiles from."""
        self._app = app
        policy = SECURITY_HEADERS["content-security-policy"]
        for directive in ("img-src 'self' data:", "connect-src 'self'"):
            policy = policy.replace(directive, " ".join((directive, *map_origins)))
        self._headers = SECURITY_HEADERS | {"content-security-policy": policy}
        self._allowed_hosts = frozenset(name.lower() for name in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        if refusal := host_refusal(headers.get("host"), self._allowed_hosts):
            await JSONResponse({"detail": refusal}, 421)(scope, receive, send_with_headers)
        elif refusal := cross_site_refusal(scope["method"], headers):
            await JSONResponse({"detail": refusal}, 403)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)
