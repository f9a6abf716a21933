"""Packwatch is killed in the middle of a failing pack, twice: its alerts are those of one that nothing interrupted."""

import os
import signal
import time
from contextlib import contextmanager

import numpy as np
import paho.mqtt.client as mqtt

from packwatch.credentials import AccountRole, Credentials
from packwatch.stored_samples import SNAPSHOT_FILE
from registry.kinds import AlertKind
from registry.registry import Registry
from telemetry.samples import Provenance, SampleBatch
from telemetry.sparkplug.batches import batch_metrics, device_birth_metrics
from telemetry.sparkplug.payload import DataType, Metric, Payload, encode_payload

from stage import eventually, packwatch_up

FLEET, GATEWAY = "fleet", "gw-1"
UNITS = ("victim", "witness")
COURSE = np.concatenate([
    [62.0], np.full(61, 54.0), [50.0] * 5,  # a warning that clears after 60 s below 55 degC
    np.linspace(58, 118, 41), [118.0] * 5,  # 1.5 degC/s: a runaway, once it has lasted for more than 3 s
])  # fmt: skip
KILLED_AT = (40, 69)
"""Within the 60 s; and two seconds into the rise."""


@contextmanager
def edge_node(packwatch):
    """`send(unit, first, last)`: rows of the course as frames of a unit, as gateway gw-1."""
    account = Credentials(packwatch.data_dir / "credentials").account(AccountRole.GATEWAY, GATEWAY, FLEET)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.username_pw_set(account.username, account.password)
    client.connect("127.0.0.1", packwatch.mqtt)
    client.loop_start()
    sequence = 0

    def publish(kind, device, metrics):
        nonlocal sequence
        payload = encode_payload(Payload(timestamp_ms=time.time_ns() // 1_000_000, seq=sequence % 256, metrics=metrics))
        sequence += 1
        topic = f"spBv1.0/{FLEET}/{kind}/{GATEWAY}" + (f"/{device}" if device else "")
        client.publish(topic, payload).wait_for_publish(5)

    publish("NBIRTH", None, (Metric(name="bdSeq", datatype=DataType.INT64, value=0),
                             Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=False)))  # fmt: skip
    for alias, unit in enumerate(UNITS):
        publish("DBIRTH", unit, device_birth_metrics(1, 0, (), alias_base=64 * alias))

    def send(unit, base_ms, first, last):
        for row in range(first, last):
            batch = SampleBatch(
                unit_id=unit, boot_id="1-a", frame=row, provenance=Provenance.MEASURED, time_uncertainty_s=0.0,
                sampled_at_ms=np.array([base_ms + 1000 * row]), temperatures_c=COURSE[row : row + 1, None],
                voltages_v=np.zeros((1, 0)),
            )  # fmt: skip
            publish("DDATA", unit, batch_metrics(batch, outbox_sequence=row, alias_base=64 * UNITS.index(unit)))

    yield send
    client.disconnect()
    client.loop_stop()


def stored_rows(packwatch):
    with packwatch.client() as client:
        return client.get("/api/board")["intake"]["stored_rows"]


def steps(packwatch, unit, base_ms):
    """(alert, action, level, s of the course) of everything that was said of the unit's pack."""
    registry = Registry.open(f"sqlite:///{packwatch.data_dir / 'registry.sqlite'}")
    try:
        alerts = [alert for alert in registry.alerts(f"pack-of-{unit}") if alert.kind is AlertKind.THERMAL]
        alerts.sort(key=lambda alert: alert.sampled_at)
        return [
            (number, event.action, str(event.level), round(event.sampled_at.timestamp() - base_ms / 1000, 3))
            for number, alert in enumerate(alerts)
            for event in registry.alert_events(alert.alert_id)
        ]
    finally:
        registry.close()


def test_kills_in_the_middle_of_a_failing_pack_change_no_alert(tmp_path, monkeypatch):
    monkeypatch.setenv("PACKWATCH_SNAPSHOT_S", "2")
    base_ms = time.time_ns() // 1_000_000 - 1000 * len(COURSE)
    with packwatch_up(tmp_path) as packwatch:
        for unit in UNITS:
            packwatch.command("enrol", "--unit", unit, "--pack", f"pack-of-{unit}", "--gateway", GATEWAY,
                              "--class", "end_of_life", "--probes", "1", "--interval", "1")  # fmt: skip
        snapshot = packwatch.data_dir / SNAPSHOT_FILE
        sent = 0
        for killed_at in KILLED_AT:
            with edge_node(packwatch) as send:
                before = stored_rows(packwatch)
                send("victim", base_ms, sent, killed_at - 4)
                eventually(lambda n=before + killed_at - 4 - sent: stored_rows(packwatch) == n, 20, "rows in the store")
                written = time.time()
                eventually(lambda at=written: snapshot.exists() and snapshot.stat().st_mtime > at, 20, "a snapshot")
                send("victim", base_ms, killed_at - 4, killed_at)
                eventually(lambda n=before + killed_at - sent: stored_rows(packwatch) == n, 20, "rows in the store")
                os.kill(packwatch.process.pid, signal.SIGKILL)
                packwatch.process.wait()
            sent = killed_at
            packwatch.start()
        with edge_node(packwatch) as send:
            send("victim", base_ms, sent, len(COURSE))
            send("witness", base_ms, 0, len(COURSE))
            expected = eventually(
                lambda: [step for step in steps(packwatch, "witness", base_ms) if step[2] == "runaway"]
                and steps(packwatch, "witness", base_ms), 20, "the witness's runaway",
            )  # fmt: skip
        assert [(level, at_s) for _, _, level, at_s in expected][:2] == [("warning", 0.0), ("normal", 61.0)]
        assert eventually(lambda: steps(packwatch, "victim", base_ms) == expected, 20, f"{expected} for the victim")
        said = packwatch.log.read_text()
        assert said.count('"snapshot": "used"') + said.count('"snapshot":"used"') == len(KILLED_AT)
