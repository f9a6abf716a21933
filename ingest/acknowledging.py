"""What each gateway may be told that its outbox can forget, and when. Pure: times are arguments, ms."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ingest.stores.progress import FrameRanges
from telemetry.sparkplug.acknowledgement import STORED_RANGES_LIMIT, Acknowledgement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ingest.stores.contract import OutboxRange

ACKNOWLEDGE_EVERY_MS = 1_000
"""A gateway hears of it at most that often. Origin: the wire contract."""

_Outbox = tuple[str, str, str]


class Due(NamedTuple):
    """An acknowledgement to be sent now."""

    fleet_id: str
    gateway_id: str
    acknowledgement: Acknowledgement


class Acknowledger:
    """The settled records of all outboxes, and which gateways have something to hear."""

    def __init__(self) -> None:
        self._settled: dict[_Outbox, FrameRanges] = {}
        self._due: dict[_Outbox, None] = {}
        self._sent_ms: dict[tuple[str, str], int] = {}

    def load(self, ranges: Iterable[OutboxRange]) -> None:
        """Take what the store says is settled; nobody is told before there is an occasion."""
        for *outbox, first, last in ranges:
            self._of((outbox[0], outbox[1], outbox[2])).add_range(first, last)

    def settled(self, ranges: Iterable[OutboxRange]) -> None:
        """Records were committed, or came again after they had been: their gateways hear of it."""
        for fleet_id, gateway_id, outbox_id, first, last in ranges:
            outbox = fleet_id, gateway_id, outbox_id
            self._of(outbox).add_range(first, last)
            self._due[outbox] = None

    def born(self, fleet_id: str, gateway_id: str, outbox_id: str) -> None:
        """A gateway told its birth: it hears what is settled at once, since an earlier word may have been lost."""
        self._due[fleet_id, gateway_id, outbox_id] = None
        self._sent_ms.pop((fleet_id, gateway_id), None)

    def is_settled(self, record: OutboxRange) -> bool:
        """Whether all of a range is settled."""
        return (known := self._settled.get(record[:3])) is not None and known.covers(record.first, record.last)

    def due(self, now_ms: int, may_tell: Callable[[str], bool]) -> list[Due]:
        """What to send now, for fleets of which `may_tell` says yes; the others' occasions pass."""
        told = []
        for outbox in list(self._due):
            fleet_id, gateway_id, outbox_id = outbox
            sent_ms = self._sent_ms.get((fleet_id, gateway_id))
            if sent_ms is not None and 0 <= now_ms - sent_ms < ACKNOWLEDGE_EVERY_MS:
                continue
            del self._due[outbox]
            if not may_tell(fleet_id):
                continue
            self._sent_ms[fleet_id, gateway_id] = now_ms
            told.append(Due(fleet_id, gateway_id, self._acknowledgement(outbox_id, self._settled.get(outbox))))
        return told

    def _of(self, outbox: _Outbox) -> FrameRanges:
        ranges = self._settled.get(outbox)
        if ranges is None:
            ranges = self._settled[outbox] = FrameRanges()
        return ranges

    @staticmethod
    def _acknowledgement(outbox_id: str, settled: FrameRanges | None) -> Acknowledgement:
        ranges = [] if settled is None else settled.lowest(STORED_RANGES_LIMIT + 1)
        floor = 0
        if ranges and ranges[0][0] <= 1:  # numbers begin at 1
            floor = ranges.pop(0)[1]
        return Acknowledgement(outbox_id=outbox_id, floor=floor, ranges=tuple(ranges[:STORED_RANGES_LIMIT]))
