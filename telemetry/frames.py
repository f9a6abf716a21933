"""Frames: what a sensor unit sends to its gateway. Scaled integers in CBOR; the bytes are described in docs/wire.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from telemetry import cbor
from telemetry.errors import WireError
from telemetry.identifiers import IdentifierError, parse_identifier
from telemetry.limits import MAX_BATCH_BYTES, MAX_CHANNELS, MAX_INTEGER, MAX_ROWS
from telemetry.samples import Provenance, Quality, SampleBatch
from telemetry.scaling import PACK_VOLTAGE, SINGLES, TEMPERATURES, VECTORS, VOLTAGES, ScaledColumn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

MAX_PERIOD_MS = 86_400_000
"""One day."""
_ROW_BYTES = 12
"""Of a batch's sample, beside its channels: the time and the quality."""
_BATCH_OVERHEAD_BYTES = 1_024
"""**Assumed** generous: names of boot and provenance, tags and lengths of a batch's metrics; measured below 300."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """n samples of one unit by its own tick clock, oldest first, evenly spaced. Arrays are read-only.

    Raises WireError where the wire could not carry it: "frame_shape" for columns that do not belong together,
    "frame_oversize" for a batch above MAX_BATCH_BYTES, "field_range" for numbers outside their limits.
    """

    boot_id: str
    number: int
    """Counts from 0 within the boot."""
    tick_ms: int
    """Of the first sample, ms since boot."""
    period_ms: int
    """Between samples, 1..86,400,000 ms."""
    provenance: Provenance
    utc_at_tick_zero_ms: int | None = None
    """UTC, ms since 1970, when the unit has a trusted clock; a sensor unit has none, a replay has."""
    lost_frames: int = 0
    """Frames, of any boot, that the unit's ring overwrote before they were acknowledged, since the ring was new."""
    temperatures_raw: NDArray[np.int16]
    """(n, T) in 0.05 degC; -32768 = not measured."""
    voltages_mv: NDArray[np.uint16]
    """(n, V) of cells or modules, in mV; 65535 = not measured. V may be 0."""
    pack_voltage_dv: NDArray[np.uint16] | None = None
    """(n,) in 0.1 V; 65535 = not measured, as in all that follow."""
    ambient_raw: NDArray[np.int16] | None = None
    """(n,) in 0.05 degC; -32768 = not measured."""
    humidity_raw: NDArray[np.uint16] | None = None
    """(n,) in 0.01 %."""
    hydrogen_raw: NDArray[np.uint16] | None = None
    """(n,) in ppm."""
    carbon_monoxide_raw: NDArray[np.uint16] | None = None
    """(n,) in ppm."""
    voc_raw: NDArray[np.uint16] | None = None
    """(n,) in 0.1 ppm."""
    shock_raw: NDArray[np.uint16] | None = None
    """(n,) in 0.01 g."""

    def __post_init__(self) -> None:
        """Check limits and shapes, and lock the arrays."""
        try:
            parse_identifier(self.boot_id, "boot")
        except IdentifierError as error:
            raise WireError("field_range", str(error)) from error
        _within("frame", self.number, 0, MAX_INTEGER)
        _within("tick_ms", self.tick_ms, 0, MAX_INTEGER)
        _within("period_ms", self.period_ms, 1, MAX_PERIOD_MS)
        _within("lost_frames", self.lost_frames, 0, MAX_INTEGER)
        if self.utc_at_tick_zero_ms is not None:
            _within("utc_at_tick_zero_ms", self.utc_at_tick_zero_ms, -MAX_INTEGER, MAX_INTEGER)
        n, temperatures = _shape("temperatures_raw", self.temperatures_raw)
        rows, voltages = _shape("voltages_mv", self.voltages_mv)
        # The pack voltage becomes a voltage column of the batch.
        volts = voltages + (self.pack_voltage_dv is not None)
        if not (1 <= n <= MAX_ROWS and 1 <= temperatures <= MAX_CHANNELS and volts <= MAX_CHANNELS) or rows != n:
            raise WireError("frame_shape", f"{n} x {temperatures} temperatures and {rows} x {volts} voltages")
        self._lock(TEMPERATURES, (n, temperatures))
        self._lock(VOLTAGES, (n, voltages))
        fitted = [column for column in VECTORS if getattr(self, column.field) is not None]
        for column in fitted:
            self._lock(column, (n,))
        batch_bytes = n * (_ROW_BYTES + 4 * (temperatures + voltages + len(fitted))) + _BATCH_OVERHEAD_BYTES
        if batch_bytes > MAX_BATCH_BYTES:
            raise WireError("frame_oversize", f"its batch would have {batch_bytes} bytes, more than {MAX_BATCH_BYTES}")

    def _lock(self, column: ScaledColumn, shape: tuple[int, ...]) -> None:
        values = np.asarray(getattr(self, column.field))
        if values.dtype != column.dtype or values.shape != shape:
            raise WireError(
                "frame_shape", f"{column.field} is {values.dtype} {values.shape}, not {column.dtype} {shape}"
            )
        if values.flags.writeable:
            values = values.view()
            values.flags.writeable = False
        object.__setattr__(self, column.field, values)

    def __len__(self) -> int:
        """How many samples it holds."""
        return len(self.temperatures_raw)


def frame_from_values(
    *,
    boot_id: str,
    number: int,
    tick_ms: int,
    period_ms: int,
    provenance: Provenance,
    utc_at_tick_zero_ms: int | None = None,
    lost_frames: int = 0,
    temperatures_c: ArrayLike,
    voltages_v: ArrayLike | None = None,
    pack_voltage_v: ArrayLike | None = None,
    ambient_c: ArrayLike | None = None,
    humidity_pct: ArrayLike | None = None,
    hydrogen_ppm: ArrayLike | None = None,
    carbon_monoxide_ppm: ArrayLike | None = None,
    voc_ppm: ArrayLike | None = None,
    shock_g: ArrayLike | None = None,
) -> Frame:
    """Quantise floats into a frame: temperatures (n, T), voltages (n, V), the others (n,); NaN = not measured.

    The error is at most half a step (0.025 degC). A value out of range clips to the last step that can be told: a fire
    stays a fire, and never turns into "not measured". Raises WireError as Frame does.
    """
    temperatures = np.asarray(temperatures_c, np.float64)
    voltages = np.empty((len(temperatures), 0)) if voltages_v is None else voltages_v
    singles: Mapping[str, ArrayLike | None] = {
        "ambient_c": ambient_c,
        "humidity_pct": humidity_pct,
        "hydrogen_ppm": hydrogen_ppm,
        "carbon_monoxide_ppm": carbon_monoxide_ppm,
        "voc_ppm": voc_ppm,
        "shock_g": shock_g,
    }
    return Frame(
        boot_id=boot_id,
        number=number,
        tick_ms=tick_ms,
        period_ms=period_ms,
        provenance=provenance,
        utc_at_tick_zero_ms=utc_at_tick_zero_ms,
        lost_frames=lost_frames,
        temperatures_raw=TEMPERATURES.quantise(temperatures),
        voltages_mv=VOLTAGES.quantise(voltages),
        pack_voltage_dv=None if pack_voltage_v is None else PACK_VOLTAGE.quantise(pack_voltage_v),
        **{
            column.field: None if (values := singles[name]) is None else column.quantise(values)
            for name, column in SINGLES.items()
        },
    )


def encode_frame(frame: Frame) -> bytes:
    """Encode a frame as one CBOR map."""
    fields: dict[str, object] = {
        "boot": frame.boot_id,
        "frame": frame.number,
        "tick_ms": frame.tick_ms,
        "period_ms": frame.period_ms,
        "provenance": frame.provenance.value,
        "utc_at_tick_zero_ms": frame.utc_at_tick_zero_ms,
        "lost_frames": frame.lost_frames or None,
        TEMPERATURES.key: cbor.typed_array(frame.temperatures_raw),
        # RFC 8746 has no dimension of zero: a unit without cell voltages sends no such field.
        VOLTAGES.key: cbor.typed_array(frame.voltages_mv) if frame.voltages_mv.size else None,
    }
    for column in VECTORS:
        if (values := getattr(frame, column.field)) is not None:
            fields[column.key] = cbor.typed_array(values)
    return cbor.encode_map(fields)


def decode_frame(payload: bytes) -> Frame:
    """Decode a frame; its arrays are views of `payload`'s copy. Fields of other names are left alone.

    Raises WireError: "frame_truncated" where the bytes end early, "cbor_malformed", "field_*" and "array_*" as
    telemetry.cbor says, "frame_shape" and "frame_oversize" as Frame does.
    """
    fields = cbor.decode_map(payload, limit=MAX_BATCH_BYTES, truncated="frame_truncated")
    temperatures = cbor.matrix(fields, TEMPERATURES.key, TEMPERATURES.tag, MAX_ROWS, MAX_CHANNELS)
    if temperatures is None:
        raise WireError("field_missing", f"the field {TEMPERATURES.key} is missing")
    voltages = cbor.matrix(fields, VOLTAGES.key, VOLTAGES.tag, MAX_ROWS, MAX_CHANNELS)
    utc = fields.get("utc_at_tick_zero_ms")
    provenance = cbor.text(fields, "provenance")
    if provenance not in tuple(Provenance):
        raise WireError("field_range", f"the provenance {provenance!r} is none that is known")
    return Frame(
        boot_id=cbor.identifier(fields, "boot"),
        number=cbor.integer(fields, "frame", 0, MAX_INTEGER),
        tick_ms=cbor.integer(fields, "tick_ms", 0, MAX_INTEGER),
        period_ms=cbor.integer(fields, "period_ms", 1, MAX_PERIOD_MS),
        provenance=Provenance(provenance),
        utc_at_tick_zero_ms=None
        if utc is None
        else cbor.integer(fields, "utc_at_tick_zero_ms", -MAX_INTEGER, MAX_INTEGER),
        lost_frames=cbor.integer(fields, "lost_frames", 0, MAX_INTEGER, default=0),
        temperatures_raw=temperatures,
        voltages_mv=np.empty((len(temperatures), 0), np.uint16) if voltages is None else voltages,
        **{column.field: cbor.vector(fields, column.key, column.tag) for column in VECTORS},
    )


def batch_from_frame(
    frame: Frame,
    *,
    unit_id: str,
    utc_at_tick_zero_ms: int,
    time_uncertainty_s: float,
    quality: Quality = Quality.GOOD,
) -> SampleBatch:
    """Give a frame's samples their UTC and their physical units. The pack voltage becomes the last voltage column."""
    n = len(frame)
    singles: dict[str, Any] = {
        name: None if (raw := getattr(frame, column.field)) is None else column.physical(raw)
        for name, column in SINGLES.items()
    }
    voltages_v = VOLTAGES.physical(frame.voltages_mv)
    if frame.pack_voltage_dv is not None:
        voltages_v = np.column_stack((voltages_v, PACK_VOLTAGE.physical(frame.pack_voltage_dv)))
    return SampleBatch(
        unit_id=unit_id,
        boot_id=frame.boot_id,
        frame=frame.number,
        provenance=frame.provenance,
        sampled_at_ms=utc_at_tick_zero_ms + frame.tick_ms + np.arange(n, dtype=np.int64) * frame.period_ms,
        time_uncertainty_s=time_uncertainty_s,
        temperatures_c=TEMPERATURES.physical(frame.temperatures_raw),
        voltages_v=voltages_v,
        quality=np.full(n, int(quality), np.uint32),
        **singles,
    )


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise WireError("field_range", f"{name} is {value}, outside {low}..{high}")


def _shape(name: str, columns: NDArray[Any]) -> tuple[int, int]:
    if np.ndim(columns) != 2:
        raise WireError("frame_shape", f"{name} has {np.ndim(columns)} dimensions, not rows and channels")
    rows, width = np.shape(columns)
    return rows, width
