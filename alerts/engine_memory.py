"""What an engine remembers, as plain lists and arrays, and back: for a snapshot that outlives the program.

Slots are given out anew when it is read, so only their columns are kept, in the order of the list of series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from alerts.levels import Settled, Standing, Subject
from alerts.seen_frames import SeenFrames
from alerts.snapshots import SnapshotError
from registry.kinds import AlertKind, Level
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

Layout = tuple[int, int]
"""Temperature and voltage channels."""


class SlotColumns(Protocol):
    """States by slot whose columns can be taken out and put back: the ceilings', and the detector's."""

    def take(self, slots: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]: ...


class RememberedSeries(NamedTuple):
    """One unit's series about one subject."""

    unit_id: str
    provenance: Provenance
    subject: Subject
    layout: Layout
    level: Level
    hot: bool
    judged_ms: int
    """Event time up to which evidence has looked; what is newer in the store comes after."""
    fleet_id: str
    gateway_id: str
    history: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Memory:
    """Everything of an engine that its next rows depend on."""

    series: tuple[RememberedSeries, ...]
    columns: Mapping[str, Mapping[Layout, Mapping[str, NDArray[Any]]]]
    """By the kind of states and the layout: a row for each series of that layout, in their order."""
    standing: Mapping[Subject, Standing]
    settled: Mapping[Subject, Settled]
    left_hot_until_ms: Mapping[Subject, int]
    seen: Mapping[str, SeenFrames]


def to_plain(memory: Memory) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The memory as what JSON holds, and arrays by name."""
    head = {
        "series": [[each.unit_id, each.provenance, *each.subject, *each.layout, *each[4:]] for each in memory.series],
        "standing": [[*subject, each.level, each.peak, each.since_ms] for subject, each in memory.standing.items()],
        "settled": [[*subject, each.from_ms, each.until_ms, each.peak] for subject, each in memory.settled.items()],
        "left_hot_until_ms": [[*subject, until_ms] for subject, until_ms in memory.left_hot_until_ms.items()],
        "seen": {unit_id: each.ranges() for unit_id, each in memory.seen.items()},
    }
    arrays = {
        f"{kind}/{layout[0]}/{layout[1]}/{name}": column
        for kind, by_layout in memory.columns.items()
        for layout, columns in by_layout.items()
        for name, column in columns.items()
    }
    return head, arrays


def from_plain(head: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Memory:
    """What `to_plain` told. Raises SnapshotError."""
    columns: dict[str, dict[Layout, dict[str, NDArray[Any]]]] = {}
    try:
        for path, column in arrays.items():
            kind, t, v, name = path.split("/")
            columns.setdefault(kind, {}).setdefault((int(t), int(v)), {})[name] = column
        return Memory(
            series=tuple(_series(*each) for each in head["series"]),
            columns=columns,
            standing={
                _subject(*subject): Standing(level=Level(level), peak=Level(peak), since_ms=since_ms)
                for *subject, level, peak, since_ms in head["standing"]
            },
            settled={
                _subject(*subject): Settled(from_ms=from_ms, until_ms=until_ms, peak=Level(peak))
                for *subject, from_ms, until_ms, peak in head["settled"]
            },
            left_hot_until_ms={_subject(*subject): until_ms for *subject, until_ms in head["left_hot_until_ms"]},
            seen={unit_id: SeenFrames.of_ranges(ranges) for unit_id, ranges in head["seen"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"what it says of series cannot be read: {error}") from error


def columns_by_layout(used: Iterable[tuple[Layout, SlotColumns, int]]) -> dict[Layout, dict[str, NDArray[np.generic]]]:
    """Copies of the columns of (layout, states, slot), each layout's in their order."""
    states_of: dict[Layout, SlotColumns] = {}
    slots_of: dict[Layout, list[int]] = {}
    for layout, states, slot in used:
        states_of[layout] = states
        slots_of.setdefault(layout, []).append(slot)
    return {layout: states_of[layout].take(np.array(slots, np.int64)) for layout, slots in slots_of.items()}


def _series(  # noqa: PLR0917  a row of the list
    unit_id: str, provenance: str, kind: str, subject_id: str, of: str, t: int, v: int, level: str, *rest: Any
) -> RememberedSeries:
    hot, judged_ms, fleet_id, gateway_id, history = rest
    return RememberedSeries(
        unit_id=unit_id,
        provenance=Provenance(provenance),
        subject=_subject(kind, subject_id, of),
        layout=(t, v),
        level=Level(level),
        hot=hot,
        judged_ms=judged_ms,
        fleet_id=fleet_id,
        gateway_id=gateway_id,
        history=history,
    )


def _subject(kind: str, subject_id: str, provenance: str) -> Subject:
    return Subject(AlertKind(kind), subject_id, Provenance(provenance))
