"""How much ingest takes, all parts as real processes: broker, ingest with alerts and pages, load generator.

Parts: (a) one sample of 24 channels a message, stored in DuckDB and evaluated by the alert engine; (b) 60 samples a
message; (c) the same into InfluxDB 1, beside what that server takes from a bare poster that formats the same kind of
arrays in the same run. The load generator publishes batches that were prepared in advance, as a few gateways, and
bypasses their outboxes: it measures the cloud's side, not a vehicle's. It sends at most a window ahead of what is
stored, so that nothing is dropped, and the clock runs from the first message to the last stored row.
Prints a table, writes bench/ingest.json, and prints that JSON last.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from influx_bare import TEMPERATURES, VOLTAGES, bare_values_per_s, influxd, readings
from rich.console import Console
from rich.table import Table

from packwatch.client import ServiceClient
from packwatch.credentials import AccountRole, Credentials
from registry.enrolment import Enrolment
from registry.kinds import ChannelKind, PackClass
from registry.registry import Registry
from telemetry.samples import Provenance, SampleBatch
from telemetry.sparkplug.batches import ALIASES_PER_DEVICE, batch_metrics, device_birth_metrics
from telemetry.sparkplug.payload import DataType, Metric, Payload, encode_payload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PACKWATCH = Path(sys.executable).parent / "packwatch"
FLEET = "bench"
GATEWAYS, UNITS_EACH = 16, 64
FIRST_NUMBER = 20_000
"""Frames and outbox records start here, and stay below 2**21, so that each takes three bytes and can be patched."""
LOOK_EVERY_S = 0.5
"""How often is asked what is stored: an operator's view, for which the whole board is brought up to date."""
CHUNK = 64
"""Messages of one write to a socket."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def packet(topic: str, payload: bytes) -> bytes:
    """An MQTT 3.1.1 PUBLISH, QoS 0."""
    name = topic.encode()
    return b"\x30" + varint(2 + len(name) + len(payload)) + struct.pack(">H", len(name)) + name + payload


class Template:
    """One unit's message with everything in place but its times, numbers and sequence number."""

    def __init__(self, gateway: str, unit: int, rows: int, start_ms: int, noise: np.random.Generator) -> None:
        self.topic = f"spBv1.0/{FLEET}/DDATA/{gateway}/{gateway}-u{unit}"
        self.rows = rows
        values = readings(noise, rows)
        batch = SampleBatch(
            unit_id=f"{gateway}-u{unit}",
            boot_id="1-bench",
            frame=FIRST_NUMBER,
            provenance=Provenance.SYNTHETIC,
            sampled_at_ms=start_ms + 1000 * np.arange(rows, dtype=np.int64),
            time_uncertainty_s=0.1,
            temperatures_c=values[:, :TEMPERATURES],
            voltages_v=values[:, TEMPERATURES:],
        )
        metrics = batch_metrics(batch, outbox_sequence=FIRST_NUMBER + 1, alias_base=ALIASES_PER_DEVICE * (unit + 1))
        encoded = encode_payload(Payload(timestamp_ms=start_ms, metrics=metrics), with_datatypes=False)
        self._parts, self._order = [], []
        marks = {
            "times": batch.sampled_at_ms.tobytes(),
            "frame": b"\x58" + varint(FIRST_NUMBER),
            "record": b"\x58" + varint(FIRST_NUMBER + 1),
        }
        places = sorted((encoded.index(mark), name, len(mark)) for name, mark in marks.items())
        end = 0
        for place, name, length in places:
            self._parts.append(encoded[end:place])
            self._order.append(name)
            end = place + length
        self._tail = encoded[end:]
        self._offsets = 1000 * np.arange(rows, dtype=np.int64)

    def packet(self, number: int, record: int, seq: int, start_ms: int) -> bytes:
        pieces = {
            "times": (start_ms + self._offsets).tobytes(),
            "frame": b"\x58" + varint(FIRST_NUMBER + number),
            "record": b"\x58" + varint(FIRST_NUMBER + record),
        }
        body = b"".join(part + pieces[name] for part, name in zip(self._parts, self._order, strict=True))
        return packet(self.topic, body + self._tail + b"\x18" + varint(seq))


def births(gateway: str) -> Iterator[bytes]:
    """The gateway's and its units' birth certificates."""
    node = (
        Metric(name="bdSeq", datatype=DataType.INT64, value=0),
        Metric(name="Outbox/Id", datatype=DataType.STRING, value=f"outbox-{gateway}"),
    )
    yield packet(f"spBv1.0/{FLEET}/NBIRTH/{gateway}", encode_payload(Payload(timestamp_ms=1, seq=0, metrics=node)))
    for unit in range(UNITS_EACH):
        metrics = device_birth_metrics(TEMPERATURES, VOLTAGES, (), alias_base=ALIASES_PER_DEVICE * (unit + 1))
        payload = encode_payload(Payload(timestamp_ms=1, seq=unit + 1, metrics=metrics))
        yield packet(f"spBv1.0/{FLEET}/DBIRTH/{gateway}/{gateway}-u{unit}", payload)


def load(port: int, rows: int, messages: int, credentials: Path) -> None:
    """The load generator's process: prepares, says so, and publishes as many messages as it is told, by stdin."""
    accounts, noise = Credentials(credentials), np.random.default_rng(1)
    start_ms = time.time_ns() // 1_000_000 - 30 * 86_400_000
    chunks: list[tuple[int, bytes]] = []
    connections = []
    rounds = messages // (GATEWAYS * UNITS_EACH)
    for number in range(GATEWAYS):
        gateway = f"g{number}"
        account = accounts.account(AccountRole.GATEWAY, gateway)
        connections.append(connect(port, gateway, account.username, account.password))
        for birth in births(gateway):
            connections[-1].sendall(birth)
    templates = [
        [Template(f"g{number}", unit, rows, start_ms, noise) for unit in range(UNITS_EACH)]
        for number in range(GATEWAYS)
    ]
    seqs = [UNITS_EACH] * GATEWAYS
    for turn in range(rounds):
        at_ms = start_ms + turn * rows * 1000
        for number, units in enumerate(templates):
            packets = []
            for unit, template in enumerate(units):
                seqs[number] = (seqs[number] + 1) % 256
                packets.append(template.packet(turn, turn * UNITS_EACH + unit, seqs[number], at_ms))
            chunks.append((number, b"".join(packets)))
    print("ready", flush=True)
    sent = 0
    for line in sys.stdin:
        upto = int(line)
        while sent < upto and sent < len(chunks):
            number, joined = chunks[sent]
            connections[number].sendall(joined)
            sent += 1
        if sent == len(chunks):
            break
    sys.stdin.read()  # the connections stay open: closing them would mean the gateways' deaths


def connect(port: int, client_id: str, username: str, password: str) -> socket.socket:
    """An MQTT 3.1.1 session that only publishes."""
    texts = b"".join(struct.pack(">H", len(text)) + text.encode() for text in (client_id, username, password))
    body = b"\x00\x04MQTT\x04\xc2\x00\x00" + texts
    opened = socket.create_connection(("127.0.0.1", port))
    opened.sendall(b"\x10" + varint(len(body)) + body)
    if opened.recv(4)[:4] != b"\x20\x02\x00\x00":
        raise SystemExit(f"the broker refuses {client_id}")
    return opened


def prepare(data_dir: Path) -> None:
    """Enrol everything before the services start."""
    data_dir.mkdir()
    registry = Registry.open(f"sqlite:///{data_dir / 'registry.sqlite'}")
    credentials = Credentials(data_dir / "credentials")
    for number in range(GATEWAYS):
        gateway = f"g{number}"
        for unit in range(UNITS_EACH):
            credentials.gateway_account(gateway, FLEET, f"{gateway}-u{unit}")
            registry.enrol(
                Enrolment(
                    fleet_id=FLEET, gateway_id=gateway, vehicle_id=gateway, pack_id=f"p-{gateway}-{unit}",
                    pack_class=PackClass.END_OF_LIFE, class_assessed_by=None, class_criteria=None, class_outcome=None,
                    unit_id=f"{gateway}-u{unit}", temperature_channels=TEMPERATURES, voltage_channels=VOLTAGES,
                    voltage_kinds=(ChannelKind.CELL,) * VOLTAGES, simulated=True,
                ),
                datetime.now(UTC),
            )  # fmt: skip
    registry.close()


def usage(pid: int) -> dict[str, float]:
    """A process's CPU seconds so far, and the most memory that it had."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    peak_kb = int(status.partition("VmHWM:")[2].split()[0])
    return {"cpu_s": (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"), "rss_mb": round(peak_kb / 1024, 1)}


def child_of(pid: int) -> int:
    """The broker that `packwatch up` started."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def run_influx_part(folder: Path, prepared: Path, messages: int, window: int) -> dict[str, Any]:
    """Part (c): the bare poster first, then the whole of ingest, into one InfluxDB."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server_folder = folder / "influxdb"
    server_folder.mkdir()
    with influxd(server_folder, port) as server:
        units = GATEWAYS * UNITS_EACH
        bare = bare_values_per_s(url, units=units, frames=messages // units, rows=60)
        settings = {"PACKWATCH_STORE__KIND": "influxdb", "PACKWATCH_STORE__URL": url}
        part = run_part(folder, prepared, 60, messages, window, settings=settings, others={"influxd": server.pid})
    return {**part, "bare_values_per_s": round(bare), "ratio": round(part["values_per_s"] / bare, 3)}


def run_part(
    folder: Path,
    prepared: Path,
    rows: int,
    messages: int,
    window: int,
    *,
    settings: Mapping[str, str] | None = None,
    others: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Publish `messages` messages of `rows` samples to a service that begins with the `prepared` data directory.

    Returns rates, and what each process took, `others` by pid too.
    """
    data_dir, http, mqtt = folder / "data", free_port(), free_port()
    shutil.copytree(prepared, data_dir)
    with (folder / "up.log").open("wb") as log:
        up = subprocess.Popen(
            [
                PACKWATCH, "up", "--data-dir", data_dir,
                "--http", f"127.0.0.1:{http}", "--mqtt", f"127.0.0.1:{mqtt}",
            ],
            stdout=log, stderr=log, start_new_session=True, env={**os.environ, **(settings or {})},
        )  # fmt: skip
    try:
        wait_for(http, folder / "up.log")
        client = ServiceClient.of(data_dir)
        if client is None:
            raise SystemExit("packwatch up is gone")
        generator = subprocess.Popen(
            [
                sys.executable, __file__, "--load", str(mqtt), str(rows), str(messages), str(data_dir / "credentials"),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        if generator.stdout is None or generator.stdin is None or generator.stdout.readline() != "ready\n":
            raise SystemExit("the load generator did not start")
        pids = {"packwatch": up.pid, "nats-server": child_of(up.pid), "load generator": generator.pid, **(others or {})}
        before = {name: usage(pid) for name, pid in pids.items()}
        total = messages // CHUNK
        stored = 0
        began = time.perf_counter()
        while stored < messages * rows:
            upto = min(total, (stored // rows + window) // CHUNK)
            generator.stdin.write(f"{upto}\n")
            generator.stdin.flush()
            time.sleep(LOOK_EVERY_S)
            counted = counters(client, folder / "metrics")
            stored = counted["stored_rows"]
            if counted["dropped"] or counted["listener_failures"] or time.perf_counter() - began > 300:
                raise SystemExit(f"{counted}: not all of {messages} messages were evaluated and stored")
        seconds = time.perf_counter() - began
        after = {name: usage(pid) for name, pid in pids.items()}
        generator.stdin.close()
        generator.wait(20)
    finally:
        os.killpg(up.pid, signal.SIGINT)
        up.wait(30)
    processes = {
        name: {"cpu_s": round(after[name]["cpu_s"] - before[name]["cpu_s"], 2), "rss_mb": after[name]["rss_mb"]}
        for name in pids
    }
    return {
        "messages": messages,
        "seconds": round(seconds, 2),
        "messages_per_s": round(messages / seconds),
        "values_per_s": round(messages * rows * (TEMPERATURES + VOLTAGES) / seconds),
        "processes": processes,
    }


def counters(client: ServiceClient, file: Path) -> dict[str, int]:
    """What ingest has counted by now."""
    client.download("/metrics", file)
    prefix, suffix = "packwatch_ingest_", "_total"
    lines = (line.rpartition(" ") for line in file.read_text().splitlines() if line.startswith(prefix))
    return {
        name.removeprefix(prefix).removesuffix(suffix): int(float(value))
        for name, _, value in lines
        if name.endswith(suffix)
    }


def wait_for(http: int, log: Path) -> None:
    for _ in range(600):
        try:
            if httpx.get(f"http://127.0.0.1:{http}/healthz", trust_env=False, timeout=1).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise SystemExit(log.read_text())


def whole_rounds(messages: int) -> int:
    each = GATEWAYS * UNITS_EACH
    return max(1, messages // each) * each


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["--load"]:
        load(int(arguments[1]), int(arguments[2]), int(arguments[3]), Path(arguments[4]))
        return
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--live", type=int, default=200_000, help="messages of one sample; 0 leaves the part out")
    options.add_argument("--batched", type=int, default=30_000, help="messages of 60 samples; 0 leaves the part out")
    options.add_argument("--influx", type=int, default=10_000, help="the same into InfluxDB; 0 leaves the part out")
    chosen = options.parse_args(arguments)
    parts: dict[str, Any] = {}
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared"
        prepare(prepared)
        for name, rows, messages, window in (("live", 1, chosen.live, 60_000), ("batched", 60, chosen.batched, 8_000)):
            if messages:
                (Path(scratch) / name).mkdir()
                parts[name] = run_part(Path(scratch) / name, prepared, rows, whole_rounds(messages), window)
        if chosen.influx:
            (Path(scratch) / "influx").mkdir()
            parts["influx"] = run_influx_part(Path(scratch) / "influx", prepared, whole_rounds(chosen.influx), 3_000)
    result = {
        "live_messages_per_s": parts.get("live", {}).get("messages_per_s"),
        "batched_values_per_s": parts.get("batched", {}).get("values_per_s"),
        "influx_ratio": parts.get("influx", {}).get("ratio"),
        "load_average_before": round(load_before, 1),
        "parts": parts,
    }
    table = Table("part", "rate", "process", "CPU s", "peak RSS MB", title="Ingest, all parts as real processes")
    for name, part in parts.items():
        rate = f"{part['messages_per_s']:,} messages/s, {part['values_per_s']:,} values/s"
        for process, used in part["processes"].items():
            table.add_row(name, rate, process, f"{used['cpu_s']:.1f} of {part['seconds']}", f"{used['rss_mb']:.0f}")
    Console().print(table)
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
