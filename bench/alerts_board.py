"""A dispatcher's board in headless Chromium, for bench/alerts.py: how often it sounds."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from playwright.async_api import async_playwright

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

FLAGS = ("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync")
LISTEN = """
window.tones = [];
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...when) {
  window.tones.push(performance.now() / 1000);
  return start.apply(this, when);
};
"""
"""Notes each tone that the page starts. All tones of one sound are started together."""
ONE_SOUND_S = 0.5
WITHIN_S = 10.0


class Board:
    """An open board whose sound is armed."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def sounds_s(self) -> list[float]:
        """When it began to sound, by the page's clock."""
        sounds: list[float] = []
        for tone_s in await self._page.evaluate("window.tones"):
            if not sounds or tone_s - sounds[-1] > ONE_SOUND_S:
                sounds.append(tone_s)
        return sounds


@asynccontextmanager
async def listening_board(link: str) -> AsyncIterator[Board]:
    """link: the one-time link of the first account."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("a real browser is needed: install Debian's chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        await page.add_init_script(LISTEN)
        await page.goto(link)
        await page.get_by_test_id("sign-in-name").fill("bench")
        await page.get_by_test_id("sign-in-password").fill("four unrelated words here")
        await page.get_by_test_id("sign-in-submit").click()
        await page.get_by_test_id("sound").click()
        await page.locator("[data-testid=sound][data-armed=true]").wait_for()
        await page.evaluate("window.tones.length = 0")  # the one that says that it is armed
        yield Board(page)
        await browser.close()


def most_within(times_s: list[float], within_s: float = WITHIN_S) -> int:
    """How many begin in the fullest window of so many seconds; its end is not in it."""
    return max((sum(0 <= other - time_s < within_s for other in times_s) for time_s in times_s), default=0)
