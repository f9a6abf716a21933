"""What is wrong, unknown, silent or forbidden is seen by people, and withholds no alarm."""

import json
import time
from datetime import UTC, datetime

import numpy as np
import paho.mqtt.client as mqtt
import pytest

from packwatch.credentials import AccountRole, Credentials
from registry.records import Shipment, ShipmentPack
from registry.registry import Registry
from telemetry.samples import Provenance, SampleBatch
from telemetry.sparkplug.batches import batch_metrics, device_birth_metrics
from telemetry.sparkplug.payload import DataType, Metric, Payload, encode_payload

from stage import TRACES, claim, eventually

FLEET, GATEWAY = "fleet", "gw-1"


@pytest.fixture(scope="module")
def gateway(packwatch):
    """A hand-driven edge node: `gateway(type, device, payload)` publishes as gateway gw-1."""
    packwatch.command("enrol", "--unit", "known", "--pack", "known-pack", "--gateway", GATEWAY, "--vehicle", "truck-7",
                      "--class", "end_of_life", "--probes", "2", "--interval", "2")  # fmt: skip
    account = Credentials(packwatch.data_dir / "credentials").account(AccountRole.GATEWAY, GATEWAY, FLEET)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.username_pw_set(account.username, account.password)
    client.connect("127.0.0.1", packwatch.mqtt)
    client.loop_start()
    sequence = iter(range(256))

    def publish(kind: str, device: str | None, payload: bytes | tuple[Metric, ...]) -> None:
        if isinstance(payload, tuple):
            payload = encode_payload(Payload(timestamp_ms=now_ms(), seq=next(sequence), metrics=payload))
        client.publish(
            f"spBv1.0/{FLEET}/{kind}/{GATEWAY}" + (f"/{device}" if device else ""), payload
        ).wait_for_publish(5)

    publish("NBIRTH", None, (Metric(name="bdSeq", datatype=DataType.INT64, value=0),
                             Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=False)))  # fmt: skip
    for device in ("known", "stranger"):
        publish("DBIRTH", device, device_birth_metrics(2, 0, (), alias_base=0 if device == "known" else 64))
    yield publish
    client.disconnect()
    client.loop_stop()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def sample(unit: str, frame: int, celsius: float, at_ms: int | None = None) -> tuple[Metric, ...]:
    batch = SampleBatch(
        unit_id=unit, boot_id="1-a", frame=frame, provenance=Provenance.MEASURED,
        sampled_at_ms=np.array([now_ms() if at_ms is None else at_ms]), time_uncertainty_s=0.0,
        temperatures_c=np.array([[20.0, celsius]], np.float32), voltages_v=np.zeros((1, 0), np.float32),
    )  # fmt: skip
    return batch_metrics(batch, outbox_sequence=frame, alias_base=0 if unit == "known" else 64)


def alerts(packwatch) -> list[dict]:
    return json.loads(packwatch.command("alert-log", "--json").stdout)


def test_what_cannot_be_decoded_is_on_the_intake_page_with_its_reason(packwatch, gateway, page):
    gateway("DDATA", "known", b"\xff\xff no protobuf")
    claim(page, packwatch)
    page.goto(f"{packwatch.url}/intake")
    row = page.get_by_test_id("quarantine-row").first
    row.wait_for()
    assert f"spBv1.0/{FLEET}/DDATA/{GATEWAY}/known" in row.inner_text()


def test_a_hot_unknown_unit_raises_its_own_alarm(packwatch, gateway):
    gateway("DDATA", "stranger", sample("stranger", 1, 95.0))
    found = eventually(lambda: [a for a in alerts(packwatch) if a["kind"] == "unregistered"], what="the alarm")
    assert "unregistered unit stranger on vehicle truck-7" in " ".join(found[0]["reasons"])
    assert found[0]["level"] == "critical"


def test_a_hot_sample_with_an_impossible_time_raises_the_alarm_now(packwatch, gateway):
    gateway("DDATA", "known", sample("known", 1, 85.0, at_ms=now_ms() + 86_400_000))
    found = eventually(lambda: [a for a in alerts(packwatch) if a["pack"] == "known-pack"], what="the alarm")
    sampled_at = datetime.fromisoformat(found[0]["sampled_at"])
    assert abs((datetime.now(UTC) - sampled_at).total_seconds()) < 60


def test_a_unit_that_falls_silent_says_so(packwatch, gateway):
    gateway("DDATA", "known", sample("known", 2, 20.0))

    def silent():
        with packwatch.client() as client:
            rows = {row["unit_id"]: row for row in client.get("/api/board")["packs"]}
        return rows["known"]["silent"]

    eventually(silent, 15, "silence after three report intervals of 2 s")


def test_replay_onto_a_pack_on_an_open_real_shipment_is_refused(packwatch, gateway):
    registry = Registry.open(f"sqlite:///{packwatch.data_dir / 'registry.sqlite'}")
    registry.save(Shipment(shipment_id="s-1", origin="Reno", destination="Salt Lake City", simulated=False,
                           emergency_number="+1 800 555 0100", departed_at=datetime.now(UTC)))  # fmt: skip
    registry.save(ShipmentPack(shipment_id="s-1", pack_id="known-pack"))
    registry.close()
    refused = packwatch.command(
        "replay", TRACES / "sunlit_panel.csv", "--pack", "known-pack", "--speed", "max", check=False
    )
    assert refused.returncode == 1
    assert "shipment" in refused.stderr
