"""Web push by a button, on the driver's page and on the board; and a guardianship that a driver answers.

A browser's own push service cannot be reached from a test: the subscription is made up here, with real keys, in page
and service worker alike. All else is real.
"""
# ruff: noqa: PLR0917 - fixtures come by name

from __future__ import annotations

import base64
import os
import re
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import expect

from alerts.paging.channels.push import VapidKey
from dashboards.accounts import new_claim
from registry.audit import PROGRAM
from registry.kinds import Role
from registry.paging_kinds import Channel, PageState
from registry.paging_records import Recipient
from registry.receipt_tokens import receipt_token
from registry.recipients import Way
from registry.response_kinds import Language
from registry.trips import recipient_of_trip

SESSION_SECRET = "session-secret-of-the-tests"
PASSWORD = "four unrelated words here"


def text_of(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def made_up_subscription() -> str:
    """JavaScript by which a browser gets a subscription without its push service; it lasts as a real one does."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    keys = f"{{p256dh: {text_of(point)!r}, auth: {text_of(os.urandom(16))!r}}}"
    return f"""
    (() => {{
      const endpoint = "https://push.example/phone-1";
      const subscription = {{ endpoint, toJSON: () => ({{ endpoint, keys: {keys} }}),
        unsubscribe: async () => {{ localStorage.removeItem("subscribed"); return true; }} }};
      const page = self.localStorage !== undefined;
      PushManager.prototype.getSubscription = async () =>
        !page || localStorage.getItem("subscribed") ? subscription : null;
      PushManager.prototype.subscribe = async ({{ applicationServerKey }}) => {{
        if (!applicationServerKey) throw new Error("no key");
        localStorage.setItem("subscribed", "1");
        return subscription;
      }};
    }})();
    """


@pytest.fixture
def parts(parts, tmp_path):
    return parts | {"push_key": VapidKey(tmp_path / "vapid.pem").public}


def deliver(page: Any, service: Any, registry: Any, recipient_id: str, *, scope: str) -> None:
    """Hand the test that waits in the outbox to the service worker, as the browser's push service would."""
    made_up = made_up_subscription()
    for worker in page.context.service_workers:
        worker.evaluate(f"() => {{ {made_up} }}")
    registrations: list[dict[str, Any]] = []
    devtools = page.context.new_cdp_session(page)
    devtools.on("ServiceWorker.workerRegistrationUpdated", lambda event: registrations.extend(event["registrations"]))
    devtools.send("ServiceWorker.enable")
    page.wait_for_function("() => navigator.serviceWorker.ready.then(() => true)")
    test = registry.pages(recipient_id=recipient_id)[0]
    registry.take_pages("tests", test.due_at, answer_within=timedelta(seconds=30))
    test = registry.pages(recipient_id=recipient_id)[0]
    assert test.channel is Channel.PUSH
    token = receipt_token(SESSION_SECRET, test.message_id)
    ours = next(each for each in registrations if each["scopeURL"] == f"{service.url}{scope}")
    message = f'{{"id": "{test.message_id}", "token": "{token}", "title": "Drill", "body": "No pack is concerned."}}'
    sent = {"origin": service.url, "registrationId": ours["registrationId"], "data": message}
    devtools.send("ServiceWorker.deliverPushMessage", sent)


def test_a_driver_turns_alarms_on_tries_them_and_turns_them_off(truck, phone, registry, clock, violations, picture):
    truck.parks()
    page = phone()
    page.add_init_script(made_up_subscription())
    page.context.grant_permissions(["notifications"], origin=truck.service.url)
    page.goto(truck.link)
    box = page.get_by_test_id("phone-alarms")
    box.locator("summary").click()
    expect(page.get_by_test_id("push-state")).to_have_text("Off on this phone.")
    page.get_by_test_id("push-on").click()
    expect(page.get_by_test_id("push-state")).to_contain_text("On. Messages come to this phone")
    recipient_id = recipient_of_trip(truck.trip)
    (device,) = registry.recipient(recipient_id, clock.now).devices
    assert device.endpoint == "https://push.example/phone-1"
    assert registry.audit_rows(subject=f"recipient/{recipient_id}")[-1]["actor"]["id"] == "Luz Vega"

    expect(page.get_by_test_id("push-proof")).to_contain_text("No message has arrived yet")
    page.get_by_test_id("push-test").click()
    expect(box).to_contain_text("Test sent.")
    deliver(page, truck.service, registry, recipient_id, scope="/t")
    expect(page.get_by_test_id("push-proof")).to_have_text(re.compile(r"The last message arrived \d+ s ago\."))
    assert registry.pages(recipient_id=recipient_id)[0].state is PageState.SHOWN
    for language in Language:
        page.get_by_test_id(f"language-{language}").click()
        assert violations(page) == []
        box.scroll_into_view_if_needed()
        picture(page, f"phone-alarms-{language}")
    page.reload()
    box.locator("summary").click()
    expect(box).to_have_attribute("data-state", "on")  # it lasts

    page.get_by_test_id("push-off").click()
    expect(box).to_have_attribute("data-state", "off")
    assert registry.recipient(recipient_id, clock.now).devices == ()


def test_a_phone_that_is_subscribed_takes_its_next_trip_s_messages_by_itself(truck, phone, registry, clock):
    truck.parks()
    page = phone()
    page.add_init_script(made_up_subscription() + "localStorage.setItem('subscribed', '1');")
    page.context.grant_permissions(["notifications"], origin=truck.service.url)
    page.goto(truck.link)
    page.get_by_test_id("phone-alarms").locator("summary").click()
    expect(page.get_by_test_id("phone-alarms")).to_have_attribute("data-state", "on")
    assert len(registry.recipient(recipient_of_trip(truck.trip), clock.now).devices) == 1


def test_what_stands_in_the_way_is_said_with_how_to_undo_it(truck, phone, violations):
    truck.parks()
    page = phone()
    page.goto(truck.link)
    page.get_by_test_id("phone-alarms").locator("summary").click()
    page.get_by_test_id("push-on").click()  # without leave given beforehand headless Chromium says no
    expect(page.get_by_test_id("push-state")).to_contain_text("Notifications, Allow")
    assert page.get_by_test_id("push-on").count() == 0
    assert violations(page) == []
    page.add_init_script("delete window.PushManager;")
    page.reload()
    page.get_by_test_id("phone-alarms").locator("summary").click()
    expect(page.get_by_test_id("push-state")).to_contain_text("Add to Home Screen")


def test_a_dispatcher_sees_proves_and_removes_their_own_devices(truck, browser, registry, clock, violations, picture):
    account = registry.create_account(name="ana", display_name="Ana", role="dispatcher", now=clock.now)
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="en-US", timezone_id="UTC")
    context.add_init_script(made_up_subscription())
    context.grant_permissions(["notifications"], origin=truck.service.url)
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto(f"{truck.service.url}/claim?token={new_claim(registry, account, clock.now)}")
    page.get_by_test_id("sign-in-name").fill("ana")
    page.get_by_test_id("sign-in-password").fill(PASSWORD)
    page.get_by_test_id("sign-in-submit").click()
    page.get_by_role("link", name="My devices").click()
    expect(page.get_by_role("alert").filter(has_text="ask safety")).to_be_visible()

    ana = Recipient(
        recipient_id="ana", name="Ana", role=Role.DISPATCHER, created_at=clock.now, account_id=account.account_id
    )
    registry.add_recipient(ana, [Way(step=0, channel=Channel.BOARD)])
    page.reload()
    page.get_by_test_id("push-on").click()
    expect(page.get_by_test_id("device")).to_contain_text("(this browser)")
    page.get_by_test_id("push-test").click()
    expect(page.get_by_text("Test sent")).to_be_visible()
    deliver(page, truck.service, registry, "ana", scope="/")
    expect(page.get_by_test_id("proof")).to_contain_text("Last proof: a message arrived")
    shown = "navigator.serviceWorker.ready.then(at => at.getNotifications()).then(all => all[0].body)"
    assert page.evaluate(shown) == "No pack is concerned."
    assert violations(page) == []
    picture(page, "devices-390")
    page.get_by_test_id("push-off").click()
    expect(page.get_by_text("None of yours is subscribed.")).to_be_visible()
    expect(page.get_by_test_id("devices")).to_have_attribute("data-state", "off")
    context.close()


def test_a_driver_accepts_or_declines_a_guardianship_when_parked_in_one_touch(
    truck, phone, registry, clock, violations, picture
):
    recipient_id = recipient_of_trip(truck.trip)
    registry.propose_guardian("truck-1", recipient_id, clock.now, proposed_by="Ana")
    truck.is_at(25.0)
    page = phone()
    page.goto(truck.link)
    page.get_by_test_id("wordless").wait_for()
    assert page.get_by_test_id("guardianship").count() == 0
    truck.parks()
    asked = page.get_by_test_id("guardianship")
    expect(asked).to_contain_text("Ana asks: will you be called first about Truck 1?")
    assert violations(page) == []
    picture(page, "guardianship")
    page.get_by_test_id("guardian-accept").click()
    expect(page.get_by_test_id("guardian-told")).to_contain_text("Ask dispatch for a test call")

    registry.set_ways(recipient_id, [Way(step=0, channel=Channel.SMS, address="+13035550177")])
    registry.start_drill(recipient_id, clock.now, by=PROGRAM)
    registry.take_pages("tests", clock.now, answer_within=timedelta(seconds=30))
    registry.note_receipt(registry.pages()[0].message_id, PageState.ACKNOWLEDGED, clock.now, device="telephony")
    page.get_by_test_id("guardian-accept").click()
    expect(page.get_by_test_id("guardian-told")).to_have_text("Accepted: you are called first.")
    expect(asked).to_have_count(0)
    assert [each.recipient_id for each in registry.guardians() if each.accepted_at] == [recipient_id]

    registry.propose_guardian("truck-1", recipient_id, clock.now, proposed_by="Ben")
    page.get_by_test_id("guardian-decline").click()
    expect(page.get_by_test_id("guardian-told")).to_have_text("Declined. Nothing changes.")
    told = registry.audit_rows(subject="guardian/truck-1")
    assert [(row["action"], row["actor"]["id"]) for row in told if row["actor"]["id"] == "Luz Vega"] == [
        ("accept guardian", "Luz Vega"),
        ("decline guardian", "Luz Vega"),
    ]
