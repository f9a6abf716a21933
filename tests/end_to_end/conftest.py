"""Packwatch as a user starts it, and the browser that looks at it."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

from stage import CHROMIUM_FLAGS, packwatch_up


@pytest.fixture(scope="module")
def packwatch(tmp_path_factory):
    with packwatch_up(tmp_path_factory.mktemp("up")) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    """Chromium. For one module: while it runs, Playwright holds the thread's event loop, which other tests need."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("these tests need a real browser: install Debian's chromium (scripts/test-servers does)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB", timezone_id="UTC")
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield page
    context.close()
