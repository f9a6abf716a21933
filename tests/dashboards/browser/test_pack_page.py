"""One pack over time, and the searches, in a real browser over a real store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from playwright.sync_api import expect

from dashboards.accounts import new_claim
from packwatch.expecting import RulesExpectations

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "four unrelated words here"
SIZES = {"desk": ({"width": 1440, "height": 900}, "dark"), "phone": ({"width": 390, "height": 844}, "light")}
HOURS = 7


@pytest.fixture
def parts(parts: dict[str, Any], registry: Any, history: Any) -> dict[str, Any]:
    return parts | {"expectations": RulesExpectations(registry, history)}


@pytest.fixture
def stored(  # noqa: PLR0917
    truck: Any, store: Any, registry: Any, enrolment: Any, make_batch: Any, clock: Any, board: Any
) -> None:
    """Seven hours of two packs of one truck: probe 3 of pack-1 warms up to 63 degC, after a gap of ten minutes."""
    registry.enrol(enrolment(pack_id="pack-2", unit_id="unit-2"), clock.now)
    truck.service.do(
        lambda: board.refresh_assignments(
            registry.assignments(), {"gateway-1": ("truck-1", "Truck 1")}, now_ms=clock.ms
        )
    )
    rows = 20 + np.random.default_rng(4).normal(0, 0.05, (HOURS * 360, 3))
    warm = rows.copy()
    warm[-180:, 2] += np.linspace(0, 43, 180)
    parts = ((0, -240), (-180, None))
    for first, last in parts:
        batch = warm[first:last]
        end_ms = clock.ms + (0 if last is None else 10_000 * last)
        store.append([make_batch(batch, at_ms=end_ms, step_ms=10_000, ambient_c=np.full(len(batch), 12.0))])
    store.append([make_batch(rows, at_ms=clock.ms, step_ms=10_000, unit_id="unit-2")])


@pytest.fixture(params=SIZES)
def pack_page(  # noqa: PLR0917
    request: Any, browser: Any, truck: Any, stored: None, registry: Any, clock: Any
) -> Iterator[Any]:
    """A dispatcher's browser at the page of pack-1."""
    account = registry.create_account(name="ana", display_name="Ana", role="dispatcher", now=clock.now)
    viewport, scheme = SIZES[request.param]
    context = browser.new_context(viewport=viewport, locale="de-DE", timezone_id="Europe/Berlin", color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto(f"{truck.service.url}/claim?token={new_claim(registry, account, clock.now)}")
    page.get_by_test_id("sign-in-name").fill("ana")
    page.get_by_test_id("sign-in-password").fill(SECRET)
    page.get_by_test_id("sign-in-submit").click()
    page.get_by_test_id("connection-state").wait_for()
    page.goto(f"{truck.service.url}/packs/pack-1")
    page.size = request.param
    yield page
    context.close()


def test_a_pack_is_seen_over_time_beside_its_neighbour_and_what_is_expected(pack_page, violations, picture):
    page = pack_page
    temperatures = page.locator("[data-testid=chart][data-panel=temperature]")
    temperatures.wait_for()
    said = page.get_by_test_id("time-range")
    page.get_by_role("button", name="6 h", exact=True).click()
    expect(said).to_contain_text("Each point is a bucket's mean.")
    page.get_by_test_id("expected").check()
    expect(page.get_by_test_id("judged")).to_contain_text("Judged again by the rules in force")
    expect(page.get_by_test_id("level-runs")).to_contain_text(re.compile(r"WARNING from .*; CRITICAL from "))
    page.get_by_test_id("neighbour").select_option("pack-2")

    expect(page.get_by_test_id("map-moment")).to_have_text("now")
    temperatures.locator(".u-over").hover()
    expect(page.get_by_test_id("map-moment")).to_have_text(re.compile(r"at \d\d:\d\d:\d\d"))
    picture(page, f"pack-{page.size}")
    assert violations(page) == []

    page.get_by_role("button", name="15 min").click()
    expect(said).to_contain_text("Every sample is drawn.")
    page.get_by_role("button", name="trip", exact=True).click()
    expect(page.get_by_role("button", name="trip", exact=True)).to_have_attribute("aria-pressed", "true")


def test_the_map_shows_each_probe_and_which_stands_out(pack_page, truck, clock):
    clock.ms += 1000
    truck.measures(31.0)
    cells = pack_page.get_by_test_id("probe-map").locator("li")
    expect(cells.nth(2)).to_contain_text("31.0")
    expect(cells.nth(2)).to_have_attribute("data-heat", "4")
    expect(cells.nth(2)).to_contain_text("+10.0")
    pack_page.get_by_role("button", name="above the others").click()
    expect(cells.nth(2)).to_have_attribute("data-heat", "8")
    expect(cells.nth(1)).to_have_attribute("data-heat", "1")


def test_history_is_searched(pack_page, truck, violations, picture):
    page = pack_page
    page.goto(f"{truck.service.url}/search")
    page.get_by_test_id("above").fill("62")
    page.get_by_test_id("search-hot").click()
    expect(page.get_by_test_id("hot-packs").locator("tbody tr")).to_have_count(1)
    expect(page.get_by_test_id("hot-packs")).to_contain_text("pack-1")
    page.get_by_test_id("search-incidents").click()
    expect(page.get_by_text("No incident with such a pack is known.")).to_be_visible()
    page.get_by_test_id("trips-pack").fill("pack-1")
    page.get_by_test_id("search-trips").click()
    expect(page.get_by_test_id("found-trips")).to_contain_text("truck-1 with Luz Vega")
    picture(page, f"search-{page.size}")
    assert violations(page) == []
    page.get_by_test_id("trips-pack").fill("nobody")
    page.get_by_test_id("search-trips").click()
    expect(page.get_by_role("alert")).to_contain_text("knows no pack")
