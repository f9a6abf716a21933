"""Sample arrays of many messages, decoded together: their bytes are joined and looked at once. Pure.

Only what is entirely in order is taken here; for anything else there is the general path, which also finds the words
for what is wrong. Both say the same of every message (`tests/ingest/test_array_data.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from telemetry.identifiers import parse_identifier
from telemetry.limits import MAX_CHANNELS, MAX_ROWS
from telemetry.samples import SINGLE_CHANNELS, Provenance, SampleBatch
from telemetry.sparkplug.batches import (
    BOOT,
    FRAME,
    OUTBOX_SEQUENCE,
    PROVENANCE,
    SINGLES,
    TEMPERATURE,
    TIME,
    TIME_UNCERTAINTY,
    VOLTAGE,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ingest.sessions import BornMetric

_FIELDS: Final = {
    TIME: "bytes_value",
    TEMPERATURE: "bytes_value",
    VOLTAGE: "bytes_value",
    **dict.fromkeys(SINGLES.values(), "bytes_value"),
    TIME_UNCERTAINTY: "float_value",
    BOOT: "string_value",
    FRAME: "long_value",
    PROVENANCE: "string_value",
    OUTBOX_SEQUENCE: "long_value",
}
"""The metrics of a data message that is in order, and where protobuf has their values."""
_NAMES: Final = tuple(_FIELDS)
_TIME, _TEMPERATURE, _VOLTAGE, *_SINGLES, _UNCERTAINTY, _BOOT, _FRAME, _PROVENANCE, _SEQUENCE = range(len(_NAMES))
_PROVENANCES: Final[Mapping[str, Provenance]] = {each.value: each for each in Provenance}
_MAX_INTEGER: Final = 2**53 - 1

_boot = lru_cache(maxsize=65_536)(parse_identifier)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayLayout:
    """What the aliases of a device that sends arrays mean."""

    slots: Mapping[int, tuple[int, str]]
    """Alias to the place in `_NAMES`, and the protobuf field of the value."""
    temperature_channels: int
    voltage_channels: int

    @classmethod
    def of(
        cls, by_alias: Mapping[int, BornMetric], temperature_channels: int | None, voltage_channels: int | None
    ) -> ArrayLayout | None:
        """The layout that a birth declares; None when it is not one of ours."""
        places = {name: place for place, name in enumerate(_NAMES)}
        slots = {
            alias: (places[born.name], _FIELDS[born.name])
            for alias, born in by_alias.items()
            if born.as_expected and born.name in places and alias  # 0 is also what a metric without an alias shows
        }
        counts = (temperature_channels, voltage_channels)
        if any(count is None or not 0 <= count <= MAX_CHANNELS for count in counts) or not any(
            place == _TIME for place, _ in slots.values()
        ):
            return None
        return cls(slots=slots, temperature_channels=counts[0] or 0, voltage_channels=counts[1] or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message's values, still as protobuf had them."""

    unit_id: str
    layout: ArrayLayout
    values: list[Any]
    historical: bool


def draft(metrics: Sequence[Any], unit_id: str, layout: ArrayLayout) -> Draft | None:
    """Take a protobuf message's metrics apart; None when something about them is out of the ordinary."""
    values: list[Any] = [None] * len(_NAMES)
    historical = False
    for metric in metrics:
        slot = layout.slots.get(metric.alias)
        if slot is None or metric.name or metric.datatype or metric.is_null:
            return None
        place, where = slot
        if metric.WhichOneof("value") != where or values[place] is not None:
            return None
        values[place] = getattr(metric, where)
        historical = historical or metric.is_historical
    rows, rest = divmod(len(values[_TIME] or b""), 8)
    return (
        None
        if rest or not _fits(values, rows, layout)
        else Draft(unit_id=unit_id, layout=layout, values=values, historical=historical)
    )


def finish(drafts: Sequence[Draft]) -> list[tuple[SampleBatch, int | None]]:
    """Each draft's batch and outbox sequence."""
    times_ms = _joined([each.values[_TIME] for each in drafts], "<i8")
    columns = {
        place: _joined([each.values[place] for each in drafts], "<f4") for place in (_TEMPERATURE, _VOLTAGE, *_SINGLES)
    }
    finished = []
    for index, (each, at_ms) in enumerate(zip(drafts, times_ms, strict=True)):
        values, rows = each.values, len(at_ms)
        singles: dict[str, Any] = {
            name: part
            for name, place in zip(SINGLE_CHANNELS, _SINGLES, strict=True)
            if (part := columns[place][index]) is not None
        }
        batch = SampleBatch(
            unit_id=each.unit_id,
            boot_id=values[_BOOT],
            frame=values[_FRAME],
            provenance=_PROVENANCES[values[_PROVENANCE]],
            sampled_at_ms=at_ms,
            time_uncertainty_s=float("nan") if values[_UNCERTAINTY] is None else values[_UNCERTAINTY],
            temperatures_c=_table(columns[_TEMPERATURE][index], rows, each.layout.temperature_channels),
            voltages_v=_table(columns[_VOLTAGE][index], rows, each.layout.voltage_channels),
            historical=each.historical,
            **singles,
        )
        finished.append((batch, values[_SEQUENCE]))
    return finished


def _fits(values: list[Any], rows: int, layout: ArrayLayout) -> bool:
    if not 0 < rows <= MAX_ROWS or values[_PROVENANCE] not in _PROVENANCES:
        return False
    if values[_TEMPERATURE] is None and values[_VOLTAGE] is None:
        return False
    for place, columns in (
        (_TEMPERATURE, layout.temperature_channels),
        (_VOLTAGE, layout.voltage_channels),
        *((place, 1) for place in _SINGLES),
    ):
        if values[place] is not None and len(values[place]) != 4 * rows * columns:
            return False
    try:
        _boot(values[_BOOT] or "none", "boot")
    except ValueError:
        return False
    return values[_BOOT] != "" and (values[_FRAME] or 0) <= _MAX_INTEGER and _in_order(values[_TIME])


def _in_order(times: bytes) -> bool:
    if len(times) == 8:  # as most messages of a calm pack; several times faster than by numpy
        return abs(int.from_bytes(times, "little", signed=True)) <= _MAX_INTEGER
    at_ms = np.frombuffer(times, "<i8")
    return at_ms[0] >= -_MAX_INTEGER and at_ms[-1] <= _MAX_INTEGER and bool((at_ms[1:] > at_ms[:-1]).all())


def _joined(parts: Sequence[bytes | None], dtype: str) -> list[Any]:
    """Each part's values, as views of one array."""
    joined = b"".join([part for part in parts if part])
    values = np.frombuffer(joined, dtype) if joined else np.zeros(0, dtype)
    views: list[Any] = []
    end = 0
    for part in parts:
        start, end = end, end + (len(part) // values.itemsize if part else 0)
        views.append(None if part is None else values[start:end])
    return views


def _table(values: NDArray[np.float32] | None, rows: int, columns: int) -> NDArray[np.float32]:
    return np.full((rows, columns), np.nan, np.float32) if values is None else values.reshape(rows, columns)
