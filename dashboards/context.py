"""Everything that a request may need, made once by `create_app`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry

from dashboards.accounts import Passwords
from dashboards.board import LiveBoard
from dashboards.ports import AlertDesk, Enroller, Expectations, HistoryReader, IncidentDesk, ReviewHouse
from dashboards.throttle import SignInThrottle
from dashboards.trips import TripHouse
from registry.registry import Registry

if TYPE_CHECKING:
    from dashboards.sessions import SignedOut
    from dashboards.stream import Broadcast
    from registry.paging_kinds import Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The application's parts, and what it remembers between requests."""

    registry: Registry
    board: LiveBoard
    history: HistoryReader
    alert_desk: AlertDesk
    incident_desk: IncidentDesk
    review: ReviewHouse | None
    """None: this process has no place for reviews' files."""
    expectations: Expectations | None
    """None: this process judges nothing again."""
    enroller: Enroller | None
    """None: this process has no broker accounts to give."""
    now_ms: Callable[[], int]
    """The wall clock, ms UTC."""
    health: Callable[[], str | None]
    """Why the service does not take data and serve pages; None when it does."""
    shutdown: asyncio.Event
    """Set when the server is about to stop: open streams end."""
    metrics: CollectorRegistry
    service_token: str = field(repr=False)
    passwords: Passwords
    throttle: SignInThrottle
    signed_out: "SignedOut"
    broadcast: "Broadcast"
    exports: asyncio.Semaphore
    trips: TripHouse
    map_style: str | None
    """Where the map's style or tiles are; None: the base map of the pages."""
    push_key: str | None
    """What browsers subscribe to web push with; None: it is not set up."""
    check_address: Callable[["Channel", str], str]
    """An address of a channel as it is kept. Raises ValueError, which says what is wrong with it."""
    receipt_secret: str = field(repr=False)

    def now(self) -> datetime:
        """The wall clock as the registry takes it."""
        return datetime.fromtimestamp(self.now_ms() / 1000, UTC)


def context(request: Request) -> Context:
    """The context of the application that answers `request`."""
    house: Context = request.app.state.context
    return house


House = Annotated[Context, Depends(context)]
