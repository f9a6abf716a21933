"""Each channel against a receiver that speaks its standard: taken, refused for ever or for now, delaying nobody."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from py_vapid import Vapid02

from alerts.paging.channels.board import Board
from alerts.paging.channels.chat import Chat
from alerts.paging.channels.http import http_client, retry_after_s
from alerts.paging.channels.push import LIVES_S, Push, VapidKey
from alerts.paging.channels.telephony import HttpTelephony, PhoneNumberError, Sms, Voice, parse_phone_number
from alerts.paging.channels.webhook import Webhook
from registry.audit import PROGRAM
from registry.kinds import Role
from registry.paging_kinds import Channel, PageState
from registry.receipt_tokens import is_receipt_token
from registry.recipients import Way

from faultline.ports import free_port
from paging_stage import NOW, paging, until
from receivers import Browser, http_receiver

if TYPE_CHECKING:
    from pathlib import Path

    from registry.paging_records import Page
    from registry.registry import Registry

    from paging_stage import Clock, Road

SECRET = "the installation's secret"


def page_of(registry: Registry, name: str) -> Page | None:
    return next(iter(registry.pages(recipient_id=name)), None)


def state_of(registry: Registry, name: str) -> PageState | None:
    page = page_of(registry, name)
    return None if page is None else page.state


def subscribe(registry: Registry, clock: Clock, name: str, endpoint: str) -> Browser:
    browser = Browser()
    registry.add_push_device(
        name,
        endpoint=endpoint,
        p256dh=browser.p256dh,
        auth=browser.auth_text,
        label=f"{name}'s phone",
        now=clock(),
        by=PROGRAM,
    )
    return browser


async def test_a_push_is_urgent_short_lived_signed_and_only_its_browser_reads_it(
    registry: Registry, road: Road, clock: Clock, tmp_path: Path
) -> None:
    road.person("ana", Role.DISPATCHER, Way(step=0, channel=Channel.PUSH))
    port = free_port()
    browser = subscribe(registry, clock, "ana", f"http://127.0.0.1:{port}/push/ana")
    road.raised()
    async with http_receiver(port) as service, http_client() as client:
        push = Push(client, VapidKey(tmp_path / "vapid.pem"), contact="mailto:ops@carrier.example", secret=SECRET)
        async with paging(registry, {Channel.PUSH: push}, clock):
            await until(lambda: state_of(registry, "ana") is PageState.ACCEPTED)
    (arrival,) = service.arrivals
    assert (arrival.headers["ttl"], arrival.headers["urgency"]) == (str(LIVES_S), "high")
    assert arrival.headers["content-encoding"] == "aes128gcm"
    assert Vapid02.verify(arrival.headers["authorization"])
    told = browser.decrypt(arrival.body)
    assert told["title"] == "CRITICAL: pack pack-1 on Truck 1"
    assert is_receipt_token(SECRET, told["id"], told["token"])
    assert not is_receipt_token(SECRET, "another", told["token"])
    with pytest.raises(Exception, match="Decryption"):
        Browser().decrypt(arrival.body)
    assert (tmp_path / "vapid.pem").stat().st_mode & 0o777 == 0o600


async def test_a_device_that_is_gone_is_flagged_and_the_others_get_it(
    registry: Registry, road: Road, clock: Clock, tmp_path: Path
) -> None:
    road.person("ana", Role.DISPATCHER, Way(step=0, channel=Channel.PUSH))
    road.person("ben", Role.DISPATCHER, Way(step=0, channel=Channel.PUSH))
    port = free_port()
    for name, path in (("ana", "old"), ("ana", "new"), ("ben", "old2")):
        subscribe(registry, clock, name, f"http://127.0.0.1:{port}/{path}")
    road.raised()
    async with http_receiver(port) as service, http_client() as client:
        service.answer = lambda arrival: (410, {}) if "old" in arrival.path else (201, {})
        push = Push(client, VapidKey(tmp_path / "vapid.pem"), contact="mailto:ops@carrier.example", secret=SECRET)
        async with paging(registry, {Channel.PUSH: push}, clock):
            await until(lambda: state_of(registry, "ana") is PageState.ACCEPTED)
            await until(lambda: state_of(registry, "ben") is PageState.FAILED)
    failed = {device.failed_why for device in registry.recipient("ana", clock()).devices}
    assert failed == {None, "the device has ended its subscription"}
    registry.judge_reachability(clock())
    assert "each one failed" in (registry.recipient("ben", clock()).recipient.unreachable_why or "")
    assert registry.recipient("ana", clock()).recipient.unreachable_why is None


async def test_a_webhook_is_signed_over_time_and_body_and_each_thing_is_told_once(
    registry: Registry, road: Road, clock: Clock
) -> None:
    port = free_port()
    road.person("tms", None, Way(step=0, channel=Channel.WEBHOOK, address=f"http://127.0.0.1:{port}/hook", secret="k"))
    alert = road.raised()
    async with http_receiver(port) as service, http_client() as client:
        async with paging(registry, {Channel.WEBHOOK: Webhook(client, clock)}, clock) as (desk, _):
            await until(lambda: len(service.arrivals) == 1)
            clock.forward(3)
            road.acknowledged(alert)
            await until(lambda: len(service.arrivals) == 2)
            clock.forward(400)
            await desk.look()  # nobody is paged again through a webhook: it is no person
    first, second = service.arrivals
    timestamp = first.headers["packwatch-timestamp"]
    by_hand = hmac.new(b"k", timestamp.encode() + b"." + first.body, hashlib.sha256).hexdigest()
    assert first.headers["packwatch-signature"] == f"v1={by_hand}"
    told = [json.loads(arrival.body)["events"][0]["reason"] for arrival in (first, second)]
    assert told == ["pack-1: raised", "pack-1: acknowledged"]
    assert first.headers["packwatch-id"] != second.headers["packwatch-id"]


async def test_receivers_that_hang_or_ask_for_patience_delay_nobody_else(
    registry: Registry, road: Road, clock: Clock
) -> None:
    port = free_port()
    for name in ("hangs", "busy", "well"):
        address = f"http://127.0.0.1:{port}/{name}"
        road.person(name, None, Way(step=0, channel=Channel.WEBHOOK, address=address, secret="k"))
    road.raised()
    never = asyncio.Event()
    answers: dict[str, Any] = {"/hangs": never, "/busy": (429, {"retry-after": "90"}), "/well": (200, {})}
    async with http_receiver(port) as service, http_client() as client:
        service.answer = lambda arrival: answers[arrival.path]
        async with paging(registry, {Channel.WEBHOOK: Webhook(client, clock)}, clock):
            await until(lambda: state_of(registry, "well") is PageState.ACCEPTED)
            await until(lambda: state_of(registry, "busy") is PageState.QUEUED and len(service.at("/busy")) == 1)
            assert state_of(registry, "hangs") is PageState.HANDED_OVER
            busy = page_of(registry, "busy")
            assert busy is not None
            assert busy.next_at == NOW + timedelta(seconds=90)
            assert "429" in (busy.why or "")
            answers["/busy"] = (200, {})
            clock.forward(91)
            await until(lambda: state_of(registry, "busy") is PageState.ACCEPTED)
        never.set()
    assert (len(service.at("/well")), len(service.at("/busy"))) == (1, 2)


async def test_patience_beyond_the_end_of_tries_is_a_failure_at_once(
    registry: Registry, road: Road, clock: Clock
) -> None:
    port = free_port()
    road.person("tms", None, Way(step=0, channel=Channel.WEBHOOK, address=f"http://127.0.0.1:{port}/h", secret="k"))
    road.raised()
    async with http_receiver(port) as service, http_client() as client:
        service.answer = lambda _arrival: (429, {"retry-after": "86400"})
        async with paging(registry, {Channel.WEBHOOK: Webhook(client, clock)}, clock):
            await until(lambda: state_of(registry, "tms") is PageState.FAILED)
    page = page_of(registry, "tms")
    assert page is not None
    assert "not tried any more" in (page.why or "")


@pytest.mark.parametrize(
    ("status", "address", "why"),
    [
        (302, "http://127.0.0.1:{port}/h", "302"),
        (401, "http://127.0.0.1:{port}/h", "401"),
        (200, "http://receiver.example/h", "go by https"),
        (200, "ftp://127.0.0.1/h", "go by https"),
        (200, "no address", "go by https"),
    ],
)
async def test_what_will_never_go_is_given_up_with_its_reason(  # noqa: PLR0917  a table's columns
    registry: Registry, road: Road, clock: Clock, status: int, address: str, why: str
) -> None:
    port = free_port()
    way = Way(step=0, channel=Channel.WEBHOOK, address=address.format(port=port), secret="k")
    road.person("tms", None, way)
    road.raised()
    async with http_receiver(port) as service, http_client() as client:
        service.answer = lambda _arrival: (status, {"location": "http://elsewhere.example"})
        async with paging(registry, {Channel.WEBHOOK: Webhook(client, clock)}, clock):
            await until(lambda: state_of(registry, "tms") is PageState.FAILED)
    page = page_of(registry, "tms")
    assert page is not None
    assert why in (page.why or "")


async def test_a_call_speaks_the_recipient_s_language_and_names_where_a_key_is_told(
    registry: Registry, road: Road, clock: Clock
) -> None:
    number = "+1 312 555 0142"
    ways = (
        Way(step=0, channel=Channel.VOICE, address=number),
        Way(step=0, channel=Channel.SMS, address=number),
    )
    road.person("max", Role.DRIVER, *ways, vehicle_id="truck-1", language="fr")
    road.person("ana", Role.DISPATCHER, Way(step=0, channel=Channel.VOICE, address="+49 999"))
    port = free_port()
    road.raised()
    async with http_receiver(port) as service, http_client() as client:
        provider = HttpTelephony(client=client, url=f"http://127.0.0.1:{port}/v1", token="t")
        given = {"telephony": provider, "base_url": "https://packwatch.example", "secret": SECRET}
        async with paging(registry, {Channel.VOICE: Voice(**given), Channel.SMS: Sms(**given)}, clock):
            await until(lambda: len(service.arrivals) == 2)
            await until(lambda: state_of(registry, "ana") is PageState.FAILED)
    call, text = (json.loads(service.at(path)[0].body) for path in ("/v1/calls", "/v1/messages"))
    assert (call["to"], call["language"]) == ("+13125550142", "fr")
    assert call["say"].startswith("Packwatch. CRITIQUE. batterie pack-1 sur Truck 1.")
    assert call["callback"] == f"https://packwatch.example/api/telephony/{call['id']}"
    assert is_receipt_token(SECRET, call["id"], call["callback_token"])
    assert len(text["text"]) <= 459
    assert service.at("/v1/calls")[0].headers["idempotency-key"] == call["id"]
    failed = page_of(registry, "ana")
    assert failed is not None
    assert "is no number that its country gives out" in (failed.why or "")


@pytest.mark.parametrize("text", ["911", "112", "0312 555 0142", "+1 555 123", "", "call me", "+999999999999999999"])
def test_what_is_no_phone_number_is_refused(text: str) -> None:
    with pytest.raises(PhoneNumberError, match=r"one looks like|such as"):
        parse_phone_number(text)


# apprise looks for PGP support when it first sends, and that tries a module which Python 3.13 has not any more
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
async def test_chat_goes_through_apprise_and_a_no_is_tried_again(registry: Registry, road: Road, clock: Clock) -> None:
    port = free_port()
    road.person("ana", Role.DISPATCHER, Way(step=0, channel=Channel.CHAT, address=f"json://127.0.0.1:{port}/room"))
    road.person("ben", Role.DISPATCHER, Way(step=0, channel=Channel.CHAT, address="nowhere"))
    road.raised()
    statuses = [500, 200]
    chat = Chat()
    async with http_receiver(port) as service:
        service.answer = lambda _arrival: (statuses.pop(0), {})
        async with paging(registry, {Channel.CHAT: chat}, clock):
            await until(lambda: len(service.arrivals) == 1)
            await until(lambda: state_of(registry, "ana") is PageState.QUEUED)
            clock.forward(2)
            await until(lambda: state_of(registry, "ana") is PageState.ACCEPTED)
            await until(lambda: state_of(registry, "ben") is PageState.FAILED)
    chat.close()
    page = page_of(registry, "ana")
    assert page is not None
    assert page.may_repeat  # nobody knows whether the first one was shown


async def test_a_board_takes_a_page_only_while_it_would_be_heard(registry: Registry, road: Road, clock: Clock) -> None:
    account = registry.create_account(name="ana", display_name="Ana", now=NOW)
    road.person("ana", Role.DISPATCHER, Way(step=0, channel=Channel.BOARD), account_id=account.account_id)
    registry.note_board("b1", account.account_id, clock(), sounding=False, why="the browser wants a click first")
    registry.judge_reachability(clock())
    assert "the browser wants a click first" in (registry.recipient("ana", clock()).recipient.unreachable_why or "")
    road.raised()
    async with paging(registry, {Channel.BOARD: Board(clock)}, clock):
        await until(lambda: (page := page_of(registry, "ana")) is not None and page.why is not None)
        page = page_of(registry, "ana")
        assert page is not None
        assert "wants a click" in (page.why or "")
        assert registry.recipient("ana", clock()).ways[0].failed_at is not None
        registry.note_board("b1", account.account_id, clock(), sounding=True, why=None)
        assert registry.recipient("ana", clock()).ways[0].failed_at is None  # a board that sounds takes the next one
        clock.forward(3)
        await until(lambda: state_of(registry, "ana") is PageState.ACCEPTED)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("120", 120.0),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90.0),
        ("Sun, 01 Mar 2020 12:01:30 GMT", 0.0),
        ("soon", None),
    ],
)
def test_how_long_a_receiver_asks_to_wait(value: str | None, expected: float | None) -> None:
    assert retry_after_s(value, NOW) == expected
