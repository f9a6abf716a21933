"""What goes to the quarantine, and how fast: everything refused, and each kind of finding at a unit now and then."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from ingest.events import Refused
from registry.records import QuarantineEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.validation import Finding
    from telemetry.samples import ReceivedBatch

PAYLOAD_KEPT_BYTES = 65_536
FINDING_EVERY_MS = 60_000
"""A dead thermistor speaks up in every sample for days: its batches are stored and counted, an entry a minute tells of
it. **assumed**"""
_MAX_WAITING_BYTES = 16 * 1024 * 1024
"""Some seconds of a flood; beyond, entries are counted and dropped. **assumed**"""
_ENTRY_OVERHEAD_BYTES = 2_000
_MAX_REMEMBERED = 100_000


class QuarantineSink(Protocol):
    """Where entries are kept. Calls block, and raise when the place is away."""

    def add_quarantine(self, entries: Sequence[QuarantineEntry]) -> None:
        """Keep all entries, or none."""


class QuarantineDesk:
    """Entries that wait to be kept, oldest first. Pure: times are arguments, UTC, ms since 1970."""

    def __init__(self) -> None:
        self._waiting: deque[QuarantineEntry] = deque()
        self._bytes = 0
        self._noted_ms: dict[tuple[str, str], int] = {}
        self.dropped = 0
        """Entries that found no room."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def fill(self) -> float:
        """0 empty, 1 full."""
        return min(1.0, self._bytes / _MAX_WAITING_BYTES)

    def refuse(self, refused: Refused, at_ms: int) -> None:
        """Something of which nothing could be taken."""
        size = min(len(refused.payload), PAYLOAD_KEPT_BYTES) + _ENTRY_OVERHEAD_BYTES
        if self._bytes + size > _MAX_WAITING_BYTES:
            self.dropped += 1
            return
        self._bytes += size
        self._waiting.append(
            QuarantineEntry(
                received_at=datetime.fromtimestamp(at_ms / 1000, UTC),
                reason=refused.reason,
                detail=refused.detail,
                topic=refused.topic,
                fleet_id=refused.fleet_id,
                gateway_id=refused.gateway_id,
                unit_id=refused.unit_id,
                payload=refused.payload[:PAYLOAD_KEPT_BYTES],
                payload_size=len(refused.payload),
            )
        )

    def note(self, finding: Finding, received: ReceivedBatch, topic: str, payload: bytes) -> None:
        """Something wrong with a batch that was taken; the same at the same unit waits its time."""
        what = (received.batch.unit_id, finding.reason)
        noted_ms = self._noted_ms.get(what)
        if noted_ms is not None and 0 <= received.received_at_ms - noted_ms < FINDING_EVERY_MS:
            return
        if len(self._noted_ms) >= _MAX_REMEMBERED:
            self._noted_ms.clear()
        self._noted_ms[what] = received.received_at_ms
        self.refuse(
            Refused(
                reason=finding.reason,
                detail=finding.detail,
                topic=topic,
                payload=payload,
                fleet_id=received.fleet_id,
                gateway_id=received.gateway_id,
                unit_id=received.batch.unit_id,
            ),
            received.received_at_ms,
        )

    def take(self, limit: int) -> list[QuarantineEntry]:
        """The oldest entries, at most `limit`."""
        taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        self._bytes -= sum(map(_size, taken))
        return taken

    def put_back(self, entries: Sequence[QuarantineEntry]) -> None:
        """Entries that could not be kept now; in front again, were it beyond the bound."""
        self._waiting.extendleft(reversed(entries))
        self._bytes += sum(map(_size, entries))

    def _put(self, entry: QuarantineEntry) -> None:
        if self._bytes + _size(entry) > _MAX_WAITING_BYTES:
            self.dropped += 1
            return
        self._waiting.append(entry)
        self._bytes += _size(entry)


def _size(entry: QuarantineEntry) -> int:
    return len(entry.payload) + _ENTRY_OVERHEAD_BYTES
