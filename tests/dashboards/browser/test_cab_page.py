"""The page that the gateway serves on the vehicle's own network, in a real browser, with the uplink cut."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.publish import multiple
from playwright.sync_api import expect

from packwatch.phrases import TablePhrases
from registry.response_kinds import Language, Situation, Stage
from telemetry.unit_link import ClockBeat, clock_topic, encode_clock_beat, frames_topic

from cab_stage import cut_off, frame_bytes
from stage import eventually

PACKWATCH = Path(sys.executable).with_name("packwatch")


class Vehicle:
    """A gateway as a process of its own, and the unit that it hears."""

    def __init__(self, folder: Path, local: Any, page: str, config: Path) -> None:
        self._folder, self._local = folder, local
        environment = os.environ | {"PACKWATCH_CONFIG": str(config), "PACKWATCH_LOG_LEVEL": "error"}
        told = subprocess.run([PACKWATCH, "cab-link"], env=environment, capture_output=True, text=True, check=True)
        self.link = next(word for word in told.stdout.split() if word.startswith(f"http://{page}/t#"))
        self._gateway = subprocess.Popen([PACKWATCH, "gateway"], env=environment)

    def unit_says(self, *, now_tick_ms: int | None = None, frames: dict[int, float]) -> None:
        """Frames by their number, each with its temperature; `now_tick_ms`: what the unit's clock shows."""
        said = [(frames_topic("u1"), frame_bytes(number, celsius), 1, False) for number, celsius in frames.items()]
        if now_tick_ms is not None:
            beat = encode_clock_beat(ClockBeat(boot_id="b1", tick_ms=now_tick_ms))
            said.insert(0, (clock_topic("u1"), beat, 1, False))
        multiple(said, hostname=self._local.access.host, port=self._local.access.port)

    @property
    def sounds(self) -> list[str]:
        """What the siren was told, in order."""
        heard = self._folder / "heard"
        return heard.read_text().split() if heard.exists() else []

    def loses_power(self) -> int:
        self._gateway.send_signal(signal.SIGTERM)
        return self._gateway.wait(20)

    def end(self) -> None:
        self._gateway.kill()
        self._gateway.wait()


@pytest.fixture
def vehicle(start_broker, free_port, tmp_path):
    local = start_broker("mosquitto", "local")
    made = Vehicle(tmp_path, local, *cut_off(tmp_path, local, free_port))
    yield made
    made.end()


def colour_of(page: Any) -> str:
    return page.evaluate("getComputedStyle(document.querySelector('.wordless, .word')).backgroundColor")


def test_in_the_cab_the_page_tells_heat_grey_and_the_word_of_the_driver_without_any_network(
    vehicle, phone, violations, picture
):
    said = TablePhrases().said
    page = phone()
    page.clock.install()
    eventually(lambda: _opens(page, vehicle.link), what="the gateway's page")
    shown = page.get_by_test_id("wordless")
    expect(shown).to_have_attribute("data-stage", "no_data")
    page.mouse.click(10, 10)  # the one press that sound needs
    grey = colour_of(page)

    # A unit whose newest sample is 47 s old: green, and grey by itself once that was a minute ago.
    vehicle.unit_says(now_tick_ms=60_000, frames={1: 25.0})
    expect(shown).to_have_attribute("data-stage", "normal", timeout=12_000)
    green = colour_of(page)
    assert green != grey
    assert page.locator("body").inner_text().strip() == ""
    expect(shown).to_have_attribute("data-stage", "no_data", timeout=20_000)
    assert colour_of(page) == grey
    assert violations(page) == []
    picture(page, "cab-grey")

    vehicle.unit_says(frames={6: 85.0, 7: 86.0})
    expect(shown).to_have_attribute("data-stage", "critical")
    assert colour_of(page) not in {grey, green}
    assert page.locator("body").inner_text().strip() == ""
    page.wait_for_function("() => window.tones.filter(hz => hz === 990).length >= 2")
    eventually(lambda: vehicle.sounds[-1:] == ["siren"], what="the cab's siren")
    assert violations(page) == []
    picture(page, "cab-driving")

    page.get_by_test_id("say-parked").click()
    sentence, action = said(Stage.CRITICAL, Situation.PARKED, Language.EN)
    expect(page.get_by_test_id("sentence")).to_have_text(sentence)
    expect(page.get_by_test_id("action")).to_have_text(action)
    assert page.get_by_test_id("call-paper").get_attribute("href") == "tel:+13035550100"
    expect(page.get_by_test_id("simulation")).to_have_text("SIMULATION")
    assert page.get_by_test_id("phone-alarms").count() == 0  # the vehicle sends no messages
    assert violations(page) == []
    picture(page, "cab-parked")

    page.get_by_test_id("acknowledge").click()
    held = said(Stage.HELD, Situation.PARKED, Language.EN)[0]
    expect(page.get_by_test_id("sentence")).to_have_text(held)
    expect(page.get_by_text("Dispatch hears of it once there is a network.")).to_be_visible()
    page.wait_for_function("() => window.tones.at(-1) === 1320")
    eventually(lambda: vehicle.sounds[-1] == "chirp", what="the siren to fall to a chirp")

    assert vehicle.loses_power() == 0
    page.clock.fast_forward(20_000)
    expect(page.get_by_test_id("freshness")).to_contain_text("No network. Last known")
    expect(page.get_by_test_id("sentence")).to_have_text(held)  # an alarm stays in its colour, however old
    assert violations(page) == []
    picture(page, "cab-offline")


def _opens(page: Any, link: str) -> bool:
    try:
        page.goto(link)
    except Exception:  # noqa: BLE001 - the gateway does not listen yet
        return False
    return True
