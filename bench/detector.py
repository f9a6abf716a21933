"""How fast the detector judges, what it remembers, how both grow, and how fast the simulator is, on one core.

Prints a table, then one JSON object on the last line, which is also written to bench/detector.json.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from alerts.detector import DetectorStates, Rows, default_rules, judge
from firmware_sim.families import generate

PROBES, VOLTAGES = 16, 8
CHANNELS = PROBES + VOLTAGES
SIZES = (100_000, 300_000, 1_000_000)
MEASURED = 300_000
"""Packs of which the target speaks."""
WARM_UP_MINUTES = 30
"""One row a minute, so that the slow windows hold something; a million packs get a sixth of it."""
STEPS = 12
"""Of 10 s: two whole minutes, since some work is done once a minute."""
INTERVAL_MS = 10_000
START_MS = 1_800_000_000_000
SIMULATED = (("benign", "benign_sun", 300, 24.0), ("event", "self_heating_nmc", 300, 24.0))


def main() -> None:
    """Measure and report."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    table = Table("packs", "step, s", "slowest step, s", "values/s", "state, bytes a pack")
    sizes = []
    for packs in SIZES:
        sizes.append(size := _measured(packs))
        table.add_row(
            f"{packs:,}",
            f"{size['step_s']:.3f}",
            f"{size['slowest_step_s']:.3f}",
            f"{packs * CHANNELS / size['step_s']:,.0f}",
            f"{size['state_bytes_per_pack']:,.0f}",
        )
    console = Console()
    console.print(table)
    simulator = {}
    for kind, family, packs, hours in SIMULATED:
        began = time.perf_counter()
        recordings = generate(family, packs=packs, seed=1, hours=hours)
        simulator[kind] = round(packs * len(recordings.time_s) / (time.perf_counter() - began))
        console.print(f"simulator, {family}: {simulator[kind]:,} pack-samples of {CHANNELS} channels a second")
    (chosen,) = (size for size in sizes if size["packs"] == MEASURED)
    per_pack = [size["step_s"] / size["packs"] for size in sizes]
    result = {
        "step_s": chosen["step_s"],
        "state_bytes_per_pack": chosen["state_bytes_per_pack"],
        "simulator_pack_samples_per_s": min(simulator.values()),
        "packs": MEASURED,
        "channels": CHANNELS,
        "sizes": sizes,
        "growth_a_pack_largest_to_smallest": round(per_pack[-1] / per_pack[0], 3),
        "simulator": simulator,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    line = json.dumps(result)
    Path(__file__).with_suffix(".json").write_text(line + "\n")
    print(line)


def _measured(packs: int) -> dict[str, float]:
    """Median and slowest step of so many packs, each at its own phase of the interval, one in a hundred hot."""
    random = np.random.default_rng(1)
    rules = default_rules()
    states = DetectorStates(temperature_channels=PROBES, voltage_channels=VOLTAGES, rules=rules)
    slot = np.array([states.add(profile=number % len(rules.profiles)) for number in range(packs)], np.intp)
    phase_ms = random.integers(0, INTERVAL_MS, packs)
    base_c = random.normal(25.0, 3.0, (packs, 1)) + random.normal(0.0, 0.5, (packs, PROBES))
    base_v = random.normal(3.7, 0.05, (packs, 1)) + random.normal(0.0, 0.01, (packs, VOLTAGES))
    hot = random.random(packs) < 0.01
    # Noise of a few steps is used again and again, since making it takes longer than judging it.
    noise_c = [random.normal(0.0, 0.1, (packs, PROBES)).astype(np.float32) for _ in range(3)]
    noise_v = [random.normal(0.0, 0.002, (packs, VOLTAGES)).astype(np.float32) for _ in range(3)]
    at_ms, seconds = START_MS, []
    warm_up = WARM_UP_MINUTES if packs <= MEASURED else WARM_UP_MINUTES // 6
    for step in range(warm_up + STEPS):
        at_ms += 60_000 if step < warm_up else INTERVAL_MS
        temperatures_c = base_c.astype(np.float32) + noise_c[step % 3]
        temperatures_c[hot, 0] += 0.1 * step
        rows = Rows(
            slot=slot,
            sampled_at_ms=at_ms + phase_ms,
            temperatures_c=temperatures_c,
            voltages_v=base_v.astype(np.float32) + noise_v[step % 3],
            ambient_c=base_c[:, 0].astype(np.float32),
            hydrogen_ppm=None,
            carbon_monoxide_ppm=None,
            voc_ppm=None,
        )
        began = time.perf_counter()
        judge(states, rules, rows)
        if step >= warm_up:
            seconds.append(time.perf_counter() - began)
    return {
        "packs": packs,
        "step_s": round(float(np.median(seconds)), 4),
        "slowest_step_s": round(max(seconds), 4),
        "state_bytes_per_pack": round(states.nbytes / states.capacity),
    }


if __name__ == "__main__":
    main()
