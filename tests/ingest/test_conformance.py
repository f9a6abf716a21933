"""What the host puts on the wire, byte by byte, and the table of the standard's statements that names the tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import struct
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingest.connection import KEEPALIVE_S, HostConnection
from ingest.host import acknowledgement_command, rebirth_command
from ingest.inbox import Inbox
from packwatch.publishing import BrokerAwayError, Publisher
from telemetry.broker import BrokerAccess
from telemetry.on_board import ALARM_RELEASED, PACK, REPORT_INTERVAL, encode_device_command
from telemetry.sparkplug.acknowledgement import Acknowledgement
from telemetry.sparkplug.payload import DataType, decode_payload

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
NOW_MS = 1_800_000_000_000


def by_this_machine() -> int:
    return time.time_ns() // 10**6


async def what_it_says(groups: tuple[str, ...] = (), now_ms: Callable[[], int] = by_this_machine) -> list[bytes]:
    """The packets that the host sends, from its start to its end, to whoever accepts its connection."""
    packets: list[bytes] = []
    born, gone = asyncio.Event(), asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError), contextlib.closing(writer):
            while True:
                packet = await whole_packet(reader)
                packets.append(packet)
                if packet[0] == 0x10:
                    writer.write(b"\x20\x02\x00\x00")
                elif packet[0] == 0x82:
                    topics = packet.count(b"spBv1.0")
                    writer.write(bytes([0x90, 2 + topics]) + packet[1:3] + b"\x00" * topics)
                elif packet[0] == 0x33:
                    _, at = text_at(packet, 1)
                    writer.write(b"\x40\x02" + packet[at : at + 2])
                    born.set()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    access = BrokerAccess(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    inbox = Inbox(max_bytes=1000)
    inbox.open()
    host = HostConnection(access, host_id="packwatch", groups=groups, primary=True, inbox=inbox, now_ms=now_ms)
    host.start()
    await asyncio.wait_for(born.wait(), 10)
    await host.stop()
    await asyncio.wait_for(gone.wait(), 10)
    server.close()
    await server.wait_closed()
    return packets


async def whole_packet(reader: asyncio.StreamReader) -> bytes:
    first = await reader.readexactly(1)
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return first + await reader.readexactly(length)


def text_at(packet: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from(">H", packet, at)
    return packet[at + 2 : at + 2 + length], at + 2 + length


async def test_what_it_says_from_connect_to_disconnect_is_the_standards() -> None:
    connect, subscribe, birth, farewell, disconnect = await what_it_says()
    assert connect[1:8] == b"\x00\x04MQTT\x04", "MQTT 3.1.1"
    flags = connect[8]
    assert flags & 0x02, "clean session"
    assert flags & 0x04, "a will"
    assert (flags >> 3) & 0x03 == 1, "of QoS 1"
    assert flags & 0x20, "retained"
    assert struct.unpack_from(">H", connect, 9) == (KEEPALIVE_S,)
    _, at = text_at(connect, 11)
    topic, at = text_at(connect, at)
    will, _ = text_at(connect, at)
    assert topic == b"spBv1.0/STATE/packwatch"
    death = json.loads(will)
    assert set(death) == {"online", "timestamp"}
    assert death["online"] is False
    assert b"spBv1.0/#" in subscribe, "all data, and its own STATE with it, before the birth"
    assert birth[0] == 0x33, "PUBLISH, QoS 1, retained"
    name, at = text_at(birth, 1)
    assert name == b"spBv1.0/STATE/packwatch"
    assert json.loads(birth[at + 2 :]) == {"online": True, "timestamp": death["timestamp"]}
    assert farewell[0] == 0x33, "the same for its death"
    told = json.loads(farewell[at + 2 :])
    assert told["online"] is False
    assert told["timestamp"] >= death["timestamp"]
    assert disconnect == b"\xe0"


async def test_a_clock_that_is_set_back_makes_no_state_that_edge_nodes_ignore() -> None:
    clock = count(NOW_MS, -60_000)
    _, _, birth, farewell, _ = await what_it_says(now_ms=lambda: next(clock))
    born, gone = (json.loads(packet[text_at(packet, 1)[1] + 2 :]) for packet in (birth, farewell))
    assert gone["timestamp"] >= born["timestamp"]


async def test_a_worker_of_some_groups_hears_its_own_state_too() -> None:
    _, subscribe, *_ = await what_it_says(("fleet-1",))
    assert b"spBv1.0/fleet-1/#" in subscribe
    assert b"spBv1.0/STATE/packwatch" in subscribe


@pytest.mark.parametrize(
    "command",
    [rebirth_command(NOW_MS), acknowledgement_command(Acknowledgement(outbox_id="box-1", floor=3), NOW_MS)],
    ids=["rebirth", "acknowledgement"],
)
def test_commands_have_a_timestamp_and_no_sequence_number(command: bytes) -> None:
    payload = decode_payload(command)
    assert payload.timestamp_ms == NOW_MS
    assert payload.seq is None
    assert all(metric.timestamp_ms == NOW_MS and metric.datatype is not None for metric in payload.metrics)


async def test_a_command_to_a_unit_is_the_standards(start_broker) -> None:
    """As the alert engine's publisher sends it: with timestamps, without a sequence number, QoS 0, not retained."""
    payload = decode_payload(encode_device_command({REPORT_INTERVAL: 1.0, ALARM_RELEASED: NOW_MS, PACK: None}, NOW_MS))
    assert (payload.timestamp_ms, payload.seq) == (NOW_MS, None)
    assert [(each.name, each.datatype, each.value) for each in payload.metrics] == [
        (REPORT_INTERVAL, DataType.FLOAT, 1.0),
        (ALARM_RELEASED, DataType.DATE_TIME, NOW_MS),
        (PACK, DataType.STRING, None),
    ]
    assert all(each.timestamp_ms == NOW_MS for each in payload.metrics)
    broker = start_broker("mosquitto", "cloud", "log_type all\n")
    publisher = Publisher(broker.access)
    running = asyncio.create_task(publisher.run())
    async with asyncio.timeout(10):
        while "spBv1.0/fleet/DCMD/gw/unit" not in (broker.folder / "log").read_text():
            with contextlib.suppress(BrokerAwayError):
                await publisher.command("spBv1.0/fleet/DCMD/gw/unit", b"x")
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert re.search(
        r"PUBLISH from \S+ \(d0, q0, r0, m0, 'spBv1.0/fleet/DCMD/gw/unit'", (broker.folder / "log").read_text()
    )


def test_the_table_names_tests_that_exist() -> None:
    rows = [
        line.split("|") for line in (ROOT / "docs/conformance-host.md").read_text().splitlines() if "`tck-id-" in line
    ]
    assert len(rows) > 50
    seen: set[str] = set()
    for _, statements, _, tests, _ in rows:
        ids = re.findall(r"`(tck-id-[a-z0-9-]+)`", statements)
        assert ids
        assert not seen & set(ids), "each statement once"
        seen.update(ids)
        for file, name in re.findall(r"`(\w+\.py)::(\w+)`", tests):
            assert f"def {name}(" in (ROOT / "tests/ingest" / file).read_text(), f"{file}::{name}"
