"""The critical minute in a real browser, by keyboard alone, on a desk and on a phone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from dashboards.accounts import new_claim
from registry.kinds import Level

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "four unrelated words here"
SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
PICTURES = os.environ.get("PACKWATCH_PICTURES")
"""A folder for screenshots, to be looked at."""


@pytest.fixture(params=SIZES)
def desk_page(request: Any, browser: Any, truck: Any, registry: Any, clock: Any) -> Iterator[Any]:
    """A dispatcher's browser, signed in."""
    account = registry.create_account(name="ana", display_name="Ana", role="dispatcher", now=clock.now)
    registry.create_account(name="ben", display_name="Ben", role="dispatcher", now=clock.now)
    context = browser.new_context(
        viewport=SIZES[request.param], locale="en-US", timezone_id="America/Denver", color_scheme="dark"
    )
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto(f"{truck.service.url}/claim?token={new_claim(registry, account, clock.now)}")
    page.get_by_test_id("sign-in-name").fill("ana")
    page.get_by_test_id("sign-in-password").fill(SECRET)
    page.get_by_test_id("sign-in-submit").click()
    page.get_by_test_id("connection-state").wait_for()
    page.size = request.param
    yield page
    context.close()


def picture(page: Any, name: str) -> None:
    if PICTURES is not None:
        page.screenshot(path=Path(PICTURES) / f"{name}-{page.size}.png", full_page=page.size == "phone")


def test_an_alarm_is_opened_called_about_acknowledged_and_handed_over_by_keys(desk_page, truck, registry, violations):
    page = desk_page
    truck.is_at(20.0)
    truck.measures(81.0)
    alert = truck.alarms(Level.CRITICAL, reasons=["probe 3 is 81.0 degC, above 80 degC", "<b>not</b> a <script>"])
    page.get_by_test_id("alarm-banner").wait_for()
    page.keyboard.press("n")
    minute = page.get_by_test_id("minute")
    say = page.get_by_test_id("minute-say")
    expect(say).to_contain_text("Danger: fire possible.")
    expect(minute).to_contain_text("<b>not</b> a <script>")
    expect(page.get_by_test_id("alarm-banner")).to_have_count(0)
    where = page.get_by_test_id("minute-where")
    for words in ("MOVING, 45 mph", "40.0150° N 105.2706° W", "Boulder, Colorado", "+1 303 555 0122", "25 m", "500 m"):
        expect(where).to_contain_text(words)
    expect(page.get_by_test_id("minute-pack")).to_contain_text("177.8 °F, above 176 °F")
    expect(page.get_by_test_id("driver-saw")).to_contain_text("NOT TOLD")
    picture(page, "minute")
    if page.size == "desk":
        assert page.evaluate("document.querySelector('[data-testid=minute-who]').getBoundingClientRect().top") < 900
    assert violations(page) == []

    page.keyboard.press("2")
    expect(page.get_by_test_id("next-call")).to_contain_text("No answer from the driver: call 911 for the county.")
    page.keyboard.press("p")
    page.get_by_test_id("place-text").fill("I-25 south, mile 214, nobody near")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("told-place")).to_contain_text("mile 214")

    page.keyboard.press("a")
    page.get_by_test_id("acknowledge-comment").fill("calling 911")
    page.keyboard.press("Control+Enter")
    expect(minute).to_contain_text("seen by: dispatcher")
    assert registry.alert(alert.alert_id).acknowledgement_comment == "calling 911"

    page.keyboard.press("t")
    expect(page.get_by_test_id("worker")).to_have_text("You work on it")
    page.keyboard.press("h")
    page.get_by_test_id("hand-over-to").select_option(label="Ben (dispatcher)")
    page.get_by_test_id("incident-confirm").press("Enter")
    expect(page.get_by_test_id("worker")).to_contain_text("handed to Ben, not accepted yet")
    page.keyboard.press("m")
    page.get_by_test_id("incident-text").fill("wrote a letter: a n 2 ? are no keys here")
    page.keyboard.press("Control+Enter")
    page.get_by_test_id("hand-over").wait_for()
    page.keyboard.press("?")
    expect(page.get_by_test_id("keys-help")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    expect(page.get_by_test_id("pack-list")).to_be_visible()
