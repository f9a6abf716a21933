"""A review in a real browser: scrubbed, written, signed by two people, and its evidence taken away and verified."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from playwright.sync_api import expect
from typer.testing import CliRunner

from alerts.grouping import gathering
from dashboards.accounts import new_claim
from packwatch.cli import app as command_line
from packwatch.reviewing import review_house
from packwatch.settings import Settings
from registry.kinds import Level
from registry.records import AlertEvent
from telemetry.samples import PositionFix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "four unrelated words here"
SCRIPT = "<img src=x onerror=alert(1)>"
SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture
def parts(parts: dict[str, Any], registry: Any, store: Any, tmp_path: Path) -> dict[str, Any]:
    return parts | {"review": review_house(Settings(data_dir=tmp_path / "data"), registry, store)}


@pytest.fixture
def burnt(  # noqa: PLR0917
    truck: Any, store: Any, make_batch: Any, make_alert: Any, registry: Any, clock: Any
) -> str:
    """What the truck's pack did in the last hour; the address of its incident's review."""
    rows = np.full((360, 3), 22.0) + np.random.default_rng(3).normal(0, 0.05, (360, 3))
    rows[180:, 1] += np.linspace(0, 70, 180)
    store.append([make_batch(rows, at_ms=clock.ms, step_ms=10_000)])
    store.append_positions(
        [
            PositionFix(
                fleet_id="fleet-1",
                gateway_id="gateway-1",
                fixed_at_ms=clock.ms - 60_000 * minute,
                latitude_deg=40.0 + 0.004 * minute + 0.002 * (minute % 3),
                longitude_deg=-105.2 - 0.006 * minute,
            )
            for minute in range(60)
        ]
    )
    for level, minutes in ((Level.WARNING, 14), (Level.CRITICAL, 5)):
        at = clock.now - timedelta(minutes=minutes)
        alert = make_alert(alert_id=f"a-{level}", level=level, raised_at=at, sampled_at=at)
        told = AlertEvent(
            alert_id=alert.alert_id, at=at, sampled_at=at, action="raise", to_state=alert.state, level=level,
            reasons=[f"probe 2 is hot {SCRIPT}"],
        )  # fmt: skip
        registry.raise_alert(alert, told, gather=gathering)
    (incident,) = registry.incidents()
    return f"/review/{incident.incident_id}"


@pytest.fixture
def person(browser: Any, truck: Any, registry: Any, clock: Any) -> Iterator[Any]:
    """`person("ida", "safety")`: that person's browser, signed in."""
    contexts = []

    def signed_in(name: str, role: str, size: str = "desk") -> Any:
        account = registry.create_account(name=name, display_name=name.title(), role=role, now=clock.now)
        context = browser.new_context(
            viewport=SIZES[size], locale="en-GB", timezone_id="UTC", accept_downloads=True, color_scheme="light"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
        page.goto(f"{truck.service.url}/claim?token={new_claim(registry, account, clock.now)}")
        page.get_by_test_id("sign-in-name").fill(name)
        page.get_by_test_id("sign-in-password").fill(SECRET)
        page.get_by_test_id("sign-in-submit").click()
        page.get_by_test_id("connection-state").wait_for()
        return page

    yield signed_in
    for context in contexts:
        context.close()


def opened(page: Any, truck: Any, path: str) -> Any:
    page.goto(f"{truck.service.url}{path}")
    page.get_by_test_id("review-chart").first.wait_for()
    page.get_by_test_id("review-state").wait_for()
    return page


def write(page: Any, kind: str, words: str) -> None:
    page.get_by_test_id("entry-kind").select_option(kind)
    page.get_by_test_id("entry-text").fill(words)
    page.get_by_test_id("entry-send").click()


def test_two_people_review_and_sign_off_and_the_bundle_is_verified(  # noqa: PLR0917
    person, truck, burnt, violations, picture, tmp_path
):
    ida = opened(person("ida", "safety"), truck, burnt)
    expect(ida.get_by_test_id("items")).to_contain_text(f"probe 2 is hot {SCRIPT}")
    ida.get_by_test_id("moment-a").click()
    ida.get_by_test_id("scrub").fill("200")
    place = ida.get_by_test_id("place").inner_text()
    ida.get_by_test_id("scrub").fill("400")
    expect(ida.get_by_test_id("place")).not_to_have_text(place)
    expect(ida.get_by_test_id("compare")).to_contain_text("CRITICAL")
    write(ida, "finding", f"probe 2 led by 60 degC {SCRIPT}")
    expect(ida.get_by_test_id("entry")).to_contain_text(SCRIPT)
    ida.get_by_test_id("cause").select_option("cell defect")
    ida.get_by_test_id("cause-note").fill("vented")
    ida.get_by_test_id("keep-cause").click()
    expect(ida.get_by_text("Cause: cell defect")).to_be_visible()
    ida.get_by_test_id("add-file").set_input_files(
        {"name": "paper.png", "mimeType": "text/html", "buffer": b"\x89PNG\r\n\x1a\n" + bytes(50)}
    )
    expect(ida.get_by_test_id("attachment")).to_contain_text("image/png")
    ida.get_by_test_id("rerun-go").click()
    expect(ida.get_by_test_id("rerun")).to_contain_text("Would have been raised")
    ida.get_by_test_id("sign").click()
    expect(ida.get_by_test_id("review-state")).to_have_attribute("data-state", "signed once")
    expect(ida.get_by_test_id("sign")).to_be_disabled()
    expect(ida.get_by_text("somebody else of safety signs second")).to_be_visible()
    assert violations(ida) == []
    picture(ida, "review-1440")

    omar = opened(person("omar", "safety", "phone"), truck, burnt)
    picture(omar, "review-390")
    assert violations(omar) == []
    assert omar.evaluate("document.documentElement.scrollWidth") <= 390
    omar.get_by_test_id("sign").click()
    expect(omar.get_by_test_id("review-state")).to_have_attribute("data-state", "closed")
    expect(omar.get_by_test_id("signature")).to_have_text([re.compile("Signed by ida"), re.compile("second by omar")])

    with ida.expect_download() as download:
        ida.get_by_test_id("bundle").click()
    path = tmp_path / "evidence.zip"
    download.value.save_as(path)
    run = CliRunner().invoke
    key = run(command_line, ["bundle", "key", "--data-dir", str(tmp_path / "data")]).stdout.strip()
    assert "as you expect" in run(command_line, ["verify", str(path), "--key", key]).stdout
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 4
    path.write_bytes(changed)
    altered = run(command_line, ["verify", str(path), "--key", key])
    assert (altered.exit_code, "altered" in altered.stderr) == (1, True), altered.stderr


def test_of_two_who_change_one_finding_neither_loses_words(person, truck, burnt):
    ida = opened(person("ida", "safety"), truck, burnt)
    write(ida, "finding", "as it was")
    ida.get_by_test_id("entry").wait_for()
    omar = opened(person("omar", "safety"), truck, burnt)
    for page, words in ((omar, "omar's words"), (ida, "ida's words")):
        page.get_by_test_id("edit-entry").click()
        page.get_by_test_id("entry-text").fill(words)
    for page in (omar, ida):
        page.get_by_test_id("entry-send").click()
        page.get_by_test_id("entry").filter(has_text="omar's words").wait_for()
    expect(ida.get_by_test_id("entry-problem")).to_contain_text("It now says: omar's words")
    expect(ida.get_by_test_id("entry-text")).to_have_value("ida's words")


def test_a_dispatcher_finds_the_review_from_the_list_and_annotates_only(person, truck, burnt, violations):
    page = person("dan", "dispatcher")
    page.goto(f"{truck.service.url}/review")
    page.get_by_test_id("reviews").get_by_role("link").wait_for()
    assert violations(page) == []
    page.get_by_test_id("reviews").get_by_role("link").click()
    page.get_by_test_id("review-chart").first.wait_for()
    expect(page.get_by_test_id("sign")).to_have_count(0)
    expect(page.get_by_test_id("entry-kind").locator("option")).to_have_text(["annotation"])
