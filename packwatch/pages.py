"""The pages' application, as the settings and credentials want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.app import create_app
from ingest.stores.contract import StoreUnavailableError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from fastapi import FastAPI

    from dashboards.board import LiveBoard
    from dashboards.ports import AlertDesk, Enroller
    from packwatch.credentials import Credentials
    from packwatch.history import PagesHistory
    from packwatch.settings import Settings
    from registry.registry import Registry


def build_pages(
    settings: Settings,
    credentials: Credentials,
    *,
    registry: Registry,
    board: LiveBoard,
    history: PagesHistory,
    alert_desk: AlertDesk,
    enroller: Enroller | None,
    shutdown: asyncio.Event,
    health: Callable[[], str | None],
) -> FastAPI:
    """What `up` and `dashboard` serve alike."""
    return create_app(
        registry=registry,
        board=board,
        history=history,
        alert_desk=alert_desk,
        enroller=enroller,
        session_secret=credentials.session_key,
        service_token=credentials.service_token,
        shutdown=shutdown,
        allowed_hosts=settings.public_hosts,
        https=settings.https,
        health=health,
        try_again_on=[StoreUnavailableError],
    )
