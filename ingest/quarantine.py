"""What goes to the quarantine, and how fast: everything refused, and each kind of finding at a unit now and then.

What a gateway let go is told there too, and kept as missing samples.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ingest.events import Refused
from ingest.stores.contract import OutboxRange
from registry.records import MissingSamples, QuarantineEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.events import SamplesDropped
    from ingest.validation import Finding
    from telemetry.samples import ReceivedBatch
    from telemetry.sparkplug.acknowledgement import Replaced

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

    def add_missing_samples(self, records: Sequence[MissingSamples]) -> int:
        """Keep records, each once however often it comes. Returns how many were new."""


class Waiting(NamedTuple):
    """An entry on its way, and what comes of its being kept."""

    entry: QuarantineEntry
    settles: tuple[OutboxRange, ...] = ()
    missing: tuple[MissingSamples, ...] = ()


class QuarantineDesk:
    """Entries that wait to be kept, oldest first. Pure: times are arguments, UTC, ms since 1970."""

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()
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
        self._put(refused, at_ms, () if refused.settles is None else (refused.settles,), ())

    def drop(self, dropped: SamplesDropped, at_ms: int) -> None:
        """Samples that a gateway let go: missing for good."""
        drop = dropped.drop
        outbox = dropped.fleet_id, dropped.gateway_id, dropped.outbox_id
        own = OutboxRange(*outbox, drop.sequence, drop.sequence)
        units = {detail.unit_id for detail in drop.details}
        refused = Refused(
            reason="samples_dropped",
            detail="; ".join(map(_told, drop.details)) or f"the gateway let {len(drop.ranges)} ranges of records go",
            topic=dropped.topic,
            payload=dropped.payload,
            fleet_id=dropped.fleet_id,
            gateway_id=dropped.gateway_id,
            unit_id=units.pop() if len(units) == 1 else None,
        )
        self._put(
            refused,
            at_ms,
            (own, *(OutboxRange(*outbox, first, last) for first, last in drop.ranges)),
            tuple(_missing(dropped, entry, detail, at_ms) for entry, detail in enumerate(drop.details)),
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

    def take(self, limit: int) -> list[Waiting]:
        """The oldest entries, at most `limit`."""
        taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        self._bytes -= sum(map(_size, taken))
        return taken

    def put_back(self, entries: Sequence[Waiting]) -> None:
        """Entries that could not be kept now; in front again, were it beyond the bound."""
        self._waiting.extendleft(reversed(entries))
        self._bytes += sum(map(_size, entries))

    def _put(
        self, refused: Refused, at_ms: int, settles: tuple[OutboxRange, ...], missing: tuple[MissingSamples, ...]
    ) -> None:
        size = min(len(refused.payload), PAYLOAD_KEPT_BYTES) + _ENTRY_OVERHEAD_BYTES * (1 + len(missing))
        if self._bytes + size > _MAX_WAITING_BYTES:
            self.dropped += 1
            return
        self._bytes += size
        entry = QuarantineEntry(
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
        self._waiting.append(Waiting(entry, settles, missing))


def _size(waiting: Waiting) -> int:
    return len(waiting.entry.payload) + _ENTRY_OVERHEAD_BYTES * (1 + len(waiting.missing))


def _missing(dropped: SamplesDropped, entry: int, detail: Replaced, at_ms: int) -> MissingSamples:
    return MissingSamples(
        reported_at=datetime.fromtimestamp(at_ms / 1000, UTC),
        fleet_id=dropped.fleet_id,
        gateway_id=dropped.gateway_id,
        outbox_id=dropped.outbox_id,
        outbox_sequence=dropped.drop.sequence,
        entry=entry,
        unit_id=detail.unit_id,
        boot_id=detail.boot_id,
        first_frame=_bounded(detail.first_frame),
        last_frame=_bounded(detail.last_frame),
        samples_lost=_bounded(detail.samples_lost) or 0,
        kept_period_ms=_bounded(detail.kept_period_ms) if detail.kept == "thinned" else None,
        from_at=_instant(detail.from_ms),
        to_at=_instant(detail.to_ms),
        why=detail.why,
    )


def _told(detail: Replaced) -> str:
    what = "positions" if detail.unit_id is None else f"samples of {detail.unit_id}"
    left = "" if detail.kept_period_ms is None else f", one each {detail.kept_period_ms / 1000:g} s is left"
    span = f"{_instant(detail.from_ms):%Y-%m-%d %H:%M} to {_instant(detail.to_ms):%Y-%m-%d %H:%M} UTC"
    return f"{detail.samples_lost} {what} are lost, {span}{left}: {detail.why}"


def _bounded(number: int | None) -> int | None:
    """As a database column keeps it; a gateway may say anything."""
    return None if number is None else max(-(2**63), min(number, 2**63 - 1))


def _instant(at_ms: int) -> datetime:
    """The nearest time that has a name."""
    return datetime.fromtimestamp(max(0, min(at_ms, _LAST_MS)) / 1000, UTC)


_LAST_MS = 253_402_300_799_000
"""The end of the year 9999, the last that Python and the databases know."""
