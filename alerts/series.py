"""One unit's samples about one subject, and batches of many units on their way to evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from alerts.levels import Subject
from alerts.pack_states import NEVER_MS, PackStates
from alerts.rules import DEFAULT_MAX_OPERATING_TEMPERATURE_C
from registry.enrolment import DEFAULT_REPORT_INTERVAL_S
from registry.kinds import AlertKind, Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from registry.enrolment import Assignment
    from telemetry.samples import Provenance, ReceivedBatch


@dataclass(slots=True, kw_only=True, eq=False)
class Series:
    """One unit's samples about one subject: a slot in a detector's states."""

    subject: Subject
    assignment: Assignment | None
    states: PackStates
    slot: int
    level: Level = Level.NORMAL
    hot: bool = False
    """Whether it would alarm without its latch, or may."""
    fleet_id: str = ""
    gateway_id: str = ""
    """Of its latest batch."""
    history: bool = False
    """Samples that came late, evaluated as of their own time, apart from what is live."""
    heard_ms: int = NEVER_MS
    """Of history: the cloud's clock when the latest batch came."""
    taken_ms: int = NEVER_MS
    """Of history: event time of the newest row that was taken in hand."""


@dataclass(slots=True, kw_only=True, eq=False)
class Packing:
    """The batches of one observe that share a layout of channels, in their order."""

    states: PackStates
    orders: list[int] = field(default_factory=list)
    batches: list[ReceivedBatch] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    in_order: list[bool] = field(default_factory=list)
    """Whether evidence may look at the batch now: else it waits for a hole before it, and comes again."""

    def take(self, order: int, received: ReceivedBatch, ready: Sequence[ReceivedBatch], series: Series) -> int:
        """One batch that came, and those that evidence may look at now: ceilings do not wait. How many rows that is."""
        if received not in ready:
            self.add(order, received, series, in_order=False)
        for each in ready:
            self.add(order, each, series)
        return sum(len(each.batch) for each in ready) + (0 if received in ready else len(received.batch))

    def add(self, order: int, received: ReceivedBatch, series: Series, *, in_order: bool = True) -> None:
        """One batch more."""
        self.orders.append(order)
        self.batches.append(received)
        self.series.append(series)
        self.in_order.append(in_order)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crossing:
    """A series' level changed: what is needed to tell it of its subject."""

    order: tuple[int, int]
    series: Series
    level: Level
    hot: bool
    renewed: bool
    late: bool
    reasons: list[str]
    by_evidence: bool
    """Whether the ceilings alone would have a milder level."""
    sampled_at_ms: int
    received: ReceivedBatch


def subject_of(unit_id: str, provenance: Provenance, assignment: Assignment | None) -> Subject:
    """Whom a unit's samples are about."""
    if assignment is None or assignment.pack_id is None:
        return Subject(AlertKind.UNREGISTERED, unit_id, provenance)
    return Subject(AlertKind.THERMAL, assignment.pack_id, provenance)


def single_column(batches: Sequence[ReceivedBatch], name: str, arrived: NDArray[np.intp]) -> NDArray[np.float32] | None:
    """(N,) a single sensor's column of all rows; None when no unit has the sensor."""
    columns = [getattr(each.batch, name) for each in batches]
    if all(column is None for column in columns):
        return None
    filled = [
        np.full(len(each.batch), np.nan, np.float32) if column is None else column
        for each, column in zip(batches, columns, strict=True)
    ]
    return np.concatenate(filled)[arrived]


def max_operating_c(assignment: Assignment | None) -> float:
    """degC, as the pack's record says, or assumed."""
    stated_c = None if assignment is None else assignment.max_operating_temperature_c
    return DEFAULT_MAX_OPERATING_TEMPERATURE_C if stated_c is None else stated_c


def interval_s(assignment: Assignment | None) -> float:
    """S between reports."""
    return DEFAULT_REPORT_INTERVAL_S if assignment is None else assignment.report_interval_s


def believed_until_ms(series: Series) -> int:
    """Event time after which what its unit said last is too old to go by."""
    return int(series.states.newest_ms[series.slot] + series.states.longest_gap_ms[series.slot])
