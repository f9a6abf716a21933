"""The outbox: what the gateway owes to the cloud, kept in SQLite until it is settled."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import structlog

from gateway.outbox_file import SMALL_BYTES, OutboxFile
from gateway.outbox_schema import OutboxDamagedError, OutboxFullError, open_database, set_aside
from gateway.outbox_writer import OutboxWriter, meaning
from gateway.ranges import RangeSet
from gateway.records import FrameArrival, OutboxEntry, fixed_frame, frame_size_bytes
from gateway.room import SOFT_SHARE, give_up, make_room
from gateway.wall_clock import wall_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from gateway.clock_map import ClockFix
    from gateway.outbox_file import UnmappedBoot, UnmappedFrame
    from gateway.outbox_writer import FileState
    from gateway.records import CabRecord, PositionRecord

__all__ = ["Outbox", "OutboxDamagedError", "OutboxFullError", "OutboxOutrunError", "Taken"]

_log = structlog.get_logger()

DEFAULT_MAX_BYTES = 256 * 1024 * 1024
"""72 h of 16 packs that report 24 channels every 10 s are 414,720 frames of one sample. Measured, a frame takes 241
bytes of pages, index included: 100 MB. The rest is for units that report every second: a frame of 60 samples takes a
page of 4,096 bytes, and 72 h of 16 packs 283 MB, of which it holds 64 h before anything is thinned."""
DEFAULT_MAX_AGE_S = 30 * 86_400.0
"""Ingest takes times that are older than 35 days for impossible. The bound in bytes is what keeps an outbox small."""
AGE_CHECK_S = 60.0
ROW_OVERHEAD_BYTES = 256
"""Columns, index and page share of a row. Origin: see DEFAULT_MAX_BYTES."""
RETRY_S = 1.0
"""After the disk had no room nothing is tried for so long: units send again after seconds. **Assumed**."""


class OutboxOutrunError(Exception):
    """Someone acknowledges numbers that were never given: this file is an older copy of itself, or the host's error."""


class Taken(NamedTuple):
    """What became of records that were offered, in their order."""

    new: tuple[OutboxEntry | None, ...]
    """The entry to publish; None for a frame that waits for its time, or was taken before."""
    duplicates: int
    """How many of them were taken before."""


class Outbox:
    """Call it from one event loop. Everything that is awaited is committed when it returns.

    Raises OutboxFullError from whatever writes, when disk or bound leave no room: nothing was changed then, the next
    call tries again, and whoever offered a frame must not acknowledge it. Raises OutboxDamagedError when the file is
    unreadable: close and open again, which sets it aside.
    """

    def __init__(self, file: OutboxFile, *, max_bytes: int, max_age_s: float, gives_up: bool) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._gives_up = gives_up
        self._age_checked_s = float("-inf")
        self._retry_at_s = float("-inf")
        self._first_of_run = file.next_sequence
        self._changed = asyncio.Event()
        self.samples_lost = 0
        """Samples given up since the start: for want of room, or since they have no form on the wire."""
        self.age_counts = True
        """False after the gateway's clock was set by much: it must not make everything look old."""
        self._writer = OutboxWriter(file, self._learn)

    @classmethod
    async def open(
        cls,
        path: Path | None,
        *,
        fleet_id: str,
        gateway_id: str,
        max_bytes: int,
        max_age_s: float = DEFAULT_MAX_AGE_S,
        gives_up: bool = True,
    ) -> Outbox:
        """Open or make the outbox at `path`, setting aside a damaged one; None = in memory, ending with the process.

        `gives_up`: make room when it is full, as `room` says; False = take nothing more until something is settled.

        Raises OutboxFullError while the disk does not let it.
        """

        def loaded() -> OutboxFile:
            database = open_database(path, max_bytes=max_bytes)
            try:
                return OutboxFile(database, fleet_id=fleet_id, gateway_id=gateway_id)
            except (sqlite3.Error, TypeError, ValueError) as error:
                database.close()
                raise meaning(error) from error

        def opened() -> OutboxFile:
            try:
                return loaded()
            except OutboxDamagedError as error:
                if path is None:
                    raise
                set_aside(path, str(error), wall_ms())
                return loaded()

        return cls(await asyncio.to_thread(opened), max_bytes=max_bytes, max_age_s=max_age_s, gives_up=gives_up)

    async def close(self) -> None:
        """Finish what was asked for, and close the file. Nothing may be asked for afterwards."""
        await self._writer.close()
        self._changed.set()

    async def changed(self) -> None:
        """Wait until something happened to the file, or it is closed."""
        await self._changed.wait()

    def __len__(self) -> int:
        """How many records are not settled."""
        return self._state.records

    @property
    def outbox_id(self) -> str:
        """Made at random with the file."""
        return self._state.outbox_id

    @property
    def acknowledged(self) -> bool:
        """Whether a host ever acknowledged any of it: then records wait until one does again."""
        return self._state.acknowledged

    @property
    def unpublished(self) -> int:
        """How many records were not marked as published."""
        return self._state.records - self._state.published

    @property
    def unmapped(self) -> int:
        """How many frames wait for their time."""
        return self._state.unmapped

    @property
    def next_sequence(self) -> int:
        """The number of the next record."""
        return self._state.next_sequence

    @property
    def used_bytes(self) -> int:
        """Bytes of the file's pages that hold something."""
        return self._state.used_bytes

    def fill(self) -> float:
        """How full the outbox is, 0 to 1."""
        return min(1.0, self.used_bytes / self._max_bytes)

    def stored(self) -> tuple[int, tuple[tuple[int, int], ...]]:
        """The floor, up to which all is settled (0 = nothing), and the settled ranges above it."""
        return self._state.floor, self._state.above

    def is_settled(self, sequence: int) -> bool:
        """Whether the record is settled."""
        return sequence <= self._state.floor or sequence in self._above

    async def take(
        self,
        frames: Sequence[FrameArrival],
        positions: Sequence[PositionRecord] = (),
        *,
        suspicious: frozenset[str] = frozenset(),
        clocks: Mapping[str, object] = MappingProxyType({}),
    ) -> Taken:
        """Keep records, all or none; a frame that was taken before is kept once. Makes room where that is needed.

        `clocks`: what was learnt of units' clocks, kept together with the first times that were fixed by it.
        """
        incoming = sum(len(frame.payload) + ROW_OVERHEAD_BYTES for frame in frames)
        incoming += len(positions) * (SMALL_BYTES + ROW_OVERHEAD_BYTES)
        now_s = time.monotonic()
        if now_s < self._retry_at_s:
            raise OutboxFullError("the disk had no room a moment ago")
        if not self._gives_up and self.used_bytes + incoming > self._max_bytes * SOFT_SHARE:
            raise OutboxFullError("the outbox is full, and its units can wait")
        aged = self._gives_up and self.age_counts and now_s - self._age_checked_s >= AGE_CHECK_S
        now_ms = wall_ms()

        def work(file: OutboxFile) -> tuple[list[int | None], int]:
            lost = 0
            if self._gives_up:
                lost = make_room(
                    file,
                    incoming_bytes=incoming,
                    max_bytes=self._max_bytes,
                    oldest_ms=now_ms - round(self._max_age_s * 1000) if aged else None,
                    suspicious=suspicious,
                    now_ms=now_ms,
                )
            file.keep_clocks(clocks)
            numbers = [file.add_frame(frame) for frame in frames]
            return numbers + [file.add_position(position) for position in positions], lost

        try:
            numbers, lost = await self._writer.run(work)
        except OutboxFullError:
            self._retry_at_s = now_s + RETRY_S
            raise
        if aged:
            self._age_checked_s = now_s
        if lost:
            self.samples_lost += lost
            _log.warning("outbox_gave_up", samples=lost, used_bytes=self.used_bytes, max_bytes=self._max_bytes)
        entries: list[OutboxEntry | None] = [
            None if number is None or frame.fix is None else _entry(number, frame, frame.fix)
            for number, frame in zip(numbers, frames, strict=False)
        ]
        entries += [
            OutboxEntry(sequence=number, record=position, size_bytes=SMALL_BYTES)
            for number, position in zip(numbers[len(frames) :], positions, strict=True)
        ]
        return Taken(tuple(entries), sum(number is None for number in numbers))

    async def take_cab(self, record: CabRecord) -> OutboxEntry:
        """Keep what the cab did. Raises OutboxFullError."""
        sequence = await self._writer.run(lambda file: file.add_cab(record))
        return OutboxEntry(sequence=sequence, record=record, size_bytes=SMALL_BYTES)

    async def read(self, sequences: Iterable[int]) -> list[OutboxEntry]:
        """Those of these records that are unsettled and have their time, as historical entries."""
        wanted = list(sequences)
        return self._unsettled(await self._writer.run(lambda file: file.read(wanted)))

    async def read_after(self, cursor: int, limit: int) -> tuple[list[OutboxEntry], int | None]:
        """The next records above `cursor`, ascending, as historical entries; and where to go on, None at the end.

        While no host ever acknowledged, published ones are left out.
        """
        unpublished = not self.acknowledged
        entries = await self._writer.run(lambda file: file.read_after(cursor, limit, unpublished=unpublished))
        return self._unsettled(entries), entries[-1].sequence if len(entries) == limit else None

    async def unmapped_frames(self, boot: UnmappedBoot, limit: int) -> list[UnmappedFrame]:
        """Frames of a boot that wait for their time, in order."""
        return await self._writer.run(lambda file: file.unmapped_frames(boot.unit_id, boot.boot_id, limit))

    async def unmapped_boots(self) -> list[UnmappedBoot]:
        """The boots with frames that wait for their time."""
        return await self._writer.run(lambda file: file.unmapped_boots())

    async def fix_times(
        self, fixes: Sequence[tuple[int, ClockFix]], clocks: Mapping[str, object] = MappingProxyType({})
    ) -> list[OutboxEntry]:
        """Fix the times of frames that waited, `clocks` as in `take`. Returns the entries that may be published now."""

        def work(file: OutboxFile) -> list[OutboxEntry]:
            file.keep_clocks(clocks)
            return file.fix_times(fixes)

        return self._unsettled(await self._writer.run(work))

    async def move_clock(self, step_ms: int, last_sequence: int) -> None:
        """The gateway's clock was set: frames of this run, up to this one, move with it if they wait for their time."""
        await self._writer.run(lambda file: file.move_clock(step_ms, self._first_of_run, last_sequence))

    async def date_earlier(self, since_ms: int, now_ms: int) -> None:
        """Frames of earlier runs that wait for their time count as received now, if their clock said another time.

        Between `since_ms` and `now_ms` it is believed.
        """
        await self._writer.run(lambda file: file.date_earlier(self._first_of_run, since_ms, now_ms))

    async def mark_published(self, sequences: Sequence[int]) -> None:
        """A host that does not acknowledge was sent these."""
        await self._writer.run(lambda file: file.mark_published(sequences))

    async def give_up(self, sequences: Sequence[int], why: str) -> None:
        """These records can never be published: a record of its own says which samples are lost with them, and why."""
        now_ms = wall_ms()
        lost = await self._writer.run(lambda file: give_up(file, sequences, why=why, now_ms=now_ms))
        self.samples_lost += lost

    async def settle(self, floor: int, ranges: Sequence[tuple[int, int]] = ()) -> bool:
        """Everything up to `floor`, and the ranges (first, last) above it, is stored: forget it.

        False when it says nothing new. Raises OutboxOutrunError, and changes nothing, when it names numbers that were
        never given; ValueError for a range that ends before it begins.
        """
        if any(first > last for first, last in ranges):
            raise ValueError("a range ends before it begins")
        if max([floor, *(last for _, last in ranges)]) >= self.next_sequence:
            raise OutboxOutrunError(f"records above {self.next_sequence - 1} do not exist")
        lowest = self._state.floor
        new = floor > lowest or any(
            last > lowest and not self._above.covers(max(first, lowest + 1), last) for first, last in ranges
        )
        if not new and self.acknowledged:
            return False
        await self._writer.run(lambda file: file.settle(floor, ranges))
        return True

    async def renew(self) -> str:
        """Go by a new id, since the host knows numbers of the old one that were never given. Nothing is lost."""
        outbox_id = uuid.uuid4().hex
        await self._writer.run(lambda file: file.renew(outbox_id))
        return outbox_id

    async def keep(self, clocks: Mapping[str, object], suspicious: Mapping[str, int]) -> None:
        """Keep what is known of all units' clocks at this moment, and which are suspicious, for the next run."""

        def work(file: OutboxFile) -> None:
            file.keep_all_clocks(clocks)
            file.keep_suspicious(suspicious)

        await self._writer.run(work)

    async def kept(self) -> tuple[dict[str, object], dict[str, int]]:
        """What `keep` kept."""
        return await self._writer.run(lambda file: (file.clocks(), file.suspicious()))

    def _unsettled(self, entries: list[OutboxEntry]) -> list[OutboxEntry]:
        return [entry for entry in entries if entry.sequence is None or not self.is_settled(entry.sequence)]

    def _learn(self, state: FileState) -> None:
        self._state = state
        self._changed.set()
        self._changed = asyncio.Event()
        self._above = RangeSet(len(state.above) + 1)
        for first, last in state.above:
            self._above.add(first, last)


def _entry(sequence: int, arrival: FrameArrival, fix: ClockFix) -> OutboxEntry:
    return OutboxEntry(
        sequence=sequence,
        record=fixed_frame(arrival.unit_id, arrival.frame, fix, arrival.accepted_at_ms),
        size_bytes=frame_size_bytes(arrival.frame),
    )
