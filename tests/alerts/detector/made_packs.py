"""Packs made by hand for the detector's tests, and the detector run over them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from alerts.detector import DetectorStates, Judgement, Rows, default_rules, judge, reason_numbers
from registry.kinds import Chemistry, PackClass

RULES = default_rules()
PROFILE = RULES.profile_of(PackClass.END_OF_LIFE, Chemistry.NMC)


def calm(hours: float = 2.0, *, interval_s: float = 10.0, probes: int = 8, seed: int = 1, noise_c: float = 0.05):
    """(N,) s and (N, T) degC of a pack at rest at 20 degC, in steps of 0.05 degC."""
    random = np.random.default_rng(seed)
    time_s = np.arange(0, hours * 3600, interval_s)
    offsets_c = random.normal(0, 0.3, probes)
    readings_c = 20 + offsets_c + random.normal(0, noise_c, (len(time_s), probes))
    return time_s, (np.round(readings_c / 0.05) * 0.05).astype(np.float32)


def voltages(time_s, *, taps: int = 6, seed: int = 2):
    """(N, V) V of cells at rest."""
    random = np.random.default_rng(seed)
    return (3.7 + random.normal(0, 0.01, taps) + random.normal(0, 0.001, (len(time_s), taps))).astype(np.float32)


@dataclass
class Run:
    """The detector over one pack's recording."""

    time_s: np.ndarray
    judgement: Judgement
    states: DetectorStates
    rank: np.ndarray = field(init=False)

    def __post_init__(self):
        self.rank = self.judgement.rank

    def first_s(self, rank: int) -> float:
        """When the rank was first reached; inf = never."""
        at = np.flatnonzero(self.rank >= rank)
        return float(self.time_s[at[0]]) if len(at) else np.inf

    def kinds(self) -> set[str]:
        """Kinds of all evidences that raised a level."""
        return {each.kind.value for row in self.judgement.risen for each in reason_numbers(self.judgement, row)}


def rows_of(time_s, temperatures_c, volts=None, *, slot: int = 0, **singles) -> Rows:
    if volts is None:
        volts = np.zeros((len(time_s), 0), np.float32)
    return Rows(
        slot=np.full(len(time_s), slot, np.intp),
        sampled_at_ms=np.rint(np.asarray(time_s) * 1000).astype(np.int64),
        temperatures_c=np.asarray(temperatures_c, np.float32),
        voltages_v=volts,
        **{name: np.asarray(value, np.float32) for name, value in singles.items()},
    )


def states_for(rows: Rows, *, packs: int = 1, profile: int = PROFILE) -> DetectorStates:
    states = DetectorStates(
        temperature_channels=rows.temperatures_c.shape[1], voltage_channels=rows.voltages_v.shape[1], rules=RULES
    )
    for _ in range(packs):
        states.add(profile=profile)
    return states


def run(time_s, temperatures_c, volts=None, *, explain: bool = False, **singles) -> Run:
    rows = rows_of(time_s, temperatures_c, volts, **singles)
    states = states_for(rows)
    return Run(np.asarray(time_s), judge(states, RULES, rows, explain=explain), states)


def ramp(time_s, *, from_s: float, c_per_min: float):
    """(N,) degC of a steady rise that begins at from_s."""
    return np.clip(time_s - from_s, 0, None) / 60 * c_per_min
