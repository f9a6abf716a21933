"""Voltage collapse against a slow reference, for the runaway rule, over the rows of many packs at once.

The reference is a maximum over slices of event time, not a filter: it needs no arithmetic that rounds, so how rows
were cut into batches cannot change it. A wild high reading makes a false collapse for two slices; by itself that
raises nothing, since the rule asks for a fast rise as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alerts.scans import group_ends, group_starts, last_true, row_before

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alerts.pack_states import PackStates
    from alerts.rules import RunawayRule


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voltages:
    """Each row's voltages, judged; late rows are not, and have no collapse."""

    fallen: NDArray[np.bool_]
    """(N, V) whether the channel's latest live reading is a collapse."""
    slice_of_row: NDArray[np.int64]
    """(N,) a row of `slice_references_v`; -1 for late rows."""
    slice_references_v: NDArray[np.float32]
    """(G, V)"""

    def references_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(K, V) the references of some rows; NaN where there is none."""
        of = self.slice_of_row[rows]
        if not len(self.slice_references_v):
            return np.full((len(rows), self.slice_references_v.shape[1]), np.nan, np.float32)
        return np.where((of >= 0)[:, None], self.slice_references_v[of], np.float32(np.nan))


def follow_voltages(
    states: PackStates,
    rule: RunawayRule,
    *,
    all_slots: NDArray[np.int64],
    all_ms: NDArray[np.int64],
    all_v: NDArray[np.float32],
    live: NDArray[np.bool_],
) -> Voltages:
    """Judge (N, V) voltages by what `states` remembers, and remember them."""
    chosen = np.flatnonzero(live)
    slot, volts = all_slots[chosen], all_v[chosen]
    measured = np.isfinite(volts)
    number = all_ms[chosen] // round(rule.reference_slice_s * 1000)
    fallen_everywhere = np.zeros(all_v.shape, bool)
    slice_of_row = np.full(len(all_v), -1, np.int64)
    if not len(chosen) or not volts.shape[1]:
        return Voltages(
            fallen=fallen_everywhere,
            slice_of_row=slice_of_row,
            slice_references_v=np.zeros((0, all_v.shape[1]), np.float32),
        )
    starts = group_starts(slot)
    slice_starts = np.maximum(starts, group_starts(number))
    slice_ends = group_ends(slice_starts)
    slice_firsts = slice_starts[slice_ends]
    of_slice = np.repeat(np.arange(len(slice_ends)), slice_ends - slice_firsts + 1)

    # The slice that was begun earlier goes on; a new one is measured against the latest that had readings.
    slice_slots = slot[slice_ends]
    highest_v = np.fmax.reduceat(volts, slice_firsts, axis=0)
    pack_starts = group_starts(slice_slots)
    goes_on = (number[slice_ends] == states.slice_number[slice_slots]) & (pack_starts == np.arange(len(slice_ends)))
    carried_v = states.slice_highest_v[slice_slots]
    highest_v = np.where(goes_on[:, None], np.fmax(highest_v, carried_v), highest_v)
    reference_v = np.where(np.isnan(carried_v) | goes_on[:, None], states.reference_v[slice_slots], carried_v)
    source = row_before(last_true(np.isfinite(highest_v)))
    inside = source >= pack_starts[:, None]
    reference_v = np.where(inside, np.take_along_axis(highest_v, np.where(inside, source, 0), axis=0), reference_v)
    begins = np.isnan(reference_v) & np.isfinite(highest_v)
    if begins.any():
        first_row = np.minimum.reduceat(
            np.where(measured, np.arange(len(slot))[:, None], len(slot) - 1), slice_firsts, axis=0
        )
        reference_v = np.where(begins, np.take_along_axis(volts, first_row, axis=0), reference_v)

    fallen = volts < (reference_v * np.float32(1 - rule.voltage_drop))[of_slice]
    if not measured.all():  # a channel's latest reading is in an earlier row
        latest = last_true(measured)
        inside = latest >= starts[:, None]
        fallen = np.where(inside, np.take_along_axis(fallen, np.where(inside, latest, 0), axis=0), states.fallen[slot])

    ends = group_ends(starts)
    last_slices = group_ends(pack_starts)
    states.fallen[slot[ends]] = fallen[ends]
    states.slice_number[slot[ends]] = number[ends]
    states.reference_v[slot[ends]] = reference_v[last_slices]
    states.slice_highest_v[slot[ends]] = highest_v[last_slices]
    fallen_everywhere[chosen] = fallen
    slice_of_row[chosen] = of_slice
    return Voltages(
        fallen=fallen_everywhere,
        slice_of_row=slice_of_row,
        slice_references_v=reference_v,
    )
