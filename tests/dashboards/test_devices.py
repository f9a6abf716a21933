"""A person's own devices: subscribed, tried, proved one by one, removed; and a guardianship that a driver answers."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from dashboards.trips import TripLinks, open_trip
from registry.audit import PROGRAM
from registry.kinds import Role
from registry.paging_kinds import Channel, PageState
from registry.paging_records import Recipient
from registry.receipt_tokens import receipt_token
from registry.recipients import Way
from registry.response_kinds import Language, Situation
from registry.trips import recipient_of_trip

SECRET = "session-secret-of-the-tests"


def subscription(name="phone"):
    return {"endpoint": f"https://push.example/{name}", "p256dh": "B" * 87, "auth": "A" * 22, "label": name}


def id_of(name="phone"):
    return hashlib.sha256(subscription(name)["endpoint"].encode()).hexdigest()


@pytest.fixture
def trip(registry, board, enrolment, clock):
    registry.enrol(enrolment(), clock.now)
    board.refresh_assignments(registry.assignments(), {"gateway-1": ("truck-1", "Truck 1")}, now_ms=clock.ms)
    made = open_trip(
        registry, vehicle_id="truck-1", driver_name="Luz Vega", language=Language.ES, now=clock.now,
        phone="+13035550177",
    )  # fmt: skip
    registry.set_trip_situation(made.trip_id, Situation.PARKED, clock.now)
    return made


@pytest.fixture
def driver(stranger, trip):
    stranger.headers["Authorization"] = f"Trip {TripLinks(SECRET).path(trip).partition('#')[2]}"
    return stranger


@pytest.fixture
def ana(registry, person, clock):
    """The administrator, who is paged by e-mail alone."""
    (account,) = registry.accounts()
    ana = Recipient(
        recipient_id="ana", name="Ana", role=Role.DISPATCHER, created_at=clock.now, account_id=account.account_id
    )
    registry.add_recipient(ana, [Way(step=0, channel=Channel.EMAIL, address="ana@carrier.example")])


def handed_over(registry, clock, recipient_id):
    registry.take_pages("tests", clock.now, answer_within=timedelta(seconds=30))
    (page,) = registry.pages(recipient_id=recipient_id)
    return page


async def shown_on(client, page, name):
    answer = await client.post(
        f"/api/receipts/{page.message_id}",
        json={"state": "shown", "device": id_of(name)},
        headers={"Authorization": f"Bearer {receipt_token(SECRET, page.message_id)}"},
    )
    assert answer.status_code == 204, answer.text


@pytest.fixture(params=["signed in", "driver"])
def mine(request, driver, person, ana, trip):
    """A browser, the path of its person's devices, and who that is."""
    if request.param == "driver":
        return driver, "/api/trip/push", recipient_of_trip(trip)
    return person, "/api/push", "ana"


async def test_each_device_proves_itself_by_showing_the_test(mine, clock, registry):
    client, prefix, recipient_id = mine
    assert (await client.post(f"{prefix}/test")).status_code == 409
    for name in ("phone", "tablet"):
        assert (await client.post(f"{prefix}/devices", json=subscription(name))).status_code == 201
    ways = [way.channel for way in registry.recipient(recipient_id, clock.now).ways]
    assert ways.count(Channel.PUSH) == 1
    assert (await client.post(f"{prefix}/test")).status_code == 202
    again = await client.post(f"{prefix}/test")
    assert (again.status_code, "wait" in again.json()["detail"]) == (409, True)
    page = handed_over(registry, clock, recipient_id)
    assert page.channel is Channel.PUSH
    clock.ms += 2000
    await shown_on(client, page, "phone")
    clock.ms += 1000
    await shown_on(client, page, "tablet")
    await shown_on(client, page, "tablet")
    await shown_on(client, page, "somebody else's")
    told = (await client.get(f"{prefix}/devices")).json()
    proved = {device["label"]: clock.ms - device["proved_at_ms"] for device in told["devices"]}
    assert (proved, clock.ms - told["proved_at_ms"]) == ({"phone": 1000, "tablet": 0}, 1000)
    assert registry.pages(recipient_id=recipient_id)[0].state is PageState.SHOWN

    left = (await client.delete(f"{prefix}/devices/{id_of('phone')}")).json()
    assert [device["label"] for device in left["devices"]] == ["tablet"]
    assert (await client.delete(f"{prefix}/devices/{id_of('phone')}")).status_code == 404


async def test_nobody_reaches_the_devices_of_others(driver, person, ana, registry, trip):
    assert (await person.post("/api/push/devices", json=subscription("mine"))).status_code == 201
    assert (await driver.delete(f"/api/trip/push/devices/{id_of('mine')}")).status_code == 404
    assert (await driver.get("/api/trip/push/devices")).json()["devices"] == []
    driver.headers["Authorization"] = "Trip x"
    for method, path in (("GET", "devices"), ("POST", "test"), ("DELETE", f"devices/{id_of()}")):
        assert (await driver.request(method, f"/api/trip/push/{path}")).status_code == 401


async def test_who_is_paged_on_no_way_is_told_whom_to_ask(person):
    answer = await person.get("/api/push/devices")
    assert (answer.status_code, "ask safety" in answer.json()["detail"]) == (404, True)


@pytest.fixture
def asked(registry, trip, clock):
    return registry.propose_guardian("truck-1", recipient_of_trip(trip), clock.now, proposed_by="Ana").id


async def state_of(driver):
    return (await driver.get("/api/trip/state")).json()


async def test_a_driver_who_is_parked_takes_a_vehicle_with_a_phone_that_was_proved(
    driver, registry, trip, asked, clock
):
    (waits,) = (await state_of(driver))["guardianships"]
    assert waits == {"guardian_id": asked, "vehicle_name": "Truck 1", "proposed_by": "Ana"}
    url = f"/api/trip/guardianships/{asked}/accept"
    unproved = await driver.post(url)
    assert (unproved.status_code, "drill" in unproved.json()["detail"]) == (409, True)
    registry.start_drill(recipient_of_trip(trip), clock.now, by=PROGRAM)
    registry.take_pages("tests", clock.now, answer_within=timedelta(seconds=30))
    call = next(page for page in registry.pages() if page.channel is Channel.VOICE)
    registry.note_receipt(call.message_id, PageState.ACKNOWLEDGED, clock.now, device="telephony")
    assert (await driver.post(url)).status_code == 200
    assert (await driver.post(url)).status_code == 404  # answered
    assert (await state_of(driver))["guardianships"] == []
    assert [each.accepted_at for each in registry.guardians()] == [clock.now]
    rows = registry.audit_rows(subject="guardian/truck-1")
    assert [(row["action"], row["actor"]["id"]) for row in rows][-1] == ("accept guardian", "Luz Vega")


async def test_a_driver_says_no_and_nothing_changes(driver, registry, asked):
    url = f"/api/trip/guardianships/{asked}/decline"
    assert (await driver.post(url)).status_code == 200
    assert (await driver.post(url)).status_code == 404
    assert registry.guardians() == ()


async def test_who_drives_is_asked_nothing(driver, registry, trip, asked, clock):
    registry.set_trip_situation(trip.trip_id, Situation.DRIVING, clock.now)
    assert (await state_of(driver))["guardianships"] == []
    for answer in ("accept", "decline"):
        assert (await driver.post(f"/api/trip/guardianships/{asked}/{answer}")).status_code == 409
    assert [each.ended_at for each in registry.guardians()] == [None]


async def test_nobody_answers_for_others(driver, registry, asked, ana, clock):
    of_ana = registry.propose_guardian("truck-1", "ana", clock.now, proposed_by="Ben").id
    for guardian_id in (of_ana, asked, 999):  # the second was withdrawn by asking somebody else
        assert (await driver.post(f"/api/trip/guardianships/{guardian_id}/accept")).status_code == 404
