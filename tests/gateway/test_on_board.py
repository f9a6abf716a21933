"""The vehicle's own engine: the cab hears of heat without any network, and the cloud of what the cab heard."""

import asyncio
import json
import sys
import threading
import time

import pytest

from alerts.rules_file import shipped_rules
from gateway.evaluator import Judgement
from gateway.settings import CabSettings
from packwatch.vehicle import VehicleEngine
from registry.kinds import Level
from telemetry.on_board import encode_device_command, on_board_of, on_board_values
from telemetry.samples import Provenance
from telemetry.sparkplug.payload import decode_payload, resolve_metric
from telemetry.unit_link import decode_unit_config

CAB = "packwatch/vehicle/truck/alarm/u1"
CONFIG = "packwatch/units/u1/config"
PACK = json.dumps({"pack": "P-1", "class": "damaged_defective_recalled", "chemistry": "nmc", "report_interval_s": 10})


def engine() -> VehicleEngine:
    return VehicleEngine(shipped_rules().rules, gateway_id="truck", fleet_id="fleet")


def told(peer, topic: str) -> list[bytes]:
    return [payload for at, payload in peer.received if at == topic]


def cab_levels(peer) -> list[str]:
    return [json.loads(payload)["level"] for payload in told(peer, CAB)]


def intervals(peer) -> list[float | None]:
    return [decode_unit_config(payload).report_interval_s for payload in told(peer, CONFIG)]


def reports(host) -> list:
    """What the edge node told of u1, births and data."""
    births: dict[int, tuple] = {}
    found = []
    for topic, payload in host.received:
        if not topic.endswith("/truck/u1") or "DCMD" in topic:
            continue
        metrics = decode_payload(payload).metrics
        if "/DBIRTH/" in topic:
            births = {metric.alias: (metric.name, metric.datatype) for metric in metrics}
        named = [resolve_metric(each, name=births[each.alias][0], datatype=births[each.alias][1]) for each in metrics]
        status = on_board_of(on_board_values(named))
        if status is not None:
            found.append(status)
    return found


def frames_of(rig, host) -> list[int]:
    """Numbers of the frames that the host was sent, in their order."""
    named = [rig.by_name(host.of("DBIRTH"), payload) for payload in host.of("DDATA")]
    return [metrics["Source/Frame"].value for metrics in named if "Source/Frame" in metrics]


async def command(host, **values) -> None:
    names = {"interval_s": "Config/ReportInterval", "pack": "Config/Pack", "released_ms": "Alarm/Released"}
    payload = encode_device_command({names[name]: value for name, value in values.items()}, 1)
    await host.client.publish("spBv1.0/fleet/DCMD/truck/u1", payload)


async def test_heat_is_told_in_the_cab_and_to_the_cloud_and_the_unit_is_asked_for_speed(rig):
    async with (
        rig.peer(rig.local, "packwatch/vehicle/#", "packwatch/units/+/config") as cab,
        rig.host() as host,
        rig.unit() as unit,
        rig.gateway(evaluator=engine),
    ):
        await unit.send_beat("u1", 0)
        await unit.send_frame("u1", 0)
        await rig.until(lambda: cab_levels(cab) == ["normal"] and intervals(cab) == [None], "the cab is told")
        await rig.until(lambda: [each.level for each in reports(host)] == ["normal"], "the birth tells")
        await unit.send_frame("u1", 1, celsius=65.0)
        await rig.until(lambda: cab_levels(cab)[-1] == "warning" and intervals(cab)[-1] == 1.0, "the cab is warned")
        await rig.until(lambda: reports(host)[-1].level == "warning", "so is the cloud")
        last = reports(host)[-1]
        assert any("65" in reason for reason in last.reasons)
        assert abs(last.since_ms - time.time_ns() // 1_000_000) < 60_000
        await host.command(rebirth=True)
        before = len(host.of("DBIRTH"))
        await rig.until(lambda: len(host.of("DBIRTH")) > before, "a birth")
        assert reports(host)[-1].level == "warning"


async def test_without_an_uplink_the_cab_is_warned_all_the_same(rig):
    async with rig.peer(rig.local, "packwatch/vehicle/#") as cab, rig.unit() as unit:
        async with rig.gateway(evaluator=engine) as gateway:
            await unit.send_beat("u1", 0)
            await unit.send_frame("u1", 0)
            await rig.until(lambda: cab_levels(cab) == ["normal"], "the cab is told")
            rig.uplink.kill()
            await rig.until(lambda: not gateway.ready.is_set(), "no uplink")
            await unit.send_frame("u1", 1, celsius=85.0)
            await unit.send_frame("u1", 2, celsius=86.0)  # a leap counts with the next hot reading
            await rig.until(lambda: cab_levels(cab)[-1] == "critical", "the cab is warned")
        rig.uplink.start()


async def test_a_latched_level_survives_a_power_cut_until_a_person_closes_the_alert(rig, tmp_path):
    settings = {"evaluator": engine, "state_path": tmp_path / "gateway.json"}
    async with rig.host() as host, rig.unit() as unit:
        async with rig.peer(rig.local, "packwatch/vehicle/#") as cab, rig.gateway(**settings):
            await unit.send_beat("u1", 0)
            await command(host, pack=PACK)
            await unit.send_frame("u1", 0)
            await unit.send_frame("u1", 1, celsius=85.0)
            await unit.send_frame("u1", 2, celsius=86.0)  # a leap counts with the next hot reading
            await rig.until(lambda: cab_levels(cab)[-1:] == ["critical"], "critical")
            await rig.until(lambda: "critical" in (tmp_path / "gateway-on-board.json").read_text(), "kept")
        rig.local.kill()  # and with it everything that was retained
        rig.local.start()
        async with (
            rig.peer(rig.local, "packwatch/vehicle/#", "packwatch/units/+/config") as cab,
            rig.unit() as again,
            rig.gateway(**settings),
        ):
            await rig.until(lambda: cab_levels(cab) == ["critical"] and intervals(cab) == [1.0], "it stands")
            await again.send_beat("u1", 0, boot_id="b2")
            await again.send_frame("u1", 0, boot_id="b2")
            await rig.until(lambda: reports(host)[-1].pack == PACK, "what it knows of the pack")
            assert reports(host)[-1].level == "critical"
            await command(host, released_ms=reports(host)[-1].since_ms)
            await rig.until(lambda: cab_levels(cab)[-1] == "normal", "released")
            await rig.until(lambda: reports(host)[-1].level == "normal", "so the cloud hears")


async def test_the_fastest_wish_for_reports_wins_and_absurd_ones_are_refused(rig):
    async with (
        rig.peer(rig.local, "packwatch/units/+/config") as cab,
        rig.host() as host,
        rig.unit() as unit,
        rig.gateway(evaluator=engine) as gateway,
    ):
        await unit.send_beat("u1", 0)
        await unit.send_frame("u1", 0)
        await rig.until(lambda: reports(host), "born")
        await command(host, interval_s=5.0)
        await rig.until(lambda: intervals(cab)[-1] == 5.0, "as asked")
        for absurd in (0.0, -1.0, 3600.0, float("nan"), float("inf")):
            await command(host, interval_s=absurd)
        await rig.until(lambda: gateway.counters.refused["value_range"] == 5, "refused")
        await unit.send_frame("u1", 1, celsius=65.0)
        await rig.until(lambda: intervals(cab)[-1] == 1.0, "its own wish is faster")
        await command(host, interval_s=0.5)
        await rig.until(lambda: intervals(cab)[-1] == 0.5, "the cloud's is")
        await command(host, interval_s=None)
        await rig.until(lambda: intervals(cab)[-1] == 1.0, "back to its own")
        await rig.until(lambda: reports(host)[-1].report_interval_s is None, "the cloud hears what it asked for")


async def test_a_frame_is_judged_though_the_gateways_clock_is_wrong_or_the_unit_never_beats(rig, monkeypatch):
    monkeypatch.setattr("gateway.timekeeping.is_plausible", lambda _now_ms: False)
    async with (
        rig.peer(rig.local, "packwatch/vehicle/#") as cab,
        rig.unit() as unit,
        rig.gateway(evaluator=engine) as gateway,
    ):
        await rig.until(lambda: not gateway._running._intake.clock_trusted, "not trusted")
        await unit.send_beat("u1", 0)
        await unit.send_frame("u1", 0, celsius=65.0)
        await unit.send_frame("u2", 0, celsius=85.0)
        await rig.until(lambda: cab_levels(cab)[-1:] == ["warning"], "warned")
        await rig.until(lambda: "critical" in told(cab, "packwatch/vehicle/truck/alarm/u2")[-1].decode(), "warned too")
        assert json.loads(told(cab, CAB)[-1])["clock_trusted"] is False


class _Watching(VehicleEngine):
    def observe(self, batches):
        told = Judgement(
            unit_id="u1",
            provenance=Provenance.SIMULATED,
            level=Level.WATCH,
            peak=Level.WATCH,
            since_ms=0,
            sampled_at_ms=0,
            reasons=("evidence",),
        )
        return [told for received in batches if received.batch.unit_id == "u1"]


async def test_a_pack_that_the_engine_watches_is_none_whose_data_a_full_outbox_gives_up_first(rig):
    def watching() -> VehicleEngine:
        return _Watching(shipped_rules().rules, gateway_id="truck", fleet_id="fleet")

    async with rig.unit() as unit, rig.gateway(evaluator=watching) as gateway:
        suspicion = gateway._running._local._suspicion
        for number in range(2):
            for unit_id in ("u1", "u2"):
                await unit.send_beat(unit_id, 10_000 * number)
                await unit.send_frame(unit_id, number)
            await rig.until(gateway._running._on_board.book.standing, "watched")
        await rig.until(lambda: suspicion.until_ms, "suspicious")
        assert suspicion.until_ms.keys() == {"u1"}


class _Failing(VehicleEngine):
    def observe(self, batches):
        del batches
        raise RuntimeError("a defect")


async def test_an_engine_that_fails_costs_no_data(rig):
    def failing() -> VehicleEngine:
        return _Failing(shipped_rules().rules, gateway_id="truck", fleet_id="fleet")

    async with rig.host() as host, rig.unit() as unit, rig.gateway(evaluator=failing, health_interval_s=0.1) as gateway:
        await unit.send_beat("u1", 0)
        for number in range(3):
            await unit.send_frame("u1", number)
        await rig.until(lambda: len([each for each in unit.received if "stored" in each[0]]) == 3, "taken")
        await rig.until(lambda: gateway.counters.evaluation_failures, "counted")
        await rig.until(
            lambda: any(
                metric.name == "Health/EvaluationFailures" and metric.value
                for payload in host.of("NDATA")
                for metric in decode_payload(payload).metrics
            ),
            "told",
        )


@pytest.fixture
def stepped(monkeypatch):
    """The gateway's wall clock may be set by ms."""
    ahead = {"ms": 0}
    real = time.time_ns
    for module in ("wall_clock", "local_link", "timekeeping", "uplink", "judge"):
        monkeypatch.setattr(f"gateway.{module}.wall_ms", lambda: real() // 1_000_000 + ahead["ms"])
    return ahead


async def test_setting_the_gateways_clock_moves_no_sample_against_another(rig, stepped):
    """A day forth and back: a level that stands keeps its time, and a rise in between is no rate."""
    async with rig.peer(rig.local, "packwatch/vehicle/#") as cab, rig.unit() as unit:
        async with rig.gateway(evaluator=engine):
            await unit.send_beat("u1", 0)
            await unit.send_frame("u1", 0, celsius=65.0)
            await rig.until(lambda: cab_levels(cab)[-1:] == ["warning"], "warned")
            since_ms = json.loads(told(cab, CAB)[-1])["since_ms"]
            stepped["ms"] = 86_400_000
            await rig.until(lambda: json.loads(told(cab, CAB)[-1])["since_ms"] != since_ms, "moved")
            moved_ms = json.loads(told(cab, CAB)[-1])["since_ms"] - since_ms
            assert abs(moved_ms - 86_400_000) < 1_000
            stepped["ms"] = 0
            await unit.send_beat("u1", 10_000)
            await unit.send_frame("u1", 1, celsius=85.0)
            await unit.send_frame("u1", 2, celsius=86.0)  # a leap counts with the next hot reading
            await rig.until(lambda: cab_levels(cab)[-1] == "critical", "it goes on")
            await rig.until(lambda: abs(json.loads(told(cab, CAB)[-1])["since_ms"] - since_ms) < 1_000, "and back")


async def test_frames_that_are_committed_as_their_connection_ends_are_published_all_the_same(rig):
    released = threading.Event()
    async with (
        rig.peer(rig.local, "packwatch/vehicle/#") as cab,
        rig.host() as host,
        rig.unit() as unit,
        rig.gateway(evaluator=engine) as gateway,
    ):
        parts = gateway._running
        await unit.send_beat("u1", 1_000)
        await unit.send_frame("u1", 1, celsius=95.0)
        await rig.until(lambda: 1 in frames_of(rig, host) and told(cab, CAB), "hot, and the cab was told")
        await rig.until(parts._uplink.is_quiet, "the outbox was read to its end")
        slow = asyncio.create_task(parts.outbox._writer.run(lambda _: released.wait(10)))
        await unit.send_frame("u1", 2, celsius=95.0)
        await rig.until(parts.outbox._writer._jobs.qsize, "waits for the disk")
        rig.local.kill()
        parts._on_board.book.everything_due()
        parts._on_board._to_say.set()
        await rig.until(lambda: not parts._local.is_up, "link ended")
        released.set()
        await slow
        await rig.until(lambda: 2 in frames_of(rig, host), "published")


async def test_the_cabs_siren_sounds_without_an_uplink_and_the_cloud_hears_later_what_it_did(rig, tmp_path):
    log, script = tmp_path / "heard", tmp_path / "siren.py"
    script.write_text(f"import sys; open({str(log)!r}, 'a').write(sys.argv[1] + ' ')")
    cab = CabSettings(
        siren_command=(sys.executable, "-I", "-S", str(script)), loop_command=("false",), power_supplies=tmp_path
    )

    def heard() -> list[str]:
        return log.read_text().split() if log.exists() else []

    def actions(host) -> list[dict]:
        told = [metric for payload in host.of("NDATA") for metric in decode_payload(payload).metrics]
        return [json.loads(metric.value) for metric in told if metric.name == "Cab/Action"]

    async with rig.unit() as unit, rig.gateway(evaluator=engine, cab=cab, health_interval_s=0.1) as gateway:
        await unit.send_beat("u1", 0)
        await unit.send_frame("u1", 0)
        await rig.until(lambda: heard() == ["off"], "the siren is quiet")
        rig.uplink.kill()
        await rig.until(lambda: not gateway.ready.is_set(), "no uplink")
        await unit.send_frame("u1", 1, celsius=85.0)
        await unit.send_frame("u1", 2, celsius=86.0)  # a leap counts with the next hot reading
        await rig.until(lambda: "siren" in heard(), "it sounds")
        await unit.client.publish("packwatch/vehicle/truck/button", b"")
        await rig.until(lambda: heard()[-1] == "chirp", "lowered")
        await unit.send_beat("u2", 0)
        await unit.send_frame("u2", 0, celsius=85.0)
        await unit.send_frame("u2", 1, celsius=86.0)
        await rig.until(lambda: heard()[-1] == "siren", "another unit restores it")
        rig.uplink.start()
        async with rig.host() as host:
            await rig.until(lambda: len({each["id"] for each in actions(host)}) == 4, "told")
            told = {each["id"]: each for each in actions(host)}.values()
            by_time = [(each["action"], *each["units"]) for each in sorted(told, key=lambda each: each["at_ms"])]
            assert by_time == [
                ("cab fault",),
                ("siren sounded", "u1"),
                ("acknowledged in the cab", "u1"),
                ("siren restored", "u2"),
            ]
            assert all(each["detail"] != "" for each in told if each["action"] == "cab fault")
            faults = [
                metric.value
                for topic, payload in host.received
                if "/NBIRTH/" in topic or "/NDATA/" in topic
                for metric in decode_payload(payload).metrics
                if metric.name == "Health/CabFaults" and metric.value
            ]
            assert "siren loop" in faults[-1]
