"""The engine on a vehicle takes all that it is given in one call, a backlog of one unit included."""

import numpy as np

from alerts.rules import RULES
from packwatch.vehicle import VehicleEngine
from registry.kinds import Level
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

START_MS = 1_800_000_000_000
ROWS = 100


def minutes_of(unit_id: str, frame: int, temperature_c: float) -> ReceivedBatch:
    sampled_at_ms = START_MS + 1000 * np.arange(frame * ROWS, (frame + 1) * ROWS)
    batch = SampleBatch(
        unit_id=unit_id,
        boot_id="1-boot",
        frame=frame,
        provenance=Provenance.MEASURED,
        sampled_at_ms=sampled_at_ms,
        time_uncertainty_s=0.1,
        temperatures_c=np.full((ROWS, 4), temperature_c, np.float32),
        voltages_v=np.full((ROWS, 2), 3.7, np.float32),
    )
    return ReceivedBatch(batch=batch, fleet_id="fleet", gateway_id="truck", received_at_ms=int(sampled_at_ms[-1]))


def test_a_backlog_of_one_call_is_judged_to_its_end():
    engine = VehicleEngine(RULES, gateway_id="truck", fleet_id="fleet")
    judged = engine.observe([minutes_of("u1", frame, 25.0 if frame < 4 else 70.0) for frame in range(5)])
    assert [each.level for each in judged] == [Level.WARNING]
    assert engine.observe([minutes_of("u1", 5, 85.0)])[-1].level is Level.CRITICAL
