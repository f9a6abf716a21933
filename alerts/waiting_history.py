"""History on its way to evaluation: it waits so that what is live does not have to. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telemetry.samples import Provenance, ReceivedBatch

    UnitKey = tuple[str, Provenance]

HISTORY_ROWS_KEPT = 100_000
"""**Assumed**: rows that wait, four units' 72 h of a row each 10 s. What comes beyond is evaluated as it comes, so that
ingest waits."""
ROWS_OF_A_UNIT = 64
"""Rows of one unit in a turn. They go one after another, about 0.3 ms each: live samples wait for 20 ms."""
ROWS_OF_A_TURN = 2_048
"""Rows of all units in a turn: those of different units go together."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waiting:
    """A batch of history."""

    received: ReceivedBatch
    ends: bool
    """Whether what follows it was evaluated before: history ends with it."""


class WaitingHistory:
    """Batches of each unit in their order of arrival; units take turns."""

    def __init__(self) -> None:
        self._of: dict[UnitKey, deque[Waiting]] = {}
        self.rows = 0
        """How many wait."""

    def __contains__(self, key: UnitKey) -> bool:
        return key in self._of

    def add(self, key: UnitKey, waiting: Waiting) -> None:
        """One batch more."""
        self._of.setdefault(key, deque()).append(waiting)
        self.rows += len(waiting.received.batch)

    def drop(self, key: UnitKey) -> None:
        """Forget what waits of a unit."""
        self.rows -= sum(len(each.received.batch) for each in self._of.pop(key, ()))

    def take_turn(self) -> list[Waiting]:
        """The next rows of the units that have waited longest."""
        turn: list[Waiting] = []
        rows = 0
        for key in list(self._of):
            if rows >= ROWS_OF_A_TURN:
                break
            queue = self._of.pop(key)
            taken = _rows_from(queue, turn)
            rows += taken
            if queue:
                self._of[key] = queue  # behind all others
        self.rows -= rows
        return turn


def _rows_from(queue: deque[Waiting], turn: list[Waiting]) -> int:
    """Move one unit's next rows; a batch that is too long is cut. How many."""
    taken = 0
    while queue and taken < ROWS_OF_A_UNIT:
        each = queue.popleft()
        batch, room = each.received.batch, ROWS_OF_A_UNIT - taken
        if len(batch) > room:
            queue.appendleft(replace(each, received=replace(each.received, batch=batch.part(room))))
            each = Waiting(received=replace(each.received, batch=batch.part(0, room)), ends=False)
        turn.append(each)
        taken += len(each.received.batch)
    return taken
