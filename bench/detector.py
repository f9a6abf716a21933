"""How fast the detector judges, what it remembers, how both grow, and how fast the simulator is, on one core.

Prints a table, then one JSON object on the last line, which is also written to bench/detector.json.
"""

from __future__ import annotations

import rooms_first  # noqa: F401

# isort: split

import json
import os
import platform
import resource
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from alerts import ceilings
from alerts.ceilings import evaluate
from alerts.detector import DetectorStates, Rows, judge
from alerts.engine import ROWS_AT_ONCE
from alerts.pack_states import PackStates
from alerts.rules import RULES
from firmware_sim.families import generate

PROBES, VOLTAGES = 16, 8
CHANNELS = PROBES + VOLTAGES
SIZES = (100_000, 300_000, 1_000_000)
MEASURED = 300_000
"""Packs of which the target speaks."""
WARM_UP_MINUTES = 30
"""One row a minute, so that the slow windows hold something; a million packs get a sixth of it."""
STEPS = 12
"""Of 10 s: two whole minutes, since some work is done once a minute, for each pack at a time of its own."""
INTERVAL_MS = 10_000
START_MS = 1_800_000_000_000
SIMULATED = (("benign", "benign_sun", 300, 24.0), ("event", "self_heating_nmc", 300, 24.0))


def main() -> None:
    """Measure and report."""
    load = round(os.getloadavg()[0], 2)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    table = Table("packs", "step, s", "slowest step, s", "values/s", "state, bytes a pack", "with ceilings: s", "bytes")
    sizes = []
    for packs in SIZES:
        sizes.append(size := _measured(packs))
        table.add_row(
            f"{packs:,}",
            f"{size['step_s']:.3f}",
            f"{size['slowest_step_s']:.3f}",
            f"{packs * CHANNELS / size['step_s']:,.0f}",
            f"{size['state_bytes_per_pack']:,.0f}",
            f"{size['step_with_ceilings_s']:.3f}",
            f"{size['state_with_ceilings_bytes_per_pack']:,.0f}",
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
        "step_with_ceilings_s": chosen["step_with_ceilings_s"],
        "state_with_ceilings_bytes_per_pack": chosen["state_with_ceilings_bytes_per_pack"],
        "packs": MEASURED,
        "channels": CHANNELS,
        "sizes": sizes,
        "growth_a_pack_largest_to_smallest": round(per_pack[-1] / per_pack[0], 3),
        "simulator": simulator,
        "load_average_before": load,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    line = json.dumps(result)
    Path(__file__).with_suffix(".json").write_text(line + "\n")
    print(line)


def _measured(packs: int) -> dict[str, float]:
    """Seconds a step of so many packs takes, each at its own phase of the interval, and one in a hundred hot."""
    random = np.random.default_rng(1)
    alone = DetectorStates(temperature_channels=PROBES, voltage_channels=VOLTAGES, rules=RULES.detector)
    both = PackStates(
        temperature_channels=PROBES,
        voltage_channels=VOLTAGES,
        clearing_ceilings=sum(ceiling.clears is not None for ceiling in RULES.ceilings),
        by_evidence=True,
    )
    for number in range(packs):
        profile = number % len(RULES.detector.profiles)
        alone.add(profile=profile)
        both.add(max_operating_temperature_c=60.0, longest_gap_s=30.0, profile=profile)
    phase_ms = random.integers(0, INTERVAL_MS, packs)
    base_c = (random.normal(25.0, 3.0, (packs, 1)) + random.normal(0.0, 0.5, (packs, PROBES))).astype(np.float32)
    base_v = (random.normal(3.7, 0.05, (packs, 1)) + random.normal(0.0, 0.01, (packs, VOLTAGES))).astype(np.float32)
    hot = random.random(packs) < 0.01
    # Noise of a few steps is used again and again, since making it takes longer than judging it.
    noise_c = [random.normal(0.0, 0.1, (packs, PROBES)).astype(np.float32) for _ in range(3)]
    noise_v = [random.normal(0.0, 0.002, (packs, VOLTAGES)).astype(np.float32) for _ in range(3)]
    at_ms = START_MS
    seconds: dict[str, list[float]] = {"detector": [], "with ceilings": []}
    warm_up = WARM_UP_MINUTES if packs <= MEASURED else WARM_UP_MINUTES // 6
    for step in range(warm_up + STEPS):
        if step == warm_up:  # each pack's minute begins when it began to report, not all at once
            for columns in (alone.columns(), both.columns()):
                columns.tick_s[:] = random.uniform(0, 60, len(columns.tick_s))
        at_ms += 60_000 if step < warm_up else INTERVAL_MS
        temperatures_c = base_c + noise_c[step % 3]
        temperatures_c[hot, 0] += 0.1 * step
        rows = Rows(
            slot=np.arange(packs),
            sampled_at_ms=at_ms + phase_ms,
            temperatures_c=temperatures_c,
            voltages_v=base_v + noise_v[step % 3],
            ambient_c=base_c[:, 0],
        )
        began = time.perf_counter()
        judge(alone, RULES.detector, rows)
        judged = time.perf_counter()
        for first in range(0, packs, ROWS_AT_ONCE):
            evaluate(both, RULES, _some(rows, slice(first, first + ROWS_AT_ONCE)))
        if step >= warm_up:
            seconds["detector"].append(judged - began)
            seconds["with ceilings"].append(time.perf_counter() - judged)
    return {
        "packs": packs,
        "step_s": round(float(np.median(seconds["detector"])), 4),
        "slowest_step_s": round(max(seconds["detector"]), 4),
        "step_with_ceilings_s": round(float(np.median(seconds["with ceilings"])), 4),
        "state_bytes_per_pack": round(alone.nbytes / alone.capacity),
        "state_with_ceilings_bytes_per_pack": round(
            sum(column.nbytes for column in vars(both).values() if isinstance(column, np.ndarray)) / len(both.newest_ms)
        ),
    }


def _some(rows: Rows, packs: slice) -> ceilings.Rows:
    """Those rows, as the alert engine hands them over."""
    return ceilings.Rows(
        slot=rows.slot[packs],
        sampled_at_ms=rows.sampled_at_ms[packs],
        temperatures_c=rows.temperatures_c[packs],
        voltages_v=rows.voltages_v[packs],
        ambient_c=None if rows.ambient_c is None else rows.ambient_c[packs],
    )


if __name__ == "__main__":
    main()
