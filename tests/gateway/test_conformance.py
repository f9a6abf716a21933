"""The Sparkplug 3.0 session as a broker and a host see it; docs/conformance-edge-node.md names these tests."""

import asyncio
import re
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from telemetry.samples import PositionFix
from telemetry.sparkplug.payload import DataType, decode_payload
from telemetry.unit_link import encode_position, position_topic

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/conformance-edge-node.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([A-Za-z0-9-]+)` \| (.+?) \| (.+?) \|$", DOCUMENT, re.MULTILINE)


def payloads(host, kind: str = ""):
    """(topic, payload) of the edge node's messages, oldest first."""
    return [
        (topic, decode_payload(payload))
        for topic, payload in host.received
        if "/STATE/" not in topic and "CMD/" not in topic and (not kind or f"/{kind}/" in topic)
    ]


async def lively(rig, host, unit) -> None:
    """A session with everything that an edge node of ours ever says."""
    for unit_id in ("u1", "u2"):
        await unit.send_beat(unit_id, 0)
        for number in range(3):
            await unit.send_frame(unit_id, number)
    fix = PositionFix(
        fleet_id="fleet", gateway_id="truck", fixed_at_ms=time.time_ns() // 1_000_000, latitude_deg=1, longitude_deg=2
    )
    await unit.client.publish(position_topic("truck"), encode_position(fix), qos=1)
    await unit.client.publish("packwatch/units/u1/frames", b"junk", qos=1)
    await rig.until(lambda: len(host.of("DDATA")) == 6, "data")
    names = ("Position/Latitude", "Health/Refused", "Health/OutboxFill")
    await rig.until(
        lambda: all(
            any(metric.name == name for _, payload in payloads(host, "NDATA") for metric in payload.metrics)
            for name in names
        ),
        "node data",
    )


async def test_the_connection_as_the_broker_logs_it(rig, start_broker):
    rig.uplink = start_broker("mosquitto", "logging", "log_type all\n")
    log = rig.uplink.folder / "log"
    async with rig.host() as host:
        await host.say(online=True, timestamp_ms=1)
        async with rig.gateway(host_id="host"):
            await rig.until(lambda: host.of("NBIRTH"), "birth")
        await rig.until(lambda: host.of("NDEATH"), "death")
    text = log.read_text()
    assert re.search(r"as fleet-truck-uplink \(p2, c1, k30\)", text)  # MQTT 3.1.1, clean session
    assert re.search(r"Will message specified \(\d+ bytes\) \(r0, q1\)\.\n.*spBv1\.0/fleet/NDEATH/truck", text)
    assert "spBv1.0/fleet/NCMD/truck (QoS 1)" in text
    assert "spBv1.0/fleet/DCMD/truck/+ (QoS 1)" in text
    assert "spBv1.0/STATE/host (QoS 1)" in text
    publishes = re.findall(
        r"Received PUBLISH from fleet-truck-uplink \(d0, q(\d), r(\d), m\d+, 'spBv1\.0/fleet/(\w+)/", text
    )
    assert {(kind, qos, retain) for qos, retain, kind in publishes if kind != "NDEATH"} <= {
        (kind, "0", "0") for kind in ("NBIRTH", "NDATA")
    }
    assert [(qos, retain) for qos, retain, kind in publishes if kind == "NDEATH"] == [("1", "0")]
    assert publishes[0][2] == "NBIRTH"
    ours = [line for line in text.splitlines() if "fleet-truck-uplink" in line and "PING" not in line]
    goodbye = [line for line in ours if "Received PUBLISH" in line or "Received DISCONNECT" in line][-2:]
    assert "NDEATH" in goodbye[0]
    assert "DISCONNECT" in goodbye[1]


async def test_data_of_devices_have_qos_0_and_are_not_retained(rig, start_broker):
    rig.uplink = start_broker("mosquitto", "logging", "log_type all\n")
    async with rig.host() as host, rig.unit() as unit, rig.gateway():
        await lively(rig, host, unit)
        text = (rig.uplink.folder / "log").read_text()
        published = re.findall(
            r"PUBLISH from fleet-truck-uplink \(d(\d), q(\d), r(\d), m\d+, '[^/]+/fleet/(\w+)/", text
        )
        assert {kind for *_, kind in published} == {"NBIRTH", "DBIRTH", "NDATA", "DDATA"}
        assert all(flags == ["0", "0", "0"] for *flags, _ in published)
        async with rig.peer(rig.uplink, "spBv1.0/#") as late:
            await unit.send_frame("u1", 99)
            await rig.until(lambda: late.received, "live data")
            assert late.kinds() == ["DDATA"]  # nothing was retained


async def test_sequence_numbers_and_timestamps_of_a_whole_session(rig):
    async with rig.host() as host, rig.unit() as unit, rig.gateway():
        before_ms = time.time_ns() // 1_000_000
        await lively(rig, host, unit)
        await host.command(rebirth=True)
        await rig.until(lambda: len(host.of("NBIRTH")) == 2 and len(host.of("DBIRTH")) == 4, "births again")
        said = payloads(host)
        assert said[0][0].endswith("NBIRTH/truck")
        for (_, one), (topic, other) in pairwise(said):
            assert other.seq == (0 if "/NBIRTH/" in topic else (one.seq + 1) % 256)
        for topic, payload in said:
            assert before_ms - 5_000 < payload.timestamp_ms < before_ms + 60_000, topic
            assert all(metric.timestamp_ms is not None for metric in payload.metrics), topic
        births = [payload for _, payload in payloads(host, "NBIRTH")]
        assert [{m.name: m.value for m in birth.metrics}["bdSeq"] for birth in births] == [0, 0]


async def test_births_tell_every_metric_with_type_and_value_or_null_and_data_nothing_else(rig):
    async with rig.host() as host, rig.unit() as unit, rig.gateway():
        await lively(rig, host, unit)
        (_, node), *_ = payloads(host, "NBIRTH")
        devices = {topic.split("/")[-1]: payload for topic, payload in payloads(host, "DBIRTH")}
        for birth in (node, *devices.values()):
            assert all(metric.name and metric.datatype is not None for metric in birth.metrics)
            assert all(metric.is_null == (metric.value is None) for metric in birth.metrics)
            lowered = [metric.name.lower() for metric in birth.metrics]
            assert len(lowered) == len(set(lowered))
        names = {metric.name for metric in node.metrics}
        for _, payload in payloads(host, "NDATA"):
            assert {metric.name for metric in payload.metrics} <= names
            assert all(metric.alias is None and metric.datatype is None for metric in payload.metrics)
        for topic, payload in payloads(host, "DDATA"):
            aliases = {metric.alias for metric in devices[topic.split("/")[-1]].metrics}
            assert {metric.alias for metric in payload.metrics} <= aliases
            assert all(metric.name is None and metric.datatype is None for metric in payload.metrics)
        rebirth = next(metric for metric in node.metrics if metric.name == "Node Control/Rebirth")
        assert (rebirth.datatype, rebirth.value, rebirth.alias) == (DataType.BOOLEAN, False, None)
        all_aliases = [metric.alias for birth in devices.values() for metric in birth.metrics]
        assert len(all_aliases) == len(set(all_aliases))


async def test_live_values_of_a_unit_are_in_the_order_of_time(rig):
    async with rig.host() as host, rig.unit() as unit, rig.gateway():
        await lively(rig, host, unit)
        last: dict[str, int] = {}
        for topic, payload in payloads(host, "DDATA"):
            times = next(np.frombuffer(m.value, "<i8") for m in payload.metrics if (m.alias - 64) % 64 == 3)
            assert (np.diff(times) > 0).all()
            assert times[0] > last.get(topic, 0)
            last[topic] = int(times[-1])


@pytest.mark.parametrize(("statement", "how", "test"), ROWS)
def test_every_statement_of_the_table_names_a_test_that_exists(statement, how, test):
    assert how
    rooms = [ROOT / "tests" / room for room in ("gateway", "telemetry")]
    sources = "".join(path.read_text(encoding="utf-8") for room in rooms for path in room.glob("*.py"))
    for name in re.findall(r"`(\w+)`", test):
        assert f"def {name}(" in sources, f"{statement}: {name}"
    assert re.search(r"`\w+`", test) or test == "by construction"


def test_no_statement_is_there_twice():
    names = [statement for statement, _, _ in ROWS]
    assert len(names) > 100
    assert len(names) == len(set(names))


async def test_a_node_that_waits_for_its_host_asks_for_its_state_again_and_a_born_one_does_not(
    rig, start_broker, monkeypatch
):
    monkeypatch.setattr("gateway.uplink.ASK_FOR_HOST_S", 0.2)
    rig.uplink = start_broker("mosquitto", "logging", "log_type all\n")
    log = rig.uplink.folder / "log"

    def asked() -> int:
        return log.read_text().count("spBv1.0/STATE/host (QoS 1)")

    async with rig.host() as host, rig.gateway(host_id="host"):
        await rig.until(lambda: asked() >= 3, "a third asking")
        await host.say(online=True, timestamp_ms=1)
        await rig.until(lambda: host.of("NBIRTH"), "birth")
        before = asked()
        await asyncio.sleep(1)
        assert asked() <= before + 1, "one may have been under way"
        assert len(host.of("NBIRTH")) == 1
