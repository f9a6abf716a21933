"""What is sound in a data message that is refused: an alarm must not wait for what is wrong beside its temperatures.

Pure, and only for messages that the strict decoders refused. See docs/wire.md.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from telemetry.errors import WireError
from telemetry.identifiers import IdentifierError, parse_identifier
from telemetry.limits import MAX_CHANNELS, MAX_INTEGER, MAX_ROWS
from telemetry.samples import Provenance, Quality, SampleBatch
from telemetry.sparkplug.batches import (
    BOOT,
    FRAME,
    OUTBOX_SEQUENCE,
    PROVENANCE,
    QUALITY,
    SAMPLE_DATATYPES,
    SINGLES,
    TEMPERATURE,
    TIME,
    TIME_UNCERTAINTY,
    VOLTAGE,
    increasing_times,
)
from telemetry.sparkplug.datatypes import DataType, codec_of
from telemetry.sparkplug.payload import MAX_METRICS, MAX_PAYLOAD_BYTES, Metric
from telemetry.sparkplug.scalars import batches_from_scalars, is_channel
from telemetry.sparkplug.schema import OutlineMessage, PayloadMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

_KNOWN_QUALITY: Final = sum(Quality)
_WIDEST_C: Final = float(np.finfo(np.float32).max)


def salvage_metrics(payload: bytes, names: Mapping[int, str], datatypes: Mapping[str, DataType]) -> list[Metric]:
    """The metrics of a payload that can be read one by one, names resolved; none of what cannot be decoded at all.

    `names` by alias and `datatypes` by name are those of the births.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        return []
    try:
        if len(OutlineMessage.FromString(payload).metrics) > MAX_METRICS:
            return []
        message = PayloadMessage.FromString(payload)
    except (DecodeError, UnicodeDecodeError):
        return []
    stamp_ms = message.timestamp if message.HasField("timestamp") else None
    metrics = []
    for item in message.metrics:
        name = item.name if item.HasField("name") else names.get(item.alias) if item.HasField("alias") else None
        which = None if item.is_null else item.WhichOneof("value")
        if name is None or which is None:
            continue
        value, datatype = _value(name, getattr(item, which), item.datatype, datatypes)
        if value is not None:
            metrics.append(
                Metric(
                    name=name,
                    datatype=datatype,
                    value=value,
                    timestamp_ms=item.timestamp if item.HasField("timestamp") else stamp_ms,
                    is_historical=item.is_historical,
                )
            )
    return metrics


def salvage_batches(
    metrics: Iterable[Metric],
    *,
    unit_id: str,
    temperature_channels: int | None,
    voltage_channels: int | None,
    received_at_ms: int,
) -> tuple[tuple[SampleBatch, ...], int | None]:
    """The samples whose temperatures can be read, flagged, and the outbox sequence; none when there is no heat to tell.

    Columns that do not fit are not measured. Without usable times the rows end at `received_at_ms`, 1 ms apart. A
    provenance that is not known counts as measured: a flag must not hide a real alarm. Temperatures that fit no
    channel count become one row at `received_at_ms` that keeps the hottest: of each channel where their count is
    known, else the array itself, or of more than 512 values the hottest alone.
    """
    t_width = (
        None if temperature_channels is None or not 0 < temperature_channels <= MAX_CHANNELS else temperature_channels
    )
    v_width = None if voltage_channels is None or not 0 <= voltage_channels <= MAX_CHANNELS else voltage_channels
    metrics = list(metrics)
    found, historical = _columns_by_name(metrics)
    flat = found.get(TEMPERATURE)
    if flat is None:
        return _scalars(metrics, unit_id, t_width, v_width, received_at_ms), None
    if not np.isfinite(flat).any():
        return (), None
    flags = Quality.GOOD
    try:
        times_ms = increasing_times(found.get(TIME))
    except WireError:
        times_ms = None
    temperatures_c, fits = _temperatures(flat, t_width, 0 if times_ms is None else len(times_ms))
    rows = len(temperatures_c)
    if not fits:
        flags |= Quality.TEMPERATURE_SUSPECT
    if times_ms is None or len(times_ms) != rows or not fits:
        flags |= Quality.TIME_IMPOSSIBLE
        times_ms = received_at_ms - np.arange(rows, dtype=np.int64)[::-1]
    voltages_v, voltages_fit = _voltages(found.get(VOLTAGE), v_width, rows)
    if not voltages_fit:
        flags |= Quality.VOLTAGE_SUSPECT
    singles = {name: found.get(metric_name) for name, metric_name in SINGLES.items()}
    fitting = {name: values for name, values in singles.items() if values is not None and len(values) == rows}
    if not flags or any(values is not None and name not in fitting for name, values in singles.items()):
        flags |= Quality.OTHER_SUSPECT
    quality = np.full(rows, int(flags), np.uint32)
    told = found.get(QUALITY)
    if told is not None and len(told) == rows:
        quality |= told & np.uint32(_KNOWN_QUALITY)
    boot_id, frame = _boot(found.get(BOOT)), found.get(FRAME)
    batch = SampleBatch(
        unit_id=unit_id,
        boot_id=boot_id,
        frame=frame if frame is not None and frame <= MAX_INTEGER and boot_id is not None else None,
        provenance=_provenance(found.get(PROVENANCE)),
        sampled_at_ms=times_ms,
        time_uncertainty_s=found.get(TIME_UNCERTAINTY, math.nan),
        temperatures_c=temperatures_c,
        voltages_v=voltages_v,
        quality=quality,
        historical=historical,
        **fitting,
    )
    return (batch,), found.get(OUTBOX_SEQUENCE)


def _value(name: str, raw: Any, told: int, born: Mapping[str, DataType]) -> tuple[Any, DataType | None]:
    """A metric's value as its message, its birth or the codec types it; None = it cannot be read."""
    expected = SAMPLE_DATATYPES.get(name)
    try:
        datatype: DataType | None = DataType(told) if told else born.get(name, expected)
    except ValueError:
        datatype = expected
    if name == TEMPERATURE and type(raw) is bytes and datatype in (None, DataType.BYTES, DataType.FLOAT_ARRAY):
        return np.frombuffer(raw[: len(raw) // 4 * 4], "<f4"), DataType.FLOAT_ARRAY  # a torn end leaves the rest
    codec = None if datatype is None else codec_of(datatype)
    if codec is None:
        return (None if expected is not None else raw), None
    try:
        return codec.decode(raw, name), datatype
    except WireError:
        return (float(raw), DataType.DOUBLE) if expected is None and type(raw) in (int, float) else (None, None)


def _columns_by_name(metrics: Iterable[Metric]) -> tuple[dict[str, Any], bool]:
    found: dict[str, Any] = {}
    twice = set()
    historical = False
    for metric in metrics:
        name, value = metric.name or "", metric.value
        expected = SAMPLE_DATATYPES.get(name)
        if expected is None:
            continue
        historical = historical or metric.is_historical
        if name == TEMPERATURE:
            if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
                continue
            with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which ingest removes and flags
                value = value.astype(np.float32)
            value = value if name not in found or _hottest(value) > _hottest(found[name]) else found[name]
        elif metric.datatype is not expected:
            continue
        elif name in found:
            twice.add(name)
        found[name] = value
    return {name: value for name, value in found.items() if name not in twice}, historical


def _hottest(values: NDArray[np.float32]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else -math.inf


def _temperatures(flat: NDArray[np.float32], width: int | None, n: int) -> tuple[NDArray[np.float32], bool]:
    """(rows, T), and whether the values fit a channel count."""
    if width is None and n and len(flat) % n == 0 and len(flat) // n <= MAX_CHANNELS:
        width = len(flat) // n
    if width is None:
        return (flat if len(flat) <= MAX_CHANNELS else np.array([_hottest(flat)], np.float32)).reshape(1, -1), False
    rows = -(-len(flat) // width)
    if rows * width == len(flat) and rows <= MAX_ROWS:
        return flat.reshape(rows, width), True
    padded = np.full(rows * width, np.nan, np.float32)
    padded[: len(flat)] = np.where(np.isfinite(flat), flat, np.float32(np.nan))
    return np.fmax.reduce(padded.reshape(rows, width), axis=0).reshape(1, width), False


def _voltages(flat: NDArray[np.float32] | None, width: int | None, rows: int) -> tuple[NDArray[np.float32], bool]:
    """(rows, V), and whether the values fit."""
    if flat is not None:
        told = len(flat) // rows if width is None else width
        if len(flat) == rows * told and told <= MAX_CHANNELS:
            return flat.reshape(rows, told), True
    return np.full((rows, width or 0), np.nan, np.float32), flat is None


def _provenance(text: str | None) -> Provenance:
    try:
        return Provenance.MEASURED if text is None else Provenance(text)
    except ValueError:
        return Provenance.MEASURED


def _boot(text: str | None) -> str | None:
    try:
        return None if text is None else parse_identifier(text, "boot")
    except IdentifierError:
        return None


def _scalars(
    metrics: Iterable[Metric], unit_id: str, t_width: int | None, v_width: int | None, received_at_ms: int
) -> tuple[SampleBatch, ...]:
    sound = [
        metric
        for metric in metrics
        if is_channel(metric.name or "")
        and type(metric.value) in (int, float)
        and metric.datatype is not DataType.DATE_TIME
    ]
    if not any((metric.name or "").startswith("Temperature/") and math.isfinite(metric.value) for metric in sound):
        return ()
    flags = Quality.OTHER_SUSPECT
    if any(metric.timestamp_ms is None for metric in sound):
        flags |= Quality.TIME_IMPOSSIBLE
    if len({metric.timestamp_ms for metric in sound}) > MAX_ROWS:
        flags |= Quality.TIME_IMPOSSIBLE
        # The coolest first: a channel sent twice for one time keeps the later value.
        sound = [
            replace(metric, timestamp_ms=received_at_ms, is_historical=False)
            for metric in sorted(sound, key=lambda metric: metric.value if metric.value <= _WIDEST_C else -math.inf)
        ]
    batches = batches_from_scalars(
        sound,
        unit_id=unit_id,
        temperature_channels=t_width,
        voltage_channels=v_width,
        payload_timestamp_ms=received_at_ms,
    )
    return tuple(replace(batch, quality=batch.quality | np.uint32(flags)) for batch in batches)
