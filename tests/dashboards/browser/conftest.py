"""The real application on a port, a truck to which things happen, and a real browser that looks at it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from playwright.sync_api import sync_playwright

from alerts.grouping import gathering
from dashboards.app import STATIC_DIR, create_app
from dashboards.trips import TripLinks, open_trip
from registry.records import AlertEvent
from registry.response_kinds import Language, Situation
from telemetry.samples import PositionFix

from stage import CHROMIUM_FLAGS, eventually, violations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from registry.kinds import Level

PHONE = {"width": 390, "height": 844}
SOUNDS = """
window.tones = []; window.spoken = [];
const { start } = OscillatorNode.prototype;
OscillatorNode.prototype.start = function (...when) {
  window.tones.push(this.frequency.value);
  return start.apply(this, when);
};
const { speak } = SpeechSynthesis.prototype;
SpeechSynthesis.prototype.speak = function (words) {
  window.spoken.push([words.lang, words.text]);
  return speak.call(this, words);
};
"""
"""Notes what the page plays and says, and lets it."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("these tests need a real browser: install Debian's chromium (scripts/test-servers does)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield running
        running.close()


@pytest.fixture
def static_dir() -> Path:
    assert (STATIC_DIR / "driver.html").is_file(), "build the pages first: scripts/build-pages"
    return STATIC_DIR


class Service:
    """The application on a port, in a thread of its own; `do` runs something on its event loop."""

    def __init__(self, app: Any) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[tuple[str, str]] = []
        """Method and path of each request."""
        self._app = app
        self._server = uvicorn.Server(uvicorn.Config(self._note, interface="asgi3", log_config=None, lifespan="off"))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        eventually(lambda: self._server.started, what="the application")

    async def _note(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append((scope["method"], scope["path"]))
        await self._app(scope, receive, send)

    def _run(self) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await self._server.serve(sockets=[self._listener])

        asyncio.run(serve())

    def do(self, work: Callable[[], object]) -> None:
        done = threading.Event()

        def run() -> None:
            work()
            done.set()

        assert self._loop is not None
        self._loop.call_soon_threadsafe(run)
        assert done.wait(10)

    def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)


class Truck:
    """Truck 1 with pack-1, its trip, and what happens to them."""

    def __init__(
        self, *, service: Service, parts: dict[str, Any], make_batch: Any, make_alert: Any, clock: Any
    ) -> None:
        self.service, self.board, self.desk = service, parts["board"], parts["alert_desk"]
        self.registry = parts["registry"]
        self._make_batch, self._make_alert, self._clock = make_batch, make_alert, clock
        self.trip = open_trip(
            self.registry,
            vehicle_id="truck-1",
            driver_name="Luz Vega",
            language=Language.EN,
            now=clock.now,
            dispatch_number="+13035550111",
            emergency_number="+13035550122",
        )
        self.link = f"{service.url}{TripLinks(parts['session_secret']).path(self.trip)}"

    def measures(self, hottest_c: float = 22.0) -> None:
        batch = self._make_batch([[20.0, 21.0, hottest_c]], at_ms=self._clock.ms)
        self.service.do(lambda: self.board.observe([batch]))

    def is_at(self, speed_m_s: float) -> None:
        self._clock.ms += 1000
        fix = PositionFix(
            fleet_id="fleet-1", gateway_id="gateway-1", fixed_at_ms=self._clock.ms,
            latitude_deg=40.01499, longitude_deg=-105.27055, speed_m_s=speed_m_s,
        )  # fmt: skip
        self.service.do(lambda: self.board.observe_positions([fix]))

    def parks(self, situation: Situation = Situation.PARKED) -> None:
        self.is_at(0.0)
        self.registry.set_trip_situation(self.trip.trip_id, situation, self._clock.now)

    def alarms(self, level: Level, **given: Any) -> Any:
        alert = self._make_alert(level=level, **given)
        event = AlertEvent(
            alert_id=alert.alert_id, at=alert.raised_at, action="raise", to_state=alert.state, level=alert.level
        )
        self.registry.raise_alert(alert, event, gather=gathering)
        self.service.do(lambda: self.board.observe_alert(alert))
        return alert


@pytest.fixture
def truck(  # noqa: PLR0917
    parts: dict[str, Any], registry: Any, board: Any, enrolment: Any, make_batch: Any, make_alert: Any, clock: Any
) -> Iterator[Truck]:
    registry.enrol(enrolment(), clock.now)
    board.refresh_assignments(registry.assignments(), {"gateway-1": ("truck-1", "Truck 1")}, now_ms=clock.ms)
    service = Service(create_app(**parts))
    made = Truck(service=service, parts=parts, make_batch=make_batch, make_alert=make_alert, clock=clock)
    made.measures()
    yield made
    service.stop()


@pytest.fixture
def phone(browser: Any) -> Iterator[Any]:
    """`phone(dark=True)`: a browser at phone size; its page notes what it plays and says."""
    contexts = []

    def open_one(*, dark: bool = False) -> Any:
        context = browser.new_context(
            viewport=PHONE, locale="en-US", timezone_id="America/Denver", has_touch=True, is_mobile=True,
            device_scale_factor=2, color_scheme="dark" if dark else "light",
        )  # fmt: skip
        contexts.append(context)
        context.add_init_script(SOUNDS)
        page = context.new_page()
        page.set_default_timeout(15_000)
        return page

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def picture() -> Callable[[Any, str], None]:
    """`picture(page, "name")`: kept where PACKWATCH_PICTURES names a folder, for people to look at."""
    folder = os.environ.get("PACKWATCH_PICTURES")

    def take(page: Any, name: str) -> None:
        if folder is not None:
            page.screenshot(path=str(Path(folder) / f"{name}.png"))

    return take


@pytest.fixture(scope="session", name="violations")
def _violations() -> Callable[[Any], list[str]]:
    """`violations(page)`: what axe-core finds against WCAG 2.2 AA, in short."""
    return violations
