"""Opening a trip, its link, and who holds a link that still opens it."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import phonenumbers

from dashboards.signed_links import LinkRefusedError, SignedLinks
from registry.audit import PROGRAM
from registry.errors import NotFoundError, RefusedError
from registry.trip_records import Trip

if TYPE_CHECKING:
    from datetime import datetime

    from dashboards.counties import Counties
    from dashboards.ports import Phrases
    from dashboards.us_rules import UsRules
    from registry.audit import Actor
    from registry.registry import Registry
    from registry.response_kinds import Language

LINK_LIFE = timedelta(days=60)
"""**assumed**: longer than a haul with storage on the way and the fourteen days of watching after a fire. Closing the
trip ends the link before."""
HOME_REGION = "US"
"""Of numbers that are written without their country."""


class TripLinks:
    """The links of trips. `refusals` counts what was tried with links that open nothing, by reason."""

    def __init__(self, secret: str) -> None:
        self._links = SignedLinks(secret, "trip")
        self.refusals: Counter[str] = Counter()

    def path(self, trip: Trip) -> str:
        """Where the driver's page of the trip is. The token is a fragment, which no server and no proxy sees."""
        return f"/t#{self._links.token(trip.trip_id, trip.nonce, trip.link_until)}"

    def trip(self, token: str, registry: Registry, now: datetime) -> Trip:
        """The open trip whose link this is. Blocks. Raises LinkRefusedError, and counts it."""
        try:
            return self._trip(token, registry, now)
        except LinkRefusedError as error:
            self.refusals[error.reason] += 1
            raise

    def refuse(self, reason: str, text: str) -> LinkRefusedError:
        """A refusal of what a link that opens its own trip was used for; counted."""
        self.refusals[reason] += 1
        return LinkRefusedError(reason, text)

    def _trip(self, token: str, registry: Registry, now: datetime) -> Trip:
        trip_id, nonce = self._links.read(token, now)
        try:
            trip = registry.trip(trip_id)
        except NotFoundError as error:
            raise LinkRefusedError(
                "unknown", "This link's trip is not known here: ask dispatch for a new one."
            ) from error
        if not secrets.compare_digest(trip.nonce, nonce):
            raise LinkRefusedError("renewed", "This link was replaced by a newer one: ask dispatch for it.")
        if trip.closed_at is None and trip.custody_signed_at is not None:
            registry.close_trips_that_are_over(now)
            trip = registry.trip(trip_id)
        if trip.closed_at is not None:
            raise LinkRefusedError("closed", "This trip is closed: custody is signed. This page is of no more use.")
        return trip


@dataclass(frozen=True, slots=True, kw_only=True)
class TripHouse:
    """What the driver's page and the emergency papers need beside the board and the registry."""

    links: TripLinks
    sheets: SignedLinks
    """Those of emergency sheets."""
    phrases: Phrases
    counties: Counties = field(repr=False)
    us_rules: UsRules = field(repr=False)


def open_trip(
    registry: Registry,
    *,
    vehicle_id: str,
    driver_name: str,
    language: Language,
    now: datetime,
    phone: str | None = None,
    dispatch_number: str | None = None,
    emergency_number: str | None = None,
    by: Actor = PROGRAM,
) -> Trip:
    """A new trip. Raises RefusedError for a number that is none, and as Registry.open_trip."""
    name = driver_name.strip()
    if not name:
        raise RefusedError("the driver's name is missing")
    trip = Trip(
        trip_id=uuid4().hex,
        vehicle_id=vehicle_id,
        driver_name=name,
        language=language,
        phone=parse_phone(phone, "the driver's number"),
        dispatch_number=parse_phone(dispatch_number, "dispatch's number"),
        emergency_number=parse_phone(emergency_number, "the emergency number"),
        nonce=new_nonce(),
        opened_at=now,
        link_until=now + LINK_LIFE,
    )
    return registry.open_trip(trip, by=by)


def new_nonce() -> str:
    """What tells a trip's link from the ones that it replaces."""
    return secrets.token_urlsafe(12)


def parse_phone(text: str | None, whose: str) -> str | None:
    """A number as E.164; None and blanks stay None. Raises RefusedError for what cannot be called."""
    if text is None or not text.strip():
        return None
    try:
        number = phonenumbers.parse(text, HOME_REGION)
    except phonenumbers.NumberParseException as error:
        raise RefusedError(f"{whose} {text!r} is no telephone number: write it as +1 303 555 0100") from error
    if not phonenumbers.is_possible_number(number):
        raise RefusedError(f"{whose} {text!r} is too short or too long: write it as +1 303 555 0100")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
