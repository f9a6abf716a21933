"""The kinds of evidence, how strong they are, and the faults of instruments."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Fault(IntEnum):
    """What is wrong with a probe. A fault is no heat, and hides none."""

    OK = 0
    OPEN = 1
    """It does not measure."""
    OUT_OF_RANGE = 2
    """What it says is no temperature."""
    STUCK = 3
    """It says the same while the others move."""
    JUMP = 4
    """It jumped, and nothing else did."""
    NOISY = 5
    """It is far noisier than the pack's other probes."""


class Grade(IntEnum):
    """How much an evidence says."""

    NONE = 0
    HINT = 1
    CLEAR = 2
    STRONG = 3


class EvidenceKind(StrEnum):
    """Where an evidence comes from."""

    SPATIAL = "spatial"
    SUM = "sum"
    QUICK = "quick"
    HEAT = "heat"
    RISE = "rise"
    VOLTAGE = "voltage"
    COLLAPSE = "collapse"
    GAS = "gas"
    DIED = "died"
