"""The detector, and what people use today, on simulated families that the tuning never saw, and on measured recordings.

`make detection` runs it whole and writes bench/detection.json and docs/detection.md; `--quick` takes two packs of
each family. The last line is JSON with the targets and the comparison.
"""

from __future__ import annotations

import rooms_first  # noqa: F401

# isort: split

import argparse
import json
import platform
import resource
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import detection_page
import numpy as np
from detection_figures import BENIGN, PROMPT, SLOW, Scored, compared, false_alarms, latencies, leads
from detection_plan import (
    FULL,
    QUICK,
    TRACES,
    WORSENED,
    WORST,
    Job,
    Plan,
    kind_of,
    together,
)
from rich.console import Console

from alerts.baselines import BASELINES, Baseline
from alerts.performance import outcomes_of
from alerts.recorded import ranks_of_baseline, ranks_of_detector
from packwatch.judging import score_folder
from registry.kinds import Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from firmware_sim.families import Recordings

ROOT = Path(__file__).parents[1]
OURS = "Packwatch"
PAUSE_S = 3600.0
"""An alarm of a fixed rule that comes back within the hour is counted once: those rules have no hysteresis."""

console = Console(stderr=True)


def main() -> None:
    """Make, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two packs of each family, a report every 60 s")
    parser.add_argument("--families", nargs="+", default=[], metavar="NAME", help="only these families")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "detection.json", help="where figures go")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "detection.md", help="where the page goes")
    given = parser.parse_args()
    result = run(replace(QUICK if given.quick else FULL, families=tuple(given.families)))
    given.json.write_text(json.dumps(result, indent=1) + "\n")
    given.page.write_text(detection_page.page(result))
    print(json.dumps({"targets": result["targets"], "comparison": result["comparison"]}))


def run(plan: Plan) -> dict[str, Any]:
    """Judge everything that the plan makes; returns what bench/detection.json holds."""
    began = time.perf_counter()
    scored: dict[str, list[Scored]] = defaultdict(list)
    worsened: dict[str, list[Scored]] = defaultdict(list)
    for jobs in plan.batches():
        recordings = together([job.recordings() for job in jobs])
        made_s = time.perf_counter() - began
        scored[OURS] += _scored(recordings, jobs, None)
        for baseline in BASELINES:
            scored[baseline.name] += _scored(recordings, jobs, baseline)
        if any(kind_of(job.family) == SLOW for job in jobs):
            for worsening in WORSENED:
                found = _scored(worsening.of(recordings, jobs[0].seed), jobs, None)
                worsened[worsening.name] += [each for each in found if each.kind == SLOW]
        names = ", ".join(f"{job.packs} {job.family}" for job in jobs)
        console.print(f"{made_s:6.0f} s made, {time.perf_counter() - began:6.0f} s judged: {names}", soft_wrap=True)
    ours = scored[OURS]
    traces = _measured_traces()
    failing = [each for each in ours if each.kind != BENIGN]
    benign = [each for each in ours if each.kind == BENIGN]
    return {
        "events": sum(len(each.outcomes) for each in failing),
        "test_families": len({each.family for each in ours}),
        "benign_pack_days": float(sum(each.outcomes.quiet_days.sum() for each in benign)),
        "targets": _targets(ours, worsened[WORST.name], traces),
        "comparison": [compared(baseline.name, scored[baseline.name], ours) for baseline in BASELINES],
        "families": [
            {"family": family, "chemistry": chemistry, **leads(each)} for family, chemistry, each in _parts(failing)
        ],
        "latencies": [
            {"family": family, "chemistry": chemistry, **latencies(each)}
            for family, chemistry, each in _parts([each for each in failing if each.kind == PROMPT])
        ],
        "false_alarms": [
            *({"family": family, **false_alarms(each)} for family, each in _by_family(benign).items()),
            {"family": "all benign", **false_alarms(benign)},
            {"family": "before an onset", **false_alarms(failing)},
        ],
        "worsened": {name: leads(each) for name, each in worsened.items()},
        "traces": traces,
        "seconds": round(time.perf_counter() - began),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _scored(recordings: Recordings, jobs: Sequence[Job], baseline: Baseline | None) -> list[Scored]:
    """One method on a batch, job by job."""
    ranks = ranks_of_detector(recordings) if baseline is None else ranks_of_baseline(recordings, baseline)
    outcomes = outcomes_of(
        ranks,
        time_s=recordings.time_s,
        onset_s=recordings.onset_s,
        plus5_s=recordings.plus5_s,
        runaway_s=recordings.runaway_s,
        pause_s=0.0 if baseline is None else PAUSE_S,
    )
    whole = Scored(
        family="several",
        kind="several",
        chemistry=tuple(recordings.chemistry),
        outcomes=outcomes,
        runs_away=np.isfinite(recordings.runaway_s),
    )
    family = np.repeat([job.family for job in jobs], [job.packs for job in jobs])
    return [
        replace(whole.some(family == name), family=name, kind=kind_of(name)) for name in dict.fromkeys(family.tolist())
    ]


def _by_family(scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    found: dict[str, list[Scored]] = defaultdict(list)
    for each in scored:
        found[each.family].append(each)
    return found


def _parts(scored: Sequence[Scored]) -> Iterator[tuple[str, str, list[Scored]]]:
    """Family by family, and in each one chemistry by chemistry."""
    for family, parts in _by_family(scored).items():
        for chemistry in sorted({name for part in parts for name in part.chemistry}):
            yield family, chemistry, [part.of_chemistry(chemistry) for part in parts]


def _targets(
    ours: Sequence[Scored], worst: Sequence[Scored], traces: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What the detector must reach, and what it has."""
    slow = leads([each for each in ours if each.kind == SLOW])
    prompt = latencies([each for each in ours if each.kind == PROMPT])
    quiet = false_alarms([each for each in ours if each.kind == BENIGN])
    worse = leads(worst)
    heater = next(each for each in traces if each["trace"] == "heater_30_cells.csv")
    to_warning_s = heater["runaway_at_s"] - (heater["warning_at_s"] or np.inf)
    to_critical_s = heater["runaway_at_s"] - (heater["critical_at_s"] or np.inf)
    benign_warned = [each["trace"] for each in traces if each["label"] == "benign" and each["warning_at_s"] is not None]
    per_1000, below = quiet["false_warnings_per_1000_pack_days"], quiet["false_warnings_per_1000_pack_days_below"]
    rows = (
        ("slow self-heating and growing shorts: `warning` before runaway", "100 %", _share(slow, "warned_before"),
         slow["warned_before"] >= 1),
        ("the same, lead of 5 min", "100 %", _share(slow, "lead_of_5_min"), slow["lead_of_5_min"] >= 1),
        ("the same, lead of 30 min", "95 %", _share(slow, "lead_of_30_min"), slow["lead_of_30_min"] >= 0.95),
        ("fast shorts, 1 s reports: `warning` within 5 s of +5 degC", "99 %", _share(prompt, "within_5_s"),
         prompt["within_5_s"] >= 0.99),
        ("benign: false `warning` in 1,000 pack-days", "<= 1",
         f"{per_1000:g} ({quiet['false_warnings']} in {quiet['pack_days']:,.0f}; below {below:g})", per_1000 <= 1),
        ("benign: false `critical`", "0", f"{quiet['false_criticals']}", quiet["false_criticals"] == 0),
        ("one probe dead, one stuck, 20 % of frames lost, 60 s reports, all at once: `warning` before runaway", "99 %",
         _share(worse, "warned_before"), worse["warned_before"] >= 0.99),
        ("the same, lead of 5 min", "95 %", _share(worse, "lead_of_5_min"), worse["lead_of_5_min"] >= 0.95),
        ("`heater_30_cells`: `warning` before runaway", ">= 20 min", f"{to_warning_s / 60:.1f} min",
         to_warning_s >= 1200),
        ("`heater_30_cells`: `critical` before runaway", ">= 8 min", f"{to_critical_s / 60:.1f} min",
         to_critical_s >= 480),
        ("measured benign recordings with a `warning`", "0", ", ".join(benign_warned) or "0", not benign_warned),
    )  # fmt: skip
    return [{"case": case, "must": must, "has": has, "met": bool(met)} for case, must, has, met in rows]


def _share(found: Mapping[str, Any], key: str) -> str:
    return f"{100 * found[key]:.2f} % of {found.get('runaways', found['events']):,}"


def _measured_traces() -> list[dict[str, Any]]:
    """The recordings in the tests' folder, by the detector and by each fixed rule."""
    judged = score_folder(TRACES)
    rows = []
    for each, row in zip(judged.traces, judged.report["traces"], strict=True):
        recordings = each.recordings
        warned = {
            baseline.name: ranks_of_baseline(recordings, baseline)[0] >= Level.WARNING.rank for baseline in BASELINES
        }
        rows.append(
            {
                **row,
                "baselines_warning_at_s": {
                    name: each.first_s + float(recordings.time_s[holds.argmax()]) if holds.any() else None
                    for name, holds in warned.items()
                },
            }
        )
    return rows


if __name__ == "__main__":
    main()
