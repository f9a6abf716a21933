"""The board in a real browser: map and list as one, and all that was chosen in the address."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from dashboards.accounts import new_claim
from registry.kinds import Level
from telemetry.samples import PositionFix

SECRET = "four unrelated words here"
PICTURES = os.environ.get("PACKWATCH_PICTURES")
"""A folder for screenshots, to be looked at."""
PACKS = 150
PLACES = {"truck-1": (40.015, -105.27), "truck-2": (41.6, -93.6)}


@pytest.fixture
def fleet(truck: Any, registry: Any, board: Any, enrolment: Any, make_batch: Any, clock: Any) -> Any:  # noqa: PLR0917
    """Truck 1 in Colorado with pack-1; truck 2 in Iowa, of another carrier, with many."""
    for number in range(2, PACKS + 1):
        given = {"pack_id": f"pack-{number}", "unit_id": f"unit-{number}"}
        registry.enrol(
            enrolment(
                fleet_id="fleet-2", gateway_id="gateway-2", vehicle_id="truck-2", vehicle_name="Truck 2", **given
            ),
            clock.now,
        )
    names = {"gateway-1": ("truck-1", "Truck 1"), "gateway-2": ("truck-2", "Truck 2")}

    def arrive() -> None:
        board.refresh_assignments(registry.assignments(), names, now_ms=clock.ms)
        board.observe(
            [
                make_batch([[20.0, 21.0, 22.0]], unit_id=f"unit-{n}", gateway_id="gateway-2", fleet_id="fleet-2")
                for n in range(2, PACKS + 1)
            ]
        )
        board.observe_positions(
            [
                PositionFix(
                    fleet_id=f"fleet-{number}", gateway_id=f"gateway-{number}", fixed_at_ms=clock.ms,
                    latitude_deg=latitude_deg, longitude_deg=longitude_deg, speed_m_s=20.0, heading_deg=90.0,
                )
                for number, (latitude_deg, longitude_deg) in enumerate(PLACES.values(), start=1)
            ]
        )  # fmt: skip

    truck.service.do(arrive)
    return truck


@pytest.fixture
def open_board(browser: Any, fleet: Any, registry: Any, clock: Any) -> Any:
    """`open_board(width=390)`: somebody of the desk before the board."""
    people = {
        name: registry.create_account(name=name, display_name=name.title(), role="dispatcher", now=clock.now)
        for name in ("ana", "ben")
    }
    contexts = []

    def open_one(width: int = 1440, height: int = 900, scheme: str = "dark", name: str = "ana") -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height}, locale="en-US", timezone_id="UTC", color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.goto(f"{fleet.service.url}/claim?token={new_claim(registry, people[name], clock.now)}")
        page.get_by_test_id("sign-in-name").fill(name)
        page.get_by_test_id("sign-in-password").fill(SECRET)
        page.get_by_test_id("sign-in-submit").click()
        page.get_by_test_id("pack-row").first.wait_for()
        return page

    yield open_one
    for context in contexts:
        context.close()


def picture(page: Any, name: str) -> None:
    if PICTURES is not None:
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def test_map_and_list_are_one_and_the_address_holds_what_was_chosen(open_board, fleet, violations):
    page = open_board()
    rows = page.get_by_test_id("pack-row")
    assert rows.count() < 40  # of 150: what is out of sight is not drawn
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.locator(f"[aria-posinset='{PACKS}']")).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    page.locator("[data-testid=map] [data-ready=true]").wait_for()
    expect(page.get_by_test_id("map")).to_contain_text("2 vehicles with a position")
    picture(page, "board-map")

    page.get_by_role("button", name="Truck 2").first.click()
    expect(page).to_have_url(re.compile(r"\?vehicle=gateway-2$"))
    expect(rows.nth(1)).to_have_class(re.compile("chosen"))
    expect(rows.first).to_have_attribute("data-pack-id", "pack-1")  # the list stands still while it is touched
    page.get_by_label("Region").focus()
    page.get_by_label("Region").select_option("Colorado")
    expect(page.get_by_role("status").filter(has_text="1 pack of 150 match")).to_be_visible()
    expect(rows).to_have_count(1)
    page.get_by_label("Saved views").select_option("Save this view …")
    page.get_by_label("Name of the view").fill("Rockies")
    page.keyboard.press("Enter")
    assert violations(page) == []

    page.get_by_label("Saved views").select_option("Whole board")
    expect(page).to_have_url(f"{fleet.service.url}/")
    page.get_by_label("Carrier").select_option("fleet-2")
    page.get_by_label("Level", exact=True).select_option("WATCH and worse")
    expect(page.get_by_text("No pack is like that.")).to_be_visible()
    page.get_by_label("Saved views").select_option("Rockies")
    expect(page).to_have_url(re.compile(r"region=Colorado"))
    link = page.url
    page.goto("about:blank")
    page.goto(link)  # what its sender saw
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("pack-1")


def test_a_row_is_walked_to_and_its_alarm_opened_by_keys_and_the_wall_has_no_controls(open_board, fleet, violations):
    fleet.alarms(Level.WARNING)
    page = open_board(390, 844, "light")
    expect(page.get_by_test_id("pack-row").first).to_have_attribute("data-level", "warning")
    picture(page, "board-phone")
    assert violations(page) == []
    page.keyboard.press("w")
    expect(page).to_have_url(re.compile(r"\?wall=1$"))
    expect(page.get_by_role("search")).to_have_count(0)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("minute")).to_be_visible()


def test_a_shift_is_offered_and_accepted_and_its_incident_goes_along(open_board, fleet, violations):
    fleet.alarms(Level.CRITICAL)
    ana = open_board(390, 844)
    ana.get_by_test_id("take-on").click()
    expect(ana.get_by_test_id("worker")).to_have_text("You work on it")
    ana.get_by_role("heading", name="open incident").click()
    ana.keyboard.press("s")
    dialog = ana.get_by_test_id("shift-dialog")
    expect(dialog).to_contain_text("1 incident of yours: Heat on Truck 1 (CRITICAL)")
    expect(dialog).to_contain_text("NOT ACKNOWLEDGED: pack pack-1")
    ana.get_by_test_id("shift-note").fill("the driver waits at mile 214 <b>")
    picture(ana, "shift-phone")
    assert violations(ana) == []
    ana.get_by_test_id("shift-offer").click()
    expect(ana.get_by_test_id("shift-bar")).to_contain_text("Your shift waits for Ben")

    ben = open_board(name="ben")
    expect(ben.get_by_test_id("shift-bar")).to_contain_text("ana hands you the shift")
    expect(ben.get_by_test_id("shift-bar")).to_contain_text("“the driver waits at mile 214 <b>”")
    picture(ben, "shift-desk")
    assert violations(ben) == []
    ben.get_by_test_id("shift-accept").click()
    expect(ben.get_by_test_id("shift-bar")).to_have_count(0)
    expect(ben.get_by_test_id("worker")).to_have_text("You work on it")
    expect(ana.get_by_test_id("worker")).to_have_text("ben works on it")
