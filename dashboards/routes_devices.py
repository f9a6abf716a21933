"""A person's own devices for web push: of whoever is signed in, and of the driver whose link it is."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, HTTPException, Response
from fastapi import Path as PathParameter

from dashboards.answers import json_answer, problems
from dashboards.context import Context, House
from dashboards.paging_bodies import Subscription
from dashboards.paging_rows import device_row
from dashboards.routes_trip import Driven
from dashboards.rows import to_ms_or_none
from dashboards.sessions import Person
from registry.accounts import account_actor
from registry.audit import Actor
from registry.errors import RefusedError
from registry.paging_kinds import Channel
from registry.trips import driver_of, recipient_of_trip

DeviceId = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{64}$")]
TEST_AGAIN_AFTER = timedelta(seconds=10)
"""**Assumed**: by then a test has arrived, or does not."""


class Owner(NamedTuple):
    """Whose devices they are, and who acts."""

    recipient_id: str
    by: Actor


def whoever_is_signed_in(account: Person, house: House) -> Owner:
    """404 for somebody who is paged on no way."""
    person = house.registry.recipient_of_account(account.account_id)
    if person is None:
        raise HTTPException(404, "You are nobody's recipient: ask safety or an administrator to enter you.")
    return Owner(person.recipient_id, account_actor(account))


def whose_link_it_is(trip: Driven) -> Owner:
    """The driver, until the trip is closed."""
    return Owner(recipient_of_trip(trip), driver_of(trip))


def _routes(prefix: str, tag: str, who: Callable[..., Owner], suffix: str, *gone: int) -> APIRouter:
    """gone: statuses of a link that opens nothing."""
    routes = APIRouter(prefix=prefix, tags=[tag])
    owned = Annotated[Owner, Depends(who)]

    def devices(owner: owned, house: House) -> Response:
        """Your devices, when each last showed a message, and what a browser subscribes with."""
        return json_answer(_answer(owner, house))

    def add(body: Subscription, owner: owned, house: House) -> Response:
        """This browser takes web pushes from now on; the same one again mends its subscription."""
        now = house.now()
        house.registry.add_push_device(
            owner.recipient_id,
            endpoint=body.endpoint,
            p256dh=body.p256dh,
            auth=body.auth,
            label=body.label,
            now=now,
            by=owner.by,
        )
        house.registry.accept_push(owner.recipient_id, now, by=owner.by)
        return json_answer(_answer(owner, house), 201)

    def remove(device_id: DeviceId, owner: owned, house: House) -> Response:
        """Nothing is sent to this device any more."""
        house.registry.remove_push_device(owner.recipient_id, device_id, house.now(), by=owner.by)
        return json_answer(_answer(owner, house))

    def test(owner: owned, house: House) -> Response:
        """Send a test to your devices. 409 without one, and right after another test."""
        try:
            page = house.registry.send_push_test(
                owner.recipient_id, house.now(), not_within=TEST_AGAIN_AFTER, by=owner.by
            )
        except RefusedError as error:
            raise HTTPException(409, str(error)) from error
        return json_answer({"page_id": page.page_id}, 202)

    routes.add_api_route("/devices", devices, operation_id=f"listDevices{suffix}", responses=problems(404, *gone))
    routes.add_api_route(
        "/devices", add, methods=["POST"], operation_id=f"addDevice{suffix}", status_code=201,
        responses=problems(404, 422, *gone),
    )  # fmt: skip
    routes.add_api_route(
        "/devices/{device_id}", remove, methods=["DELETE"], operation_id=f"removeDevice{suffix}",
        responses=problems(404, *gone),
    )  # fmt: skip
    routes.add_api_route(
        "/test", test, methods=["POST"], operation_id=f"testDevices{suffix}", status_code=202,
        responses=problems(404, 409, *gone),
    )  # fmt: skip
    return routes


def _answer(owner: Owner, house: Context) -> dict[str, Any]:
    known = house.registry.recipient(owner.recipient_id, house.now())
    proofs = house.registry.device_proofs(owner.recipient_id)
    push = next((way for way in known.ways if way.channel is Channel.PUSH), None)
    return {
        "name": known.recipient.name,
        "push_key": house.push_key,
        "proved_at_ms": None if push is None else to_ms_or_none(push.tested_at),
        "devices": [device_row(device, proofs.get(device.device_id)) for device in known.devices],
    }


router = APIRouter()
router.include_router(_routes("/api/push", "paging", whoever_is_signed_in, ""))
router.include_router(_routes("/api/trip/push", "trip", whose_link_it_is, "OfDriver", 410))
