"""Samples as frozen columns: one unit's batch holds its times and channels as read-only numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntFlag, StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

SINGLE_CHANNELS = ("ambient_c", "humidity_pct", "hydrogen_ppm", "carbon_monoxide_ppm", "voc_ppm", "shock_g")
"""The sensors a unit has one of, or none; in the order of the trace format's columns."""


class Provenance(StrEnum):
    """Where a sample comes from. Only `measured` is a real pack, now."""

    MEASURED = "measured"
    SIMULATED = "simulated"
    REPLAYED = "replayed"
    SYNTHETIC = "synthetic"


class Quality(IntFlag):
    """What is known against a sample. A flag never removes a value: a suspect value can be heat."""

    GOOD = 0
    TEMPERATURE_SUSPECT = 1
    """A temperature outside -60..150 degC: an instrument fault, or a fire."""
    VOLTAGE_SUSPECT = 2
    """A cell or module voltage of 0 V, or one that no channel of its kind can have."""
    INFINITY_REMOVED = 4
    """An infinite value was refused and is NaN now; the payload lies in the quarantine."""
    TIME_IMPOSSIBLE = 8
    """The unit's time was in the future or too far back; `sampled_at` was set from the time of receipt."""
    TIME_BRACKETED = 16
    """A boot that was never seen live: the time was bracketed by its neighbours."""
    UNREGISTERED = 32
    """The registry does not know the unit."""
    OTHER_SUSPECT = 64
    """Humidity, gas or shock outside what their sensors can measure."""


class ShapeError(ValueError):
    """Columns that do not belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """All channels of a unit at one time. `None` = not measured, or not fitted."""

    unit_id: str
    sampled_at_ms: int
    """UTC, ms since 1970."""
    temperatures_c: tuple[float | None, ...]
    voltages_v: tuple[float | None, ...]
    ambient_c: float | None
    humidity_pct: float | None
    hydrogen_ppm: float | None
    carbon_monoxide_ppm: float | None
    voc_ppm: float | None
    shock_g: float | None
    quality: Quality
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleBatch:
    """n samples of one unit, oldest first. Arrays are read-only; NaN = not measured. Raises ShapeError on misfits."""

    unit_id: str
    boot_id: str | None
    """The unit's boot (persisted counter plus nonce); None from a plain edge node."""
    frame: int | None
    """The frame's number within its boot; None from a plain edge node."""
    provenance: Provenance
    sampled_at_ms: NDArray[np.int64]
    """(n,) UTC, ms since 1970, strictly increasing."""
    time_uncertainty_s: float
    temperatures_c: NDArray[np.float32]
    """(n, T) degC."""
    voltages_v: NDArray[np.float32]
    """(n, V) V. The registry's channel map says which column is a cell, a module or the pack."""
    ambient_c: NDArray[np.float32] | None = None
    humidity_pct: NDArray[np.float32] | None = None
    hydrogen_ppm: NDArray[np.float32] | None = None
    carbon_monoxide_ppm: NDArray[np.float32] | None = None
    voc_ppm: NDArray[np.float32] | None = None
    shock_g: NDArray[np.float32] | None = None
    quality: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    """(n,) Quality bits; left out, all are good."""
    historical: bool = False
    """Sent again or sent late by the gateway (Sparkplug `is_historical`)."""

    def __post_init__(self) -> None:
        """Fix dtypes, check shapes, and lock the arrays."""
        n = len(self.sampled_at_ms)
        if len(self.quality) == 0 and n:
            object.__setattr__(self, "quality", np.zeros(n, np.uint32))
        self._lock("sampled_at_ms", np.int64, (n,))
        self._lock("quality", np.uint32, (n,))
        for name in ("temperatures_c", "voltages_v"):
            shape = np.shape(getattr(self, name))
            if len(shape) != 2:
                raise ShapeError(f"{name} has {len(shape)} dimensions, not rows and channels")
            self._lock(name, np.float32, (n, shape[1]))
        for name in SINGLE_CHANNELS:
            if getattr(self, name) is not None:
                self._lock(name, np.float32, (n,))
        # Compared, not subtracted: a difference of wild times can overflow.
        if n > 1 and not (self.sampled_at_ms[1:] > self.sampled_at_ms[:-1]).all():
            raise ShapeError("sample times do not strictly increase")

    @classmethod
    def of_sound_columns(cls, *, singles: Mapping[str, NDArray[np.float32] | None], **columns: Any) -> SampleBatch:
        """A batch of columns that a decoder has checked already, `singles` by SINGLE_CHANNELS.

        For the hot path: read-only arrays of the right types and shapes, quality included, and times that increase.
        """
        batch = cls.__new__(cls)
        put = object.__setattr__
        for name, value in columns.items():
            put(batch, name, value)
        for name, value in singles.items():
            put(batch, name, value)
        return batch

    def _lock(self, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
        column = np.asarray(getattr(self, name), dtype=dtype)
        if column.shape != shape:
            raise ShapeError(f"{name} has shape {column.shape}, not {shape}")
        if column.flags.writeable:
            column = column.view()
            column.flags.writeable = False
        object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.sampled_at_ms)

    def values(self) -> int:
        """How many channel values the batch holds, missing ones included."""
        rows = len(self.sampled_at_ms)
        values = self.temperatures_c.size + self.voltages_v.size
        # Written out: this runs for every message.
        values += rows * (self.ambient_c is not None) + rows * (self.humidity_pct is not None)
        values += rows * (self.hydrogen_ppm is not None) + rows * (self.carbon_monoxide_ppm is not None)
        return values + rows * (self.voc_ppm is not None) + rows * (self.shock_g is not None)

    def part(self, first: int, last: int | None = None) -> SampleBatch:
        """The rows from `first` up to, not including, `last` (None: to the end), as views."""
        span = slice(first, last)
        singles: dict[str, Any] = {
            name: None if (column := getattr(self, name)) is None else column[span] for name in SINGLE_CHANNELS
        }
        return replace(
            self,
            sampled_at_ms=self.sampled_at_ms[span],
            temperatures_c=self.temperatures_c[span],
            voltages_v=self.voltages_v[span],
            quality=self.quality[span],
            **singles,
        )

    def sample(self, row: int) -> Sample:
        """One row, for words and pages; hot paths keep to the columns."""
        singles = {
            name: None if (column := getattr(self, name)) is None else _or_none(column[row]) for name in SINGLE_CHANNELS
        }
        return Sample(
            unit_id=self.unit_id,
            sampled_at_ms=int(self.sampled_at_ms[row]),
            temperatures_c=tuple(_or_none(value) for value in self.temperatures_c[row]),
            voltages_v=tuple(_or_none(value) for value in self.voltages_v[row]),
            quality=Quality(int(self.quality[row])),
            provenance=self.provenance,
            **singles,
        )


def _or_none(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReceivedBatch:
    """A batch with how it reached the cloud. What ingest hands to the store, the alert engine and the live board."""

    batch: SampleBatch
    fleet_id: str
    gateway_id: str
    received_at_ms: int
    """The cloud's clock, UTC, ms since 1970."""
    outbox_sequence: int | None = None
    """The message's number in its gateway's outbox; None from a plain edge node."""
    outbox_id: str | None = None
    """Which outbox that is; None from a plain edge node, or while the gateway's birth is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionFix:
    """Where a vehicle was. None = the receiver did not say."""

    fleet_id: str
    gateway_id: str
    fixed_at_ms: int
    """UTC, ms since 1970, by the satellite receiver."""
    latitude_deg: float
    longitude_deg: float
    speed_m_s: float | None = None
    heading_deg: float | None = None
    """Clockwise from true north."""
    accuracy_m: float | None = None
