"""How well a method did on recordings whose truth is known: leads, latencies, false alarms. Pure figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from registry.kinds import Level

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SHORT_LEAD_S = 300.0
"""The warning that UN GTR 20 asks of vehicles: 5 min before a hazard (Batteries 2023, 9, 339)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcomes:
    """P packs. Times in s of the recording; NaN = never."""

    warned_s: Floats
    """(P,) the first sample at or after the fault's onset at which the level stood at `warning` or higher."""
    critical_s: Floats
    """(P,) the same for `critical`."""
    lead_s: Floats
    """(P,) from there to the runaway; negative = too late; NaN = no runaway, or never warned."""
    latency_s: Floats
    """(P,) from +5 degC at the probe beside the fault to the first warning; negative = earlier; infinite = never."""
    false_warnings: NDArray[np.int64]
    """(P,) how often the level rose to `warning` or higher before the onset; in a benign recording, ever."""
    false_criticals: NDArray[np.int64]
    """(P,) the same for `critical`."""
    quiet_days: Floats
    """(P,) how long there was nothing to alarm at, in days."""

    def __len__(self) -> int:
        return len(self.warned_s)


def outcomes_of(
    ranks: NDArray[np.int8],
    *,
    time_s: Floats,
    onset_s: Floats,
    plus5_s: Floats,
    runaway_s: Floats,
    pause_s: float = 0.0,
) -> Outcomes:
    """From (P, N) ranks and the truth (P,).

    `pause_s`: an alarm that comes back within so many s of the one before is the same alarm, for methods without a
    hysteresis of their own.
    """
    quiet = time_s < np.where(np.isnan(onset_s), np.inf, onset_s)[:, None]
    warned = ranks >= Level.WARNING.rank
    warned_s = _first(warned & ~quiet, time_s)
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
    return Outcomes(
        warned_s=warned_s,
        critical_s=_first((ranks >= Level.CRITICAL.rank) & ~quiet, time_s),
        lead_s=runaway_s - warned_s,
        latency_s=np.where(np.isnan(warned_s), np.inf, warned_s) - plus5_s,
        false_warnings=_rises(warned & quiet, time_s, pause_s),
        false_criticals=_rises((ranks >= Level.CRITICAL.rank) & quiet, time_s, pause_s),
        quiet_days=quiet.sum(axis=1) * step_s / 86_400,
    )


def joined(outcomes: list[Outcomes]) -> Outcomes:
    """The packs of all, one after the other."""
    return Outcomes(
        **{name: np.concatenate([getattr(each, name) for each in outcomes]) for name in Outcomes.__slots__},
    )


def upper_bound_per_day(alarms: int, days: float) -> float:
    """What the rate of false alarms a pack-day is below, with 95 % confidence; NaN when nothing was watched.

    With none in N days it is the rule of three, 3/N; with more, the bound of a Poisson count (Garwood 1936) by the
    approximation of Wilson and Hilferty, good to 1 %.
    """
    if not days:
        return float("nan")
    if not alarms:
        return 3 / days
    count = alarms + 1
    return float(count * (1 - 1 / (9 * count) + 1.645 / (3 * np.sqrt(count))) ** 3 / days)


def _first(holds: NDArray[np.bool_], time_s: Floats) -> Floats:
    """(P, N) -> (P,) the time of the first sample that holds; NaN = none."""
    first: Floats = np.where(holds.any(axis=1), time_s[holds.argmax(axis=1)], np.nan)
    return first


def _rises(holds: NDArray[np.bool_], time_s: Floats, pause_s: float) -> NDArray[np.int64]:
    """(P,) how often it began to hold, after it had not for longer than `pause_s`."""
    latest = np.maximum.accumulate(np.where(holds, np.arange(holds.shape[1]), -1), axis=1)
    before = np.full_like(latest, -1)
    before[:, 1:] = latest[:, :-1]
    began = np.zeros_like(holds)
    began[:, 1:] = holds[:, 1:] & ~holds[:, :-1]
    began[:, 0] = holds[:, 0]
    apart = (before < 0) | (time_s - time_s[np.maximum(before, 0)] > pause_s)
    rises: NDArray[np.int64] = (began & apart).sum(axis=1)
    return rises
