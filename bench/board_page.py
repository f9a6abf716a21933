"""The board's page in headless Chromium over the service of bench/board_service.py: first view, long tasks of updates.

`measure` is what bench/dashboards.py calls. By itself: `board_page.py [--vehicles 5000] [--picture FILE]`; its last
line is JSON. The map is drawn beside the list, by software where there is no graphics card.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

FLAGS = ("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync",
         "--use-angle=swiftshader", "--enable-unsafe-swiftshader")  # fmt: skip
WATCH = """
window.longTasks = [];
new PerformanceObserver((list) =>
  list.getEntries().forEach((task) => window.longTasks.push([task.startTime, task.duration])),
).observe({ type: "longtask", buffered: true });
"""
SETTLE_S = 4.0
"""Between the map's first picture and the window in which updates are watched."""
LOOKS = 5
"""First views; the middle one is told."""


@dataclass(frozen=True, kw_only=True)
class BoardPage:
    """What was measured."""

    board_ready_ms: float
    """From the request for the page to its first rows, of a signed-in viewer with a cold cache; the median."""
    map_ready_ms: float
    """To the map with its vehicles, which is loaded after the rows."""
    first_page_js_gzip_kb: float
    """JavaScript of the page without the map's, by gzip."""
    long_tasks: int
    """Above 50 ms, while updates came."""
    longest_task_ms: float
    watched_s: float


def measure(link: str, *, watch_s: float = 20.0, picture: Path | None = None) -> BoardPage:
    """link: the one-time link of the first account. Needs a service whose vehicles report."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("a real browser is needed: install Debian's chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
        page = context.new_page()
        page.goto(link)
        page.get_by_test_id("sign-in-name").fill("bench")
        page.get_by_test_id("sign-in-password").fill("four unrelated words here")
        page.get_by_test_id("sign-in-submit").click()
        page.get_by_test_id("pack-row").first.wait_for()
        base, state = page.url.split("/", 3)[:3], context.storage_state()
        context.close()
        looks = [_look(browser, "/".join(base), state, last=n == LOOKS - 1) for n in range(LOOKS)]
        page, _, map_ms, script_kb = looks[-1]
        page.wait_for_timeout(1000 * SETTLE_S)
        page.evaluate("window.longTasks.length = 0")
        page.wait_for_timeout(1000 * watch_s)
        tasks = [duration for _, duration in page.evaluate("window.longTasks")]
        if picture is not None:
            page.screenshot(path=picture)
        browser.close()
    ready = sorted(ready_ms for _, ready_ms, _, _ in looks)
    return BoardPage(
        board_ready_ms=round(ready[len(ready) // 2]),
        map_ready_ms=round(map_ms),
        first_page_js_gzip_kb=round(script_kb, 1),
        long_tasks=len(tasks),
        longest_task_ms=max(tasks, default=0.0),
        watched_s=watch_s,
    )


def _look(browser: Any, base: str, state: Any, *, last: bool) -> tuple[Any, float, float, float]:
    """One viewer with a cold cache: the page, ms to its rows and to its map (the last look's), kB of script before."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark", storage_state=state)
    context.add_init_script(WATCH)
    page = context.new_page()
    began = time.perf_counter()
    page.goto(f"{base}/", wait_until="commit")
    page.get_by_test_id("pack-row").nth(3).wait_for()
    ready_ms = 1000 * (time.perf_counter() - began)
    scripts = page.evaluate(
        """() => performance.getEntriesByType("resource")
          .map((each) => each.name)
          .filter((name) => /\\.js$/.test(name) && !/fleetmap|basemap/.test(name))"""
    )
    map_ms = 0.0
    script_kb = 0.0
    if last:
        script_kb = sum(len(gzip.compress(page.request.get(name).body())) for name in scripts) / 1000
        page.wait_for_selector("[data-testid=map] [data-ready=true]", timeout=60_000)
        map_ms = 1000 * (time.perf_counter() - began)
    else:
        context.close()
    return page, ready_ms, map_ms, script_kb


@contextmanager
def service(vehicles: int) -> Iterator[str]:
    """A board of so many vehicles in a process of its own; its one-time link."""
    command = [sys.executable, Path(__file__).with_name("board_service.py"), "--vehicles", str(vehicles)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = json.loads(process.stdout.readline() if process.stdout else "")
            yield said["url"] + said["claim"]
        finally:
            process.terminate()
            process.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vehicles", type=int, default=5000)
    parser.add_argument("--watch", type=float, default=20.0, help="seconds for which updates are watched")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    with service(given.vehicles) as link:
        found = measure(link, watch_s=given.watch, picture=given.picture)
    print(json.dumps({"vehicles": given.vehicles, **asdict(found)}))


if __name__ == "__main__":
    main()
