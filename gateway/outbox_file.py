"""The outbox's file: records with their sequence numbers, kept until they are settled. One thread, synchronous.

Every call happens inside a transaction of the caller's (`Outbox`), which ends in `saved` or `forget_changes`.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

import orjson

from gateway.clock_map import ClockFix
from gateway.outbox_schema import PAGE_BYTES
from gateway.ranges import RangeSet
from gateway.records import (
    CabRecord,
    DroppedRecord,
    FrameArrival,
    OutboxEntry,
    PositionRecord,
    RecordKind,
    fixed_frame,
    frame_size_bytes,
    last_tick_ms,
)
from telemetry.cab_report import decode_cab_report, encode_cab_report
from telemetry.frames import decode_frame
from telemetry.samples import Quality
from telemetry.sparkplug.acknowledgement import DropRecord, Replaced
from telemetry.unit_link import decode_position, encode_position

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.records import OutboxRecord

BOOTS_KEPT = 8
FRAME_RANGES_KEPT = 256
"""Memory for recognising frames that are sent again: boots of a unit, ranges of a boot. **Assumed**. What is forgotten
gives a second record, which the store recognises by unit, boot and frame."""
SETTLED_RANGES_KEPT = 4096
"""Ranges above the floor that are remembered; of a forgotten one the records are gone all the same."""
SMALL_BYTES = 128
"""A position's size, as the window counts it."""

_SELECT = (
    "SELECT sequence, kind, unit_id, accepted_at_ms, utc_at_tick_zero_ms, uncertainty_s, quality, payload "
    "FROM records WHERE (kind != 1 OR utc_at_tick_zero_ms IS NOT NULL) AND"
)
"""Only what may be published: a frame waits until its time is fixed."""


class UnmappedFrame(NamedTuple):
    """A frame in the outbox whose time is not fixed yet."""

    sequence: int
    unit_id: str
    boot_id: str
    first_tick_ms: int
    last_tick_ms: int
    accepted_at_ms: int


class UnmappedBoot(NamedTuple):
    """A boot with frames whose time is not fixed yet."""

    unit_id: str
    boot_id: str
    first_sequence: int
    last_tick_ms: int
    latest_zero_ms: int
    """UTC at tick zero, if the frame that came soonest after its last sample came at once."""
    first_accepted_ms: int
    last_accepted_ms: int


class OutboxFile:
    """What the file holds, and what of it is kept in memory beside it."""

    def __init__(self, database: sqlite3.Connection, *, fleet_id: str, gateway_id: str) -> None:
        """Take over an open database, and read what is kept in memory."""
        self.database = database
        self._fleet_id = fleet_id
        self._gateway_id = gateway_id
        self.forget_changes()

    def forget_changes(self) -> None:
        """Read everything that is kept in memory again: at the start, and after a transaction that was rolled back."""
        row = self.database.execute("SELECT outbox_id, next_sequence, floor, acknowledged FROM outbox").fetchone()
        self.outbox_id: str = row[0]
        self.next_sequence: int = row[1]
        self.floor: int = row[2]
        self.acknowledged = bool(row[3])
        self.above = RangeSet(SETTLED_RANGES_KEPT)
        for first, last in self.database.execute("SELECT first, last FROM settled ORDER BY first"):
            self.above.add(first, last)
        (self.records,) = self.database.execute("SELECT count(*) FROM records").fetchone()
        (self.published,) = self.database.execute("SELECT count(*) FROM records WHERE published").fetchone()
        (self.unmapped,) = self.database.execute(
            "SELECT count(*) FROM records WHERE kind = 1 AND utc_at_tick_zero_ms IS NULL"
        ).fetchone()
        self._taken: dict[str, OrderedDict[str, RangeSet]] = {}
        for unit_id, boot_id, ranges in self.database.execute(
            "SELECT unit_id, boot_id, ranges FROM taken ORDER BY unit_id, used"
        ):
            frames = self._taken.setdefault(unit_id, OrderedDict())[boot_id] = RangeSet(FRAME_RANGES_KEPT)
            for first, last in json.loads(ranges):
                frames.add(first, last)
        self._touched: set[tuple[str, str]] = set()
        self._given: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._said = (self.next_sequence, self.floor, tuple(self.above), self.acknowledged, self.outbox_id)
        self.open_drop: int | None = None

    def before_commit(self) -> None:
        """Write what changed in memory, as the last step of the transaction."""
        for unit_id, boot_id in self._touched:
            boots = self._taken[unit_id]
            if boot_id not in boots:
                self.database.execute("DELETE FROM taken WHERE unit_id = ? AND boot_id = ?", (unit_id, boot_id))
                continue
            self.database.execute(
                "INSERT OR REPLACE INTO taken VALUES (?, ?, ?, ?)",
                (unit_id, boot_id, self.next_sequence, json.dumps(list(boots[boot_id]))),
            )
        self._touched.clear()
        if self._given:
            self.database.executemany(
                "INSERT INTO given VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET first_tick_ms = "
                "excluded.first_tick_ms, last_tick_ms = excluded.last_tick_ms, utc_at_tick_zero_ms = "
                "excluded.utc_at_tick_zero_ms WHERE excluded.last_tick_ms >= last_tick_ms",
                [(*boot, *given) for boot, given in self._given.items()],
            )
            self._given.clear()
        said = (self.next_sequence, self.floor, tuple(self.above), self.acknowledged, self.outbox_id)
        if said == self._said:
            return
        self.database.execute(
            "UPDATE outbox SET outbox_id = ?, next_sequence = ?, floor = ?, acknowledged = ?",
            (self.outbox_id, self.next_sequence, self.floor, self.acknowledged),
        )
        if said[2] != self._said[2]:
            self.database.execute("DELETE FROM settled")
            self.database.executemany("INSERT INTO settled VALUES (?, ?)", list(self.above))
        self._said = said

    def used_bytes(self) -> int:
        """Bytes of the pages that hold something."""
        (pages,) = self.database.execute("PRAGMA page_count").fetchone()
        (free,) = self.database.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * PAGE_BYTES

    def add_frame(self, arrival: FrameArrival) -> int | None:
        """Keep a frame; returns its sequence number, or None for one that was taken before."""
        frame, fix = arrival.frame, arrival.fix
        boots = self._taken.setdefault(arrival.unit_id, OrderedDict())
        taken = boots.get(frame.boot_id)
        if taken is not None and frame.number in taken:
            return None
        sequence = self._insert(
            RecordKind.FRAME,
            arrival.accepted_at_ms,
            arrival.payload,
            unit=(arrival.unit_id, frame.boot_id, frame.tick_ms, last_tick_ms(frame)),
            fix=fix,
        )
        self.unmapped += fix is None
        if fix is not None and frame.utc_at_tick_zero_ms is None:
            self._give(arrival.unit_id, frame.boot_id, frame.tick_ms, last_tick_ms(frame), fix)
        boots.setdefault(frame.boot_id, RangeSet(FRAME_RANGES_KEPT)).add(frame.number)
        boots.move_to_end(frame.boot_id)
        self._touched.add((arrival.unit_id, frame.boot_id))
        while len(boots) > BOOTS_KEPT:
            forgotten, _ = boots.popitem(last=False)
            self._touched.add((arrival.unit_id, forgotten))
        return sequence

    def add_position(self, record: PositionRecord) -> int:
        """Keep a position; returns its sequence number."""
        return self._insert(RecordKind.POSITION, record.accepted_at_ms, encode_position(record.fix))

    def add_cab(self, record: CabRecord) -> int:
        """Keep what the cab did; returns its sequence number."""
        return self._insert(RecordKind.CAB, record.accepted_at_ms, encode_cab_report(record.report).encode())

    def add_drop(self, drop: DropRecord, now_ms: int) -> None:
        """Keep a drop, whose sequence must be `next_sequence`."""
        fields = {"ranges": drop.ranges, "details": [asdict(detail) for detail in drop.details]}
        self.open_drop = self._insert(RecordKind.DROP, now_ms, orjson.dumps(fields))

    def read(self, sequences: Iterable[int]) -> list[OutboxEntry]:
        """Those of these records that are still there and have their time."""
        rows = []
        for sequence in sequences:
            rows += self.database.execute(
                f"{_SELECT} sequence = ?",
                (sequence,),
            ).fetchall()
        return self._entries(rows)

    def read_after(self, cursor: int, limit: int, *, unpublished: bool) -> list[OutboxEntry]:
        """The next records above `cursor` that have their time, ascending. `unpublished`: leave published ones out."""
        rows = self.database.execute(
            f"{_SELECT} sequence > ? AND published <= ? ORDER BY sequence LIMIT ?",
            (cursor, 0 if unpublished else 1, limit),
        ).fetchall()
        return self._entries(rows)

    def unmapped_frames(self, unit_id: str, boot_id: str, limit: int) -> list[UnmappedFrame]:
        """Frames of a boot that wait for their time, in order."""
        rows = self.database.execute(
            "SELECT sequence, unit_id, boot_id, first_tick_ms, last_tick_ms, accepted_at_ms FROM records "
            "WHERE kind = 1 AND utc_at_tick_zero_ms IS NULL AND unit_id = ? AND boot_id = ? ORDER BY sequence LIMIT ?",
            (unit_id, boot_id, limit),
        )
        return [UnmappedFrame(*row) for row in rows]

    def unmapped_boots(self) -> list[UnmappedBoot]:
        """The boots with frames that wait for their time."""
        rows = self.database.execute(
            "SELECT unit_id, boot_id, min(sequence), max(last_tick_ms), min(accepted_at_ms - last_tick_ms), "
            "min(accepted_at_ms), max(accepted_at_ms) FROM records "
            "WHERE kind = 1 AND utc_at_tick_zero_ms IS NULL GROUP BY unit_id, boot_id"
        )
        return [UnmappedBoot(*row) for row in rows]

    def fix_times(self, fixes: Sequence[tuple[int, ClockFix]]) -> list[OutboxEntry]:
        """Fix the times of frames that waited; returns their records. A time that is fixed already stays."""
        for sequence, fix in fixes:
            changed = self.database.execute(
                "UPDATE records SET utc_at_tick_zero_ms = ?, uncertainty_s = ?, quality = ? "
                "WHERE sequence = ? AND kind = 1 AND utc_at_tick_zero_ms IS NULL "
                "RETURNING unit_id, boot_id, first_tick_ms, last_tick_ms",
                (fix.utc_at_tick_zero_ms, fix.uncertainty_s, int(fix.quality), sequence),
            ).fetchall()
            self.unmapped -= len(changed)
            for unit_id, boot_id, first_tick, last_tick in changed:
                self._give(unit_id, boot_id, first_tick, last_tick, fix)
        return self.read(sequence for sequence, _ in fixes)

    def move_clock(self, step_ms: int, first_sequence: int, last_sequence: int) -> None:
        """The gateway's clock was set: these frames, if they wait for their time, were received at another one."""
        self.database.execute(
            "UPDATE records SET accepted_at_ms = accepted_at_ms + ? "
            "WHERE kind = 1 AND utc_at_tick_zero_ms IS NULL AND sequence BETWEEN ? AND ?",
            (step_ms, first_sequence, last_sequence),
        )

    def date_earlier(self, first_sequence: int, since_ms: int, now_ms: int) -> None:
        """Frames below `first_sequence` that wait for their time, and say another than these: they came by now."""
        self.database.execute(
            "UPDATE records SET accepted_at_ms = ? WHERE kind = 1 AND utc_at_tick_zero_ms IS NULL AND sequence < ? "
            "AND accepted_at_ms NOT BETWEEN ? AND ?",
            (now_ms, first_sequence, since_ms, now_ms),
        )

    def settle(self, floor: int, ranges: Iterable[tuple[int, int]]) -> None:
        """Everything up to `floor`, and the ranges above it, is stored: forget it."""
        self.acknowledged = True
        if floor > self.floor:
            self._delete(self.floor + 1, floor)
            self.floor = floor
        for first, last in ranges:
            if last > self.floor and not self.above.covers(max(first, self.floor + 1), last):
                self._delete(max(first, self.floor + 1), last)
                self.above.add(max(first, self.floor + 1), last)
        self.floor = self.above.take_prefix(self.floor)

    def mark_published(self, sequences: Iterable[int]) -> None:
        """A host that does not acknowledge was sent these: they are not due again while it does not."""
        for sequence in sequences:
            self.published += self.database.execute(
                "UPDATE records SET published = 1 WHERE sequence = ? AND published = 0", (sequence,)
            ).rowcount

    def renew(self, outbox_id: str) -> None:
        """Go by another id: the host knows numbers of this one that were never given. Records keep their numbers."""
        self.outbox_id = outbox_id
        self.floor = 0
        self.above = RangeSet(SETTLED_RANGES_KEPT)

    def keep_clocks(self, states: Mapping[str, object]) -> None:
        """Keep what is known of these units' clocks."""
        rows = [(unit_id, json.dumps(state)) for unit_id, state in states.items()]
        self.database.executemany("INSERT OR REPLACE INTO clocks VALUES (?, ?)", rows)

    def keep_all_clocks(self, states: Mapping[str, object]) -> None:
        """Keep what is known of all units' clocks: it tells of every time that was given so far."""
        self.keep_clocks(states)
        self.database.execute("DELETE FROM given")
        self._given.clear()

    def clocks(self) -> dict[str, object]:
        """What is known of all units' clocks; in `given`, the latest times of their boots since it was kept."""
        clocks = {unit_id: json.loads(state) for unit_id, state in self.database.execute("SELECT * FROM clocks")}
        for unit_id, *given in self.database.execute("SELECT * FROM given"):
            if isinstance(clocks.get(unit_id), dict):
                clocks[unit_id].setdefault("given", []).append(given)
        return clocks

    def keep_suspicious(self, until_ms: Mapping[str, int]) -> None:
        """Keep which units are suspicious, and until when."""
        self.database.execute("DELETE FROM suspicious")
        self.database.executemany("INSERT INTO suspicious VALUES (?, ?)", list(until_ms.items()))

    def suspicious(self) -> dict[str, int]:
        """Units that were suspicious, and until when."""
        return dict(self.database.execute("SELECT unit_id, until_ms FROM suspicious").fetchall())

    def delete(self, sequence: int) -> None:
        """Forget one record; it was given up."""
        self._delete(sequence, sequence)

    def drop_of(self, payload: bytes, sequence: int) -> DropRecord:
        """A drop as the file has it."""
        fields = orjson.loads(payload)
        return DropRecord(
            sequence=sequence,
            ranges=tuple((first, last) for first, last in fields["ranges"]),
            details=tuple(Replaced(**detail) for detail in fields["details"]),
        )

    def position_of(self, payload: bytes, accepted_at_ms: int) -> PositionRecord:
        """A position as the file has it."""
        fix = decode_position(payload, self._fleet_id, self._gateway_id)
        return PositionRecord(fix=fix, accepted_at_ms=accepted_at_ms)

    def _give(self, unit_id: str, boot_id: str, first_tick: int, last_tick: int, fix: ClockFix) -> None:
        """Remember the latest frame of a boot: after a kill, the next one must not begin before it ended."""
        known = self._given.get((unit_id, boot_id))
        if known is None or last_tick >= known[1]:
            self._given[unit_id, boot_id] = first_tick, last_tick, fix.utc_at_tick_zero_ms

    def _insert(
        self,
        kind: RecordKind,
        accepted_at_ms: int,
        payload: bytes,
        *,
        unit: tuple[str | None, str | None, int | None, int | None] = (None, None, None, None),
        fix: ClockFix | None = None,
    ) -> int:
        sequence = self.next_sequence
        time = (None, None, None) if fix is None else (fix.utc_at_tick_zero_ms, fix.uncertainty_s, int(fix.quality))
        self.database.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?)",
            (sequence, int(kind), *unit, accepted_at_ms, *time, payload),
        )
        self.next_sequence += 1
        self.records += 1
        return sequence

    def _delete(self, first: int, last: int) -> None:
        """Forget these records, and count what is left."""
        between = (first, last)
        if self.unmapped:
            self.unmapped -= self.database.execute(
                "SELECT count(*) FROM records WHERE sequence BETWEEN ? AND ? AND kind = 1 "
                "AND utc_at_tick_zero_ms IS NULL",
                between,
            ).fetchone()[0]
        if self.published:
            self.published -= self.database.execute(
                "SELECT count(*) FROM records WHERE sequence BETWEEN ? AND ? AND published", between
            ).fetchone()[0]
        self.records -= self.database.execute("DELETE FROM records WHERE sequence BETWEEN ? AND ?", between).rowcount

    def _entries(self, rows: Sequence[tuple[int, int, str, int, int, float, int, bytes]]) -> list[OutboxEntry]:
        entries = []
        for sequence, kind, unit_id, accepted_at_ms, zero_ms, uncertainty_s, quality, payload in rows:
            size = SMALL_BYTES
            record: OutboxRecord
            match RecordKind(kind):
                case RecordKind.FRAME:
                    frame = decode_frame(payload)
                    fix = ClockFix(utc_at_tick_zero_ms=zero_ms, uncertainty_s=uncertainty_s, quality=Quality(quality))
                    record, size = fixed_frame(unit_id, frame, fix, accepted_at_ms), frame_size_bytes(frame)
                case RecordKind.POSITION:
                    record = self.position_of(payload, accepted_at_ms)
                case RecordKind.DROP:
                    record = DroppedRecord(drop=self.drop_of(payload, sequence), accepted_at_ms=accepted_at_ms)
                    size = len(payload)
                    if sequence == self.open_drop:
                        self.open_drop = None
                case RecordKind.CAB:
                    record = CabRecord(report=decode_cab_report(payload), accepted_at_ms=accepted_at_ms)
                    size = len(payload)
            entries.append(OutboxEntry(sequence=sequence, record=record, size_bytes=size, historical=True))
        return entries
