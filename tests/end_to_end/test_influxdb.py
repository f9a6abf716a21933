"""InfluxDB as the store: a recording goes through all of Packwatch into it, others read it, and it is moved away."""

import os
import subprocess

import httpx

from stage import PACKWATCH, TRACES, eventually, free_port, packwatch_up


def test_a_replay_is_stored_in_influxdb_read_by_others_and_moved(tmp_path, influx_access, monkeypatch):
    monkeypatch.setenv("PACKWATCH_STORE__KIND", "influxdb")
    monkeypatch.setenv("PACKWATCH_STORE__URL", influx_access.url)
    monkeypatch.setenv("PACKWATCH_STORE__DATABASE", influx_access.database)
    with packwatch_up(tmp_path) as packwatch:
        trace = TRACES / "heater_30_cells.csv"
        packwatch.command(
            "replay", trace, "--pack", "heater", "--speed", "max", "--mqtt", f"127.0.0.1:{packwatch.mqtt}"
        )
        whole = tmp_path / "whole.csv"

        def lines():
            packwatch.command("export", "--pack", "heater", "--output", whole)
            return whole.read_text().count("\n") == 6083

        eventually(lines, 20, "all samples in InfluxDB")
        pages = free_port()
        dashboard = subprocess.Popen(
            [PACKWATCH, "dashboard", "--data-dir", packwatch.data_dir, "--http", f"127.0.0.1:{pages}"],
            env={**os.environ, "PACKWATCH_MQTT__ADDRESS": f"127.0.0.1:{free_port()}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def answers():
            try:
                return httpx.get(f"http://127.0.0.1:{pages}/healthz", timeout=2, trust_env=False).status_code
            except httpx.HTTPError:
                assert dashboard.poll() is None, "the pages ended"
                return None

        eventually(answers, 20, "pages beside the service, with no address of a history")
        dashboard.terminate()
        dashboard.wait(10)
        refused = packwatch.command("migrate-store", "--from", "influxdb", "--to", "duckdb", check=False)
        assert refused.returncode == 1
        assert "stop it" in refused.stderr
        packwatch.stop()
        moved = packwatch.command("migrate-store", "--from", "influxdb", "--to", "duckdb")
        assert "has all 6,082 samples" in moved.stdout
        monkeypatch.setenv("PACKWATCH_STORE__KIND", "duckdb")
        embedded = tmp_path / "embedded.csv"
        packwatch.command("export", "--pack", "heater", "--output", embedded)
        assert numbers(embedded) == numbers(whole)


def numbers(path):
    """A CSV's cells; the stores write the same float in different ways (20 and 20.0)."""
    head, *rows = [line.split(",") for line in path.read_text().splitlines()]
    return head, [[row[0], *(float(cell) if cell else None for cell in row[1:])] for row in rows]
