"""How fast the fixed detector judges: 300,000 packs of 16 probes and 8 voltages, one sample each.

Prints a table, then one JSON object on the last line, which is also written to bench/alert_core.json.
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

from alerts.ceilings import Rows, evaluate
from alerts.engine import Engine
from alerts.pack_states import PackStates
from alerts.rules import RULES
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

PACKS = 300_000
PROBES = 16
VOLTAGES = 8
STEPS = 5
INTERVAL_MS = 10_000
FLUSH = 1_000
"""One-sample batches a call: what 25,000 a second are in flushes of 40 ms."""
FLUSHES = 50


def core_seconds(hot_share: float) -> list[float]:
    """Seconds for each step of all packs, the first left out: it finds nothing to compare with."""
    random = np.random.default_rng(1)
    states = PackStates(temperature_channels=PROBES, voltage_channels=VOLTAGES, clearing_ceilings=1)
    slot = np.array([states.add(max_operating_temperature_c=60.0, longest_gap_s=30.0) for _ in range(PACKS)])
    hot = random.random(PACKS) < hot_share
    found = []
    for step in range(STEPS + 1):
        temperatures_c = random.normal(25.0, 0.5, (PACKS, PROBES)).astype(np.float32)
        temperatures_c[hot, 0] = 62.0 - 4 * (step % 2)
        rows = Rows(
            slot=slot,
            sampled_at_ms=np.full(PACKS, 1_800_000_000_000 + step * INTERVAL_MS),
            temperatures_c=temperatures_c,
            voltages_v=random.normal(3.7, 0.005, (PACKS, VOLTAGES)).astype(np.float32),
        )
        began = time.perf_counter()
        crossings = evaluate(states, RULES, rows)
        found.append(time.perf_counter() - began)
        if len(crossings) != (hot.sum() if step == 0 else 0):
            raise SystemExit(
                f"step {step}: {len(crossings)} changes of level, so what was measured is not the detector"
            )
    return found[1:]


def engine_seconds() -> float:
    """Seconds to take in FLUSHES calls of FLUSH one-sample batches, packing and duplicates' check included."""
    random = np.random.default_rng(1)
    engine = Engine()
    flushes = [
        [
            ReceivedBatch(
                batch=SampleBatch(
                    unit_id=f"unit-{unit}",
                    boot_id="1-a",
                    frame=flush,
                    provenance=Provenance.SYNTHETIC,
                    sampled_at_ms=np.array([1_800_000_000_000 + flush * INTERVAL_MS]),
                    time_uncertainty_s=0.01,
                    temperatures_c=random.normal(25.0, 0.5, (1, PROBES)),
                    voltages_v=random.normal(3.7, 0.005, (1, VOLTAGES)),
                ),
                fleet_id="fleet-1",
                gateway_id="gateway-1",
                received_at_ms=1_800_000_000_000 + flush * INTERVAL_MS,
            )
            for unit in range(FLUSH)
        ]
        for flush in range(FLUSHES + 1)
    ]
    engine.observe(flushes[0])
    began = time.perf_counter()
    for flush in flushes[1:]:
        engine.observe(flush)
    return time.perf_counter() - began


def main() -> None:
    """Measure and report."""
    values = PACKS * (PROBES + VOLTAGES)
    result = {
        "packs": PACKS,
        "probes": PROBES,
        "voltages": VOLTAGES,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    table = Table("what", "s", "values/s", title=f"{PACKS:,} packs, {PROBES} probes and {VOLTAGES} voltages each")
    for name, hot_share in (("calm", 0.0), ("1 % hot", 0.01)):
        seconds = float(np.median(core_seconds(hot_share)))
        table.add_row(f"one step of all packs, {name}", f"{seconds:.3f}", f"{values / seconds:,.0f}")
        key = name.replace(" %", "_percent").replace(" ", "_")
        result |= {f"step_s_{key}": round(seconds, 4), f"values_per_s_{key}": round(values / seconds)}
    seconds = engine_seconds()
    batches = FLUSH * FLUSHES
    table.add_row(
        f"engine, {batches:,} batches of one sample, {FLUSH:,} a call",
        f"{seconds:.3f}",
        f"{batches * (PROBES + VOLTAGES) / seconds:,.0f}",
    )
    result |= {
        "engine_batches_per_s": round(batches / seconds),
        "engine_values_per_s": round(batches * (PROBES + VOLTAGES) / seconds),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    Console().print(table)
    line = json.dumps(result)
    Path(__file__).with_suffix(".json").write_text(line + "\n")
    print(line)


if __name__ == "__main__":
    main()
