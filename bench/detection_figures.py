"""Figures of the detector's benchmark, from the outcomes of its packs: leads, false alarms, targets, comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alerts.performance import SHORT_LEAD_S, Outcomes, joined, upper_bound_per_day

if TYPE_CHECKING:
    from collections.abc import Sequence

BENIGN = "benign"
"""The kind of families in which nothing is wrong."""
SLOW, PROMPT = "slow", "fast"
"""The kinds whose lead counts, and whose latency."""
LONG_LEAD_S = 1800.0
"""The half hour that the detector is to give 95 % of slow failures."""
PROMPT_S = 5.0
"""How soon after +5 degC a fast short is to be told."""
NOISY_PER_DAY = 0.1
"""From here on a method is not used at its own quiet: one false alarm in ten pack-days."""
NEAR = 0.9
"""Of a noisy method's lead, which a quiet one is to reach."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """P packs of one family, by one method."""

    family: str
    kind: str
    chemistry: tuple[str, ...]
    outcomes: Outcomes
    runs_away: np.ndarray
    """(P,) whether the simulated pack ran away."""

    def of_chemistry(self, chemistry: str) -> Scored:
        """Its packs of that chemistry alone."""
        return self.some(np.array([each == chemistry for each in self.chemistry], bool))

    def silent_before(self) -> Scored:
        """Those of its packs in which the method had not alarmed before the onset."""
        return self.some(self.outcomes.false_warnings == 0)

    def some(self, chosen: np.ndarray) -> Scored:
        """Those of its packs for which `chosen` (P,) holds."""
        columns = {name: getattr(self.outcomes, name)[chosen] for name in Outcomes.__slots__}
        return Scored(
            family=self.family,
            kind=self.kind,
            chemistry=tuple(np.array(self.chemistry, object)[chosen]),
            outcomes=Outcomes(**columns),
            runs_away=self.runs_away[chosen],
        )


def leads(scored: Sequence[Scored]) -> dict[str, Any]:
    """Of all packs that ran away: how many were warned before, and how long. A pack never warned has no lead: 0 s."""
    outcomes = joined([each.outcomes for each in scored])
    runs_away = np.concatenate([each.runs_away for each in scored])
    # A warning after the runaway is no lead, and neither is none.
    lead_s = np.maximum(np.nan_to_num(outcomes.lead_s, nan=0.0), 0.0)[runs_away]
    events = {"events": len(outcomes), "warned": _share(np.isfinite(outcomes.warned_s)), "runaways": len(lead_s)}
    if not len(lead_s):
        return events
    p5, p10, p50, p90 = (round(float(value)) for value in np.percentile(lead_s, (5, 10, 50, 90)))
    return events | {
        "warned_before": _share(lead_s > 0),
        "lead_of_5_min": _share(lead_s >= SHORT_LEAD_S),
        "lead_of_30_min": _share(lead_s >= LONG_LEAD_S),
        "lead_s_shortest": round(float(lead_s.min())),
        "lead_s_5th_percentile": p5,
        "lead_s_10th_percentile": p10,
        "lead_s_median": p50,
        "lead_s_90th_percentile": p90,
    }


def latencies(scored: Sequence[Scored]) -> dict[str, Any]:
    """Of all packs whose probe beside the fault rose by 5 degC: how soon after it they were warned."""
    latency_s = np.concatenate([each.outcomes.latency_s for each in scored])
    latency_s = latency_s[~np.isnan(latency_s)]
    if not len(latency_s):
        return {"events": 0}
    known = np.where(np.isinf(latency_s), np.nan, latency_s)
    return {
        "events": len(latency_s),
        "warned": _share(np.isfinite(latency_s)),
        "within_5_s": _share(latency_s <= PROMPT_S),
        "latency_s_median": _rounded(np.nanmedian(known)) if np.isfinite(known).any() else None,
        "latency_s_99th_percentile": _rounded(np.nanpercentile(known, 99)) if np.isfinite(known).any() else None,
        "latency_s_longest": _rounded(np.nanmax(known)) if np.isfinite(known).any() else None,
    }


def false_alarms(scored: Sequence[Scored]) -> dict[str, Any]:
    """While there was nothing to alarm at: how often, and what the rate is below with 95 % confidence."""
    outcomes = joined([each.outcomes for each in scored])
    days = float(outcomes.quiet_days.sum())
    warnings, criticals = int(outcomes.false_warnings.sum()), int(outcomes.false_criticals.sum())
    return {
        "packs": len(outcomes),
        "pack_days": round(days, 2),
        "false_warnings": warnings,
        "packs_with_false_warnings": int((outcomes.false_warnings > 0).sum()),
        "false_warnings_per_1000_pack_days": round(1000 * warnings / days, 3) if days else None,
        "false_warnings_per_1000_pack_days_below": round(1000 * upper_bound_per_day(warnings, days), 3)
        if days
        else None,
        "false_criticals": criticals,
    }


def compared(name: str, theirs: Sequence[Scored], ours: Sequence[Scored]) -> dict[str, Any]:
    """Whether ours gives no less lead at no more false alarms; or, where theirs is noisy, nearly its lead, quietly."""
    their, our = standing(theirs), standing(ours)
    noisy = their["false_warnings_per_pack_day"] > NOISY_PER_DAY
    factor = NEAR if noisy else 1.0
    enough = all(our[key] >= factor * their[key] for key in ("lead_s_median", "lead_s_10th_percentile", "within_5_s"))
    quiet = our["false_warnings_per_pack_day"] <= their["false_warnings_per_pack_day"]
    return {
        "method": name,
        "theirs": their,
        "ours": our,
        "noisy": noisy,
        "lead_is_enough": enough,
        "no_more_false_alarms": quiet,
        "holds": enough and quiet,
    }


def standing(scored: Sequence[Scored]) -> dict[str, Any]:
    """A method's leads over slow failures, how prompt it is, and its false alarms over benign packs."""
    failing = [each for each in scored if each.kind == SLOW]
    found = leads(failing)
    quiet = joined([each.outcomes for each in scored if each.kind == BENIGN])
    days = float(quiet.quiet_days.sum())
    return {
        "lead_s_median": found["lead_s_median"],
        "lead_s_10th_percentile": found["lead_s_10th_percentile"],
        "warned_before": found["warned_before"],
        "within_5_s": latencies([each for each in scored if each.kind == PROMPT])["within_5_s"],
        "silent_lead_s_median": leads([each.silent_before() for each in failing]).get("lead_s_median"),
        "false_warnings_per_pack_day": float(quiet.false_warnings.sum()) / days,
    }


def _share(holds: np.ndarray) -> float:
    return round(float(holds.mean()), 4)


def _rounded(value: float) -> float:
    return round(float(value), 1)
