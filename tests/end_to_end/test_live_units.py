"""docs/live-units.md does what it says: its commands and programs are run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stage import PACKWATCH, eventually

PAGE = (Path(__file__).parents[2] / "docs" / "live-units.md").read_text()
ENROL = re.search(r"\.venv/bin/packwatch (enrol .*?) > account.json", PAGE, re.DOTALL)[1].replace("\\\n", " ").split()
SPARKPLUG, UNIT = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
GATEWAY = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1]


@pytest.fixture(scope="module")
def account(packwatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    (folder / "account.json").write_text(packwatch.command(*ENROL).stdout)
    return folder


def hottest(packwatch) -> float | None:
    with packwatch.client() as client:
        return next(row["hottest_c"] for row in client.get("/api/board")["packs"] if row["pack_id"] == "PACK-2")


def run(program: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_sparkplug_edge_node(packwatch, account):
    run(SPARKPLUG, account)
    eventually(lambda: hottest(packwatch) == 21.5, 10, "the edge node's sample")


def test_a_sensor_unit_behind_a_gateway(packwatch, account):
    here = f"127.0.0.1:{packwatch.mqtt}"
    commands = GATEWAY.replace(".venv/bin/packwatch gateway", f"exec {PACKWATCH} gateway --mqtt {here}")
    log = account / "gateway.log"
    with log.open("w") as file:
        gateway = subprocess.Popen(
            ["sh", "-c", f"export PACKWATCH_GATEWAY__LOCAL__ADDRESS={here}\n{commands}"],
            cwd=account, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        eventually(lambda: "local_link_up" in log.read_text(), 20, "the gateway's link to its units")
        run(UNIT, account)
        eventually(lambda: hottest(packwatch) == pytest.approx(22.1, abs=0.03), 20, "the unit's sample")
    finally:
        gateway.terminate()
        gateway.wait(10)
