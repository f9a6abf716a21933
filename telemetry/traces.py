"""The trace format: recordings as CSV, one file a trace, and an index that describes them. Text in, text out.

A trace has `time_s`, then `temperature_N_c`, `voltage_N_v` and the names of SINGLE_CHANNELS as far as they were
measured. An empty cell was not measured.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from telemetry.limits import MAX_CHANNELS
from telemetry.samples import SINGLE_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

INDEX_COLUMNS = ("trace", "label", "chemistry", "runaway_at_s", "description", "source")
"""The columns of `index.csv`."""
_CHANNEL = re.compile(r"(temperature|voltage)_([1-9][0-9]{0,2})_([cv])", re.ASCII)
_LARGEST = float(np.finfo(np.float32).max)
_KINDS = {"temperature": "c", "voltage": "v"}


class TraceError(ValueError):
    """A text that is no trace or no index of traces; it says where."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """A recording of n rows. Arrays are read-only; NaN = not measured."""

    name: str
    time_s: NDArray[np.float64]
    """(n,) s from wherever the recording counts; strictly increasing."""
    temperatures_c: NDArray[np.float32]
    """(n, T) degC."""
    voltages_v: NDArray[np.float32]
    """(n, V) V."""
    singles: Mapping[str, NDArray[np.float32]]
    """(n,) for each of SINGLE_CHANNELS that was measured."""
    rows_without_time: int
    """How many rows had no time of their own and were placed."""

    def __len__(self) -> int:
        """How many rows it has."""
        return len(self.time_s)


class TraceLabel(StrEnum):
    """Whether anything happened to the pack of a recording."""

    EVENT = "event"
    BENIGN = "benign"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceIndexEntry:
    """What the index says of a trace."""

    trace: str
    """The file's name, in the index's own directory."""
    label: TraceLabel
    chemistry: str | None
    runaway_at_s: float | None
    """In the trace's time; None where there was none."""
    description: str
    source: str


def trace_header(temperature_channels: int, voltage_channels: int, singles: Sequence[str]) -> list[str]:
    """Return a trace's column names; `singles` are those of SINGLE_CHANNELS that it has, and their order is fixed."""
    return [
        "time_s",
        *(f"temperature_{number}_c" for number in range(1, temperature_channels + 1)),
        *(f"voltage_{number}_v" for number in range(1, voltage_channels + 1)),
        *(name for name in SINGLE_CHANNELS if name in singles),
    ]


def parse_trace(text: str, name: str) -> Trace:
    """Parse a trace; `name` is for the words of an error.

    A row whose `time_s` is empty is placed: evenly between its neighbours in time, and at an end of the recording by
    the median step. Raises TraceError, which names line and column: an unknown or doubled column, a row of another
    length, a cell that is no finite number, times that do not increase, or no time to place a row by.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    columns = [column.strip() for column in lines[0].rstrip("\r").split(",")]
    places = _places(columns, name)
    table, line_numbers = _table(lines, columns, name)
    time_s, rows_without_time = _placed_times(table[:, 0], line_numbers, name)
    channels = {kind: [i for i, place in enumerate(places) if place[0] == kind] for kind in _KINDS}
    narrow = table.astype(np.float32)
    return Trace(
        name=name,
        time_s=time_s,
        temperatures_c=_locked(narrow[:, sorted(channels["temperature"], key=lambda i: places[i][1])]),
        voltages_v=_locked(narrow[:, sorted(channels["voltage"], key=lambda i: places[i][1])]),
        singles={column: _locked(narrow[:, i].copy()) for i, column in enumerate(columns) if column in SINGLE_CHANNELS},
        rows_without_time=rows_without_time,
    )


def parse_trace_index(text: str) -> tuple[TraceIndexEntry, ...]:
    """Parse an `index.csv`. Raises TraceError, which names the line."""
    rows = csv.reader(text.removeprefix("\ufeff").splitlines(), strict=True)
    entries: dict[str, TraceIndexEntry] = {}
    try:
        header = next(rows, [])
        if tuple(header) != INDEX_COLUMNS:
            raise TraceError(f"index line 1: the columns are {','.join(header)!r}, not {','.join(INDEX_COLUMNS)}")
        for row in rows:
            if not row:
                continue
            where = f"index line {rows.line_num}"
            if len(row) != len(INDEX_COLUMNS):
                raise TraceError(f"{where} has {len(row)} cells, not {len(INDEX_COLUMNS)}")
            entry = _index_entry(row, where)
            if entry.trace in entries:
                raise TraceError(f"{where}: {entry.trace} is there twice")
            entries[entry.trace] = entry
    except csv.Error as error:
        raise TraceError(f"index line {rows.line_num}: {error}") from error
    return tuple(entries.values())


def _places(columns: Sequence[str], name: str) -> list[tuple[str, int]]:
    """Return each column's kind and number; singles and the time have the number 0."""
    if columns[0] != "time_s":
        raise TraceError(f"{name} line 1: the first column is {columns[0][:80]!r}, not time_s")
    if len(columns) == 1:
        raise TraceError(f"{name} line 1: there is no channel beside time_s")
    places: list[tuple[str, int]] = [("time_s", 0)]
    for column in columns[1:]:
        match = _CHANNEL.fullmatch(column)
        if match is not None and _KINDS[match[1]] == match[3] and int(match[2]) <= MAX_CHANNELS:
            place = (match[1], int(match[2]))
        elif column in SINGLE_CHANNELS:
            place = (column, 0)
        else:
            raise TraceError(f"{name} line 1: {column[:80]!r} is no column of a trace")
        if place in places:
            raise TraceError(f"{name} line 1: {column} is there twice")
        places.append(place)
    for kind in _KINDS:
        numbers = sorted(number for place, number in places if place == kind)
        if numbers != list(range(1, len(numbers) + 1)):
            raise TraceError(f"{name} line 1: the {kind} columns are not numbered from 1 without gaps")
    return places


def _table(lines: Sequence[str], columns: Sequence[str], name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the cells (n, columns), NaN where empty, and each row's line number."""
    rows: list[list[float]] = []
    line_numbers: list[int] = []
    for line_number, line in enumerate(lines[1:], start=2):
        if not line or line == "\r":
            continue
        cells = line.split(",")
        if len(cells) != len(columns):
            raise TraceError(f"{name} line {line_number} has {len(cells)} cells, not {len(columns)}")
        if "_" in line:  # float() would read 1_000 as a thousand
            _refuse_bad_cell(cells, columns, f"{name} line {line_number}")
        try:
            rows.append([float(cell) if cell and cell != "\r" else math.nan for cell in cells])
        except ValueError:
            _refuse_bad_cell(cells, columns, f"{name} line {line_number}")
            raise
        line_numbers.append(line_number)
    if not rows:
        raise TraceError(f"{name} has no rows")
    table = np.array(rows, np.float64)
    # float() also reads "nan", "inf" and what no float32 holds, which are no cells of a trace.
    for row in np.flatnonzero(~(np.abs(table) <= _LARGEST).all(axis=1)):
        _refuse_bad_cell(lines[line_numbers[row] - 1].split(","), columns, f"{name} line {line_numbers[row]}")
    return table, np.array(line_numbers)


def _refuse_bad_cell(cells: Sequence[str], columns: Sequence[str], where: str) -> None:
    """Raise TraceError for the first cell that is neither empty nor a finite number, if there is one."""
    for cell, column in zip(cells, columns, strict=True):
        shown = cell.rstrip("\r")
        try:
            if not shown or ("_" not in shown and abs(float(shown)) <= _LARGEST):
                continue
        except ValueError:
            pass
        raise TraceError(f"{where}, column {column}: {shown[:80]!r} is not a finite number")


def _placed_times(
    stated_s: NDArray[np.float64], line_numbers: NDArray[np.int64], name: str
) -> tuple[NDArray[np.float64], int]:
    """Return all times, and how many rows had none."""
    known = np.flatnonzero(~np.isnan(stated_s))
    if len(known) == 0:
        raise TraceError(f"{name}, column time_s: no row has a time")
    steps_s = np.diff(stated_s[known])
    if (steps_s <= 0).any():
        first = known[np.flatnonzero(steps_s <= 0)[0] + 1]
        raise TraceError(
            f"{name} line {line_numbers[first]}, column time_s: {stated_s[first]} is not after the time before it"
        )
    missing = len(stated_s) - len(known)
    if missing and len(known) == 1:
        raise TraceError(f"{name}, column time_s: one time alone cannot place the {missing} rows that have none")
    rows = np.arange(len(stated_s))
    time_s = np.interp(rows, known, stated_s[known])
    if missing:
        step_s = float(np.median(steps_s / np.diff(known)))
        before, after = rows < known[0], rows > known[-1]
        time_s[before] = stated_s[known[0]] - (known[0] - rows[before]) * step_s
        time_s[after] = stated_s[known[-1]] + (rows[after] - known[-1]) * step_s
    return _locked(time_s), missing


def _index_entry(row: Sequence[str], where: str) -> TraceIndexEntry:
    trace, label, chemistry, runaway, description, source = row
    if not trace or "/" in trace or "\\" in trace or trace.startswith("."):
        raise TraceError(f"{where}: {trace[:80]!r} is not the plain name of a file beside the index")
    if label not in tuple(TraceLabel):
        raise TraceError(f"{where}: the label is {label[:80]!r}, not event or benign")
    try:
        runaway_at_s = float(runaway) if runaway else None
    except ValueError as error:
        raise TraceError(f"{where}: runaway_at_s is {runaway[:80]!r}, not a number") from error
    if runaway_at_s is not None and not math.isfinite(runaway_at_s):
        raise TraceError(f"{where}: runaway_at_s is {runaway!r}, not a finite number")
    return TraceIndexEntry(
        trace=trace,
        label=TraceLabel(label),
        chemistry=chemistry or None,
        runaway_at_s=runaway_at_s,
        description=description,
        source=source,
    )


def _locked(column: NDArray[Any]) -> NDArray[Any]:
    column.flags.writeable = False
    return column
