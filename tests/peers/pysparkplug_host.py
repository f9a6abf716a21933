"""A primary host of pysparkplug, run by .venv-peers: `pysparkplug_host.py HOST_ID GROUP PORT`.

It writes what it hears to standard output, a line of JSON each, and is told by such lines on standard input what to do.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from typing import Any

import pysparkplug as spb


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def plain(value: Any) -> Any:
    """A metric's value as JSON has it; times in ms."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    return [plain(each) for each in value] if isinstance(value, tuple) else value


def told(metric: spb.Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "alias": metric.alias,
        "datatype": metric.datatype.name,
        "value": plain(metric.value),
        "timestamp": metric.timestamp,
        "is_null": metric.is_null,
        "is_historical": metric.is_historical,
    }


def heard(_client: spb.Client, message: spb.Message) -> None:
    payload = message.payload
    metrics = [payload.bd_seq_metric] if isinstance(payload, spb.NDeath) else getattr(payload, "metrics", ())
    line = {
        "topic": str(message.topic),
        "kind": message.topic.message_type.value,
        "seq": getattr(payload, "seq", None),
        "timestamp": payload.timestamp,
        "qos": int(message.qos),
        "retain": message.retain,
        "metrics": [told(metric) for metric in metrics],
    }
    print(json.dumps(line), flush=True)  # noqa: T201 - how it speaks


def main() -> None:
    host_id, group, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    client = spb.Client(client_id=f"host-{host_id}")
    began_ms = now_ms()

    def state(*, online: bool, timestamp_ms: int) -> spb.Message:
        topic = spb.Topic(message_type=spb.MessageType.STATE, sparkplug_host_id=host_id)
        return spb.Message(topic=topic, payload=spb.State(timestamp_ms, online), qos=spb.QoS.AT_LEAST_ONCE, retain=True)

    client.set_will(state(online=False, timestamp_ms=began_ms))
    client.subscribe(spb.Topic(group_id=group, message_type="#"), spb.QoS.AT_MOST_ONCE, heard)
    # The standard asks a host to hear its own STATE.
    client.subscribe(state(online=True, timestamp_ms=began_ms).topic, spb.QoS.AT_LEAST_ONCE, heard)
    client.connect("127.0.0.1", port=port, callback=lambda me: me.publish(state(online=True, timestamp_ms=began_ms)))
    for line in sys.stdin:
        words = json.loads(line)
        match words["what"]:
            case "rebirth":
                metric = spb.Metric(now_ms(), "Node Control/Rebirth", spb.DataType.BOOLEAN, value=True)
                topic = spb.Topic(group_id=group, message_type=spb.MessageType.NCMD, edge_node_id=words["node"])
                command = spb.NCmd(now_ms(), (metric,))
                client.publish(spb.Message(topic, command, spb.QoS.AT_MOST_ONCE, retain=False), include_dtypes=True)
            case "offline":
                client.publish(state(online=False, timestamp_ms=now_ms()))
            case "online":
                client.publish(state(online=True, timestamp_ms=now_ms()))
    client.disconnect()


main()
