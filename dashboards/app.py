"""The application: pages, API and live stream over one board. The composition root hands in everything else."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from prometheus_client import REGISTRY
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware

from dashboards import (
    routes_alerts,
    routes_board,
    routes_devices,
    routes_drills,
    routes_emergency,
    routes_guardianship,
    routes_incidents,
    routes_intake,
    routes_local,
    routes_map,
    routes_minute,
    routes_operation,
    routes_packs,
    routes_paging,
    routes_review,
    routes_search,
    routes_session,
    routes_shifts,
    routes_timeline,
    routes_trip,
    routes_trips,
)
from dashboards.accounts import Passwords
from dashboards.answers import add_error_answers
from dashboards.context import Context
from dashboards.counties import Counties
from dashboards.front_end import FrontEnd
from dashboards.guard import Guard
from dashboards.map_source import BASE_MAP, MapSource
from dashboards.sessions import LIFETIME_S, SignedOut
from dashboards.signed_links import SignedLinks
from dashboards.stream import Broadcast
from dashboards.throttle import SignInThrottle
from dashboards.trips import TripHouse, TripLinks
from dashboards.us_rules import us_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client import CollectorRegistry

    from dashboards.board import LiveBoard
    from dashboards.ports import AlertDesk, Enroller, Expectations, HistoryReader, IncidentDesk, Phrases, ReviewHouse
    from registry.paging_kinds import Channel
    from registry.registry import Registry

STATIC_DIR = Path(__file__).parent / "static"
"""Where Vite puts the built front end."""
LOOPBACK_NAMES = ("localhost",)
"""Addresses in digits always pass."""
BODY_MAX_BYTES = 64 * 1024
"""The largest request this API has a use for is an enrolment, well below 8 KiB. **assumed**"""
EXPORTS_AT_ONCE = 2
"""**assumed**: an export takes a core of a machine that must take data meanwhile."""

_TAGS = [
    {"name": "session", "description": "Signing in and out."},
    {"name": "board", "description": "What every pack does now, at once and as a stream."},
    {"name": "packs", "description": "One pack: record, history, export."},
    {"name": "alerts", "description": "Alerts and what people do about them."},
    {"name": "incidents", "description": "What people deal with: alerts of one cause, and who works on them."},
    {"name": "review", "description": "What happened, what was found, who signed it, and the evidence."},
    {"name": "trip", "description": "The driver's page, by a trip's link."},
    {"name": "trips", "description": "Sending drivers off, and taking the load over."},
    {"name": "search", "description": "Over history: trips of a pack, incidents of a chemistry, hot packs."},
    {"name": "emergency", "description": "Whom to call, the sheet for responders, reports to authorities."},
    {"name": "paging", "description": "Who is told, on which way, and whether it arrived."},
    {"name": "intake", "description": "What could not be taken, and why."},
    {"name": "local", "description": "For the command line on the service's own machine, by service token."},
    {"name": "operation", "description": "Health and metrics."},
]


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def create_app(
    *,
    registry: Registry,
    board: LiveBoard,
    history: HistoryReader,
    alert_desk: AlertDesk,
    incident_desk: IncidentDesk,
    review: ReviewHouse | None = None,
    expectations: Expectations | None = None,
    enroller: Enroller | None,
    phrases: Phrases,
    session_secret: str,
    service_token: str,
    shutdown: asyncio.Event,
    allowed_hosts: Sequence[str] = (),
    static_dir: Path = STATIC_DIR,
    county_numbers: Path | None = None,
    own_us_rules: Path | None = None,
    map_source: MapSource = BASE_MAP,
    push_key: str | None = None,
    check_address: Callable[[Channel, str], str] = lambda _channel, address: address,
    https: bool = False,
    health: Callable[[], str | None] = lambda: None,
    try_again_on: Sequence[type[Exception]] = (),
    metrics: CollectorRegistry = REGISTRY,
    now_ms: Callable[[], int] = _wall_clock_ms,
) -> FastAPI:
    """The whole dashboards room as one ASGI application; it needs no lifespan.

    allowed_hosts: names (without port) that browsers may use besides localhost and addresses in digits. https: the
    pages are reached over TLS only, so the cookie is Secure. county_numbers: a file of 911 centres' numbers.
    own_us_rules: the operator's facts of US rules. push_key: what browsers subscribe to web push with.
    check_address: of a channel, as it is kept; raises ValueError. try_again_on: what the history raises when it
    cannot be read now. shutdown: set it before the server stops, and open streams end at once.
    """
    app = FastAPI(
        title="Packwatch",
        version="1",
        summary="Watches electric-vehicle battery packs while they travel.",
        description=(__doc__ or "") + " Times are integer milliseconds UTC; null means not measured or not known. "
        "Unsafe methods need the header `X-Packwatch: 1` and the same origin, or a bearer token.",
        openapi_tags=_TAGS,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        max_body_size=BODY_MAX_BYTES,
        middleware=[
            Middleware(Guard, allowed_hosts=(*LOOPBACK_NAMES, *allowed_hosts), map_origins=map_source.origins()),
            Middleware(
                SessionMiddleware,
                secret_key=session_secret,
                # Browsers share cookies among the ports of a host: two installations must not sign each other out.
                session_cookie=f"packwatch-{hashlib.sha256(session_secret.encode()).hexdigest()[:8]}",
                max_age=LIFETIME_S,
                same_site="strict",
                https_only=https,
            ),
        ],
    )
    app.state.context = Context(
        registry=registry,
        board=board,
        history=history,
        alert_desk=alert_desk,
        incident_desk=incident_desk,
        review=review,
        expectations=expectations,
        enroller=enroller,
        now_ms=now_ms,
        health=health,
        shutdown=shutdown,
        metrics=metrics,
        service_token=service_token,
        passwords=Passwords(),
        throttle=SignInThrottle(),
        signed_out=SignedOut(),
        broadcast=Broadcast(board, now_ms=now_ms),
        exports=asyncio.Semaphore(EXPORTS_AT_ONCE),
        trips=TripHouse(
            links=TripLinks(session_secret),
            sheets=SignedLinks(session_secret, "emergency sheet"),
            phrases=phrases,
            counties=Counties(static_dir, county_numbers),
            us_rules=us_rules(own_us_rules),
        ),
        map_style=map_source.style,
        push_key=push_key,
        check_address=check_address,
        receipt_secret=session_secret,
    )
    add_error_answers(app, try_again_on)
    for room in (
        routes_session,
        routes_board,
        routes_map,
        routes_packs,
        routes_search,
        routes_alerts,
        routes_minute,
        routes_incidents,
        routes_shifts,
        routes_intake,
        routes_local,
        routes_operation,
        routes_trip,
        routes_devices,
        routes_guardianship,
        routes_trips,
        routes_emergency,
        routes_paging,
        routes_drills,
        routes_review,
        routes_timeline,
    ):
        app.include_router(room.router)
    app.mount("/", FrontEnd(static_dir))
    return app
