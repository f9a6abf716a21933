"""What is read from InfluxDB, in InfluxQL alone: summaries, rows and whole batches, positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ingest.stores.contents import Contents
from ingest.stores.influx_lines import channel_fields
from ingest.stores.influx_server import literal, quoted
from ingest.stores.moving import StoredGateway, StoredUnit
from telemetry.samples import SINGLE_CHANNELS, PositionFix, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from ingest.stores.contract import UnitSpan
    from ingest.stores.influx_answers import Rows
    from ingest.stores.influx_server import InfluxServer

EARLIEST_MS, LATEST_MS = -9_223_372_036_000, 9_223_372_036_000
"""InfluxDB counts nanoseconds in 64 bits: the years 1677 to 2262."""


class Window(NamedTuple):
    """A stretch of time in one database; `end_ms` is not part of it."""

    database: str
    start_ms: int
    end_ms: int

    @property
    def where(self) -> str:
        return f"time >= {max(self.start_ms, EARLIEST_MS)}ms AND time < {min(self.end_ms, LATEST_MS)}ms"


class Block(NamedTuple):
    """Some rows, in order of time."""

    at_ms: NDArray[np.int64]
    units: list[str]
    values: NDArray[np.float32]
    quality: NDArray[np.uint32]


def fields_of(found: Contents) -> tuple[str, ...]:
    """The channels' fields, in the order of their columns."""
    return (*channel_fields(found.temperatures, found.voltages), *found.singles)


def contents(server: InfluxServer, unit_id: str, windows: Sequence[Window]) -> Contents:
    """Look through a unit's rows."""
    found = Contents()
    for window in windows:
        found = found.united(contents_of(server, unit_id, window))
    return found


def contents_of(server: InfluxServer, unit_id: str, window: Window) -> Contents:
    unit = f'"unit" = {literal(unit_id)}'
    counts = ", ".join(f"count({quoted(name)})" for name in SINGLE_CHANNELS)
    totals = f'SELECT count("frame"), max("temperatures"), max("voltages"), {counts} FROM "samples" '
    # The frame that reaches into the window has said its widths before it.
    before = f'SELECT last("temperatures"), last("voltages") FROM "samples" WHERE {unit} AND time < {window.start_ms}ms'
    kinds = f'SELECT distinct("provenance") FROM "samples" WHERE {unit} AND {window.where}'
    found = first_row(server.query(window.database, f"{totals} WHERE {unit} AND {window.where}"))
    if found is None or not found["count"]:
        return Contents()
    earlier = {}
    if window.start_ms > EARLIEST_MS:
        earlier = first_row(server.query(window.database, before)) or {}
    provenances = {row[1] for rows in server.query(window.database, kinds) for row in rows.values}
    widths = (found["max"] or 0, found["max_1"] or 0)
    names = ["count_1", *(f"count_{number}" for number in range(2, len(SINGLE_CHANNELS) + 1))]
    return Contents(
        rows=found["count"],
        temperatures=max(widths[0], earlier.get("last") or 0),
        voltages=max(widths[1], earlier.get("last_1") or 0),
        singles=tuple(name for name, column in zip(SINGLE_CHANNELS, names, strict=True) if found[column]),
        provenances=frozenset(Provenance(text) for text in provenances),
    )


def blocks(server: InfluxServer, unit_ids: Sequence[str], window: Window, found: Contents) -> Iterator[Block]:
    """Rows of some units with the channels of `found`, in order of time, a piece at a time."""
    units = " OR ".join(f'"unit" = {literal(unit_id)}' for unit_id in unit_ids)
    fields = ", ".join(map(quoted, ("unit", "frame", "quality", *fields_of(found))))
    statement = f'SELECT {fields} FROM "samples" WHERE ({units}) AND {window.where}'
    for rows in server.query(window.database, statement):
        if rows.values:
            columns = list(zip(*rows.values, strict=True))
            yield Block(
                np.array(columns[0], np.int64),
                list(columns[1]),
                floats(columns[4:], len(rows.values)),
                integers(columns[3]),
            )


def latest_at(server: InfluxServer, unit_id: str, windows: Sequence[Window]) -> int | None:
    """The time of the newest row in the windows."""
    newest: int | None = None
    for window in windows:
        statement = f'SELECT last("frame") FROM "samples" WHERE "unit" = {literal(unit_id)} AND {window.where}'
        found = first_row(server.query(window.database, statement))
        if found is not None and (newest is None or found["time"] > newest):
            newest = found["time"]
    return newest


def count_rows(server: InfluxServer, window: Window, unit_id: str | None = None) -> int:
    """How many samples lie in the window, of one unit or of all."""
    unit = "" if unit_id is None else f'"unit" = {literal(unit_id)} AND '
    found = first_row(server.query(window.database, f'SELECT count("frame") FROM "samples" WHERE {unit}{window.where}'))
    return 0 if found is None else int(found["count"])


def tag_values(server: InfluxServer, database: str, measurement: str, tag: str) -> tuple[str, ...]:
    """All values of a measurement's tag."""
    statement = f"SHOW TAG VALUES FROM {quoted(measurement)} WITH KEY = {quoted(tag)}"
    return tuple(sorted(row[1] for rows in server.query(database, statement) for row in rows.values))


def read_positions(server: InfluxServer, gateway_id: str, windows: Iterable[Window]) -> tuple[PositionFix, ...]:
    """A vehicle's positions, oldest first."""
    names = ("fleet", "latitude", "longitude", "speed", "heading", "accuracy")
    selected = ", ".join(map(quoted, names))
    fixes = []
    for window in windows:
        statement = f'SELECT {selected} FROM "positions" WHERE "gateway" = {literal(gateway_id)} AND {window.where}'
        for rows in server.query(window.database, statement):
            fixes += [
                PositionFix(
                    fleet_id=fleet,
                    gateway_id=gateway_id,
                    fixed_at_ms=at_ms,
                    latitude_deg=float(latitude),
                    longitude_deg=float(longitude),
                    speed_m_s=_or_none(speed),
                    heading_deg=_or_none(heading),
                    accuracy_m=_or_none(accuracy),
                )
                for at_ms, fleet, latitude, longitude, speed, heading, accuracy in rows.values
            ]
    return tuple(fixes)


class FrameRow(NamedTuple):
    """Where one sample of a frame lies."""

    unit_id: str
    lane: int
    boot_id: str
    frame: int
    at_ms: int


def frames_in(server: InfluxServer, database: str, spans: Sequence[UnitSpan]) -> Iterator[FrameRow]:
    """All rows of some spans that came in frames; one request."""
    statements = [
        f'SELECT "boot", "frame" FROM "samples" WHERE "unit" = {literal(unit_id)} '
        f'AND {Window(database, start_ms, end_ms).where} GROUP BY "unit", "lane"'
        for unit_id, start_ms, end_ms in spans
    ]
    for rows in server.query(database, "; ".join(statements)):
        lane = int(rows.tags.get("lane") or 0)
        for at_ms, boot_id, frame in rows.values:
            if boot_id is not None:
                yield FrameRow(rows.tags["unit"], lane, boot_id, frame, at_ms)


def stored_units(server: InfluxServer, windows: Sequence[Window]) -> tuple[StoredUnit, ...]:
    """All units that have samples in the windows."""
    counts: dict[str, int] = {}
    for window in windows:
        statement = f'SELECT count("frame") FROM "samples" WHERE {window.where} GROUP BY "unit"'
        for rows in server.query(window.database, statement):
            unit_id = rows.tags["unit"]
            counts[unit_id] = counts.get(unit_id, 0) + sum(row[1] for row in rows.values)
    return tuple(StoredUnit(*each) for each in sorted(counts.items()))


def stored_gateways(server: InfluxServer, windows: Sequence[Window]) -> tuple[StoredGateway, ...]:
    """All gateways that have positions in the windows."""
    times: dict[str, list[int]] = {}
    for window in windows:
        for what in ("first", "last"):
            statement = f'SELECT {what}("latitude") FROM "positions" WHERE {window.where} GROUP BY "gateway"'
            for rows in server.query(window.database, statement):
                times.setdefault(rows.tags["gateway"], []).extend(row[0] for row in rows.values)
    return tuple(StoredGateway(gateway, min(at_ms), max(at_ms) + 1) for gateway, at_ms in sorted(times.items()))


def newest_of_all(server: InfluxServer, database: str) -> dict[str, int]:
    """The time of each unit's newest row, over all its lanes."""
    newest: dict[str, int] = {}
    for rows in server.query(database, 'SELECT last("frame") FROM "samples" GROUP BY "unit"'):
        for row in rows.values:
            newest[rows.tags["unit"]] = row[0]
    return newest


def first_row(answer: Iterator[Rows]) -> dict[str, Any] | None:
    """The first row of an answer by column; the rest is read to its end, so that the connection serves again."""
    first: dict[str, Any] | None = None
    for rows in answer:
        if first is None and rows.values:
            first = dict(zip(rows.columns, rows.values[0], strict=True))
    return first


def floats(columns: Sequence[Sequence[float | None]], rows: int) -> NDArray[np.float32]:
    """(n, channels); what is absent is NaN."""
    out = np.empty((rows, len(columns)), np.float32)
    for number, column in enumerate(columns):
        out[:, number] = np.array(column, np.float64)
    return out


def integers(column: Sequence[int | None]) -> NDArray[np.uint32]:
    return np.array([value or 0 for value in column], np.uint32)


def _or_none(value: float | None) -> float | None:
    return None if value is None else float(value)
