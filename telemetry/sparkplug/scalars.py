"""Samples of a plain third-party edge node: one scalar metric a channel, each with its timestamp. See docs/wire.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from telemetry.errors import WireError
from telemetry.limits import MAX_CHANNELS, MAX_INTEGER, MAX_ROWS
from telemetry.samples import Provenance, SampleBatch
from telemetry.sparkplug.payload import DataType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from telemetry.sparkplug.payload import Metric

SINGLES: Final[Mapping[str, str]] = {
    "Ambient": "ambient_c",
    "Humidity": "humidity_pct",
    "Hydrogen": "hydrogen_ppm",
    "CarbonMonoxide": "carbon_monoxide_ppm",
    "VOC": "voc_ppm",
    "Shock": "shock_g",
}
_COLUMN = re.compile(r"(Temperature|Voltage)/([1-9][0-9]{0,2})", re.ASCII)


def batches_from_scalars(
    metrics: Iterable[Metric],
    *,
    unit_id: str,
    temperature_channels: int | None,
    voltage_channels: int | None,
    payload_timestamp_ms: int | None,
) -> tuple[SampleBatch, ...]:
    """Return the samples that named scalars hold: one batch of what is live, one of what is historical, or none.

    Values of one timestamp become one sample; a channel it lacks is not measured; a channel sent twice for one
    timestamp keeps the later value. A metric without a timestamp has the payload's. Widths are the channel counts, or
    the highest channel seen where that is more. Metrics of other names are left alone. boot_id and frame are None.

    Raises WireError: "timestamp_missing", "datatype" for a value that is no number, "batch_oversize".
    """
    values: dict[bool, dict[int, dict[tuple[str, int], float]]] = {False: {}, True: {}}
    for metric in metrics:
        if (channel := _channel(metric.name or "")) is None:
            continue
        stamp_ms = payload_timestamp_ms if metric.timestamp_ms is None else metric.timestamp_ms
        if stamp_ms is None:
            raise WireError("timestamp_missing", f"neither {metric.name} nor its payload has a timestamp")
        row = values[metric.is_historical].setdefault(min(stamp_ms, MAX_INTEGER), {})
        row[channel] = _number(metric)
    return tuple(
        _batch(rows, unit_id, temperature_channels or 0, voltage_channels or 0, historical=historical)
        for historical, rows in values.items()
        if rows
    )


def is_channel(name: str) -> bool:
    """Whether a scalar metric of this name is a channel."""
    return _channel(name) is not None


def _channel(name: str) -> tuple[str, int] | None:
    """Return the field and the column (from 0) that a metric name means."""
    if (field := SINGLES.get(name)) is not None:
        return field, 0
    if (match := _COLUMN.fullmatch(name)) is None or int(match[2]) > MAX_CHANNELS:
        return None
    return match[1], int(match[2]) - 1


def _number(metric: Metric) -> float:
    value = metric.value
    if value is None:
        return float("nan")
    if type(value) not in (int, float) or metric.datatype is DataType.DATE_TIME:
        raise WireError("datatype", f"{metric.name} is a {type(value).__name__}, not a number")
    return float(value)


def _batch(
    rows: Mapping[int, Mapping[tuple[str, int], float]],
    unit_id: str,
    temperature_channels: int,
    voltage_channels: int,
    *,
    historical: bool,
) -> SampleBatch:
    if len(rows) > MAX_ROWS or max(temperature_channels, voltage_channels) > MAX_CHANNELS:
        raise WireError("batch_oversize", f"{len(rows)} samples, {temperature_channels}, {voltage_channels} channels")
    times_ms = sorted(rows)
    widths = {"Temperature": temperature_channels, "Voltage": voltage_channels}
    for row in rows.values():
        for field, column in row:
            widths[field] = max(widths.get(field, 0), column + 1)
    columns: dict[str, Any] = {
        field: np.full((len(times_ms), width), np.nan, np.float64) for field, width in widths.items()
    }
    for index, time_ms in enumerate(times_ms):
        for (field, column), value in rows[time_ms].items():
            columns[field][index, column] = value
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which ingest removes and flags
        narrow = {field: values.astype(np.float32) for field, values in columns.items()}
    return SampleBatch(
        unit_id=unit_id,
        boot_id=None,
        frame=None,
        provenance=Provenance.MEASURED,
        sampled_at_ms=np.array(times_ms, np.int64),
        time_uncertainty_s=float("nan"),
        temperatures_c=narrow.pop("Temperature"),
        voltages_v=narrow.pop("Voltage"),
        historical=historical,
        **{field: values[:, 0] for field, values in narrow.items()},
    )
