"""Which records go out next: live ones first, the backlog with what is left of the window. Pure.

A host is one of three kinds. One that has ever acknowledged this outbox: records are kept and repeated until it
settles them. One that has not: what it was sent counts as due for a while (`UNKNOWN`), and then as done (`PLAIN`),
until it acknowledges after all. Live data never wait for the window: when it is full, the live record that was sent
longest ago leaves it, and is met again when the outbox is read from its beginning the next time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.records import OutboxEntry

WINDOW_RECORDS = 8_192
WINDOW_BYTES = 4 * 1024 * 1024
"""What may be sent and not yet settled; half of it is reserved for live data. Bytes are what links and hosts feel; the
count only bounds what is remembered of small records. Origin: the wire contract."""
RESEND_S = 30.0
RESEND_LONGEST_S = 300.0
"""What is unsettled for so long is sent again; twice as long the next time. Origin: the wire contract."""
LATE_S = 30.0
"""A record that waited longer than this is no live value any more. Origin: the contract sends again after 30 s."""
PROMPT_S = 5.0
"""While live records wait no longer than this they leave in order, which is kinder to whoever follows a pack; after
that the newest go first. **Assumed**: half of a unit's usual interval."""
LIVE_RECORDS = 256
LIVE_BYTES = 4 * 1024 * 1024
"""Live records that wait for the link; of more, the oldest join the backlog. **Assumed**: as the window."""
SENT_RECORDS = 16_384
"""Records whose next sending is remembered; of more, the oldest are found by reading the outbox again. **Assumed**."""
BUFFERED_RECORDS = 512
"""Backlog records that are read ahead in one go. **Assumed**: 25 ms of the outbox's thread, for which live records may
have to wait."""
HOLD_S = 2.0
"""How long the backlog waits after a connection: a host that acknowledges answers a birth, and what it names need not
be sent again. **Assumed**: a round trip over a slow link."""
REBIRTH_EVERY_S = 5.0
"""What is unsettled is sent again after a rebirth that was commanded, at most that often. **Assumed**: a host that
misses messages may command several."""
PLAIN_AFTER_S = 10.0
"""A host that has answered neither birth nor data so long after the birth does not acknowledge. Origin: one that does
answers every NBIRTH at once; a slow link takes seconds."""


class HostKind(StrEnum):
    """What is known of the host."""

    UNKNOWN = "unknown"
    ACKNOWLEDGING = "acknowledging"
    PLAIN = "plain"


@dataclass(slots=True)
class _Sent:
    sent_s: float
    attempts: int
    size_bytes: int
    live: bool
    in_window: bool = True


@dataclass(slots=True)
class _Share:
    records: int = 0
    size_bytes: int = 0


class SendWindow:
    """Times are seconds of a clock that only runs forward. `is_settled` tells of a sequence number."""

    def __init__(
        self,
        *,
        acknowledged: bool,
        is_settled: Callable[[int], bool],
        records: int = WINDOW_RECORDS,
        size_bytes: int = WINDOW_BYTES,
        resend_s: float = RESEND_S,
    ) -> None:
        """`acknowledged`: a host has acknowledged this outbox before."""
        self.kind = HostKind.ACKNOWLEDGING if acknowledged else HostKind.UNKNOWN
        self.cursor: int | None = 0
        """Where the backlog is read on, above this number; None = it was read to its end."""
        self.resent = 0
        """Records sent again so far."""
        self.overtaken = 0
        """Live records that left the window unsettled, since live data must flow."""
        self._is_settled = is_settled
        self._limit = _Share(records, size_bytes)
        self._resend_s = resend_s
        self._live: deque[tuple[OutboxEntry, float]] = deque()
        self._live_bytes = 0
        self._live_numbers: set[int] = set()
        self._buffer: deque[OutboxEntry] = deque()
        self._sent: OrderedDict[int, _Sent] = OrderedDict()
        self._live_order: deque[int] = deque(maxlen=SENT_RECORDS)
        self._again: OrderedDict[int, int] = OrderedDict()
        self._shares = {True: _Share(), False: _Share()}
        self._under_way: set[int] = set()
        """Sent on an earlier connection and not yet again."""
        self._forgot = False
        self._lap_s = 0.0
        self._held_until_s = 0.0
        self._born_s: float | None = None
        self._reborn_s = float("-inf")

    @property
    def in_flight(self) -> tuple[int, int]:
        """Records and bytes that were sent and count against the window."""
        live, backlog = self._shares[True], self._shares[False]
        return live.records + backlog.records, live.size_bytes + backlog.size_bytes

    def has_room(self) -> bool:
        """Whether live records that come now will leave in order."""
        return len(self._live) < LIVE_RECORDS // 2 and self._live_bytes < LIVE_BYTES // 2

    def is_quiet(self) -> bool:
        """Whether nothing in memory waits to be sent for the first time."""
        return not self._live and not self._buffer and self.cursor is None

    def connected(self, now_s: float) -> None:
        """A new connection: whatever is unsettled is due again."""
        self._under_way.update(self._sent)
        self._sent.clear()
        self._again.clear()
        self._buffer.clear()
        self._shares = {True: _Share(), False: _Share()}
        self.cursor, self._lap_s, self._forgot = 0, now_s, False
        self._held_until_s = now_s + HOLD_S
        self._born_s = None

    def born(self, now_s: float) -> None:
        """The birth was sent, which a host that acknowledges answers; only the first of a connection counts."""
        if self._born_s is None:
            self._born_s = now_s

    def reborn(self, now_s: float) -> None:
        """The host commanded a rebirth: it lost what it knew, and may have lost what it was sent.

        Whatever it does not name in its answer to the birth is due again, within the window as ever. To a host that
        never acknowledged anything nothing is repeated.
        """
        if self.kind is HostKind.ACKNOWLEDGING and now_s - self._reborn_s >= REBIRTH_EVERY_S:
            self._reborn_s = now_s
            self.connected(now_s)

    def offer(self, entries: Iterable[OutboxEntry], now_s: float) -> None:
        """Records that have just been committed. The oldest of too many join the backlog."""
        for entry in entries:
            self._live.append((entry, now_s))
            self._live_bytes += entry.size_bytes
            if entry.sequence is not None:
                self._live_numbers.add(entry.sequence)
        while len(self._live) > LIVE_RECORDS or self._live_bytes > LIVE_BYTES:
            self._to_backlog(self._pop_live(0))

    def met_again(self, sequence: int) -> None:
        """A record below the cursor may be sent now: its time was fixed late."""
        if self.cursor is None or self.cursor >= sequence:
            self.cursor = sequence - 1

    def settled(self, now_s: float) -> None:
        """The host settled something; `is_settled` knows. It is a host that acknowledges from now on."""
        if self.kind is not HostKind.ACKNOWLEDGING:
            self.kind = HostKind.ACKNOWLEDGING
            self.cursor, self._lap_s = 0, now_s  # what counted as done is due after all
        self.answered(now_s)
        for sequence in [number for number in self._sent if self._is_settled(number)]:
            self._leave_window(self._sent.pop(sequence))
        for sequence in [number for number in self._again if self._is_settled(number)]:
            del self._again[sequence]
        self._under_way = {number for number in self._under_way if not self._is_settled(number)}

    def answered(self, now_s: float) -> None:
        """The host acknowledged, and said nothing new: what it has not named by now is due."""
        self._held_until_s = min(self._held_until_s, now_s)

    def judge_host(self, now_s: float) -> list[int] | None:
        """Decide that a host does not acknowledge; returns what was sent to it and now counts as done, else None."""
        waited = self._born_s is not None and now_s - self._born_s >= PLAIN_AFTER_S
        if self.kind is not HostKind.UNKNOWN or not waited:
            return None
        self.kind = HostKind.PLAIN
        done = [*self._sent, *self._again]
        self._sent.clear()
        self._again.clear()
        self._shares = {True: _Share(), False: _Share()}
        return done

    def expire(self, now_s: float) -> None:
        """What was sent long enough ago and is unsettled is due again; live records that grew old join the backlog."""
        while self._live and now_s - self._live[0][1] > LATE_S:
            self._to_backlog(self._pop_live(0))
        due = [
            number
            for number, sent in self._sent.items()
            if now_s - sent.sent_s >= min(RESEND_LONGEST_S, self._resend_s * 2.0 ** min(sent.attempts - 1, 16))
        ]
        for number in due:
            sent = self._sent.pop(number)
            self._leave_window(sent)
            self._again[number] = sent.attempts
        while len(self._again) > SENT_RECORDS:
            self._again.popitem(last=False)
            self._forgot = True
        if self.cursor is None and self._forgot and now_s - self._lap_s >= RESEND_LONGEST_S:
            self.cursor, self._lap_s, self._forgot = 0, now_s, False

    def wanted(self, now_s: float) -> int:
        """How many backlog records to read now."""
        if now_s < self._held_until_s or (self.cursor is None and not self._again):
            return 0
        room = BUFFERED_RECORDS - len(self._buffer)
        if self.kind is HostKind.PLAIN:
            return room
        share = self._shares[False]
        if share.size_bytes >= self._limit.size_bytes // 2:
            return 0
        return max(0, min(room, self._limit.records // 2 - share.records - len(self._buffer)))

    def due_again(self, limit: int) -> list[int]:
        """Numbers to read from the outbox and to send again."""
        buffered = {entry.sequence for entry in self._buffer}
        return [number for number in self._again if number not in buffered][:limit]

    def fetched(self, numbers: Iterable[int], entries: Iterable[OutboxEntry]) -> None:
        """What `due_again` asked for: what is not among the entries is gone."""
        found = {entry.sequence: entry for entry in entries}
        for number in numbers:
            if number in found and number in self._again:
                self._buffer.append(found[number])
            else:
                self._again.pop(number, None)

    def read(self, entries: Iterable[OutboxEntry], cursor: int | None, asked_from: int) -> None:
        """What the outbox holds after the cursor, and the new cursor."""
        buffered = {entry.sequence for entry in self._buffer}
        self._buffer.extend(
            entry
            for entry in entries
            if entry.sequence is not None
            and entry.sequence not in self._sent
            and entry.sequence not in self._again
            and entry.sequence not in self._live_numbers
            and entry.sequence not in buffered
        )
        if self.cursor == asked_from:  # otherwise something older turned up meanwhile
            self.cursor = cursor

    def take(self, limit: int, now_s: float) -> list[OutboxEntry]:
        """At most `limit` records to send now; they count as sent.

        Live ones first, in order, or the newest of those that have to wait; then the backlog.
        """
        live: list[OutboxEntry] = []
        prompt = bool(self._live) and now_s - self._live[0][1] <= PROMPT_S
        while self._live and len(live) < limit:
            entry = self._pop_live(0 if prompt else -1)
            if entry.sequence is None or not self._is_settled(entry.sequence):
                live.append(entry)
        if not prompt:
            live.reverse()  # among those that leave together, the order in which they came
        for entry in live:
            self._count(entry, now_s, live=True)
        taken = live
        while self._buffer and len(taken) < limit and self._backlog_fits(self._buffer[0]):
            entry = self._buffer.popleft()
            if entry.sequence is not None and not self._is_settled(entry.sequence):
                self._count(entry, now_s, live=False)
                taken.append(entry)
        return taken

    def _backlog_fits(self, entry: OutboxEntry) -> bool:
        share, limit = self._shares[False], self._limit
        if self.kind is HostKind.PLAIN or not share.records:
            return True
        return share.records < limit.records // 2 and share.size_bytes + entry.size_bytes <= limit.size_bytes // 2

    def _count(self, entry: OutboxEntry, now_s: float, *, live: bool) -> None:
        if entry.sequence is None or self.kind is HostKind.PLAIN:
            return
        attempts = self._again.pop(entry.sequence, 0) + 1
        self.resent += attempts > 1 or entry.sequence in self._under_way
        self._under_way.discard(entry.sequence)
        self._sent[entry.sequence] = _Sent(now_s, attempts, entry.size_bytes, live)
        share = self._shares[live]
        share.records += 1
        share.size_bytes += entry.size_bytes
        if live:
            self._live_order.append(entry.sequence)
        self._make_way()
        while len(self._sent) > SENT_RECORDS:
            _, oldest = self._sent.popitem(last=False)
            self._leave_window(oldest)
            self._forgot = True

    def _make_way(self) -> None:
        """Live data flow, and the backlog has its half: live records that were sent longest ago leave."""
        while self._live_order and self._is_over():
            sent = self._sent.get(self._live_order.popleft())
            if sent is not None and sent.live and sent.in_window:
                self._leave_window(sent)
                self.overtaken += 1

    def _is_over(self) -> bool:
        records, size_bytes = self.in_flight
        return records > self._limit.records or size_bytes > self._limit.size_bytes

    def _leave_window(self, sent: _Sent) -> None:
        if sent.in_window:
            sent.in_window = False
            share = self._shares[sent.live]
            share.records -= 1
            share.size_bytes -= sent.size_bytes

    def _pop_live(self, at: int) -> OutboxEntry:
        entry, _ = self._live.pop() if at else self._live.popleft()
        self._live_bytes -= entry.size_bytes
        if entry.sequence is not None:
            self._live_numbers.discard(entry.sequence)
        return entry

    def _to_backlog(self, entry: OutboxEntry) -> None:
        if entry.sequence is not None:
            self.met_again(entry.sequence)
