"""A unit's backlog that is in order, on its way to evaluation: its rows go one after another, so it is let in by turns.

Whoever reports for the first time in hours, or replays at full speed, must not keep all others waiting. Pure.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from telemetry.samples import Provenance, ReceivedBatch

    UnitKey = tuple[str, Provenance]

ROWS_OF_A_UNIT = 128
"""Rows of one unit in a turn, about 0.3 ms each; a batch that is longer goes whole. Two batches of a minute at 1 s."""
ROWS_OF_A_TURN = 16_384
"""Rows of all units in a turn: those of different units go together."""
ROWS_KEPT = 100_000
"""**Assumed**: rows that wait, some 15 MB. What comes beyond is evaluated as it comes, so that ingest waits."""


class Entrance:
    """Batches of each unit in their order of arrival; units take turns."""

    def __init__(self) -> None:
        self._of: dict[UnitKey, deque[ReceivedBatch]] = {}
        self.rows = 0
        """How many wait."""

    def __contains__(self, key: object) -> bool:
        return key in self._of

    def admit(
        self, batches: Sequence[ReceivedBatch], is_history: Callable[[ReceivedBatch], bool]
    ) -> list[ReceivedBatch]:
        """Those that may be evaluated now, in their order; the others wait. History never does: it waits elsewhere."""
        admitted = []
        rows_of: dict[UnitKey, int] = {}
        for received in batches:
            batch = received.batch
            if is_history(received):
                admitted.append(received)
                continue
            key = (batch.unit_id, batch.provenance)
            before = rows_of.get(key, 0)
            if key in self._of or (before and before + len(batch) > ROWS_OF_A_UNIT):
                self._of.setdefault(key, deque()).append(received)
                self.rows += len(batch)
                continue
            rows_of[key] = before + len(batch)
            admitted.append(received)
        return admitted

    def take_turn(self) -> list[ReceivedBatch]:
        """The next batches of the units that have waited longest."""
        turn: list[ReceivedBatch] = []
        rows = 0
        for key in list(self._of):
            if rows >= ROWS_OF_A_TURN:
                break
            queue = self._of.pop(key)
            taken = 0
            while queue and (not taken or taken + len(queue[0].batch) <= ROWS_OF_A_UNIT):
                turn.append(queue.popleft())
                taken += len(turn[-1].batch)
            rows += taken
            if queue:
                self._of[key] = queue  # behind all others
        self.rows -= rows
        return turn
