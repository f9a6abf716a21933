"""Each reading against the probe's reading before: in the row before, nearly always, or further back, or remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alerts.pack_states import NEVER_MS
from alerts.scans import last_true, row_before

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alerts.detector import Rows
    from alerts.pack_states import PackStates
    from alerts.rules import Rules

_ROUNDING_C = 1e-3
"""degC. Temperatures travel as float32: a difference of two near 1,000 degC may be off by a tenth of this."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Steps:
    """(N, T) each reading against the probe's reading before."""

    measured: NDArray[np.bool_]
    """A live reading, and not the same once more."""
    before_c: NDArray[np.float32]
    step_ms: NDArray[np.int64]
    trusted: NDArray[np.bool_]
    """Both are there, and the gap between them is not too long."""
    rising: NDArray[np.bool_]
    """At the runaway rule's rate or faster."""

    def __getitem__(self, chosen: NDArray[np.int64]) -> Steps:
        return Steps(
            measured=self.measured[chosen],
            before_c=self.before_c[chosen],
            step_ms=self.step_ms[chosen],
            trusted=self.trusted[chosen],
            rising=self.rising[chosen],
        )


def follow_steps(
    states: PackStates, rules: Rules, rows: Rows, starts: NDArray[np.int64], live: NDArray[np.bool_]
) -> Steps:
    """What each reading says of the probe's rate; (N,) `live`: rows that are not older than their slot's newest."""
    readings = np.isfinite(rows.temperatures_c) & live[:, None]
    begins = np.flatnonzero(starts == np.arange(len(starts)))
    if len(begins) == len(starts):  # one row a pack: the usual case at full rate
        before_c, before_ms = states.reading_c[rows.slot], states.reading_ms[rows.slot]
        measured = readings & (before_ms < rows.sampled_at_ms[:, None])
    else:
        measured, before_c, before_ms = _row_before(states, rows, begins)
        if not (measured & readings).all():  # nearly always each probe's reading before is in the row before
            measured, before_c, before_ms = _reading_before(states, rows, starts, readings)
    step_ms = rows.sampled_at_ms[:, None] - before_ms
    trusted = measured & (before_ms != NEVER_MS) & (step_ms <= states.longest_gap_ms[rows.slot][:, None])
    enough_c = step_ms.astype(np.float32) * np.float32(rules.runaway.rate_c_per_s / 1000) - np.float32(_ROUNDING_C)
    rising = trusted & (rows.temperatures_c - before_c >= enough_c)
    return Steps(measured=measured, before_c=before_c, step_ms=step_ms, trusted=trusted, rising=rising)


def _row_before(
    states: PackStates, rows: Rows, begins: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.int64]]:
    """(N, T) whether each row is newer than the one before, what that read, and when. Holds if all probes measure."""
    before_c = np.empty_like(rows.temperatures_c)
    before_ms = np.empty(before_c.shape, np.int64)
    before_c[1:] = rows.temperatures_c[:-1]
    before_ms[1:] = rows.sampled_at_ms[:-1, None]
    before_c[begins] = states.reading_c[rows.slot[begins]]
    before_ms[begins] = states.reading_ms[rows.slot[begins]]
    return before_ms < rows.sampled_at_ms[:, None], before_c, before_ms


def _reading_before(
    states: PackStates, rows: Rows, starts: NDArray[np.int64], readings: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.int64]]:
    """(N, T) whether each of the live `readings` is a new one, the probe's reading before, and when that was."""
    before_c, before_ms = states.reading_c[rows.slot], states.reading_ms[rows.slot]
    # Times of live rows never decrease, so a reading is new if the probe's reading before has another time.
    earlier = row_before(last_true(readings))
    latest_ms = np.where(earlier >= starts[:, None], rows.sampled_at_ms[np.maximum(earlier, 0)], before_ms)
    measured = readings & (latest_ms < rows.sampled_at_ms[:, None])
    earlier = row_before(last_true(measured))
    inside = earlier >= starts[:, None]
    earlier = np.where(inside, earlier, 0)
    before_c = np.where(inside, np.take_along_axis(rows.temperatures_c, earlier, axis=0), before_c)
    before_ms = np.where(inside, rows.sampled_at_ms[earlier], before_ms)
    return measured, before_c, before_ms
