"""Recordings of many packs on one clock, judged from beginning to end: which level stood at which sample.

The detector sees what the alert engine shows it, by the engine's own function: rows as they come, in blocks, and what
was lost is no row at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from alerts import ceilings
from alerts.detector import DetectorStates, Rows, judge
from alerts.pack_states import PackStates
from alerts.rules import DEFAULT_MAX_OPERATING_TEMPERATURE_C, RULES
from alerts.scans import group_starts, last_true

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from alerts.baselines import Baseline
    from alerts.rules import Rules
    from registry.kinds import Chemistry, PackClass

    Floats = NDArray[np.float32]

ROWS_AT_ONCE = 30_000
"""How many rows of all packs a call of the detector gets, some samples of each; more only take memory."""
WHOLE_ROWS_AT_ONCE = 1_000_000
"""How many rows of whole packs a call of a fixed rule gets: 100 MB of 24 channels."""


class Recorded(Protocol):
    """P packs on one clock of N samples. NaN = not measured."""

    @property
    def chemistry(self) -> Sequence[Chemistry]:
        """Of each of the P packs."""

    @property
    def pack_class(self) -> Sequence[PackClass]:
        """Of each of the P packs."""

    @property
    def interval_s(self) -> float:
        """Between samples, s."""

    @property
    def time_s(self) -> NDArray[np.float64]:
        """(N,) since the recording's start."""

    @property
    def temperatures_c(self) -> Floats:
        """(P, N, T) degC."""

    @property
    def voltages_v(self) -> Floats:
        """(P, N, V) V."""

    @property
    def ambient_c(self) -> Floats | None:
        """(P, N) degC."""

    @property
    def hydrogen_ppm(self) -> Floats | None:
        """(P, N) in the air of the container."""

    @property
    def carbon_monoxide_ppm(self) -> Floats | None:
        """(P, N) in the air of the container."""

    @property
    def voc_ppm(self) -> Floats | None:
        """(P, N) of volatile organic compounds, in the air of the container."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Some samples of some packs as rows; those in which nothing was measured are left out."""

    present: NDArray[np.bool_]
    """(packs, samples) which samples are rows."""
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """What was made of N rows."""

    rank: NDArray[np.int64]
    """(N,) of the level at each row."""
    crossings: ceilings.Crossings


class Watch:
    """The detector over P packs from a fresh start; it takes their rows one block after the other."""

    def __init__(
        self, recorded: Recorded, *, rules: Rules = RULES, max_operating_c: float = DEFAULT_MAX_OPERATING_TEMPERATURE_C
    ) -> None:
        self._rules = rules
        self._states = PackStates(
            temperature_channels=recorded.temperatures_c.shape[2],
            voltage_channels=recorded.voltages_v.shape[2],
            clearing_ceilings=sum(ceiling.clears is not None for ceiling in rules.ceilings),
            by_evidence=True,
        )
        for chemistry, pack_class in zip(recorded.chemistry, recorded.pack_class, strict=True):
            self._states.add(
                max_operating_temperature_c=max_operating_c,
                longest_gap_s=rules.longest_gap_s(recorded.interval_s),
                profile=rules.detector.profile_of(pack_class, chemistry),
            )

    def take(self, rows: Rows) -> Verdict:
        """Judge rows that follow those taken before; at least one."""
        slot = rows.slot.astype(np.int64)
        before = self._states.level[slot]
        crossings = ceilings.evaluate(
            self._states,
            self._rules,
            ceilings.Rows(
                slot=slot,
                sampled_at_ms=rows.sampled_at_ms,
                temperatures_c=rows.temperatures_c,
                voltages_v=rows.voltages_v,
                ambient_c=rows.ambient_c,
                hydrogen_ppm=rows.hydrogen_ppm,
                carbon_monoxide_ppm=rows.carbon_monoxide_ppm,
                voc_ppm=rows.voc_ppm,
            ),
        )
        changed = np.zeros(len(slot), bool)
        changed[crossings.row] = True
        rank = np.zeros(len(slot), np.int64)
        rank[crossings.row] = crossings.rank
        latest = last_true(changed)
        rank = np.where(latest >= group_starts(slot), rank[np.maximum(latest, 0)], before)
        return Verdict(rank=rank, crossings=crossings)


def ranks_of_detector(recorded: Recorded, *, rules: Rules = RULES) -> NDArray[np.int8]:
    """(P, N) the rank of each pack's level at each sample, as the alert engine would have it."""
    watch = Watch(recorded, rules=rules)
    packs, samples = recorded.temperatures_c.shape[:2]
    ranks = np.zeros((packs, samples), np.int8)
    length = max(ROWS_AT_ONCE // packs, 1)
    for first in range(0, samples, length):
        span = slice(first, first + length)
        block = block_of(recorded, slice(None), span)
        if len(block.rows):
            ranks[:, span][block.present] = watch.take(block.rows).rank
    return _held(recorded, ranks)


def evidence_of(recorded: Recorded, rows: Rows, *, rules: Rules = RULES) -> Mapping[str, Floats]:
    """Name -> (N,) or (N, T): how strong each kind of evidence was at each row of one pack, for pictures."""
    layout = {
        "temperature_channels": recorded.temperatures_c.shape[2],
        "voltage_channels": recorded.voltages_v.shape[2],
    }
    states = DetectorStates(**layout, rules=rules.detector)
    states.add(profile=rules.detector.profile_of(recorded.pack_class[0], recorded.chemistry[0]))
    return judge(states, rules.detector, rows, explain=True).values


def ranks_of_baseline(recorded: Recorded, baseline: Baseline) -> NDArray[np.int8]:
    """(P, N) the rank of each pack's level at each sample, by one rule alone."""
    packs, samples = recorded.temperatures_c.shape[:2]
    ranks = np.zeros((packs, samples), np.int8)
    number = max(WHOLE_ROWS_AT_ONCE // samples, 1)
    for first in range(0, packs, number):
        some = slice(first, first + number)
        block = block_of(recorded, some, slice(None))
        ranks[some][block.present] = baseline.ranks(block.rows)
    return _held(recorded, ranks)


def block_of(recorded: Recorded, packs: slice, samples: slice) -> Block:
    """Those samples of those packs, as rows whose slots count from the first of these packs."""
    temperatures_c, voltages_v = recorded.temperatures_c[packs, samples], recorded.voltages_v[packs, samples]
    present = _measured(temperatures_c, voltages_v)
    slot, sample = np.nonzero(present)
    at_ms = np.rint((recorded.time_s - recorded.time_s[0]) * 1000).astype(np.int64)

    def single(column: Floats | None) -> Floats | None:
        return None if column is None else column[packs, samples][present]

    rows = Rows(
        slot=slot,
        sampled_at_ms=at_ms[samples][sample],
        temperatures_c=temperatures_c[present],
        voltages_v=voltages_v[present],
        ambient_c=single(recorded.ambient_c),
        hydrogen_ppm=single(recorded.hydrogen_ppm),
        carbon_monoxide_ppm=single(recorded.carbon_monoxide_ppm),
        voc_ppm=single(recorded.voc_ppm),
    )
    return Block(present=present, rows=rows)


def _held(recorded: Recorded, ranks: NDArray[np.int8]) -> NDArray[np.int8]:
    """(P, N) with each sample that was lost given the rank of the one before it."""
    present = _measured(recorded.temperatures_c, recorded.voltages_v)
    latest = np.maximum.accumulate(np.where(present, np.arange(ranks.shape[1]), 0), axis=1)
    return np.take_along_axis(ranks, latest, axis=1)


def _measured(temperatures_c: Floats, voltages_v: Floats) -> NDArray[np.bool_]:
    """(P, N) samples in which at least one channel was measured; the others were lost."""
    return np.logical_or(np.isfinite(temperatures_c).any(axis=2), np.isfinite(voltages_v).any(axis=2))
