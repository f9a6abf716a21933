"""The detector against labelled traces: when it said what, how long before the runaway, and what it said falsely."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alerts.performance import SHORT_LEAD_S, upper_bound_per_day
from alerts.reasons import reasons_of
from alerts.recorded import Watch, block_of, evidence_of
from alerts.rules import DEFAULT_MAX_OPERATING_TEMPERATURE_C, RULES, Rules
from registry.kinds import Level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from alerts.recorded import Recorded, Verdict
    from telemetry.traces import TraceIndexEntry

_LEVELS = tuple(Level)

RISE_C = 5.0
"""From where a fast short's latency is counted: "+5 degC"."""
_START_SAMPLES = 5
"""A probe's start is the median of so many first readings. **Assumed**: one wild reading at the start is common."""


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
    reasons: tuple[str, ...]
    """Each rise, in words."""
    latency_s: float | None
    """From `plus5_at_s` to the first `warning` or higher; negative = it came before; None = either is missing."""
    plus5_at_s: float | None
    """When a probe of an event first stood 5 degC over its start, more than the median probe over its own."""
    alarms: int
    """How often the level rose to `warning` or higher from below."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TraceVerdict:
    """What the detector made of a trace."""

    score: TraceScore
    time_s: NDArray[np.float64]
    """(n,) the trace's own, of the rows in which anything was measured."""
    ranks: NDArray[np.int8]
    """(n,) rank of the level at each of them."""
    evidence: Mapping[str, NDArray[np.float32]]
    """Name -> (n,) or (n, T), for pictures; empty unless it was asked for."""


def score_trace(
    recorded: Recorded,
    entry: TraceIndexEntry,
    *,
    first_s: float,
    rules: Rules = RULES,
    explain: bool = False,
) -> TraceVerdict:
    """Run the detector over one pack's recording, whose time 0 is the trace's own `first_s`.

    Raises ScoringError when it has no temperatures.
    """
    if not recorded.temperatures_c.shape[2]:
        raise ScoringError(f"{entry.trace} has no temperatures to judge by")
    block = block_of(recorded, slice(None), slice(None))
    if not len(block.rows):
        raise ScoringError(f"{entry.trace} has no row left in which anything was measured")
    verdict = Watch(recorded, rules=rules).take(block.rows)
    ranks = verdict.rank.astype(np.int8)
    time_s = first_s + recorded.time_s[block.present[0]]
    before = np.concatenate([[0], ranks[:-1]])
    plus5_at_s = _plus5_at_s(block.rows.temperatures_c, time_s) if entry.label == "event" else None
    first_at_s = {
        level: float(time_s[(ranks >= level.rank).argmax()]) for level in _LEVELS[1:] if (ranks >= level.rank).any()
    }
    warned_at_s = first_at_s.get(Level.WARNING)
    score = TraceScore(
        trace=entry.trace,
        label=entry.label,
        pack_days=float(recorded.time_s[-1] - recorded.time_s[0]) / 86_400,
        watch_at_s=first_at_s.get(Level.WATCH),
        warning_at_s=warned_at_s,
        critical_at_s=first_at_s.get(Level.CRITICAL),
        runaway_level_at_s=first_at_s.get(Level.RUNAWAY),
        runaway_at_s=entry.runaway_at_s,
        lead_s=None if warned_at_s is None or entry.runaway_at_s is None else entry.runaway_at_s - warned_at_s,
        reasons=tuple(
            f"{_LEVELS[ranks[row]]} at {time_s[row]:g} s: {'; '.join(_words(verdict, row, rules))}"
            for row in np.flatnonzero(ranks > before).tolist()
        ),
        latency_s=None if warned_at_s is None or plus5_at_s is None else warned_at_s - plus5_at_s,
        plus5_at_s=plus5_at_s,
        alarms=int(((before < Level.WARNING.rank) & (ranks >= Level.WARNING.rank)).sum()),
    )
    return TraceVerdict(
        score=score,
        time_s=time_s,
        ranks=ranks,
        evidence=evidence_of(recorded, block.rows, rules=rules) if explain else {},
    )


def score_report(scores: Sequence[TraceScore]) -> dict[str, Any]:
    """What `packwatch score --json` prints: the traces, and over all of them a summary."""
    return {"traces": [asdict(score) for score in scores], "summary": _summary(scores)}


def _words(verdict: Verdict, row: int, rules: Rules) -> list[str]:
    """Why the level rose at this row."""
    (k,) = np.flatnonzero(verdict.crossings.row == row)
    max_operating_c = DEFAULT_MAX_OPERATING_TEMPERATURE_C
    return reasons_of(verdict.crossings, int(k), rules=rules, labels=(), max_operating_c=max_operating_c)


def _plus5_at_s(temperatures_c: NDArray[np.float32], time_s: NDArray[np.float64]) -> float | None:
    """When a probe first stood RISE_C over its start, beyond the median probe where there are three or more."""
    start_c = np.array(
        [np.median(column[np.isfinite(column)][:_START_SAMPLES]) if np.isfinite(column).any() else np.nan
         for column in temperatures_c.T]
    )  # fmt: skip
    risen_c = temperatures_c - start_c
    if risen_c.shape[1] >= 3:
        measured = np.isfinite(risen_c).sum(axis=1)
        ordered = np.sort(risen_c, axis=1)
        middle = np.take_along_axis(ordered, np.maximum(measured - 1, 0)[:, None] // 2, axis=1)
        risen_c = risen_c - np.where(measured[:, None] >= 3, middle, 0)
    risen = (risen_c >= RISE_C).any(axis=1)
    return float(time_s[risen.argmax()]) if risen.any() else None


def _summary(scores: Sequence[TraceScore]) -> dict[str, Any]:
    events = [score for score in scores if score.label == "event"]
    benign = [score for score in scores if score.label == "benign"]
    runaways = [score for score in events if score.runaway_at_s is not None]
    leads_s = [score.lead_s for score in runaways if score.lead_s is not None]
    latencies_s = [score.latency_s for score in events if score.latency_s is not None]
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
        "latency_s_median": float(np.median(latencies_s)) if latencies_s else None,
        "benign": len(benign),
        "benign_pack_days": benign_days,
        "false_alarms": false_alarms,
        "false_alarms_per_pack_day": false_alarms / benign_days if benign_days else None,
        "false_alarms_per_pack_day_below": upper_bound_per_day(false_alarms, benign_days) if benign_days else None,
    }
