"""Batches of samples as Sparkplug arrays: a device's birth, its data by alias, and back. See docs/wire.md.

No step here loops over samples: arrays go in and out as they are.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from telemetry.errors import WireError
from telemetry.identifiers import IdentifierError, parse_identifier
from telemetry.limits import MAX_CHANNELS, MAX_INTEGER, MAX_ROWS
from telemetry.samples import SINGLE_CHANNELS, Provenance, Quality, SampleBatch
from telemetry.sparkplug.payload import DataType, Metric, typed_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

TIME: Final = "Samples/Time"
"""The metric that tells an array batch from a plain edge node's scalars."""
TIME_UNCERTAINTY: Final = "Samples/TimeUncertainty"
TEMPERATURE: Final = "Samples/Temperature"
VOLTAGE: Final = "Samples/Voltage"
QUALITY: Final = "Samples/Quality"
BOOT: Final = "Source/Boot"
FRAME: Final = "Source/Frame"
PROVENANCE: Final = "Source/Provenance"
OUTBOX_SEQUENCE: Final = "Outbox/Sequence"
TEMPERATURE_CHANNELS: Final = "Channels/Temperature"
VOLTAGE_CHANNELS: Final = "Channels/Voltage"
SINGLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ambient_c": "Samples/Ambient",
        "humidity_pct": "Samples/Humidity",
        "hydrogen_ppm": "Samples/Hydrogen",
        "carbon_monoxide_ppm": "Samples/CarbonMonoxide",
        "voc_ppm": "Samples/VOC",
        "shock_g": "Samples/Shock",
    }
)
"""Metric name of each single sensor, in the order of SINGLE_CHANNELS."""

SAMPLE_DATATYPES: Final[Mapping[str, DataType]] = MappingProxyType(
    {
        TEMPERATURE_CHANNELS: DataType.UINT32,
        VOLTAGE_CHANNELS: DataType.UINT32,
        TIME: DataType.DATE_TIME_ARRAY,
        TIME_UNCERTAINTY: DataType.FLOAT,
        TEMPERATURE: DataType.FLOAT_ARRAY,
        VOLTAGE: DataType.FLOAT_ARRAY,
        **dict.fromkeys(SINGLES.values(), DataType.FLOAT_ARRAY),
        QUALITY: DataType.UINT32_ARRAY,
        BOOT: DataType.STRING,
        FRAME: DataType.UINT64,
        PROVENANCE: DataType.STRING,
        OUTBOX_SEQUENCE: DataType.UINT64,
    }
)
"""Every metric of a device's birth and its datatype."""
SAMPLE_ALIASES: Final[Mapping[str, int]] = MappingProxyType(
    {name: number for number, name in enumerate(SAMPLE_DATATYPES, start=1)}
)
"""The aliases within one device; the device's `alias_base` is added. They are part of our gateways' bytes: append only.
"""
ALIASES_PER_DEVICE: Final = 64
"""Give device k (from 1) the base k * ALIASES_PER_DEVICE: an alias is unique across an edge node and all its devices
(Sparkplug 3.0, 6.4.6), and what is below stays free for the edge node's own metrics."""

_KNOWN_QUALITY = sum(Quality)


def device_birth_metrics(
    temperature_channels: int,
    voltage_channels: int,
    singles: Sequence[str],
    *,
    alias_base: int = 0,
    timestamp_ms: int | None = None,
) -> tuple[Metric, ...]:
    """Return all metrics of a device's birth: channel counts with their values, everything else born null.

    `singles` are the names of SINGLE_CHANNELS that are fitted. Raises ValueError for another name.
    """
    if unknown := set(singles) - set(SINGLE_CHANNELS):
        raise ValueError(f"no single channel is called {sorted(unknown)}")
    unfitted = {SINGLES[name] for name in SINGLE_CHANNELS if name not in singles}
    counts = {TEMPERATURE_CHANNELS: temperature_channels, VOLTAGE_CHANNELS: voltage_channels}
    return tuple(
        Metric(
            name=name,
            alias=alias_base + SAMPLE_ALIASES[name],
            datatype=datatype,
            value=counts.get(name),
            timestamp_ms=timestamp_ms,
            is_null=name not in counts,
        )
        for name, datatype in SAMPLE_DATATYPES.items()
        if name not in unfitted
    )


def batch_metrics(
    batch: SampleBatch, *, outbox_sequence: int | None, alias_base: int = 0, historical: bool | None = None
) -> tuple[Metric, ...]:
    """Return a batch's metrics by alias, for a DDATA (`encode_payload(..., with_datatypes=False)`).

    Each is stamped with the time of the last sample. `historical` None: as the batch says. The quality travels only
    where something is known against a sample.
    """
    n = len(batch)
    values: dict[str, Any] = {
        TIME: batch.sampled_at_ms,
        TIME_UNCERTAINTY: batch.time_uncertainty_s,
        TEMPERATURE: batch.temperatures_c.reshape(-1) if batch.temperatures_c.size else None,
        VOLTAGE: batch.voltages_v.reshape(-1) if batch.voltages_v.size else None,
        **{SINGLES[name]: getattr(batch, name) for name in SINGLE_CHANNELS},
        QUALITY: batch.quality if batch.quality.any() else None,
        BOOT: batch.boot_id,
        FRAME: batch.frame,
        PROVENANCE: batch.provenance.value,
        OUTBOX_SEQUENCE: outbox_sequence,
    }
    stamp_ms = max(0, int(batch.sampled_at_ms[-1])) if n else None
    return tuple(
        [
            Metric(
                alias=alias_base + SAMPLE_ALIASES[name],
                datatype=SAMPLE_DATATYPES[name],
                value=value,
                timestamp_ms=stamp_ms,
                is_historical=batch.historical if historical is None else historical,
            )
            for name, value in values.items()
            if value is not None
        ]
    )


def batch_from_metrics(
    metrics: Iterable[Metric],
    *,
    unit_id: str,
    temperature_channels: int | None,
    voltage_channels: int | None,
) -> tuple[SampleBatch, int | None]:
    """Return the batch that a device's data hold, and its outbox sequence. Names are already resolved.

    A metric without a datatype gets the one of SAMPLE_DATATYPES; metrics of other names are left alone. Channel counts
    that are None are told by the lengths. A kind of channel that is absent or null is not measured. Infinities pass:
    ingest flags them. Times beyond 2**53 ms are brought down to it, since what is hot must not be lost to a clock.

    Raises WireError: "metric_missing" (no times, or neither temperatures nor voltages), "metric_twice", "datatype",
    "array_length", "batch_oversize" (rows or channels), "times_not_increasing", "provenance", "boot".
    """
    found: dict[str, Any] = {}
    historical = False
    for metric in metrics:
        expected = SAMPLE_DATATYPES.get(metric.name or "")
        if expected is None or metric.name is None:
            continue
        if metric.name in found:
            raise WireError("metric_twice", f"{metric.name} is there twice")
        if metric.datatype not in (None, expected) and not metric.is_null:
            raise WireError("datatype", f"{metric.name} is not {expected.name}")
        found[metric.name] = typed_value(metric, expected)
        historical = historical or metric.is_historical
    times_ms = increasing_times(found.get(TIME))
    n = len(times_ms)
    temperatures_c = _columns(found, TEMPERATURE, n, temperature_channels)
    voltages_v = _columns(found, VOLTAGE, n, voltage_channels)
    if found.get(TEMPERATURE) is None and found.get(VOLTAGE) is None:
        raise WireError("metric_missing", f"the batch has neither {TEMPERATURE} nor {VOLTAGE}")
    uncertainty_s = found.get(TIME_UNCERTAINTY)
    batch = SampleBatch(
        unit_id=unit_id,
        boot_id=_boot(found.get(BOOT)),
        frame=_frame(found.get(FRAME)),
        provenance=_provenance(found.get(PROVENANCE)),
        sampled_at_ms=times_ms,
        time_uncertainty_s=float("nan") if uncertainty_s is None else uncertainty_s,
        temperatures_c=temperatures_c,
        voltages_v=voltages_v,
        quality=_quality(found, n),
        historical=historical,
        **{name: _single(found, metric_name, n) for name, metric_name in SINGLES.items()},
    )
    return batch, found.get(OUTBOX_SEQUENCE)


def increasing_times(times_ms: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """The times of a batch, brought into range. Raises WireError as `batch_from_metrics` does."""
    if times_ms is None or len(times_ms) == 0:
        raise WireError("metric_missing", f"{TIME} is missing or empty")
    if len(times_ms) > MAX_ROWS:
        raise WireError("batch_oversize", f"the batch has {len(times_ms)} samples, more than {MAX_ROWS}")
    if not bool(np.all(times_ms[1:] > times_ms[:-1])):
        raise WireError("times_not_increasing", "sample times do not strictly increase")
    first, last = int(times_ms[0]), int(times_ms[-1])
    if last - first > MAX_INTEGER:
        raise WireError("times_not_increasing", f"sample times span {last - first} ms")
    if last > MAX_INTEGER:
        return times_ms - (last - MAX_INTEGER)
    if first < -MAX_INTEGER:
        return times_ms + (-MAX_INTEGER - first)
    return times_ms


def _columns(found: Mapping[str, Any], name: str, n: int, channels: int | None) -> NDArray[np.float32]:
    flat: NDArray[np.float32] | None = found.get(name)
    if channels is not None and not 0 <= channels <= MAX_CHANNELS:
        raise WireError("batch_oversize", f"{channels} channels of {name}, more than {MAX_CHANNELS}")
    if flat is None:
        return np.full((n, channels or 0), np.nan, np.float32)
    width = len(flat) // n if channels is None else channels
    if len(flat) != n * width:
        raise WireError("array_length", f"{name} has {len(flat)} values, not {n} samples of {width or 'any'} channels")
    if width > MAX_CHANNELS:
        raise WireError("batch_oversize", f"{width} channels of {name}, more than {MAX_CHANNELS}")
    return flat.reshape(n, width)


def _single(found: Mapping[str, Any], name: str, n: int) -> NDArray[np.float32] | None:
    values: NDArray[np.float32] | None = found.get(name)
    if values is not None and len(values) != n:
        raise WireError("array_length", f"{name} has {len(values)} values, not {n}")
    return values


def _quality(found: Mapping[str, Any], n: int) -> NDArray[np.uint32]:
    bits: NDArray[np.uint32] | None = found.get(QUALITY)
    if bits is None:
        return np.zeros(n, np.uint32)
    if len(bits) != n:
        raise WireError("array_length", f"{QUALITY} has {len(bits)} values, not {n}")
    return bits & np.uint32(_KNOWN_QUALITY)


def _provenance(text: str | None) -> Provenance:
    if text is None:  # a plain edge node: it has no reason to send anything but what it measures
        return Provenance.MEASURED
    try:
        return Provenance(text)
    except ValueError as error:
        raise WireError("provenance", f"{PROVENANCE}: {text[:80]!r} is none that is known") from error


def _boot(text: str | None) -> str | None:
    try:
        return None if text is None else parse_identifier(text, "boot")
    except IdentifierError as error:
        raise WireError("boot", str(error)) from error


def _frame(number: int | None) -> int | None:
    if number is not None and number > MAX_INTEGER:
        raise WireError("value_range", f"{FRAME} is {number}, above 2**53 - 1")
    return number
