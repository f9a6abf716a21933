"""The pages' application, as the settings and credentials want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts.incidents import IncidentDesk
from dashboards.app import create_app
from dashboards.counties import CountyNumbersError
from dashboards.map_source import MapSource
from dashboards.us_rules import UsRulesError
from ingest.stores.contract import StoreUnavailableError
from packwatch.expecting import RulesExpectations
from packwatch.operator_files import COUNTY_NUMBERS, US_RULES
from packwatch.paging import check_address, vapid_key
from packwatch.phrases import TablePhrases
from packwatch.settings import SettingsError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from fastapi import FastAPI

    from dashboards.board import LiveBoard
    from dashboards.ports import AlertDesk, Enroller, ReviewHouse
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
    review: ReviewHouse,
    enroller: Enroller | None,
    shutdown: asyncio.Event,
    health: Callable[[], str | None],
) -> FastAPI:
    """What `up` and `dashboard` serve alike. Raises SettingsError."""
    key = vapid_key(settings, credentials)
    try:
        return create_app(
            registry=registry,
            board=board,
            history=history,
            alert_desk=alert_desk,
            incident_desk=IncidentDesk(registry, alert_desk),
            review=review,
            expectations=RulesExpectations(registry, history),
            enroller=enroller,
            phrases=TablePhrases(),
            session_secret=credentials.session_key,
            service_token=credentials.service_token,
            shutdown=shutdown,
            allowed_hosts=settings.public_hosts,
            county_numbers=settings.data_dir / COUNTY_NUMBERS,
            own_us_rules=settings.data_dir / US_RULES,
            https=settings.https,
            map_source=MapSource(style=settings.map.style, hosts=tuple(settings.map.hosts)),
            push_key=None if key is None else key.public,
            check_address=check_address,
            health=health,
            try_again_on=[StoreUnavailableError],
        )
    except (CountyNumbersError, UsRulesError) as error:
        raise SettingsError(str(error)) from error
