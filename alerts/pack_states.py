"""What the fixed detector remembers of each pack: one structure of arrays for all packs with the same channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alerts.detector.states import NAMES as EVIDENCE_NAMES
from alerts.detector.states import Columns, fresh_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

NEVER_MS = -1
"""Before any sample: sample times are not negative."""

_FIRST_CAPACITY = 16
_EVIDENCE = "evidence_"


class PackStates:
    """State by slot: a slot is one unit's series about one pack. Grows by doubling; freed slots are used again.

    Attributes are arrays whose first axis is the slot; T temperature and V voltage channels; C ceilings that clear.
    About 46 bytes a temperature channel and 9 a voltage channel.
    """

    def __init__(
        self, *, temperature_channels: int, voltage_channels: int, clearing_ceilings: int, by_evidence: bool = False
    ) -> None:
        t, v, c, n = temperature_channels, voltage_channels, clearing_ceilings, _FIRST_CAPACITY
        self.layout, self.by_evidence = (t, v), by_evidence
        """Whether the detector's memory is kept here too; else levels are the ceilings' alone."""
        self.newest_ms = np.full(n, NEVER_MS, np.int64)
        """Event time of the newest live row."""
        self.level = np.zeros(n, np.int64)
        """Rank of the level now."""
        self.latched = np.zeros(n, np.int64)
        """Rank of the highest latching level since a person last closed it."""
        self.max_operating_c = np.zeros(n, np.float32)
        self.longest_gap_ms = np.zeros(n, np.int64)
        self.settled_from_ms = np.full(n, NEVER_MS, np.int64)
        self.settled_until_ms = np.full(n, NEVER_MS, np.int64)
        self.settled_level = np.zeros(n, np.int64)
        """Rows sampled from..until raise nothing up to this rank: an alert about them has ended."""
        self.reading_c = np.full((n, t), np.nan, np.float32)
        self.reading_ms = np.full((n, t), NEVER_MS, np.int64)
        """Each probe's latest live reading."""
        self.rise_ms = np.zeros((n, t), np.int32)
        """How long the probe has been rising at the runaway rule's rate, up to its latest reading; 0 = it is not."""
        self.leap_c, self.leapt_apart = np.full((n, t), np.nan, np.float32), np.zeros((n, t), bool)
        """Where the probe leapt to alone, while that does not count yet; NaN = it did not. And whether it has read two
        such values, so far apart that both may be codes."""
        self.leap_base_c = np.full((n, t), np.nan, np.float32)
        """What the others read then, or as the present ten minutes began."""
        self.above = np.zeros((n, c, t), bool)
        """Whether the probe passed the ceiling and has not stayed below it since."""
        self.exceeded_ms = np.full((n, c, t), NEVER_MS, np.int64)
        """The latest row in which the probe passed the ceiling."""
        self.low_since_ms = np.full((n, c, t), NEVER_MS, np.int64)
        """Since when the probe has stayed below; kept only while `above`."""
        self.hot = np.zeros((n, t), bool)
        """Under a latch: whether the probe passed the mildest alarming ceiling live, and has not stayed below since."""
        self.eased_ms = np.full(n, NEVER_MS, np.int64)
        """Under a latch: since when no probe that reports is hot; NEVER_MS = one is, or it is not known yet."""
        self.coolest_c = np.full((n, t), np.nan, np.float32)
        """Under a latch: each probe's lowest reading since one passed that ceiling."""
        self.slice_number = np.full(n, NEVER_MS, np.int64)
        self.slice_highest_v = np.full((n, v), np.nan, np.float32)
        """Each channel's highest voltage in the present slice of time."""
        self.reference_v = np.full((n, v), np.nan, np.float32)
        self.fallen = np.zeros((n, v), bool)
        """Whether the channel's latest reading was a collapse against its reference."""
        if by_evidence:
            learnt = fresh_columns(n, layout=self.layout)
            for name in EVIDENCE_NAMES:
                setattr(self, _EVIDENCE + name, getattr(learnt, name))
        self.forecast_s: dict[int, tuple[float, float]] = {}
        """Earliest and latest s from the newest row to the next level, of the few slots that have a trend."""
        self._fresh = {name: column[:1].copy() for name, column in self._columns().items()}
        self._used = 0
        self._free: list[int] = []

    def _columns(self) -> dict[str, NDArray[np.generic]]:
        return {name: column for name, column in vars(self).items() if isinstance(column, np.ndarray)}

    def columns(self) -> Columns:
        """What the detector remembers, of all slots."""
        return Columns(**{name: getattr(self, _EVIDENCE + name) for name in EVIDENCE_NAMES})

    def __len__(self) -> int:
        """How many slots are in use."""
        return self._used - len(self._free)

    def add(self, *, max_operating_temperature_c: float, longest_gap_s: float, profile: int = 0) -> int:
        """A fresh slot. The arrays may be replaced by longer ones: hold no reference to them across this call.

        profile: of the detector's rules.
        """
        if self._free:
            slot = self._free.pop()
        else:
            slot, self._used = self._used, self._used + 1
            if slot == len(self.newest_ms):
                for name, column in self._columns().items():
                    setattr(self, name, np.concatenate([column, np.repeat(self._fresh[name], slot, axis=0)]))
        self.max_operating_c[slot] = max_operating_temperature_c
        self.longest_gap_ms[slot] = round(longest_gap_s * 1000)
        if self.by_evidence:
            self.columns().profile[slot] = profile
        return slot

    def free(self, slot: int) -> None:
        """Forget the slot's series; the number will be given out again."""
        for name, column in self._columns().items():
            column[slot] = self._fresh[name][0]
        self.forecast_s.pop(slot, None)
        self._free.append(slot)

    def keep_forecasts(self, slots: NDArray[np.int64], forecast_s: NDArray[np.float32]) -> None:
        """The newest forecasts of some slots, each named once: (N, 2), NaN = none."""
        known = np.isfinite(forecast_s).all(axis=1)
        if self.forecast_s:
            held = np.fromiter(self.forecast_s, np.int64)
            for slot in held[np.isin(held, slots[~known])].tolist():
                del self.forecast_s[slot]
        self.forecast_s.update(zip(slots[known].tolist(), map(tuple, forecast_s[known].tolist()), strict=True))

    def take(self, slots: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
        """Copies of what is remembered of some slots, by the name of the column."""
        return {name: column[slots] for name, column in self._columns().items()}

    def put(self, slots: NDArray[np.int64], columns: Mapping[str, NDArray[np.generic]]) -> None:
        """Remember what `take` gave. Raises ValueError when the columns are others than this program's."""
        own = self._columns()
        if differing := sorted(columns.keys() ^ own.keys()):
            raise ValueError(f"its columns differ from this program's: {', '.join(differing)}")
        for name, column in columns.items():
            if (column.dtype, column.shape) != (own[name].dtype, (len(slots), *own[name].shape[1:])):
                raise ValueError(f"its column {name} is {column.dtype} {column.shape}, not this program's")
        for name, column in columns.items():
            own[name][slots] = column

    def hold(
        self,
        slot: int,
        rank: int,
        *,
        latching_rank: int,
        clearing_ranks: NDArray[np.int64],
        measured: NDArray[np.bool_],
        hot: bool | None = None,
    ) -> None:
        """Begin at a level that was open before this series, or this program, started.

        Which probe it was is not on record, so a level that clears is put on all that the unit measures: `measured`
        (T,), from its first batch. One that died in between is missed, unless all did. `hot`: whether the evidence
        under a latch was that of an alarm; None = not known, so that the first row which measures decides.
        """
        self.latched[slot] = rank if rank >= latching_rank else 0
        if not self.latched[slot] or hot:
            self.above[slot] = (clearing_ranks <= rank)[:, None] & (measured | ~measured.any())
        if self.latched[slot]:
            self.hot[slot] = measured & bool(hot)
            self.eased_ms[slot] = 0 if hot is False else NEVER_MS
        standing = [self.latched[slot], *clearing_ranks[self.above[slot].any(axis=1)]]
        if self.by_evidence and rank < clearing_ranks.min(initial=latching_rank):
            # No ceiling has so mild a level: it was the evidence's, which eases slowly.
            self.columns().held[slot] = rank
            standing.append(rank)
        self.level[slot] = max(standing)

    def begin_latch(self, slot: int, *, hot: NDArray[np.bool_]) -> None:
        """From the next row on a level is latched. hot: (T,) the probes that are above the mildest alarming ceiling."""
        self.hot[slot] = hot
        self.eased_ms[slot] = NEVER_MS
        self.coolest_c[slot] = np.nan

    def release(self, slot: int) -> None:
        """A person closed the alert: end every level."""
        self.latched[slot] = 0
        self.level[slot] = 0
        self.above[slot] = False
        if self.by_evidence:
            self.columns().held[slot] = 0

    def settle(self, slot: int, *, from_ms: int, until_ms: int, peak_rank: int) -> None:
        """An alert about this time has ended: its rows, should they come again, raise nothing up to its peak."""
        self.settled_from_ms[slot] = from_ms
        self.settled_until_ms[slot] = until_ms
        self.settled_level[slot] = peak_rank
