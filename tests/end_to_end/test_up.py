"""Starting, stopping and starting again, as a user does it."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from stage import PACKWATCH, Packwatch, claim, eventually, packwatch_up


def board(packwatch: Packwatch) -> dict:
    with packwatch.client() as client:
        return client.get("/api/board")


def live(packwatch: Packwatch) -> list[dict]:
    return [row for row in board(packwatch)["packs"] if row["hottest_c"] is not None]


def processes_that_mention(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, NotADirectoryError):
            continue
        if text in command:
            found.append(command)
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with packwatch_up(tmp_path_factory.mktemp("demo"), "--demo") as running:
        yield running


def test_the_demo_shows_a_moving_convoy_and_says_that_it_is_simulated(demo, page):
    eventually(lambda: len(live(demo)) >= 12, 30, "12 live packs")
    shown = board(demo)
    assert shown["simulation"]
    assert len({row["vehicle_id"] for row in shown["packs"]}) >= 3
    before = {v["vehicle_id"]: (v["latitude_deg"], v["longitude_deg"]) for v in board(demo)["vehicles"]}

    def moved():
        now = {v["vehicle_id"]: (v["latitude_deg"], v["longitude_deg"]) for v in board(demo)["vehicles"]}
        return all(now[vehicle] != before[vehicle] for vehicle in before)

    eventually(moved, 20, "every vehicle moving")
    claim(page, demo)
    page.get_by_test_id("pack-row").first.wait_for()
    assert "SIMULATION" in page.get_by_test_id("simulation-mark").first.inner_text().upper()


def test_rules_that_change_hold_at_once_and_a_bad_file_is_on_the_page(demo, page):
    claim(page, demo)
    page.goto(f"{demo.url}/intake")
    shown = page.get_by_test_id("rules")
    shown.filter(has_text="version 1").wait_for()
    rules = demo.data_dir / "rules.toml"
    rules.write_text("version = 2\n[ceilings.warning]\nat_c = 58\n")
    shown.filter(has_text="version 2").wait_for()
    rules.write_text("version = 3\n[ceilings.warning]\nat_c = 68\n")
    shown.filter(has_text="ceilings.warning.at_c is 68: allowed is a number from 45 to 60").wait_for()
    said = demo.command("rules", "log").stdout
    assert "version 2" in said
    assert "ceilings.warning.at_c: 60 -> 58" in said
    assert "version 3" not in said
    rules.unlink()


def test_ctrl_c_stops_everything_within_3_s_and_the_next_start_goes_on_with_the_data(demo):
    rows = board(demo)["intake"]["stored_rows"]
    assert rows > 0
    with demo.client() as client:
        history = client.get("/api/packs/sim-convoy-pack-01/series", from_ms=0, to_ms=4_000_000_000_000, points=5000)
    assert demo.stop() < 3.0
    assert demo.process.returncode == 0
    assert processes_that_mention(str(demo.data_dir)) == []
    demo.start()
    assert demo.claim_url is None  # its one-time link was used
    again = demo.command("export", "--pack", "sim-convoy-pack-01", "--output", demo.data_dir.parent / "kept.csv")
    assert again.returncode == 0
    kept = (demo.data_dir.parent / "kept.csv").read_text().count("\n") - 1
    assert kept >= len(history["t_ms"]) > 0
    assert {row["pack_id"] for row in live(demo)} >= {"sim-convoy-pack-01"}


def test_a_killed_packwatch_leaves_no_broker_and_starts_again(tmp_path):
    with packwatch_up(tmp_path) as running:
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
        eventually(lambda: not processes_that_mention(str(running.data_dir)), 10, "the broker's end")
        running.start()


def test_commands_read_the_stores_themselves_where_nothing_runs(tmp_path):
    with packwatch_up(tmp_path) as running:
        running.command("enrol", "--unit", "u", "--pack", "p", "--gateway", "g", "--class", "mid_life")
        assert running.stop() < 3.0
        assert json.loads(running.command("alert-log", "--json").stdout) == []
        output = tmp_path / "p.csv"
        running.command("export", "--pack", "p", "--output", output)
        assert output.read_text().startswith("sampled_at")


def test_a_taken_port_and_a_taken_data_directory_are_one_clear_line(tmp_path):
    with socket.socket() as taken, packwatch_up(tmp_path) as running:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for flags, says in (
            (["--data-dir", tmp_path / "other", "--http", address], f"cannot listen on {address}"),
            (["--data-dir", running.data_dir], "another Packwatch uses the data directory"),
        ):
            done = subprocess.run([PACKWATCH, "up", *flags], capture_output=True, text=True, timeout=30, check=False)
            assert done.returncode == 1
            assert says in done.stderr
            assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["export", "--pack", "nowhere", "--output", "x.txt"], "must end in .csv, .parquet or .zip"),
        (["export", "--pack", "nowhere", "--output", "x.csv", "--from", "tuesday"], "is not a time like"),
        (["replay", "missing.csv", "--pack", "p"], "missing.csv"),
        (["replay", "README.md", "--pack", "p"], "README"),
        (["replay", "tests/traces/sunlit_panel.csv", "--pack", "no/slash"], "pack id 'no/slash'"),
        (
            ["replay", "tests/traces/sunlit_panel.csv", "--pack", "p", "--speed", "fast"],
            "neither a number like 10 nor max",
        ),
        (["simulate", "nonsense"], "convoy"),
        (["score", "tests"], "no index.csv"),
        (["alert-log"], "holds no data"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(tmp_path, words, says):
    data_dir = [] if words[0] == "score" else ["--data-dir", tmp_path / "none"]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [PACKWATCH, *words, *data_dir], capture_output=True, text=True, timeout=60, check=False, cwd=root
    )
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
