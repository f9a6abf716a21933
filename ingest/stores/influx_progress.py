"""What is known of the data, kept beside it: frames and their places, settled outbox records, fences.

InfluxDB has no transactions, so data goes first and progress second, and what a crash left between the two is found
in the data when a frame comes whose time it may meet. It all lies in the database that does not expire, at made-up
times near 1970 where a point is a row that is overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from ingest.stores.contract import OutboxRange, StoreFencedError, UnitSpan
from ingest.stores.influx_lines import field_text, tag_text
from ingest.stores.influx_places import Span, UnitPlaces
from ingest.stores.influx_reading import frames_in, newest_of_all
from ingest.stores.influx_server import literal
from ingest.stores.progress import FrameRanges

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ingest.stores.contract import Fence
    from ingest.stores.influx_server import InfluxServer

ALL_GROUPS = "*"
MADE_UP_BOOT = ""
"""Rows whose time was made up are placed like frames of this boot, numbered as they come."""
_BEFORE_ALL_MS = -(2**62)
_SEARCHES = 100
"""Most units that one question asks for. **assumed**"""
_TOGETHER_MS = 600_000
"""Frames closer than this are looked for together. **assumed**"""


class Progress:
    """Which frames of all units are stored, and where; read once, then kept in memory and written through."""

    def __init__(self, server: InfluxServer) -> None:
        """Read it all."""
        self._server = server
        self._kept = server.access.kept
        self.units: dict[str, UnitPlaces] = {}
        self._read_units()
        self.outboxes = _read_outboxes(server)
        self._newest_ms = newest_of_all(server, server.access.database)
        """Before these times data may lie that progress does not know."""
        self._newest_plain_ms: dict[str, int] = {}

    def unit(self, unit_id: str) -> UnitPlaces:
        """The unit's places."""
        return self.units.setdefault(unit_id, UnitPlaces())

    def newest_plain_ms(self, unit_id: str) -> int:
        """After it no row without a frame number is stored."""
        return self._newest_plain_ms.get(unit_id, self._newest_ms.get(unit_id, _BEFORE_ALL_MS))

    def saw_plain(self, unit_id: str, newest_ms: int) -> None:
        """Rows without frame numbers up to `newest_ms` are stored."""
        self._newest_plain_ms[unit_id] = max(newest_ms, self.newest_plain_ms(unit_id))

    def search(self, frames: Iterable[UnitSpan]) -> None:
        """Look in the data for what lies where new frames want to go and came without progress."""
        old = sorted(span for span in frames if span.start_ms <= self._newest_ms.get(span.unit_id, _BEFORE_ALL_MS))
        spans: list[UnitSpan] = []
        for span in old:
            last = spans[-1] if spans else None
            if last is not None and last.unit_id == span.unit_id and span.start_ms - last.end_ms < _TOGETHER_MS:
                spans[-1] = last._replace(end_ms=max(last.end_ms, span.end_ms))
            else:
                spans.append(span)
        for at in range(0, len(spans), _SEARCHES):
            self._search(spans[at : at + _SEARCHES])

    def written(self, touched: set[tuple[str, str]]) -> bytes:
        """Lines that bring the stored progress of (unit, boot) up to date."""
        lines = []
        for unit_id, boot_id in sorted(touched):
            places = self.units[unit_id]
            slot = self._slot(places, boot_id)
            spans = field_text(orjson.dumps([span.numbers() for span in places.spans_of(boot_id)]).decode())
            plain = "" if boot_id or places.plain_lane is None else f",plain_lane={places.plain_lane}i"
            lines.append(f"progress,unit={tag_text(unit_id)} boot={field_text(boot_id)},spans={spans}{plain} {slot}\n")
        return "".join(lines).encode()

    def settled(self, ranges: Sequence[OutboxRange]) -> bytes:
        """Take settled ranges; lines that keep them."""
        touched = dict.fromkeys((each.fleet_id, each.gateway_id, each.outbox_id) for each in ranges)
        for fleet_id, gateway_id, outbox_id, first, last in ranges:
            self.outboxes.setdefault((fleet_id, gateway_id, outbox_id), FrameRanges()).add_range(first, last)
        lines = []
        for key in touched:
            tags = ",".join(f"{name}={tag_text(text)}" for name, text in zip(_OUTBOX, key, strict=True))
            text = orjson.dumps(list(self.outboxes[key].ranges().items())).decode()
            lines.append(f"settled,{tags} ranges={field_text(text)} 0\n")
        return "".join(lines).encode()

    def forget_before(self, cutoff_ms: int, held: set[str]) -> None:
        """Frames that old will not come again; a held unit's progress stays with its data."""
        touched = set()
        for unit_id, places in self.units.items():
            if unit_id in held:
                continue
            for boot_id in places.forget_before(cutoff_ms):
                if places.spans_of(boot_id) or boot_id == MADE_UP_BOOT:
                    touched.add((unit_id, boot_id))
                else:
                    slot = places.slots.pop(boot_id)
                    where = f'"unit" = {literal(unit_id)} AND time = {slot}ms'
                    self._server.change(self._kept, f'DELETE FROM "progress" WHERE {where}')
        if touched:
            self._server.write(self._kept, self.written(touched))

    def _search(self, spans: Sequence[UnitSpan]) -> None:
        found: dict[tuple[str, int, str, int], tuple[int, int]] = {}
        for row in frames_in(self._server, self._server.access.database, spans):
            places = self.unit(row.unit_id)
            if not places.is_stored(row.boot_id, row.frame) and not places.is_placed(row.boot_id, row.frame):
                key = (row.unit_id, row.lane, row.boot_id, row.frame)
                first, last = found.get(key, (row.at_ms, row.at_ms))
                found[key] = (min(first, row.at_ms), max(last, row.at_ms))
        for (unit_id, lane, boot_id, frame), (first_ms, last_ms) in found.items():
            self.unit(unit_id).found(boot_id, frame, lane, first_ms, last_ms)

    def _read_units(self) -> None:
        statement = 'SELECT "boot", "spans", "plain_lane" FROM "progress" GROUP BY "unit"'
        for rows in self._server.query(self._kept, statement):
            places = self.unit(rows.tags["unit"])
            for slot, boot_id, spans, plain_lane in rows.values:
                places.slots[boot_id] = slot
                if plain_lane is not None:
                    places.plain_lane = plain_lane
                places.restore(boot_id, [Span(*numbers) for numbers in orjson.loads(spans)])

    @staticmethod
    def _slot(places: UnitPlaces, boot_id: str) -> int:
        slot = places.slots.get(boot_id)
        if slot is None:
            slot = 0 if boot_id == MADE_UP_BOOT else 1 + max(places.slots.values(), default=0)
            places.slots[boot_id] = slot
        return slot


_OUTBOX = ("fleet", "gateway", "outbox")


def _read_outboxes(server: InfluxServer) -> dict[tuple[str, str, str], FrameRanges]:
    found = {}
    statement = 'SELECT "ranges" FROM "settled" GROUP BY "fleet", "gateway", "outbox"'
    for rows in server.query(server.access.kept, statement):
        fleet_id, gateway_id, outbox_id = (rows.tags[name] for name in _OUTBOX)
        for _, text in rows.values:
            found[fleet_id, gateway_id, outbox_id] = FrameRanges([(first, last) for first, last in orjson.loads(text)])
    return found


def outbox_ranges(server: InfluxServer) -> tuple[OutboxRange, ...]:
    """All that was ever settled."""
    return tuple(
        OutboxRange(*key, first, last)
        for key, ranges in sorted(_read_outboxes(server).items())
        for first, last in ranges.ranges().items()
    )


def keep_fences(server: InfluxServer, fences: Sequence[Fence]) -> None:
    """Raises StoreFencedError when a lease is lost, or a later holder wrote already; else keeps the numbers."""
    if not fences:
        return
    answer = server.query(server.access.kept, 'SELECT "number" FROM "fences" GROUP BY "group"')
    kept = {rows.tags["group"]: int(rows.values[0][1]) for rows in answer if rows.values}
    higher = []
    for fence in fences:
        rivals = kept if fence.group == ALL_GROUPS else {fence.group, ALL_GROUPS} & kept.keys()
        highest = max((kept[group] for group in rivals), default=0)
        if highest > fence.number:
            raise StoreFencedError(f"fence {highest} has written for {fence.group}; this worker's is {fence.number}")
        if kept.get(fence.group, 0) < fence.number:
            higher.append(f"fences,group={tag_text(fence.group)} number={fence.number}i 0\n")
    for fence in fences:
        if not fence.held():
            raise StoreFencedError(f"the lease of {fence.group} is no longer held")
    if higher:
        server.write(server.access.kept, "".join(higher).encode())
