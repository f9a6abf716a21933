"""Event time: which of a unit's batches are live, which are history, and in which order evidence may look at them.

Frames are numbered, so a hole is seen at once: what lies behind it waits for it to be filled, LATENESS_MS at most, and
then goes on without. Nodes that number nothing are waited for as long, row by row. What comes after that is history:
it is older than what was judged, and is evaluated apart. Ceilings do not wait; only what depends on the order does.

Pure: arrival times are arguments, the cloud's clock, ms.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from telemetry.samples import SINGLE_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from numpy.typing import NDArray

    from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

LATENESS_MS = 5_000
"""**Assumed**: ms of arrival time that a hole is waited for. A frame that a vehicle's own network lost is sent again
within a second or two; a crushed cell leaves a minute."""
HELD_AT_MOST = 512
"""**Assumed**: batches of a unit that wait; one more, and the oldest hole is given up."""
_NEVER_MS = -1

UnitKey = tuple[str, "Provenance"]


@dataclass(slots=True, kw_only=True, eq=False)
class _Line:
    """One unit's batches, in order."""

    boot_id: str | None
    next_frame: int
    newest_ms: int
    """Event time of the newest row that was let through."""
    held: list[ReceivedBatch] = field(default_factory=list)

    def due_ms(self) -> int:
        """Arrival time at which the first hole is given up; only while something is held."""
        return min(received.received_at_ms for received in self.held) + LATENESS_MS


class Ordering:
    """The order of all units' batches. Batches that come twice must be dropped before."""

    def __init__(self) -> None:
        self._lines: dict[UnitKey, _Line] = {}
        self._waiting: dict[UnitKey, None] = {}
        self.holes_given_up = 0
        """Holes that were not filled in time."""

    def __len__(self) -> int:
        """How many units have batches that wait."""
        return len(self._waiting)

    def place(self, received: ReceivedBatch) -> list[ReceivedBatch] | None:
        """What may be judged now that a batch has come: none, it, or it and what waited for it; None: it is history."""
        batch = received.batch
        line = self._lines.get((batch.unit_id, batch.provenance))
        if (  # nearly always
            line is not None
            and batch.frame == line.next_frame
            and batch.boot_id == line.boot_id
            and batch.boot_id is not None
            and not line.held
            and batch.sampled_at_ms[0] > line.newest_ms
        ):
            line.next_frame += 1
            line.newest_ms = int(batch.sampled_at_ms[-1])
            return [received]
        return None if self.is_history(received) else self.take(received)

    def is_history(self, received: ReceivedBatch) -> bool:
        """Whether the whole batch is older than what was judged, or was sent late by a unit of which nothing was."""
        batch = received.batch
        line = self._lines.get((batch.unit_id, batch.provenance))
        if line is None:
            return batch.historical and received.received_at_ms - int(batch.sampled_at_ms[-1]) > LATENESS_MS
        if batch.boot_id is not None and batch.boot_id == line.boot_id and batch.frame is not None:
            return batch.frame < line.next_frame
        return int(batch.sampled_at_ms[-1]) <= line.newest_ms

    def take(self, received: ReceivedBatch) -> list[ReceivedBatch]:
        """What may be judged now that a batch has come which is no history: none, it, or it and what waited for it."""
        batch = received.batch
        key = (batch.unit_id, batch.provenance)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(boot_id=batch.boot_id, next_frame=batch.frame or 0, newest_ms=_NEVER_MS)
        ready: list[ReceivedBatch] = []
        if batch.boot_id != line.boot_id:  # the unit began anew: nothing of before is waited for any longer
            ready = self._let_through(line, sorted(line.held, key=_place))
            line.held = []
            line.boot_id, line.next_frame = batch.boot_id, batch.frame or 0
        line.held.append(received)
        ready += (
            self._in_order(line) if _is_numbered(batch) else self._behind(line, _newest_ms(line.held) - LATENESS_MS)
        )
        while len(line.held) > HELD_AT_MOST:
            ready += self._give_up(line)
        self._note(key, line)
        return ready

    def due(self, now_ms: int, still_coming: Container[UnitKey] = ()) -> list[ReceivedBatch]:
        """What may be judged since it has waited for long enough. To be called about once a second.

        still_coming: units of which more has arrived than was placed; what they wait for may be among it.
        """
        ready: list[ReceivedBatch] = []
        for key in [key for key in self._waiting if key not in still_coming]:
            line = self._lines[key]
            while line.held and line.due_ms() <= now_ms:
                ready += self._give_up(line)
            self._note(key, line)
        return ready

    def judged_ms(self, key: UnitKey) -> int | None:
        """Event time of the newest row of a unit that was let through; None: there was none."""
        line = self._lines.get(key)
        return None if line is None or line.newest_ms == _NEVER_MS else line.newest_ms

    def begin_at(self, key: UnitKey, newest_ms: int) -> None:
        """What was judged of a unit before this program started; its frame numbers are not known."""
        self._lines[key] = _Line(boot_id=None, next_frame=0, newest_ms=newest_ms)

    def forget(self, key: UnitKey) -> list[ReceivedBatch]:
        """A unit's series ends: what still waited of it, in order."""
        line = self._lines.pop(key, None)
        self._waiting.pop(key, None)
        return [] if line is None else self._let_through(line, sorted(line.held, key=_place))

    def _note(self, key: UnitKey, line: _Line) -> None:
        if line.held:
            self._waiting[key] = None
        else:
            self._waiting.pop(key, None)

    def _in_order(self, line: _Line) -> list[ReceivedBatch]:
        """Take the frames that follow on out of those held."""
        line.held.sort(key=_place)
        ready = []
        for received in line.held:
            if received.batch.frame != line.next_frame:
                break
            ready.append(received)
            line.next_frame += 1
        line.held = line.held[len(ready) :]
        return self._let_through(line, ready)

    def _give_up(self, line: _Line) -> list[ReceivedBatch]:
        """Go on behind the first hole; where nothing is numbered, with all that has waited for long enough."""
        if not _is_numbered(line.held[0].batch):
            oldest_ms = min(received.received_at_ms for received in line.held)
            ready = [received for received in line.held if received.received_at_ms == oldest_ms]
            newest_ms = _newest_ms(ready)
            ready = [each for each in line.held if each in ready or int(each.batch.sampled_at_ms[-1]) <= newest_ms]
            line.held = [received for received in line.held if received not in ready]
            return self._let_through(line, [_merged(ready)])
        self.holes_given_up += 1
        line.held.sort(key=_place)
        line.next_frame = line.held[0].batch.frame or 0
        return self._in_order(line)

    def _behind(self, line: _Line, until_ms: int) -> list[ReceivedBatch]:
        """Of batches without numbers, those that end at or before `until_ms` of event time."""
        ready = [received for received in line.held if int(received.batch.sampled_at_ms[-1]) <= until_ms]
        if not ready:
            return []
        line.held = [received for received in line.held if received not in ready]
        return self._let_through(line, [_merged(ready)])

    def _let_through(self, line: _Line, ready: Sequence[ReceivedBatch]) -> list[ReceivedBatch]:
        """Rows that are newer than what was judged; a clock that was set back may have left some that are not."""
        through = []
        for received in ready:
            at_ms = received.batch.sampled_at_ms
            first = int(np.searchsorted(at_ms, line.newest_ms, side="right"))
            if first == len(at_ms):
                continue
            through.append(received if not first else replace(received, batch=received.batch.part(first)))
            line.newest_ms = int(at_ms[-1])
        return through


def _is_numbered(batch: SampleBatch) -> bool:
    return batch.boot_id is not None and batch.frame is not None


def _place(received: ReceivedBatch) -> tuple[int, int]:
    return received.batch.frame or 0, int(received.batch.sampled_at_ms[0])


def _newest_ms(held: Sequence[ReceivedBatch]) -> int:
    return max(int(received.batch.sampled_at_ms[-1]) for received in held)


def _merged(ready: Sequence[ReceivedBatch]) -> ReceivedBatch:
    """Batches without numbers as one, by time; rows of the same time are one row, the later one's readings first.

    A plain edge node may send channels one by one, each with the same time.
    """
    if len(ready) == 1:
        return ready[0]
    batches = [received.batch for received in ready]
    at_ms = np.concatenate([batch.sampled_at_ms for batch in batches])
    times, row_of = np.unique(at_ms, return_inverse=True)
    singles = [name for name in SINGLE_CHANNELS if any(getattr(batch, name) is not None for batch in batches)]
    columns: dict[str, Any] = {
        name: _by_time([_column(batch, name) for batch in batches], row_of, len(times))
        for name in ("temperatures_c", "voltages_v", *singles)
    }
    quality = np.zeros(len(times), np.uint32)
    np.bitwise_or.at(quality, row_of, np.concatenate([batch.quality for batch in batches]))
    newest = max(ready, key=lambda received: received.received_at_ms)
    return replace(newest, batch=replace(newest.batch, sampled_at_ms=times, quality=quality, **columns))


def _column(batch: SampleBatch, name: str) -> NDArray[np.float32]:
    """All missing where the batch has no such sensor."""
    column: NDArray[np.float32] | None = getattr(batch, name)
    return np.full(len(batch), np.nan, np.float32) if column is None else column


def _by_time(columns: list[NDArray[np.float32]], row_of: NDArray[np.intp], rows: int) -> NDArray[np.float32]:
    """(rows, ...) of columns below each other: what was measured last at each time."""
    values = np.concatenate(columns)
    merged = np.full((rows, *values.shape[1:]), np.nan, np.float32)
    for row, value in zip(row_of, values, strict=True):
        merged[row] = np.where(np.isnan(value), merged[row], value)
    return merged
