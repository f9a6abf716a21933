"""Makes room in an outbox that is full: what is given up, and in which order.

First what a host that never acknowledges was sent anyway; then, oldest first, the data of units that are not
suspicious: thinned as long as there is something to thin, and after that dropped; then the same with suspicious ones.
Drop records stay: they are the only trace of what is gone. So does what the cab did, which is little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.records import RecordKind
from gateway.thinning import KEPT_PERIOD_MS, Drops, lost_of_frame, lost_position, thin
from gateway.wall_clock import PLAUSIBLE_FROM_MS
from telemetry.frames import decode_frame, encode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.outbox_file import OutboxFile

SOFT_SHARE = 0.95
"""Above it room is made; the rest is for what one turn brings."""
GOAL_SHARE = 0.90
"""Room is made down to it, so that it is made seldom, and told in few records. **Assumed**."""
CHUNK_RECORDS = 64
_HAS_TIME = "(kind = 2 OR (kind = 1 AND utc_at_tick_zero_ms IS NOT NULL))"
_COLUMNS = "sequence, kind, unit_id, accepted_at_ms, utc_at_tick_zero_ms, payload"
_STEPS = (
    ("published = 1 AND kind != 4", None, "the host does not acknowledge, and the outbox was full"),
    ("kind < 3 AND thinned = 0", False, "the outbox was full"),
    ("kind < 3", False, "the outbox was full"),
    ("kind < 3 AND thinned = 0", True, "the outbox was full"),
    ("kind < 3", True, "the outbox was full"),
)
"""Which records (SQL), of suspicious units (True), of others (False) or of all (None), and why. Odd steps thin."""


class _Row(NamedTuple):
    sequence: int
    kind: int
    unit_id: str | None
    accepted_at_ms: int
    zero_ms: int | None
    payload: bytes


def make_room(
    file: OutboxFile,
    *,
    incoming_bytes: int,
    max_bytes: int,
    oldest_ms: int | None,
    suspicious: frozenset[str],
    now_ms: int,
) -> int:
    """Give up as much as `incoming_bytes` need, and what was accepted before `oldest_ms`. Returns the samples lost.

    `oldest_ms` None: age does not count.
    """
    drops = _Giving(file, now_ms)
    if oldest_ms is not None:
        drops.too_old(oldest_ms)
    if file.used_bytes() + incoming_bytes > max_bytes * SOFT_SHARE:
        goal = max_bytes * GOAL_SHARE - incoming_bytes
        for number, (condition, watched, why) in enumerate(_STEPS):
            thinning = number in (1, 3)
            if not drops.give_up(condition, goal, suspicious, watched=watched, why=why, thinning=thinning):
                break
    drops.finish()
    return drops.samples


def give_up(file: OutboxFile, sequences: Iterable[int], *, why: str, now_ms: int) -> int:
    """Give up these records, whatever room there is. Returns the samples lost."""
    drops = _Giving(file, now_ms)
    drops.named(sequences, why)
    drops.finish()
    return drops.samples


class _Giving:
    """One pass over the file."""

    def __init__(self, file: OutboxFile, now_ms: int) -> None:
        self.samples = 0
        self._file = file
        self._now_ms = now_ms
        self._drops: Drops | None = None
        self._position_minute = -1

    def too_old(self, oldest_ms: int) -> None:
        """Drop what is older than the bound. Accepted in order, so the first young record ends it.

        What was accepted by a clock that had never been set, or waits for its time, has no age.
        """
        while True:
            rows = self._rows(f"accepted_at_ms >= {PLAUSIBLE_FROM_MS} AND {_HAS_TIME}", 0)
            old = [row for row in rows if row.accepted_at_ms < oldest_ms]
            for row in old:
                self._drop(row, "older than the outbox keeps data")
            if not rows or len(old) < len(rows):
                return

    def give_up(
        self,
        condition: str,
        goal: float,
        suspicious: frozenset[str],
        *,
        watched: bool | None,
        why: str,
        thinning: bool,
    ) -> bool:
        """One step, until the goal is reached; True when it is not."""
        cursor = 0
        if watched is not None:
            names = ", ".join(f"'{unit_id}'" for unit_id in sorted(suspicious))  # identifiers: no quotes in them
            among = f"unit_id IN ({names})" if watched else f"(unit_id IS NULL OR unit_id NOT IN ({names}))"
            condition = f"{condition} AND {among}"
        while self._file.used_bytes() > goal:
            rows = self._rows(condition, cursor)
            if not rows:
                return True
            cursor = rows[-1].sequence
            for row in rows:
                if thinning:
                    self._thin(row, why)
                else:
                    self._drop(row, why)
        return False

    def named(self, sequences: Iterable[int], why: str) -> None:
        """Drop these records, as far as they are there."""
        for sequence in sequences:
            for row in self._rows(f"kind < 3 AND sequence = {int(sequence)}", 0):
                self._drop(row, why)

    def finish(self) -> None:
        """Write the record of what was given up."""
        if self._drops is not None:
            self._file.add_drop(self._drops.record(self._file.next_sequence), self._now_ms)
            self._drops = None

    def _rows(self, condition: str, cursor: int) -> list[_Row]:
        # The conditions are this module's own.
        query = f"SELECT {_COLUMNS} FROM records WHERE sequence > ? AND {condition} ORDER BY sequence LIMIT ?"  # noqa: S608
        rows = self._file.database.execute(query, (cursor, CHUNK_RECORDS))
        return [_Row(*row) for row in rows]

    def _thin(self, row: _Row, why: str) -> None:
        if row.kind != RecordKind.FRAME or row.unit_id is None:
            minute = row.accepted_at_ms // KEPT_PERIOD_MS
            if minute == self._position_minute:
                self._drop(row, why)
            else:
                self._position_minute = minute
                self._mark(row, row.payload)
            return
        frame = decode_frame(row.payload)
        thinned = thin(frame)
        if thinned is None:
            self._drop(row, why)
            return
        payload = row.payload
        if len(thinned) < len(frame):
            payload = encode_frame(thinned)
            lost = len(frame) - len(thinned)
            zero_ms = self._zero_ms(row, frame.tick_ms)
            detail = lost_of_frame(row.unit_id, frame, zero_ms=zero_ms, kept="thinned", samples=lost, why=why)
            self._gathered().lost(detail)
            self.samples += lost
        self._mark(row, payload)

    def _mark(self, row: _Row, payload: bytes) -> None:
        """This is what thinning leaves of the record.

        Deleted and inserted, since SQLite does not merge pages in which rows became smaller by an update.
        """
        database = self._file.database
        (old,) = database.execute("SELECT * FROM records WHERE sequence = ?", (row.sequence,)).fetchall()
        database.execute("DELETE FROM records WHERE sequence = ?", (row.sequence,))
        *fields, _thinned, published, _payload = old
        values = (*fields, 1, published, payload)
        database.execute(f"INSERT INTO records VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608

    def _drop(self, row: _Row, why: str) -> None:
        drops = self._gathered()
        if row.kind == RecordKind.FRAME and row.unit_id is not None:
            frame = decode_frame(row.payload)
            zero_ms = self._zero_ms(row, frame.tick_ms)
            drops.lost(lost_of_frame(row.unit_id, frame, zero_ms=zero_ms, kept="none", samples=len(frame), why=why))
            self.samples += len(frame)
        else:
            drops.lost(lost_position(row.accepted_at_ms, why))
        drops.replaced(row.sequence)
        self._file.delete(row.sequence)

    @staticmethod
    def _zero_ms(row: _Row, tick_ms: int) -> int:
        """UTC at tick zero; of a frame that waits for its time, as if it had been sent at once."""
        return row.accepted_at_ms - tick_ms if row.zero_ms is None else row.zero_ms

    def _gathered(self) -> Drops:
        if self._drops is not None and self._drops.is_full():
            self.finish()
            self._drops = Drops()
        if self._drops is None:
            self._drops = self._resumed()
        return self._drops

    def _resumed(self) -> Drops:
        """Go on with the last drop record where nobody has read it yet: an outage leaves few of them, not thousands."""
        last = self._file.open_drop
        if last is None:
            return Drops()
        rows = self._file.database.execute("SELECT payload FROM records WHERE sequence = ?", (last,)).fetchall()
        drops = Drops.of(self._file.drop_of(rows[0][0], last)) if rows else Drops()
        if drops.is_full():
            return Drops()
        if rows:
            self._file.delete(last)
        self._file.open_drop = None
        return drops
