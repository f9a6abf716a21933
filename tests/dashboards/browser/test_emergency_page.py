"""The emergency papers in a real browser: the dispatcher's page, and the sheet that responders print."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from dashboards.accounts import new_claim
from registry.kinds import Level

from stage import eventually

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "four unrelated words here"


@pytest.fixture
def desk_page(browser: Any, truck: Any, registry: Any, clock: Any) -> Any:
    """A dispatcher's browser, signed in."""
    account = registry.create_account(name="ana", display_name="Ana", role="dispatcher", now=clock.now)
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US", timezone_id="UTC")
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto(f"{truck.service.url}/claim?token={new_claim(registry, account, clock.now)}")
    page.get_by_test_id("sign-in-name").fill("ana")
    page.get_by_test_id("sign-in-password").fill(SECRET)
    page.get_by_test_id("sign-in-submit").click()
    page.get_by_test_id("connection-state").wait_for()
    yield page
    context.close()


def test_a_dispatcher_calls_answers_decides_and_hands_the_sheet_to_responders(  # noqa: PLR0917
    desk_page, truck, phone, registry, violations, tmp_path: Path
):
    truck.parks()
    truck.measures(81.0)
    truck.alarms(Level.CRITICAL)
    page = desk_page
    page.get_by_role("link", name="911 and papers").click()
    calling = page.get_by_test_id("calling")
    expect(calling).to_contain_text("Have the driver call 911")
    expect(calling).to_contain_text("transferred to Boulder, Colorado")

    expect(page.get_by_test_id("report-telephone")).to_have_attribute("data-state", "ask")
    page.get_by_test_id("condition-evacuation").get_by_role("button", name="yes").click()
    expect(page.get_by_test_id("report-telephone")).to_have_attribute("data-state", "proposed")
    expect(page.get_by_test_id("report-telephone")).to_contain_text(re.compile(r"(12 h 00|11 h \d\d) min left"))
    page.get_by_test_id("report-telephone").get_by_role("button", name="Must be made").click()
    expect(page.get_by_test_id("report-telephone")).to_have_attribute("data-state", "confirmed")
    page.get_by_test_id("report-written").get_by_role("button", name="Need not be made").click()
    expect(page.get_by_role("alert").filter(has_text="why the report need not be made")).to_be_visible()
    assert violations(page) == []

    page.get_by_test_id("share-sheet").click()
    link = page.get_by_test_id("sheet-link").inner_text()
    responder = phone()
    responder.goto(link)
    sheet = responder.get_by_test_id("sheet")
    for words in ("UN3480", "25 m", "500 m", "40.01499 N, 105.27055 W", "pack-1", "NMC", "0.4 kWh", "+1 303 555 0122"):
        expect(sheet).to_contain_text(words)
    assert violations(responder) == []
    printed = responder.pdf(format="Letter")
    assert len(re.findall(rb"/Type /Page\b", printed)) == 1
    responder.goto("about:blank")
    responder.goto(link[:-4])
    expect(responder.get_by_test_id("sheet-trouble")).to_contain_text("incomplete or was changed")


def test_a_dispatcher_opens_a_trip_and_its_link_opens_the_page(desk_page, truck, phone, clock, violations):
    truck.registry.sign_custody(truck.trip.trip_id, "R. Cycler", clock.now)
    page = desk_page
    page.get_by_role("link", name="Drivers").click()
    page.get_by_test_id("trip-vehicle").select_option(label="Truck 1")
    page.get_by_test_id("trip-driver").fill("Jo Martin")
    page.get_by_test_id("trip-language").select_option("fr")
    page.get_by_test_id("open-trip").click()
    link = page.get_by_test_id("trip-link")
    eventually(lambda: link.get_by_role("img").evaluate("code => code.naturalWidth > 100"), what="the code")
    expect(page.get_by_test_id("trip")).to_contain_text("texts are drafts")
    assert violations(page) == []
    page.get_by_test_id("open-trip").click()
    expect(page.get_by_role("alert")).to_contain_text("Jo Martin: close it first")

    driver = phone()
    driver.goto(link.locator(".mono").inner_text())
    expect(driver.locator("html")).to_have_attribute("lang", "fr")
    driver.get_by_test_id("wordless").wait_for()
    page.get_by_test_id("trip").get_by_label("Custody goes to").fill("R. Cycler")
    page.get_by_role("button", name="Sign custody").click()
    expect(page.get_by_text("Nobody is on a trip.")).to_be_visible()
    expect(driver.get_by_test_id("refused")).to_contain_text("Ce trajet est clos")
