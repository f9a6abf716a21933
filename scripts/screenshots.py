"""Takes the pictures of the pages in docs/images, from a real demo: `make screenshots`.

Every page at 1440 and 390 px, light and dark, first calm, then with a pack that fails; and the driver's page on a
phone, in each language. `scripts/screenshots.py driver` takes the driver's alone.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
NAME, SECRET = "dispatcher", "a long enough password"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def start(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A demo of its own; its process and its one-time link."""
    http = free_port()
    log = folder / "up.log"
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [
                Path(sys.executable).parent / "packwatch", "up", "--demo", "--data-dir", folder / "data",
                "--http", f"127.0.0.1:{http}", "--mqtt", f"127.0.0.1:{free_port()}",
            ],
            stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    for _ in range(600):
        found = re.search(r"http://\S+/claim\S+", log.read_text())
        if found:
            return process, found[0]
        time.sleep(0.1)
    raise SystemExit(log.read_text())


def page_at(browser: Browser, size: str, scheme: str, state: dict[str, object] | None = None) -> Page:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]  # light or dark
        locale="en-GB",
        timezone_id="America/Denver",
        storage_state=state,  # type: ignore[arg-type]  # as Playwright gave it
        device_scale_factor=2 if size == "phone" else 1,
    )
    return context.new_page()


def take(page: Page, name: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path)
    print(path.relative_to(ROOT))  # noqa: T201 - the command's output


def take_pages(browser: Browser, base: str, state: dict[str, object], failing: str | None, alarm: str) -> None:
    for size in SIZES:
        for scheme in ("light", "dark"):
            for name, path in (("board", ""), ("alarm", alarm), ("pack", f"packs/{failing}"), ("intake", "intake")):
                page = page_at(browser, size, scheme, state)
                page.goto(base + path)
                page.get_by_test_id("connection-state").first.wait_for()
                if name == "board" and size == "desktop":  # a phone shows the list
                    page.locator("[data-testid=map] [data-ready=true]").wait_for(timeout=60_000)
                page.wait_for_timeout(2500)
                take(page, f"{name}-{size}-{scheme}")
                page.context.close()


def take_review(browser: Browser, base: str, signed_in: Page) -> None:
    """The review of the failing pack's incident, whole."""
    incident_id = signed_in.request.get(f"{base}api/incidents").json()[0]["incident_id"]
    for size in SIZES:
        page = page_at(browser, size, "light", signed_in.context.storage_state())
        page.goto(f"{base}review/{incident_id}")
        page.get_by_test_id("review-chart").first.wait_for()
        page.get_by_test_id("review-state").wait_for()
        page.wait_for_timeout(1000)
        take(page, f"review-{size}-light")
        page.context.close()


def take_driver(browser: Browser, base: str, signed_in: Page, failing: str | None) -> None:
    """The page of the driver with the failing pack: while driving, parked, and grey."""
    packs = signed_in.request.get(f"{base}api/board").json()["packs"]
    vehicle = next(pack["vehicle_id"] for pack in packs if pack["pack_id"] == failing)
    asked = {"vehicle_id": vehicle, "driver_name": "Luz Vega", "dispatch_number": "+1 303 555 0111"}
    headers = {"X-Packwatch": "1", "Origin": base.rstrip("/")}
    opened = signed_in.request.post(
        f"{base}api/trips", data=asked | {"emergency_number": "+1 303 555 0122"}, headers=headers
    )
    link = base.rstrip("/") + opened.json()["path"]
    page = page_at(browser, "phone", "light")
    page.goto(link)
    page.locator('[data-testid="wordless"][data-stage]:not([data-stage="no_data"])').wait_for()
    page.mouse.click(5, 5)
    page.wait_for_timeout(500)
    take(page, "driver-driving")
    page.context.close()
    for language in ("en", "es", "fr"):
        for name, scheme in (("parked", "light"), ("grey", "dark")):
            page = page_at(browser, "phone", scheme)
            _stands(page, grey=name == "grey")
            page.goto(link)
            page.get_by_test_id("parked").click(position={"x": 5, "y": 5})
            page.get_by_test_id(f"language-{language}").click()
            page.locator('[data-testid="sentence"]:not(:empty)').wait_for()
            take(page, f"driver-{name}-{language}")
            page.context.close()


def _stands(page: Page, *, grey: bool) -> None:
    """The demo's trucks never halt and are never silent: that this one is goes into the service's answer here."""

    def answer(route: Route) -> None:
        told = route.fetch()
        state = told.json() | {"situation": "parked", "moving": False}
        if grey:
            state |= {"stage": "no_data", "unacknowledged": [], "evaluated_at_ms": state["now_ms"] - 420_000}
        route.fulfill(response=told, json=state)

    page.route("**/api/trip/state", answer)


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("a real browser is needed: install Debian's chromium")
    all_pages = sys.argv[1:] != ["driver"]
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        process, link = start(Path(scratch))
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            base = str(httpx.URL(link).copy_with(path="/", query=None))
            first = page_at(browser, "desktop", "dark")
            first.goto(link)
            first.get_by_test_id("sign-in-name").fill(NAME)
            if all_pages:
                take(first, "claim-desktop-dark")
            first.get_by_test_id("sign-in-password").fill(SECRET)
            first.get_by_test_id("sign-in-submit").click()
            first.get_by_test_id("pack-row").first.wait_for()
            if all_pages:
                first.wait_for_timeout(20_000)
                take(first, "board-calm-desktop-dark")
            first.locator(
                '[data-testid="pack-row"][data-level="critical"], [data-testid="pack-row"][data-level="runaway"]'
            ).first.wait_for(timeout=400_000)
            first.wait_for_timeout(15_000)
            state = first.context.storage_state()
            failing = first.locator('[data-testid="pack-row"]').first.get_attribute("data-pack-id")
            alarm = (first.get_by_test_id("open-alert").first.get_attribute("href") or "").lstrip("/")
            if all_pages:
                take_pages(browser, base, state, failing, alarm)
            if all_pages:
                take_review(browser, base, first)
            take_driver(browser, base, first, failing)
            browser.close()
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(20)


if __name__ == "__main__":
    main()
