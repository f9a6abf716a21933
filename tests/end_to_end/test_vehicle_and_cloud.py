"""The vehicle's engine and the cloud's on the same packs: a real gateway, two real brokers, ingest and alerts.

Both say the same of the same samples; where only one could hear them, both words are kept.
"""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from alerts.rules_file import shipped_rules
from alerts.service import AlertService
from firmware_sim.families import generate
from firmware_sim.replay import replay_trace
from gateway.service import GatewayService
from gateway.settings import CabSettings, GatewaySettings
from ingest.service import IngestService
from packwatch.directory import Directory
from packwatch.publishing import Publisher
from packwatch.vehicle import VehicleEngine, engine_for
from registry.enrolment import Enrolment
from registry.kinds import AlertKind, Chemistry, Level, PackClass, Role
from registry.pack_words import assignment_from_words, words_of
from registry.registry import Registry
from telemetry.frames import encode_frame, frame_from_values
from telemetry.mqtt import mqtt_client
from telemetry.samples import Provenance
from telemetry.traces import parse_trace
from telemetry.unit_link import ClockBeat, clock_topic, decode_unit_config, encode_clock_beat, frames_topic

TRACES = Path(__file__).parents[1] / "traces"
FROM_S, TO_S = 1_100, 1_850
"""Of a recording with a row each second: from calm to well after its runaway."""
FLEET, GATEWAY, UNIT, PACK = "fleet", "truck", "u1", "P-1"


async def until(condition, what: str, seconds: float = 20.0):
    ends = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < ends, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)
    return answer


def enrolment(probes: int, voltages: int, **given) -> Enrolment:
    fields = {
        "fleet_id": FLEET,
        "gateway_id": GATEWAY,
        "pack_id": PACK,
        "chemistry": Chemistry.NMC,
        "pack_class": PackClass.END_OF_LIFE,
        "unit_id": UNIT,
        "report_interval_s": 1.0,
        "temperature_channels": probes,
        "voltage_channels": voltages,
        "simulated": True,
    }
    return Enrolment(**fields | given)


class _Noting:
    """An engine of which every change of level is noted, once: its `tick` takes what waits by `take_waiting`."""

    def __init__(self, engine) -> None:
        self.said: list[tuple[Level, int, tuple[str, ...]]] = []
        self._within = False
        for name in ("observe", "tick", "take_waiting"):
            setattr(engine, name, self._noting(getattr(engine, name)))

    def _noting(self, call):
        def noted(*given):
            outermost, self._within = not self._within, True
            try:
                transitions = call(*given)
            finally:
                self._within = not outermost
            if outermost:
                self.said += [(each.level, each.sampled_at_ms, each.reasons) for each in transitions]
            return transitions

        return noted

    def levels(self) -> list[tuple[Level, int]]:
        return [(level, at_ms) for level, at_ms, _ in self.said]


class House:
    """Cloud and vehicle, wired as `packwatch up` and `packwatch gateway` wire them."""

    def __init__(self, start_broker, folder: Path, enrolled: Enrolment, *, known: bool, **gateway) -> None:
        self.local = start_broker("mosquitto", "local")
        self.cloud = start_broker("mosquitto", "cloud")
        self.registry = Registry.open(f"sqlite:///{folder / 'registry.sqlite'}")
        self.registry.enrol(enrolled, enrolled.bound_from)
        publisher = Publisher(self.cloud.access)
        self.alerts = AlertService(registry=self.registry, publish=publisher.publish, command=publisher.command)
        directory = Directory(self.registry)
        ingest = IngestService(
            self.cloud.access,
            host_id="packwatch",
            store=None,
            directory=directory,
            quarantine=self.registry,
            listeners=[self.alerts],
            on_board_listeners=[self.alerts],
            cab_listener=self.alerts,
        )
        self.engine: VehicleEngine | None = None
        self.here = _Noting(self.alerts._engine)
        self.on_board: _Noting | None = None

        def evaluator() -> VehicleEngine:
            rules, enrolments = shipped_rules().rules, [enrolled] if known else []
            self.engine = engine_for(rules, GATEWAY, FLEET, enrolments)
            self.on_board = _Noting(self.engine._engine)
            return self.engine

        self.gateway = GatewayService(
            GatewaySettings(
                gateway_id=GATEWAY,
                fleet_id=FLEET,
                state_path=folder / "gateway.json",
                units_can_wait=True,
                **gateway,
            ),
            self.local.access,
            self.cloud.access,
            evaluator,
        )
        self._parts = [publisher.run, self.alerts.run, ingest.run, self.gateway.run]
        self.heard: list[tuple[str, bytes]] = []

    @asynccontextmanager
    async def open(self):
        await self.alerts.restore()
        async with mqtt_client(self.local.access) as cab:
            await cab.subscribe([("packwatch/vehicle/#", 1), ("packwatch/units/+/config", 1)])
            tasks = [asyncio.create_task(part()) for part in [*self._parts, lambda: self._listen(cab)]]
            try:
                async with asyncio.timeout(15):
                    await self.gateway.ready.wait()
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self.registry.close()

    async def _listen(self, cab) -> None:
        async for message in cab.messages:
            self.heard.append((message.topic.value, bytes(message.payload)))

    def cab_level(self) -> str | None:
        told = [json.loads(payload)["level"] for topic, payload in self.heard if topic.endswith(f"/alarm/{UNIT}")]
        return told[-1] if told else None

    def interval_s(self) -> float | None:
        told = [payload for topic, payload in self.heard if topic.endswith("/config")]
        return decode_unit_config(told[-1]).report_interval_s if told else None

    def alert(self):
        """The newest thermal alert of the pack."""
        return next((each for each in self.registry.alerts(PACK) if each.kind is AlertKind.THERMAL), None)

    async def all_judged(self, frames: int) -> None:
        # More, where a frame was sent again.
        await until(lambda: self.gateway.counters.frames_judged >= frames, "all is judged on board", 60)
        last_ms = self.engine._engine.judged_ms(UNIT)
        await until(lambda: self.alerts._engine.judged_ms(UNIT) == last_ms, "and here", 60)

    def knows_pack(self) -> bool:
        return bool(self.engine._assignments)


@pytest.fixture
def now_enrolled():
    return {"bound_from": datetime.now(UTC) - timedelta(days=2)}


async def send(unit, temperatures_c, voltages_v, *, first: int = 0, tick_ms: int = 0, boot_id: str = "1-a") -> None:
    """One sample a frame, a second apart, from `tick_ms` on."""
    for row in range(len(temperatures_c)):
        frame = frame_from_values(
            boot_id=boot_id,
            number=first + row,
            tick_ms=tick_ms + 1000 * row,
            period_ms=1000,
            provenance=Provenance.SIMULATED,
            temperatures_c=temperatures_c[row : row + 1],
            voltages_v=voltages_v[row : row + 1],
        )
        await unit.publish(frames_topic(UNIT), encode_frame(frame), qos=1)


async def beat(unit, tick_ms: int) -> None:
    await unit.publish(clock_topic(UNIT), encode_clock_beat(ClockBeat(boot_id="1-a", tick_ms=tick_ms)), qos=1)


async def test_both_engines_say_the_same_of_a_measured_recording(start_broker, tmp_path, now_enrolled):
    head, *lines = (TRACES / "heater_30_cells.csv").read_text().splitlines()
    trace = parse_trace("\n".join([head, *lines[FROM_S:TO_S]]) + "\n", "heater_30_cells")
    probes, voltages = trace.temperatures_c.shape[1], trace.voltages_v.shape[1]
    house = House(start_broker, tmp_path, enrolment(probes, voltages, **now_enrolled), known=True)
    async with house.open():
        ended_at_ms = time.time_ns() // 1_000_000
        await replay_trace(trace, unit_id=UNIT, access=house.local.access, speed=None, ended_at_ms=ended_at_ms)
        await house.gateway.drained()
        await house.all_judged(house.gateway.counters.frames_accepted)
        assert Level.RUNAWAY in dict(house.here.levels())
        assert house.on_board.said == house.here.said
        assert house.gateway.counters.frames_unjudged == 0


async def test_both_engines_say_the_same_of_a_live_pack_that_fails_and_it_is_asked_for_speed(
    start_broker, tmp_path, now_enrolled
):
    made = generate("fast_short_nmc", packs=1, seed=11, interval_s=1.0)
    burns = int(np.nanargmax(made.time_s >= made.runaway_s[0]))
    rows = slice(max(0, burns - 500), burns + 40)
    temperatures_c, voltages_v = made.temperatures_c[0, rows], made.voltages_v[0, rows]
    count = len(temperatures_c)
    enrolled = enrolment(temperatures_c.shape[1], voltages_v.shape[1], **now_enrolled)
    house = House(start_broker, tmp_path, enrolled, known=False)
    async with house.open(), mqtt_client(house.local.access) as unit:
        await beat(unit, 1000 * count)
        await send(unit, temperatures_c[:1], voltages_v[:1])
        await until(house.knows_pack, "the cloud tells the vehicle which pack it is")
        (assignment,) = house.registry.assignments()
        here = assignment_from_words(words_of(assignment), unit_id=UNIT, gateway_id=GATEWAY, fleet_id=FLEET)
        assert (
            house.engine._assignments[UNIT]
            == here
            == engine_for(shipped_rules().rules, GATEWAY, FLEET, [enrolled])._assignments[UNIT]
        )
        await send(unit, temperatures_c[1:], voltages_v[1:], first=1, tick_ms=1000)
        await house.gateway.drained()
        await house.all_judged(count)
        assert max(level.rank for level, _ in house.here.levels()) >= Level.CRITICAL.rank
        uncertainty_ms = 20  # of a clock that beat once, by the gateway's own word
        for ours, theirs in zip(house.on_board.levels(), house.here.levels(), strict=True):
            assert ours[0] is theirs[0]
            assert abs(ours[1] - theirs[1]) <= uncertainty_ms
        await until(lambda: house.interval_s() == 1.0, "the unit is asked for speed")
        alert = await until(lambda: (each := house.alert()) and each.level_on_board and each, "what both say")
        assert alert.level_on_board is alert.level_here is alert.level
        await until(
            lambda: house.alerts._on_board._vehicles[UNIT].report.status.report_interval_s == 1.0,
            "the cloud asked for speed too",
        )


async def test_a_vehicle_without_an_uplink_warns_its_cab_and_its_word_is_kept_in_the_cloud(
    start_broker, tmp_path, now_enrolled
):
    enrolled = enrolment(4, 2, **now_enrolled)
    house = House(start_broker, tmp_path, enrolled, known=True)
    cold, hot = np.full((5, 4), 25.0), np.full((3, 4), 65.0)
    volts = np.full((5, 2), 3.7)
    async with house.open(), mqtt_client(house.local.access) as unit:
        await beat(unit, 60_000)
        await send(unit, cold, volts, tick_ms=50_000)
        await until(lambda: house.cab_level() == "normal" and UNIT in house.alerts._on_board._vehicles, "all is calm")
        house.cloud.kill()
        await until(lambda: not house.gateway.ready.is_set(), "no uplink")
        await send(unit, hot, volts, first=5, tick_ms=55_000)
        await until(lambda: house.cab_level() == "warning", "the cab is warned")
        assert house.alert() is None
        # The cloud's engine is kept from these samples: only the vehicle's word comes.
        house.alerts.observe = lambda _batches: None
        house.cloud.start()
        alert = await until(house.alert, "the vehicle's word raises an alert")
        assert (alert.level, alert.level_on_board, alert.level_here) == (Level.WARNING, Level.WARNING, Level.NORMAL)
        assert "65" in alert.reasons[0]
        assert "by the vehicle's own engine: warning, above normal since " in "\n".join(alert.reasons)
        assert alert.provenance is Provenance.SIMULATED
        await send(unit, np.full((80, 4), 25.0), np.full((80, 2), 3.7), first=8, tick_ms=58_000)
        await until(lambda: house.cab_level() == "normal", "it is over")
        await until(lambda: house.alert().cleared_at is not None, "in the cloud too")
        assert house.alert().level_on_board is Level.NORMAL


async def test_what_the_cab_did_without_an_uplink_is_in_the_history_of_the_one_alert(
    start_broker, tmp_path, now_enrolled
):
    told = tmp_path / "siren"
    siren = ("sh", "-c", f'echo "$0" >> {told}')
    cab = CabSettings(siren_command=siren, loop_command=("false",), power_supplies=tmp_path)
    house = House(start_broker, tmp_path, enrolment(4, 2, **now_enrolled), known=True, cab=cab)
    async with house.open(), mqtt_client(house.local.access) as unit:
        await beat(unit, 60_000)
        await send(unit, np.full((5, 4), 25.0), np.full((5, 2), 3.7), tick_ms=50_000)
        await until(lambda: house.cab_level() == "normal" and UNIT in house.alerts._on_board._vehicles, "all is calm")
        house.cloud.kill()
        await until(lambda: not house.gateway.ready.is_set(), "no uplink")
        # A leap counts with the next hot reading.
        await send(unit, np.array([[85.0] * 4, [86.0] * 4]), np.full((2, 2), 3.7), first=5, tick_ms=55_000)
        await until(lambda: house.cab_level() == "critical", "the cab is alarmed")
        await unit.publish(f"packwatch/vehicle/{GATEWAY}/button", b"", qos=1)
        await until(lambda: told.read_text().endswith("siren\nchirp\n"), "the button lowers the siren")
        assert house.alert() is None
        house.cloud.start()
        alert = await until(lambda: (each := house.alert()) and each.acknowledged_roles and each, "the cloud hears it")
        assert (alert.level, alert.acknowledged_roles, alert.acknowledged_by) == (Level.CRITICAL, [Role.DRIVER], None)
        assert len([each for each in house.registry.alerts(PACK) if each.kind is AlertKind.THERMAL]) == 1
        events = house.registry.alert_events(alert.alert_id)
        assert ["siren sounded"] in [each.reasons for each in events if each.action == "cab"]
        [notice] = await until(
            lambda: [each for each in house.registry.alerts() if each.kind is AlertKind.CAB], "the loop is broken"
        )
        assert notice.reasons[0].startswith("siren loop: ")
