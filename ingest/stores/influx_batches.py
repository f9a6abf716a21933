"""Whole batches out of InfluxDB, with all that is known of them: to copy, to move, to lay others over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.stores.influx_lines import NO_FRAME, LineEntry
from ingest.stores.influx_reading import EARLIEST_MS, contents_of, fields_of, first_row, floats, integers
from ingest.stores.influx_server import literal, quoted
from telemetry.samples import SINGLE_CHANNELS, Provenance, Quality, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ingest.stores.contents import Contents
    from ingest.stores.influx_answers import Rows
    from ingest.stores.influx_reading import Window
    from ingest.stores.influx_server import InfluxServer

_BATCH_ROWS = 5_000
"""Most rows without a frame number that are read back as one batch; a frame is always whole. **assumed**"""
_ORIGIN = ("temperatures", "voltages", "gateway", "received", "uncertainty")


def read_batches(server: InfluxServer, unit_id: str, window: Window) -> Iterator[LineEntry]:
    """Everything that is known of a unit's rows, as batches, lane by lane; a frame that the window cuts is cut."""
    unit = f'"unit" = {literal(unit_id)}'
    found = contents_of(server, unit_id, window)
    if not found.rows:
        return
    origins = ", ".join(map(quoted, _ORIGIN))
    fields = ", ".join(map(quoted, ("frame", "boot", "provenance", "quality", *_ORIGIN, *fields_of(found))))
    for lane in _lanes(server, unit_id, window):
        # A lane that is absent is the first; InfluxQL compares absent tags with the empty text.
        where = f'{unit} AND "lane" = {literal(str(lane) if lane else "")}'
        before = f'SELECT {origins} FROM "samples" WHERE {where} AND time < {max(window.start_ms, EARLIEST_MS)}ms'
        origin = first_row(server.query(window.database, f"{before} ORDER BY time DESC LIMIT 1")) or {}
        reader = _BatchReader(unit_id, lane, found, origin)
        statement = f'SELECT {fields} FROM "samples" WHERE {where} AND {window.where}'
        for rows in server.query(window.database, statement):
            yield from reader.take(rows)
        yield from reader.finish()


def whole_batches(server: InfluxServer, unit_id: str, windows: Sequence[Window]) -> Iterator[ReceivedBatch]:
    """Everything that is known of a unit's rows; a frame that two windows part is put together."""
    cut_off: dict[int, LineEntry] = {}
    for window in windows:
        last_of_lane: dict[int, LineEntry] = {}
        for entry in read_batches(server, unit_id, window):
            before = cut_off.pop(entry.lane, None)
            whole = entry
            if before is not None:
                if _one_frame(before.received.batch, entry.received.batch):
                    whole = entry._replace(received=replace(before.received, batch=_joined(before, entry)))
                else:
                    yield before.received
            if (last := last_of_lane.get(entry.lane)) is not None:
                yield last.received
            last_of_lane[entry.lane] = whole
        for entry in cut_off.values():
            yield entry.received
        cut_off = last_of_lane
    for entry in cut_off.values():
        yield entry.received


def _one_frame(left: SampleBatch, right: SampleBatch) -> bool:
    return left.frame is not None and (left.boot_id, left.frame) == (right.boot_id, right.frame)


def _joined(*entries: LineEntry) -> SampleBatch:
    """Rows of one unit, in order of time, as one batch."""
    batches = [entry.received.batch for entry in entries]
    widths = (
        max(batch.temperatures_c.shape[1] for batch in batches),
        max(batch.voltages_v.shape[1] for batch in batches),
    )
    singles: dict[str, Any] = {
        name: np.concatenate([_column(getattr(batch, name), len(batch)) for batch in batches])
        for name in SINGLE_CHANNELS
        if any(getattr(batch, name) is not None for batch in batches)
    }
    return replace(
        batches[0],
        sampled_at_ms=np.concatenate([batch.sampled_at_ms for batch in batches]),
        temperatures_c=np.concatenate([_widened(batch.temperatures_c, widths[0]) for batch in batches]),
        voltages_v=np.concatenate([_widened(batch.voltages_v, widths[1]) for batch in batches]),
        quality=np.concatenate([batch.quality for batch in batches]),
        **singles,
    )


def plain_rows(server: InfluxServer, unit_id: str, lane: int, window: Window) -> SampleBatch | None:
    """The window's rows that came without a frame number and with a time of their own."""
    entries = [entry for entry in read_batches(server, unit_id, window) if entry.lane == lane]
    return _joined(*entries) if entries else None


def _column(values: NDArray[np.float32] | None, rows: int) -> NDArray[np.float32]:
    return np.full(rows, np.nan, np.float32) if values is None else values


def _widened(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    out = np.full((len(values), width), np.nan, np.float32)
    out[:, : values.shape[1]] = values
    return out


def _lanes(server: InfluxServer, unit_id: str, window: Window) -> list[int]:
    statement = (
        f'SELECT count("frame") FROM "samples" WHERE "unit" = {literal(unit_id)} AND {window.where} GROUP BY "lane"'
    )
    return sorted(int(rows.tags.get("lane") or 0) for rows in server.query(window.database, statement) if rows.values)


class _BatchReader:
    """Cuts one lane's rows, in order of time, into batches: rows of one frame, or alike rows without."""

    def __init__(self, unit_id: str, lane: int, found: Contents, origin: dict[str, Any]) -> None:
        self._unit_id = unit_id
        self._lane = lane
        self._found = found
        self._origin = tuple(origin.get(name) for name in _ORIGIN)
        self._key: tuple[Any, ...] | None = None
        self._rows: list[list[Any]] = []

    def take(self, rows: Rows) -> Iterator[LineEntry]:
        for row in rows.values:
            _, frame, boot, provenance, quality, *rest = row
            origin = tuple(rest[: len(_ORIGIN)])
            if origin[0] is not None:
                self._origin = origin
            made_up = bool((quality or 0) & Quality.TIME_IMPOSSIBLE)
            key = (frame, boot, provenance, self._origin, made_up)
            if key != self._key or (frame == NO_FRAME and len(self._rows) >= _BATCH_ROWS):
                yield from self.finish()
                self._key = key
            self._rows.append(row)

    def finish(self) -> Iterator[LineEntry]:
        if self._key is not None and self._rows:
            yield LineEntry(self._batch(*self._key[:4]), self._lane)
        self._rows = []

    def _batch(self, frame: int, boot: str | None, provenance: str, origin: tuple[Any, ...]) -> ReceivedBatch:
        columns = list(zip(*self._rows, strict=True))
        temperatures, voltages, gateway, received, uncertainty = origin
        values = floats(columns[5 + len(_ORIGIN) :], len(self._rows))
        first_single = self._found.temperatures + self._found.voltages
        singles: dict[str, Any] = {
            name: None if np.isnan(values[:, column]).all() else values[:, column]
            for column, name in enumerate(self._found.singles, start=first_single)
        }
        batch = SampleBatch(
            unit_id=self._unit_id,
            boot_id=boot,
            frame=None if frame == NO_FRAME else frame,
            provenance=Provenance(provenance),
            sampled_at_ms=np.array(columns[0], np.int64),
            time_uncertainty_s=float("nan") if uncertainty is None else float(uncertainty),
            temperatures_c=values[:, : temperatures or self._found.temperatures],
            voltages_v=values[:, self._found.temperatures :][:, : voltages or 0],
            quality=integers(columns[4]),
            **singles,
        )
        return ReceivedBatch(batch=batch, fleet_id="", gateway_id=gateway or "", received_at_ms=int(received or 0))


def cut(received: ReceivedBatch, start_ms: int, end_ms: int) -> ReceivedBatch | None:
    """The batch's rows of a stretch of time; None without any."""
    batch = received.batch
    first, last = np.searchsorted(batch.sampled_at_ms, [start_ms, end_ms]).tolist()
    if first >= last:
        return None
    if last - first == len(batch):
        return received
    return replace(received, batch=batch.part(first, last))
