"""The fixed rules, as data: ceilings with their hysteresis, and the runaway rule of GB 38031.

A level above a ceiling comes at once and goes slowly. `critical` and above latch: only a person ends them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from alerts.detector.rules import DetectorRules, default_rules
from registry.kinds import Level

LATCHING_FROM = Level.CRITICAL
"""From this level on only a person ends an alert, by closing it with a reason."""

DEFAULT_MAX_OPERATING_TEMPERATURE_C = 60.0
"""**Assumed** for packs whose record does not say: the usual upper limit of discharge in data sheets of cells."""

SUSPECT_ABOVE_C = 150.0
"""A reading above it can be a broken sensor, or a fire. The limit of Quality.TEMPERATURE_SUSPECT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hysteresis:
    """How a level ends by itself: each probe that had it is measured below `below_c` for `after_s`, without a gap."""

    below_c: float
    """degC."""
    after_s: float
    """s of event time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """A pack with a probe at or above `at_c` has this level."""

    level: Level
    at_c: float
    """degC."""
    clears: Hysteresis | None
    """None: it latches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunawayRule:
    """(voltage drop > 25 % or T >= the maximum operating temperature) and dT/dt >= 1 degC/s for more than 3 s.

    Source: GB 38031-2025, C.5.3.7. The temperature and the rate are of one probe, the voltage of any channel.
    """

    rate_c_per_s: float = 1.0
    """degC/s, between consecutive readings of a probe."""
    longer_than_s: float = 3.0
    """s, strictly more. The run must also span two intervals, so that one wild reading is none: **assumed**."""
    voltage_drop: float = 0.25
    """Share of the channel's slow reference, strictly more."""
    reference_slice_s: float = 600.0
    """s. The reference is the channel's highest voltage in the latest earlier slice of this length, and its first
    reading until there is one. The standard's is the initial voltage, but a pack on the road drifts: **assumed**."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeapRule:
    """Which reading at a ceiling waits for a second one: one that leapt there while nothing else moved. **Assumed**."""

    leap_c: float = 20.0
    """degC, from the probe's latest live reading before. 85 degC, the power-on value of a one-wire probe, is a leap
    from 65 degC; no cell heats a probe so much within a report but a crushed one."""
    others_rise_c: float = 2.0
    """degC by which two other probes rise that move with it, more than the rest."""
    voltage_fall_permille: float = 10.0
    """Thousandths by which a tap falls, against the others, that moves with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Everything that levels depend on."""

    ceilings: tuple[Ceiling, ...]
    runaway: RunawayRule = RunawayRule()
    leap: LeapRule = LeapRule()
    longest_gap_intervals: float = 3.0
    """A gap longer than so many report intervals ends a run, since what happened inside is unknown. **Assumed**: it
    is when silence is flagged too. A level never ends by a gap."""
    longest_gap_at_least_s: float = 30.0
    """s. **Assumed**: the same for fast units, three intervals of normal reporting on vehicle power."""
    detector: DetectorRules = field(default_factory=default_rules)
    """What the detector goes by, beside all this."""

    def longest_gap_s(self, report_interval_s: float) -> float:
        """The longest gap, s, across which a rate, or a stay below a ceiling, is still believed."""
        return max(self.longest_gap_intervals * report_interval_s, self.longest_gap_at_least_s)


RULES = Rules(
    ceilings=(
        # Above 57 degC, the hottest closed container measured on land (Xerox study, second hand).
        # 5 degC and 60 s are **assumed**: an afternoon's flutter around 60 degC is one alert.
        Ceiling(level=Level.WARNING, at_c=60.0, clears=Hysteresis(below_c=55.0, after_s=60.0)),
        # Below 87 degC, where self-heating was measured to begin (four ARC recordings).
        Ceiling(level=Level.CRITICAL, at_c=80.0, clears=None),
    ),
)
