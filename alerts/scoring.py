"""The detector against labelled traces: when it said what, how long before the runaway, and what it said falsely."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alerts.ceilings import Rows, evaluate
from alerts.pack_states import PackStates
from alerts.reasons import reasons_of
from alerts.rules import DEFAULT_MAX_OPERATING_TEMPERATURE_C, RULES, Rules
from registry.enrolment import DEFAULT_REPORT_INTERVAL_S
from registry.kinds import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.traces import Trace, TraceIndexEntry

_LEVELS = tuple(Level)

SHORT_LEAD_S = 300.0
"""The warning that UN GTR 20 asks of vehicles: 5 min before a hazard (Batteries 2023, 9, 339)."""


class ScoringError(ValueError):
    """A trace that the detector cannot be judged by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceScore:
    """One trace. Times are the trace's own, s; each is when its level or a higher one first stood; None = never."""

    trace: str
    label: str
    pack_days: float
    watch_at_s: float | None
    warning_at_s: float | None
    critical_at_s: float | None
    runaway_level_at_s: float | None
    runaway_at_s: float | None
    """As recorded, not as detected."""
    lead_s: float | None
    """From the first `warning` or higher to the recorded runaway; negative = it came too late; None = no runaway was
    recorded, or nothing was raised."""
    alarms: int
    """How often the level rose to `warning` or higher from below."""
    reasons: tuple[str, ...]
    """Each rise, in words."""


def score_trace(trace: Trace, entry: TraceIndexEntry, *, rules: Rules = RULES) -> TraceScore:
    """Run the detector over a recording, as if its channels were one unit's on one pack.

    Raises ScoringError when it has no temperatures.
    """
    if not trace.temperatures_c.shape[1]:
        raise ScoringError(f"{entry.trace} has no temperatures to judge by")
    steps_s = np.diff(trace.time_s)
    interval_s = float(np.median(steps_s)) if len(steps_s) else DEFAULT_REPORT_INTERVAL_S
    states = PackStates(
        temperature_channels=trace.temperatures_c.shape[1],
        voltage_channels=trace.voltages_v.shape[1],
        clearing_ceilings=sum(ceiling.clears is not None for ceiling in rules.ceilings),
    )
    states.add(
        max_operating_temperature_c=DEFAULT_MAX_OPERATING_TEMPERATURE_C, longest_gap_s=rules.longest_gap_s(interval_s)
    )
    crossings = evaluate(
        states,
        rules,
        Rows(
            slot=np.zeros(len(trace), np.int64),
            sampled_at_ms=np.rint((trace.time_s - trace.time_s[0]) * 1000).astype(np.int64),
            temperatures_c=trace.temperatures_c,
            voltages_v=trace.voltages_v,
        ),
    )
    first_at_s: dict[Level, float] = {}
    reasons: list[str] = []
    alarms = 0
    for k, row in enumerate(crossings.row):
        before, rank = int(crossings.rank_before[k]), int(crossings.rank[k])
        if rank <= before:
            continue
        at_s = float(trace.time_s[row])
        for level in _LEVELS[1 : rank + 1]:
            first_at_s.setdefault(level, at_s)
        alarms += before < Level.WARNING.rank <= rank
        words = reasons_of(crossings, k, rules=rules, labels=(), max_operating_c=DEFAULT_MAX_OPERATING_TEMPERATURE_C)
        reasons.append(f"{_LEVELS[rank]} at {at_s:g} s: {'; '.join(words)}")
    warned_at_s = first_at_s.get(Level.WARNING)
    return TraceScore(
        trace=entry.trace,
        label=entry.label,
        pack_days=float(trace.time_s[-1] - trace.time_s[0]) / 86_400,
        watch_at_s=first_at_s.get(Level.WATCH),
        warning_at_s=warned_at_s,
        critical_at_s=first_at_s.get(Level.CRITICAL),
        runaway_level_at_s=first_at_s.get(Level.RUNAWAY),
        runaway_at_s=entry.runaway_at_s,
        lead_s=None if warned_at_s is None or entry.runaway_at_s is None else entry.runaway_at_s - warned_at_s,
        alarms=alarms,
        reasons=tuple(reasons),
    )


def score_report(scores: Sequence[TraceScore]) -> dict[str, Any]:
    """What `packwatch score --json` prints: the traces, and over all of them a summary."""
    return {
        "traces": [{name: value for name, value in asdict(score).items() if name != "alarms"} for score in scores],
        "summary": _summary(scores),
    }


def _summary(scores: Sequence[TraceScore]) -> dict[str, Any]:
    events = [score for score in scores if score.label == "event"]
    benign = [score for score in scores if score.label == "benign"]
    runaways = [score for score in events if score.runaway_at_s is not None]
    leads_s = [score.lead_s for score in runaways if score.lead_s is not None]
    benign_days = sum(score.pack_days for score in benign)
    false_alarms = sum(score.alarms for score in benign)
    return {
        "events": len(events),
        "events_warned": sum(score.warning_at_s is not None for score in events),
        "runaways": len(runaways),
        "runaways_warned_before": sum(lead_s > 0 for lead_s in leads_s),
        "lead_s_median": float(np.median(leads_s)) if leads_s else None,
        "lead_s_10th_percentile": float(np.percentile(leads_s, 10)) if leads_s else None,
        "share_of_runaways_with_5_min": (
            sum(lead_s >= SHORT_LEAD_S for lead_s in leads_s) / len(runaways) if runaways else None
        ),
        "benign": len(benign),
        "benign_pack_days": benign_days,
        "false_alarms": false_alarms,
        "false_alarms_per_pack_day": false_alarms / benign_days if benign_days else None,
        # The rule of three: with no event in N days the rate is below 3/N with 95 % confidence, and no more is known.
        "false_alarms_per_pack_day_below": 3 / benign_days if benign_days and not false_alarms else None,
    }
