"""The whole of Packwatch as a user starts it: real processes, a real broker, a real browser."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from packwatch.client import ServiceClient

from faultline.ports import free_port

PACKWATCH = Path(sys.executable).parent / "packwatch"
TRACES = Path(__file__).parents[1] / "traces"
AXE = Path(__file__).parents[2] / "dashboards" / "web" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAME, PASSWORD = "dispatcher", "correct horse battery staple"


def eventually(look, seconds: float = 30.0, what: str = "the expected state"):
    """What `look()` gives once it is true. Fails at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come within {seconds} s")
        time.sleep(0.05)


@dataclass
class Packwatch:
    """A `packwatch up` of its own data directory and ports."""

    data_dir: Path
    http: int = field(default_factory=free_port)
    mqtt: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None
    claim_url: str | None = None
    claimed: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def log(self) -> Path:
        return self.data_dir.parent / f"{self.data_dir.name}.log"

    def start(self, *flags: str) -> "Packwatch":
        """Start it, and wait until it answers."""
        command = [
            PACKWATCH, "up", "--data-dir", self.data_dir,
            "--http", f"127.0.0.1:{self.http}", "--mqtt", f"127.0.0.1:{self.mqtt}", *flags,
        ]  # fmt: skip
        already = len(self.log.read_text()) if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PACKWATCH_LOG_FORMAT": "json"},
            )
        eventually(self._answers, 40, "an answer of packwatch up")
        pattern = r"Packwatch is running. Open (\S+)"
        said = eventually(lambda: re.search(pattern, self.log.read_text()[already:]), 40, "its address")
        self.claim_url = said[1] if "/claim" in said[1] else None
        return self

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"packwatch up ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> float:
        """Ctrl-C, as a terminal sends it: to the whole group. Returns the seconds it took."""
        began = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(20)
        return time.monotonic() - began

    def kill(self) -> None:
        """End whatever still runs."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def command(self, *words: object, check: bool = True, data_dir: bool = True) -> subprocess.CompletedProcess:
        """Run one `packwatch` command, on this data directory."""
        done = subprocess.run(
            [PACKWATCH, *map(str, words), *(["--data-dir", self.data_dir] if data_dir else [])],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"packwatch {' '.join(map(str, words))} failed:\n{done.stdout}\n{done.stderr}")
        return done

    def client(self) -> ServiceClient:
        """The local API."""
        return ServiceClient.of(self.data_dir)


@contextmanager
def packwatch_up(folder: Path, *flags: str):
    running = Packwatch(folder / "data")
    try:
        yield running.start(*flags)
    finally:
        running.kill()


def claim(page, packwatch: Packwatch) -> None:
    """Use the one-time link of the first start, or sign in once it is used."""
    if packwatch.claimed:
        page.goto(f"{packwatch.url}/sign-in")
        sign_in(page)
    else:
        claim_at(page, packwatch.claim_url)
        packwatch.claimed = True


def claim_at(page, link: str) -> None:
    """Open a one-time link, and choose name and password."""
    page.goto(link)
    sign_in(page)


def sign_in(page) -> None:
    page.get_by_test_id("sign-in-name").fill(NAME)
    page.get_by_test_id("sign-in-password").fill(PASSWORD)
    page.get_by_test_id("sign-in-submit").click()
    page.get_by_test_id("connection-state").wait_for()


def violations(page) -> list[str]:
    """What axe-core finds on a page against WCAG 2.2 AA, in short."""
    page.evaluate(AXE.read_text())
    found = page.evaluate(
        "() => axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    assert found["passes"], "axe looked at nothing"
    return [f"{each['id']}: {[node['html'] for node in each['nodes']]}" for each in found["violations"]]
