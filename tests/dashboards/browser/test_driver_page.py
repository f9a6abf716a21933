"""The driver's page in a real browser, at phone size, against the real application."""

from __future__ import annotations

import gzip
import re
from typing import Any

import pytest
from playwright.sync_api import expect

from dashboards.app import STATIC_DIR
from registry.kinds import Level, Role
from registry.response_kinds import Language, Situation, Stage
from telemetry.samples import Provenance

from stage import eventually

DRIVER_PAGE_MAX_BYTES = 60 * 1024


def test_the_page_is_small():
    html = (STATIC_DIR / "driver.html").read_text()
    named = [STATIC_DIR / path.lstrip("/") for path in re.findall(r'(?:src|href)="(/[^"]+)"', html)]
    sizes = [len(gzip.compress(path.read_bytes())) for path in [*named, STATIC_DIR / "driver.html"]]
    assert len(sizes) > 3
    assert sum(sizes) <= DRIVER_PAGE_MAX_BYTES


@pytest.mark.parametrize("dark", [False, True], ids=["in the sun", "at night"])
@pytest.mark.parametrize("language", list(Language))
def test_parked_it_says_one_sentence_and_one_action_in_the_drivers_language(  # noqa: PLR0917
    truck, phone, parts, language, dark, violations
):
    truck.parks()
    truck.alarms(Level.CRITICAL)
    page = phone(dark=dark)
    page.goto(truck.link)
    page.get_by_test_id(f"language-{language}").click()
    sentence, action = parts["phrases"].said(Stage.CRITICAL, Situation.PARKED, language)
    expect(page.get_by_test_id("sentence")).to_have_text(sentence)
    expect(page.get_by_test_id("action")).to_have_text(action)
    assert page.evaluate("document.documentElement.lang") == language
    assert page.get_by_test_id("call-911").get_attribute("href") == "tel:911"
    assert page.get_by_test_id("call-paper").get_attribute("href") == "tel:+13035550122"
    assert page.get_by_test_id("call-dispatch").get_attribute("href") == "tel:+13035550111"
    expect(page.get_by_test_id("position")).to_have_text("40.01499 N105.27055 W")
    assert re.search(r"\b\d+ s\b", page.get_by_test_id("fix-age").inner_text())
    assert "draft" not in page.content().casefold()
    assert violations(page) == []
    page.reload()
    expect(page.get_by_test_id("sentence")).to_have_text(sentence)  # the choice is kept


def test_driving_it_sounds_and_speaks_and_shows_nothing_to_read(truck, phone, parts, violations):
    truck.parks()
    page = phone()
    page.goto(truck.link)
    page.get_by_test_id("start").click()
    page.get_by_test_id("language-es").click()
    truck.is_at(25.0)
    expect(page.get_by_test_id("wordless")).to_have_attribute("data-stage", "normal")
    assert page.locator("body").inner_text().strip() == ""
    calm = page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor")

    truck.alarms(Level.CRITICAL)
    expect(page.get_by_test_id("wordless")).to_have_attribute("data-stage", "critical")
    assert page.locator("body").inner_text().strip() == ""
    assert page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor") != calm
    sentence, action = parts["phrases"].said(Stage.CRITICAL, Situation.DRIVING, Language.ES)
    page.wait_for_function("words => window.spoken.some(each => each[1] === words)", arg=f"{sentence} {action}")
    assert page.evaluate("window.spoken.at(-1)[0]") == "es-US"
    page.wait_for_function("() => window.tones.filter(hz => hz === 990).length >= 2")  # and goes on
    assert violations(page) == []

    truck.is_at(0.0)  # a halt in traffic
    with page.expect_response("**/api/trip/state") as answer:
        assert answer.value.ok
    with page.expect_response("**/api/trip/state") as answer:  # this one was asked for after the halt
        assert answer.value.json()["moving"] is False
    expect(page.get_by_test_id("wordless")).to_be_visible()
    page.get_by_test_id("say-parked").click()
    expect(page.get_by_test_id("sentence")).to_have_text(
        parts["phrases"].said(Stage.CRITICAL, Situation.PARKED, Language.ES)[0]
    )


def test_acknowledging_is_the_drivers_own_and_the_siren_becomes_a_chirp(truck, phone, parts, violations):
    truck.parks()
    alert = truck.alarms(Level.CRITICAL)
    page = phone()
    page.goto(truck.link)
    page.get_by_test_id("start").click()
    page.wait_for_function("() => window.tones.includes(990)")
    page.get_by_test_id("acknowledge").click()
    expect(page.get_by_test_id("sentence")).to_have_text(
        parts["phrases"].said(Stage.HELD, Situation.PARKED, Language.EN)[0]
    )
    expect(page.get_by_test_id("acknowledge")).to_have_count(0)
    assert truck.registry.alert(alert.alert_id).acknowledged_roles == [Role.DRIVER]
    page.wait_for_function("() => window.tones.at(-1) === 1320")
    assert violations(page) == []


def test_without_a_fresh_evaluation_nothing_is_green(truck, phone, clock, parts, violations):
    truck.parks()
    page = phone()
    page.goto(truck.link)
    expect(page.get_by_test_id("parked")).to_have_attribute("data-stage", "normal")
    green = page.evaluate("getComputedStyle(document.querySelector('.word')).backgroundColor")
    clock.ms += 61_000
    expect(page.get_by_test_id("parked")).to_have_attribute("data-stage", "no_data")
    expect(page.get_by_test_id("sentence")).to_have_text("NO DATA.")
    assert page.evaluate("getComputedStyle(document.querySelector('.word')).backgroundColor") != green
    assert violations(page) == []
    truck.measures()
    expect(page.get_by_test_id("parked")).to_have_attribute("data-stage", "normal")


def test_without_a_network_it_opens_with_the_last_state_and_its_age(truck, phone, parts, violations):
    truck.parks()
    truck.alarms(Level.CRITICAL)
    page = phone()
    page.goto(truck.link)
    sentence = parts["phrases"].said(Stage.CRITICAL, Situation.PARKED, Language.EN)[0]
    expect(page.get_by_test_id("sentence")).to_have_text(sentence)
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    truck.service.stop()
    page.evaluate(  # as after four minutes: the state is older than what was received just now
        """() => { const kept = JSON.parse(localStorage["packwatch.trip.state"]);
                   kept.received_ms -= 240000; localStorage["packwatch.trip.state"] = JSON.stringify(kept); }"""
    )
    page.reload()
    expect(page.get_by_test_id("sentence")).to_have_text(sentence)
    expect(page.get_by_test_id("freshness")).to_contain_text("Last known 4 min ago")
    page.get_by_test_id("acknowledge").click()
    expect(page.get_by_text("Not sent: no network.")).to_be_visible()
    assert violations(page) == []
    # ... and green is not kept so long, nor the knowledge that it is parked for ever.
    page.evaluate(
        """() => { const kept = JSON.parse(localStorage["packwatch.trip.state"]); kept.state.stage = "normal";
                   kept.received_ms -= 400000; localStorage["packwatch.trip.state"] = JSON.stringify(kept); }"""
    )
    page.reload()
    expect(page.get_by_test_id("wordless")).to_have_attribute("data-stage", "no_data")


@pytest.mark.parametrize(
    ("drives", "title"), [(False, "Fire possible"), (True, "Packwatch")], ids=["parked", "driving"]
)
def test_a_push_message_is_shown_and_to_who_drives_without_its_words(truck, phone, drives, title):
    truck.parks()
    if drives:
        truck.is_at(25.0)
    page = phone()
    page.context.grant_permissions(["notifications"], origin=truck.service.url)
    registrations: list[dict[str, Any]] = []
    devtools = page.context.new_cdp_session(page)
    devtools.on("ServiceWorker.workerRegistrationUpdated", lambda event: registrations.extend(event["registrations"]))
    devtools.send("ServiceWorker.enable")
    page.goto(truck.link)
    page.get_by_test_id("wordless" if drives else "parked").wait_for()
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    page.wait_for_function(
        "async wordless => (await (await caches.match('/t-last'))?.json())?.wordless === wordless", arg=drives
    )
    ours = next(each for each in registrations if each["scopeURL"].endswith("/t"))
    message = '{"id": "ab12", "token": "t", "title": "Fire possible", "body": "Truck 1, pack-1", "lang": "en"}'
    sent = {"origin": truck.service.url, "registrationId": ours["registrationId"], "data": message}
    devtools.send("ServiceWorker.deliverPushMessage", sent)
    shown = "navigator.serviceWorker.ready.then(at => at.getNotifications()).then(all => all.map(each => each.title))"
    assert eventually(lambda: page.evaluate(shown), what="a notification") == [title]
    details = "navigator.serviceWorker.ready.then(at => at.getNotifications()).then(all => [all[0].body, all[0].tag])"
    assert page.evaluate(details) == ["" if drives else "Truck 1, pack-1", "ab12"]
    eventually(lambda: ("POST", "/api/receipts/ab12") in truck.service.asked, what="the receipt")


def test_a_link_that_opens_nothing_says_so_and_still_calls_911(truck, phone, clock, violations):
    page = phone()
    page.goto(truck.link[:-3] + "xyz")
    expect(page.get_by_test_id("refused")).to_contain_text("incomplete or was changed")
    assert page.get_by_role("link", name="Call 911").get_attribute("href") == "tel:911"
    assert violations(page) == []
    truck.registry.sign_custody(truck.trip.trip_id, "R. Cycler", clock.now)
    page.goto("about:blank")
    page.goto(truck.link)
    expect(page.get_by_test_id("refused")).to_contain_text("closed: custody is signed")


def test_what_is_simulated_says_so(truck, phone, clock, make_batch):
    truck.parks()
    clock.ms += 1000
    batch = make_batch([[20.0, 21.0, 22.0]], at_ms=clock.ms, provenance=Provenance.SIMULATED)
    truck.service.do(lambda: truck.board.observe([batch]))
    page = phone()
    page.goto(truck.link)
    expect(page.get_by_test_id("simulation")).to_have_text("SIMULATION")
