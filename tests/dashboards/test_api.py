"""The JSON API over a real registry and a real store."""
# ruff: noqa: PLR0917 - fixtures and columns come by name

import csv
import io
import json
import math
from dataclasses import asdict
from datetime import timedelta

import httpx
import numpy as np
import pyarrow.parquet
import pytest

from dashboards import models
from dashboards.app import BODY_MAX_BYTES, create_app
from dashboards.keeper import BoardKeeper
from dashboards.rows import Intake
from ingest.stores.contract import StoreUnavailableError
from registry.enrolment import Enrolment
from registry.kinds import AlertState, Level, PackClass
from registry.records import QuarantineEntry, Shipment, ShipmentPack
from telemetry.samples import Provenance

NOW_MS = 1_800_000_000_000
S = 1000


class Meter:
    def snapshot(self) -> Intake:
        return Intake(messages=7, refused_by_reason={"cbor_malformed": 2}, queue_fill=0.25)


@pytest.fixture
async def keeper(board, registry, history, clock, enrolment) -> BoardKeeper:
    """unit-1 watches pack-1 since yesterday."""
    registry.enrol(enrolment(), clock.now)
    keeper = BoardKeeper(board=board, registry=registry, history=history, meter=Meter(), now_ms=clock)
    await keeper.prepare()
    return keeper


async def test_the_board(
    person,
    keeper,
    board,
    make_batch,
    desk,
    make_alert,
):
    board.observe([make_batch([[20, math.nan, 61.0]], ambient_c=[11.5])])
    board.observe_alert(desk.raise_alert(make_alert(level=Level.CRITICAL)))
    answer = await person.get("/api/board")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    body = models.Board.model_validate_json(answer.content, strict=False)
    (row,) = body.packs
    assert (row.level, row.temperatures_c, row.vehicle_name) == ("critical", [20.0, None, 61.0], "Truck 1")
    assert body.alerts[0].alert_id == row.open_alert_id
    assert not body.simulation


async def test_one_pack(
    person,
    keeper,
    board,
    make_batch,
    desk,
    make_alert,
):
    board.observe([make_batch([[20, 21, 22]])])
    desk.raise_alert(make_alert())
    desk.raise_alert(make_alert(pack_id="pack-2"))
    body = models.PackDetail.model_validate_json((await person.get("/api/packs/pack-1")).content)
    assert (body.pack.chemistry, body.pack.capacity_ah, body.pack.class_assessed_by) == ("nmc", 50.0, "A. Assessor")
    assert body.row.hottest_c == 22.0
    assert [alert.pack_id for alert in body.alerts] == ["pack-1"]


async def test_a_unit_without_a_pack_has_a_page_too(person, keeper, board, store, make_batch):
    batch = make_batch([[20, 21, 22]], unit_id="stranger")
    store.append([batch])
    board.observe([batch])
    body = (await person.get("/api/packs/unit:stranger")).json()
    assert (body["pack"], body["row"]["unregistered"]) == (None, True)
    series = await person.get("/api/packs/unit:stranger/series", params={"from_ms": NOW_MS - S, "to_ms": NOW_MS + S})
    assert series.json()["temperature"]["max"] == [[20.0], [21.0], [22.0]]


@pytest.mark.parametrize(
    "path",
    [
        "/api/packs/nobody",
        "/api/packs/nobody/series",
        "/api/packs/unit:nobody",
        "/api/packs/unit:nobody/series",
        "/api/export?pack_id=nobody",
        "/api/alerts/nobody/events",
    ],
)
async def test_an_unknown_id_is_404_with_a_sentence(person, keeper, path):
    answer = await person.get(path)
    assert answer.status_code == 404
    assert "nobody" in answer.json()["detail"]


async def test_series_as_measured(person, keeper, store, make_batch):
    rows = [[20.05, math.nan, 1079.0], [20.1, 21.0, math.nan]]
    store.append([make_batch(rows, ambient_c=[10.0, math.nan], provenance=Provenance.REPLAYED)])
    answer = await person.get("/api/packs/pack-1/series", params={"from_ms": NOW_MS - 10 * S, "to_ms": NOW_MS + 1})
    body = models.PackSeries.model_validate_json(answer.content)
    assert (body.raw, body.t_ms, body.provenance) == (True, [NOW_MS - S, NOW_MS], ["replayed"])
    assert body.temperature.labels == ["probe 1", "probe 2", "probe 3"]
    assert body.temperature.mean == [[20.05, 20.1], [None, 21.0], [1079.0, None]]
    assert body.temperature.min == body.temperature.max == body.temperature.mean
    assert body.voltage.labels == ["cell 1", "cell 2", "pack 3"]
    assert body.ambient.max == [10.0, None]
    assert body.humidity is None


async def test_series_in_buckets(person, keeper, store, make_batch):
    store.append([make_batch([[t, t, t] for t in range(1000)])])
    params = {"from_ms": NOW_MS - 999 * S, "to_ms": NOW_MS + S, "points": 10}
    body = (await person.get("/api/packs/pack-1/series", params=params)).json()
    assert not body["raw"]
    assert len(body["t_ms"]) <= 10
    lowest, highest = body["temperature"]["min"][0], body["temperature"]["max"][0]
    assert (min(lowest), max(highest)) == (0.0, 999.0)
    assert all(low < high for low, high in zip(lowest, highest, strict=True))


async def test_a_series_follows_the_pack_from_unit_to_unit(
    person,
    keeper,
    registry,
    store,
    clock,
    make_batch,
):
    """unit-1 watches pack-1 until a minute ago, then unit-2 with more probes; each one's other samples are not its."""
    registry.enrol(
        Enrolment(
            fleet_id="fleet-1",
            gateway_id="gateway-1",
            pack_id="pack-1",
            pack_class=PackClass.END_OF_LIFE,
            unit_id="unit-2",
            temperature_channels=4,
            voltage_channels=3,
            simulated=False,
            bound_from=clock.now - timedelta(seconds=60),
        ),
        clock.now,
    )
    registry.bind("unit-1", "pack-1", gateway_id=None, at=clock.now - timedelta(seconds=120))
    registry.enrol(
        Enrolment(
            fleet_id="fleet-1",
            gateway_id="gateway-1",
            pack_id="pack-9",
            pack_class=PackClass.END_OF_LIFE,
            unit_id="unit-1",
            temperature_channels=3,
            voltage_channels=3,
            simulated=False,
            bound_from=clock.now - timedelta(seconds=60),
        ),
        clock.now,
    )
    store.append([make_batch([[20, 20, 20]], at_ms=NOW_MS - 90 * S), make_batch([[99, 99, 99]], at_ms=NOW_MS - 30 * S)])
    store.append([make_batch([[30, 30, 30, 30]], at_ms=NOW_MS - 20 * S, unit_id="unit-2")])
    body = (await person.get("/api/packs/pack-1/series", params={"from_ms": NOW_MS - 200 * S, "to_ms": NOW_MS})).json()
    assert body["t_ms"] == [NOW_MS - 90 * S, NOW_MS - 20 * S]
    assert body["temperature"]["labels"][2:5] == ["probe 3 (unit-1)", "probe 1 (unit-2)", "probe 2 (unit-2)"]
    assert body["temperature"]["mean"] == [[20.0, None]] * 3 + [[None, 30.0]] * 4


async def test_a_pack_that_nobody_watched_then_has_an_empty_series(person, keeper):
    body = (await person.get("/api/packs/pack-1/series", params={"from_ms": 0, "to_ms": 1000})).json()
    models.PackSeries.model_validate(body)
    assert (body["t_ms"], body["temperature"]["mean"]) == ([], [])


@pytest.mark.parametrize(
    ("path", "params", "says"),
    [
        ("/api/packs/pack-1/series", {"from_ms": NOW_MS, "to_ms": NOW_MS}, "from_ms must be earlier"),
        ("/api/packs/pack-1/series", {"from_ms": -1}, "from_ms"),
        ("/api/packs/pack-1/series", {"to_ms": NOW_MS * 1000}, "to_ms"),
        ("/api/packs/pack-1/series", {"to_ms": 10**40}, "to_ms"),
        ("/api/packs/pack-1/series", {"from_ms": "yesterday"}, "from_ms"),
        ("/api/packs/pack-1/series", {"points": 0}, "points"),
        ("/api/packs/pack-1/series", {"points": 5001}, "points"),
        ("/api/packs/<b>/series", {}, "pack_id"),
        ("/api/packs/a%00b", {}, "pack_id"),
        ("/api/export", {"pack_id": "pack-1", "format": "exe"}, "format"),
        ("/api/export", {"pack_id": "../etc"}, "pack_id"),
        ("/api/export", {}, "pack_id"),
        ("/api/quarantine", {"limit": 0}, "limit"),
        ("/api/quarantine", {"offset": -1}, "offset"),
        ("/api/alerts", {"limit": 10**9}, "limit"),
    ],
)
async def test_absurd_questions_are_refused_in_one_sentence(person, keeper, path, params, says):
    answer = await person.get(path, params=params)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "params", "says"),
    [
        (
            "/api/packs/pack-1/series",
            {"from": "abc", "points": 5},
            "There is no query parameter `from` here; there is from_ms, to_ms, points.",
        ),
        ("/api/alerts", {"pack": "pack-1", "level": "critical"}, "no query parameter `pack`, `level` here"),
        ("/api/export", {"pack_id": "pack-1", "FROM_MS": 1}, "`FROM_MS`"),
        ("/api/quarantine", {"": "x"}, "``"),
        ("/api/quarantine", {"x" * 1000: 1}, f"`{'x' * 64}`"),
        ("/api/alerts", {f"n{number}": 1 for number in range(100)}, "`n7` here"),
    ],
)
async def test_a_query_with_a_name_that_nobody_reads_is_refused_by_that_name(person, keeper, path, params, says):
    answer = await person.get(path, params=params)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/api/local/alerts?pack=pack-1", "/api/local/export?pack_id=pack-1&from=1"])
async def test_so_it_is_for_the_command_line(stranger, keeper, bearer, path):
    answer = await stranger.get(path, headers=bearer)
    assert answer.status_code == 422
    assert "There is no query parameter" in answer.json()["detail"]


async def test_what_the_broker_refused_is_told_and_is_nothing_when_it_is_not_known(person, keeper, board):
    assert (await person.get("/api/board")).json()["intake"]["broker_denied"] == 0
    board.observe_intake(Intake(broker_denied=3, broker_refused_sign_ins=4))
    body = models.Board.model_validate_json((await person.get("/api/board")).content, strict=False)
    assert (body.intake.broker_denied, body.intake.broker_refused_sign_ins) == (3, 4)


async def test_a_store_that_is_busy_says_try_again(parts, person, keeper, monkeypatch):
    def unavailable(*_given: object) -> None:
        raise StoreUnavailableError("the store is being compacted")

    monkeypatch.setattr(parts["history"], "read", unavailable)
    answer = await person.get("/api/packs/pack-1/series")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "compacted" in answer.json()["detail"]


async def test_a_bug_is_one_calm_sentence(parts, person, keeper, monkeypatch):
    def broken(*_given: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(parts["history"], "read", broken)
    answer = await person.get("/api/packs/pack-1/series")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["detail"].startswith("Something went wrong")
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_acknowledging(person, keeper, board, desk, make_alert):
    alert = desk.raise_alert(make_alert(alert_id="a1"))
    board.observe_alert(alert)
    comment = "<b>called</b> the driver"
    answer = await person.post("/api/alerts/a1/acknowledge", json={"version": 1, "comment": comment})
    told = models.Alert.model_validate_json(answer.content)
    assert (told.state, told.acknowledged_by, told.version) == ("acknowledged", "Ana", 2)
    assert told.acknowledgement_comment == comment
    assert board.snapshot(NOW_MS).alerts[0].state == "acknowledged"
    events = (await person.get("/api/alerts/a1/events")).json()
    assert [(event["action"], event["actor"]) for event in events] == [("raise", None), ("acknowledged", "Ana")]
    models.AlertEvent.model_validate(events[1])


async def test_whoever_is_late_is_told_so(person, keeper, desk, make_alert):
    desk.raise_alert(make_alert(alert_id="a1"))
    assert (await person.post("/api/alerts/a1/acknowledge", json={"version": 1, "comment": None})).status_code == 200
    late = await person.post("/api/alerts/a1/close", json={"version": 1, "reason": "cooled down"})
    assert late.status_code == 409
    assert "version 2" in late.json()["detail"]
    assert (await person.post("/api/alerts/a1/close", json={"version": 2, "reason": "cooled down"})).status_code == 200
    over = await person.post("/api/alerts/a1/acknowledge", json={"version": 3})
    assert (over.status_code, "closed" in over.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    "body",
    [
        {"version": 1},
        {"version": 1, "reason": ""},
        {"version": 1, "reason": "  \n"},
        {"version": 1, "reason": "x" * 1001},
        {"version": -1, "reason": "x"},
        {"version": 1, "reason": "x", "more": 1},
        {"reason": "x"},
        [],
    ],
)
async def test_closing_needs_a_reason(person, keeper, desk, make_alert, body):
    desk.raise_alert(make_alert(alert_id="a1"))
    assert (await person.post("/api/alerts/a1/close", json=body)).status_code == 422


async def test_alerts_by_pack(person, keeper, desk, make_alert, clock):
    for number, pack_id in enumerate(["pack-1", "pack-2", "pack-1"]):
        raised_at = clock.now + timedelta(seconds=number)
        desk.raise_alert(make_alert(alert_id=f"a{number}", pack_id=pack_id, raised_at=raised_at))
    everything = (await person.get("/api/alerts")).json()
    assert [alert["alert_id"] for alert in everything] == ["a2", "a1", "a0"]
    models.Alert.model_validate(everything[0])
    of_one = (await person.get("/api/alerts", params={"pack_id": "pack-1", "limit": 1})).json()
    assert [alert["alert_id"] for alert in of_one] == ["a2"]


async def test_the_quarantine(person, registry, clock):
    entries = [
        QuarantineEntry(
            received_at=clock.now,
            reason=reason,
            detail="<script>alert(1)</script>",
            topic="spBv1.0/a/DDATA/b/c",
            payload=payload,
            payload_size=len(payload),
        )
        for reason, payload in (("cbor_malformed", b"\xff" * 1000), ("protobuf_malformed", b"\x00\x01"))
    ]
    registry.add_quarantine(entries)
    page = models.QuarantinePage.model_validate_json((await person.get("/api/quarantine?limit=1")).content)
    assert (page.total, page.counts) == (2, {"cbor_malformed": 1, "protobuf_malformed": 1})
    assert page.entries[0].payload_preview_hex == "0001"
    assert page.entries[0].detail == "<script>alert(1)</script>", "data stays data; the page escapes it"
    page = models.QuarantinePage.model_validate_json((await person.get("/api/quarantine?offset=1")).content)
    assert (page.entries[0].payload_size, len(page.entries[0].payload_preview_hex)) == (1000, 512)


async def test_export_to_csv(person, keeper, store, make_batch):
    store.append([make_batch([[20, math.nan, 22], [21, 22, 23]])])
    answer = await person.get("/api/export", params={"pack_id": "pack-1", "format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'filename="pack-1_' in answer.headers["content-disposition"]
    assert int(answer.headers["content-length"]) == len(answer.content)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["temperature_2_c"] for row in rows] == ["", "22.0"]
    assert rows[1]["sampled_at"].startswith("2027-01-15T08:00:00")


async def test_export_to_parquet_of_a_part(person, keeper, store, make_batch):
    store.append([make_batch([[t, t, t] for t in range(100)])])
    params = {"pack_id": "pack-1", "format": "parquet", "from_ms": NOW_MS - 9 * S, "to_ms": NOW_MS}
    answer = await person.get("/api/export", params=params)
    table = pyarrow.parquet.read_table(io.BytesIO(answer.content))
    assert table.num_rows == 9
    assert np.isclose(table["temperature_1_c"][0].as_py(), 90)


async def test_an_export_that_fails_leaves_nothing_behind(parts, person, keeper, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def full(*_given: object) -> None:
        raise StoreUnavailableError("the disk is full")

    monkeypatch.setattr(parts["history"], "export", full)
    assert (await person.get("/api/export?pack_id=pack-1")).status_code == 503
    assert list(tmp_path.glob("packwatch-export-*")) == []


async def test_the_command_line_enrols(stranger, bearer, registry, enrolment):
    wanted = asdict(enrolment(unit_id="unit-7", pack_id="pack-7"))
    wanted["bound_from"] = wanted["bound_from"].isoformat()
    answer = await stranger.post("/api/local/enrol", json=wanted, headers=bearer)
    assert answer.json() == {
        "fleet_id": "fleet-1",
        "gateway": {"username": "gateway-gateway-1", "password": "g"},
        "unit": {"username": "unit-unit-7", "password": "u"},
        "mqtt": {"host": "127.0.0.1", "port": 1883},
    }
    assert registry.pack("pack-7").capacity_ah == 50.0


async def test_a_replay_for_a_pack_on_a_real_shipment_is_refused(stranger, keeper, bearer, registry, enrolment):
    registry.add(Shipment(shipment_id="s-1", origin="A", destination="B", emergency_number="+1 555 0100"))
    registry.add(ShipmentPack(shipment_id="s-1", pack_id="pack-1"))
    wanted = asdict(enrolment(unit_id="replay-1", simulated=True, bound_from=None))
    answer = await stranger.post("/api/local/enrol", json=wanted, headers=bearer)
    assert answer.status_code == 409
    assert "s-1" in answer.json()["detail"]


async def test_the_command_line_reads_alerts_and_exports(
    stranger,
    keeper,
    bearer,
    desk,
    store,
    make_alert,
    make_batch,
):
    desk.raise_alert(make_alert(state=AlertState.CLOSED))
    store.append([make_batch([[20, 21, 22]])])
    (alert,) = (await stranger.get("/api/local/alerts?pack_id=pack-1", headers=bearer)).json()
    assert (alert["pack_id"], alert["level"], alert["sampled_at_ms"], alert["state"]) == (
        "pack-1",
        "warning",
        NOW_MS,
        "closed",
    )
    exported = await stranger.get("/api/local/export?pack_id=pack-1&format=csv", headers=bearer)
    assert exported.text.startswith("sampled_at,")


async def test_metrics(person, keeper, board, make_batch):
    board.observe([make_batch([[20, 21, 22]])])
    text = (await person.get("/metrics")).text
    assert 'packwatch_board_packs{level="normal"} 1.0' in text
    assert 'packwatch_board_packs{level="no_data"} 0.0' in text


async def test_health_says_what_is_missing(parts):
    complaint = None
    transport = httpx.ASGITransport(app=create_app(**parts, health=lambda: complaint))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        complaint = "ingest is not connected to the broker"
        answer = await client.get("/healthz")
        assert (answer.status_code, answer.json()["detail"]) == (503, complaint)


async def test_a_request_body_has_a_limit(stranger):
    async def endless():
        while True:
            yield b"x" * BODY_MAX_BYTES

    for content in (b"x" * (BODY_MAX_BYTES + 1), endless()):
        assert (await stranger.post("/api/session", content=content)).status_code == 413


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"name": "\\ud800", "password": "x"}', b"[" * 5000, b"null"])
async def test_a_body_that_is_no_json_is_refused(stranger, content):
    answer = await stranger.post("/api/session", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert isinstance(answer.json()["detail"], str)


async def test_a_path_that_is_not_there(person):
    for method, path in (("GET", "/api/nothing"), ("POST", "/api/board"), ("DELETE", "/api/packs/pack-1")):
        answer = await person.request(method, path)
        assert answer.status_code == 404
        assert "openapi.json" in answer.json()["detail"]


async def test_openapi_describes_every_operation(person):
    schema = (await person.get("/api/openapi.json")).json()
    ids = []
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert operation["tags"], (method, path)
            assert operation["description"], (method, path)
            ids.append(operation["operationId"])
    assert len(set(ids)) == len(ids)
    assert schema["paths"]["/api/board"]["get"]["security"] == [{"session": []}, {"serviceToken": []}]
    assert "security" not in schema["paths"]["/healthz"]["get"]
    described = schema["components"]["schemas"]["PackRow"]["properties"]["spark"]["description"]
    assert described.startswith("The hottest temperature of each 10 s")
    assert json.dumps(schema)
