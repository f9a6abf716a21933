"""Each service in a process of its own: an external Mosquitto, a registry by URL, one history for several readers."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from stage import PACKWATCH, TRACES, claim_at, eventually, free_port


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory):
    binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    if not Path(binary).exists():
        pytest.fail("these tests need a real broker: install Debian's mosquitto (scripts/test-servers does)")
    port = free_port()
    config = tmp_path_factory.mktemp("mosquitto") / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with (config.parent / "log").open("w") as log:
        broker = subprocess.Popen([binary, "-c", config], stdout=log, stderr=log)
    yield port
    broker.terminate()
    broker.wait(10)


@pytest.fixture(scope="module")
def fleet(mosquitto, tmp_path_factory):
    """ingest, alerts and dashboard as three processes; what they need to find each other is in the environment."""
    folder = tmp_path_factory.mktemp("alone")
    history, pages = free_port(), free_port()
    environment = {
        **os.environ,
        "PACKWATCH_MQTT__ADDRESS": f"127.0.0.1:{mosquitto}",
        "PACKWATCH_REGISTRY_URL": f"sqlite:///{folder / 'shared.sqlite'}",
        "PACKWATCH_HISTORY_URL": f"http://127.0.0.1:{history}",
        "PACKWATCH_HISTORY_TOKEN": "between these two only",
    }

    def packwatch(*words: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [PACKWATCH, *map(str, words)], env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    running = []
    for service, flags in (
        ("ingest", ["--http", f"127.0.0.1:{history}"]),
        ("alerts", []),
        ("dashboard", ["--http", f"127.0.0.1:{pages}"]),
    ):
        log = folder / f"{service}.log"
        with log.open("w") as file:
            command = [PACKWATCH, service, "--data-dir", folder / service, *flags]
            running.append(subprocess.Popen(command, env=environment, stdout=file, stderr=file))
        eventually(lambda log=log: "127.0.0.1" in log.read_text(), 30, f"packwatch {service}")
    yield packwatch, folder, pages
    for process in reversed(running):
        process.terminate()
    assert [process.wait(10) for process in running] == [0, 0, 0]


def test_a_replay_reaches_store_alerts_and_pages_through_separate_processes(mosquitto, fleet, page):
    packwatch, folder, pages = fleet
    sent = packwatch(
        "replay", TRACES / "heater_30_cells.csv", "--pack", "heater", "--speed", "max",
        "--data-dir", folder / "replay", "--mqtt", f"127.0.0.1:{mosquitto}",
    )  # fmt: skip
    assert sent.returncode == 0, sent.stderr

    def raised():
        return json.loads(packwatch("alert-log", "--json", "--data-dir", folder / "ingest").stdout)

    alert = eventually(raised, 20, "the alert in the registry")[0]
    assert (alert["pack"], alert["provenance"]) == ("heater", "replayed")
    output = folder / "heater.csv"
    done = packwatch("export", "--pack", "heater", "--output", output, "--data-dir", folder / "ingest")
    assert done.returncode == 0, done.stderr
    assert output.read_text().count("\n") == 6083

    link = eventually(lambda: [w for w in (folder / "dashboard.log").read_text().split() if "/claim" in w])[0]
    claim_at(page, link)
    page.get_by_test_id("alarm-banner").first.wait_for()
    page.get_by_test_id("acknowledge").first.click()
    page.get_by_test_id("acknowledge-confirm").click()
    eventually(lambda: raised()[0]["state"] == "acknowledged", 20, "the acknowledgement in the registry")
    page.goto(f"http://127.0.0.1:{pages}/packs/heater")
    page.locator("canvas").first.wait_for()


def test_the_history_is_given_to_those_with_its_token_only(fleet):
    _, folder, _ = fleet
    url = json.loads((folder / "ingest" / "service.json").read_text())["url"]
    query = {"unit_id": "replay-heater"}
    assert httpx.get(f"{url}/history/latest", params=query, trust_env=False).status_code == 401
    token = {"Authorization": "Bearer between these two only"}
    answer = httpx.get(f"{url}/history/latest", params=query, headers=token, trust_env=False)
    assert answer.json()["at_ms"] > 0
