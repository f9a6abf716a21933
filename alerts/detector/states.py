"""What the detector remembers of each pack: one structure of arrays for all packs with the same channels."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from alerts.detector.kinds import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alerts.detector.rules import DetectorRules

NEVER_MS = -1
"""Before any sample: sample times are not negative."""
GASES = ("hydrogen", "carbon_monoxide", "voc")
_FIRST_CAPACITY = 16


def _column(axis: str, dtype: Any, fill: Any) -> dict[str, Any]:
    return {"axis": axis, "dtype": dtype, "fill": fill}


def _pack(fill: Any = 0, dtype: Any = np.float32) -> dict[str, Any]:
    return _column("pack", dtype, fill)


def _probe(fill: Any = 0, dtype: Any = np.float32) -> dict[str, Any]:
    return _column("probe", dtype, fill)


def _voltage(fill: Any = 0, dtype: Any = np.float32) -> dict[str, Any]:
    return _column("voltage", dtype, fill)


def _gas(fill: Any = 0, dtype: Any = np.float32) -> dict[str, Any]:
    return _column("gas", dtype, fill)


@dataclass(slots=True, kw_only=True, eq=False)
class Columns:
    """B packs: (B,) where nothing else is said, (B, T) probes, (B, V) voltages, (B, 3) GASES. NaN = unknown."""

    newest_ms: NDArray[np.int64] = field(metadata=_pack(NEVER_MS, np.int64))
    """Event time of the newest row that measured anything."""
    profile: NDArray[np.int16] = field(metadata=_pack(0, np.int16))
    known_s: NDArray[np.float32] = field(metadata=_pack())
    """Since the first row."""
    interval_s: NDArray[np.float32] = field(metadata=_pack(np.nan))
    """Usual time between rows."""
    tick_s: NDArray[np.float32] = field(metadata=_pack(np.inf))
    """Since the slow evidence was looked at."""
    resolution_c: NDArray[np.float32] = field(metadata=_pack(np.nan))
    """The usual smallest change of readings: a step of the sensor."""
    noise_c: NDArray[np.float32] = field(metadata=_pack(0.1))
    """Usual noise of the pack's probes from reading to reading."""
    base_c: NDArray[np.float32] = field(metadata=_pack(np.nan))
    """Median probe, offsets taken out."""
    spread_c: NDArray[np.float32] = field(metadata=_pack(np.nan))
    """Wander of the pack's probes about their offsets."""

    held: NDArray[np.int8] = field(metadata=_pack(0, np.int8))
    """Rank that stands."""
    slow_rank: NDArray[np.int8] = field(metadata=_pack(0, np.int8))
    """Rank by the slow evidence at the latest tick."""
    ease_s: NDArray[np.float32] = field(metadata=_pack())
    """For how long the evidence has been below what stands."""

    last_c: NDArray[np.float32] = field(metadata=_probe(np.nan))
    """(B, T) latest reading in range."""
    age_s: NDArray[np.float32] = field(metadata=_probe(np.inf))
    """(B, T) since then."""
    still_s: NDArray[np.float32] = field(metadata=_probe())
    """(B, T) since the reading changed."""
    base_then_c: NDArray[np.float32] = field(metadata=_probe(np.nan))
    """(B, T) the pack's median when it changed."""
    offset_c: NDArray[np.float32] = field(metadata=_probe(np.nan))
    """(B, T) the probe's own slow offset against the pack."""
    residual_c: NDArray[np.float32] = field(metadata=_probe(np.nan))
    """(B, T) latest residual: reading less offset less median."""
    probe_noise_c: NDArray[np.float32] = field(metadata=_probe(0.1))
    """(B, T) mean change of the residual between readings."""
    step_c: NDArray[np.float32] = field(metadata=_probe())
    """(B, T) latest change of the residual."""
    before_c: NDArray[np.float32] = field(metadata=_probe())
    """(B, T) mean residual of the last minute or two, which quick rises start from."""
    quick_c: NDArray[np.float32] = field(metadata=_probe())
    """(B, T) latest rise above `before_c`."""
    quick_was_c: NDArray[np.float32] = field(metadata=_probe())
    """(B, T) the one before it."""
    quick_third_c: NDArray[np.float32] = field(metadata=_probe())
    """(B, T) and the one before that."""
    short_c: NDArray[np.float32] = field(metadata=_probe(np.nan))
    """(B, T) mean residual of the spatial window."""
    long_c: NDArray[np.float32] = field(metadata=_probe(np.nan))
    """(B, T) mean residual of the slope window."""
    wander_c: NDArray[np.float32] = field(metadata=_probe(np.nan))
    """(B, T) learnt scale of `short_c`."""
    sum_h: NDArray[np.float32] = field(metadata=_probe())
    """(B, T) CUSUM, sigma-hours."""
    rising_s: NDArray[np.float32] = field(metadata=_probe())
    """(B, T) for how long the slope has been up."""
    jump_c: NDArray[np.float32] = field(metadata=_probe())
    """(B, T) a jump that is not decided yet; 0 = none."""
    jump_s: NDArray[np.float32] = field(metadata=_probe(np.inf))
    """(B, T) since the latest jump."""
    fault: NDArray[np.uint8] = field(metadata=_probe(Fault.OK, np.uint8))
    """(B, T) Fault."""
    sound_s: NDArray[np.float32] = field(metadata=_probe(np.inf))
    """(B, T) since it misbehaved as an instrument while no warning stood; inf = never."""
    died: NDArray[np.bool_] = field(metadata=_probe(False, np.bool_))  # noqa: FBT003
    """(B, T) it stopped measuring while its pack was suspicious."""

    heat_short_c: NDArray[np.float32] = field(metadata=_pack(np.nan))
    heat_long_c: NDArray[np.float32] = field(metadata=_pack(np.nan))
    """Means of the pack's temperature over a short and a long window."""
    ambient_c: NDArray[np.float32] = field(metadata=_pack(np.nan))
    """Smoothed."""
    wall_c: NDArray[np.float32] = field(metadata=_pack(np.nan))
    """A slower mean of the ambient: the wall."""
    fit_x: NDArray[np.float32] = field(metadata=_pack())
    fit_y: NDArray[np.float32] = field(metadata=_pack())
    fit_xx: NDArray[np.float32] = field(metadata=_pack())
    fit_xy: NDArray[np.float32] = field(metadata=_pack())
    """Moments of (ambient - pack) and of the pack's rate."""
    heat_c_per_h: NDArray[np.float32] = field(metadata=_pack())
    """Heat of its own: the rate that the fit leaves over."""
    heat_scale_c_per_h: NDArray[np.float32] = field(metadata=_pack(2.0))

    volt_permille: NDArray[np.float32] = field(metadata=_voltage(np.nan))
    """(B, V) mean deviation from the median, offset taken out."""
    volt_long_permille: NDArray[np.float32] = field(metadata=_voltage(np.nan))
    """(B, V) mean of it over half an hour."""
    volt_offset_permille: NDArray[np.float32] = field(metadata=_voltage(np.nan))
    volt_scale_permille: NDArray[np.float32] = field(metadata=_voltage(np.nan))
    volt_sinks_s: NDArray[np.float32] = field(metadata=_voltage())
    """(B, V) for how long it has been sinking away from the others."""
    volt_low: NDArray[np.uint8] = field(metadata=_voltage(0, np.uint8))
    """(B, V) rows running in which it was collapsed."""
    volt_now_v: NDArray[np.float32] = field(metadata=_pack(np.nan))
    volt_mean_v: NDArray[np.float32] = field(metadata=_pack(np.nan))
    """The median channel, and its mean over an hour."""
    moved_s: NDArray[np.float32] = field(metadata=_pack(np.inf))
    """Since a voltage moved against the others."""

    gas_log: NDArray[np.float32] = field(metadata=_gas(np.nan))
    """(B, 3) mean of ln(ppm + 1) over the gas window."""
    gas_base_log: NDArray[np.float32] = field(metadata=_gas(np.nan))

    def take(self, which: Any) -> Columns:
        """Some packs: views for a slice, copies else."""
        if isinstance(which, slice):
            return Columns(**{name: getattr(self, name)[which] for name in NAMES})
        return Columns(**{name: getattr(self, name).take(which, axis=0) for name in NAMES})

    def put(self, which: Any, some: Columns, names: Sequence[str] | None = None) -> None:
        """Write `take(which)` back; `names`: the columns that may have changed, None = any."""
        for name in NAMES if names is None else names:
            _whole(getattr(self, name))[which] = _whole(getattr(some, name))


def _whole(column: NDArray[Any]) -> NDArray[Any]:
    """A pack's channels as one item, which numpy copies in half the time of the channels."""
    if column.ndim == 1 or not column.shape[1] or not column.flags.c_contiguous:
        return column
    return column.view(np.dtype((np.void, column.itemsize * column.shape[1])))[:, 0]


NAMES = tuple(each.name for each in fields(Columns))


def fresh_columns(slots: int, *, layout: tuple[int, int]) -> Columns:
    """Packs of which nothing is known; layout: temperature and voltage channels."""
    t, v = layout
    widths: dict[str, tuple[int, ...]] = {"pack": (), "probe": (t,), "voltage": (v,), "gas": (len(GASES),)}
    return Columns(
        **{
            each.name: np.full((slots, *widths[each.metadata["axis"]]), each.metadata["fill"], each.metadata["dtype"])
            for each in fields(Columns)
        }
    )


class DetectorStates:
    """State by slot: a slot is one unit's series about one pack. Grows by doubling; freed slots are used again.

    About 1.1 KB a pack of 16 probes and 8 voltages.
    """

    def __init__(self, *, temperature_channels: int, voltage_channels: int, rules: DetectorRules) -> None:
        self.layout = (temperature_channels, voltage_channels)
        self.rules = rules
        self.used = 0
        self._free: list[int] = []
        self._columns = self._fresh(_FIRST_CAPACITY)

    def __len__(self) -> int:
        """How many slots are in use."""
        return self.used - len(self._free)

    @property
    def capacity(self) -> int:
        """Slots that have memory."""
        return len(self._columns.newest_ms)

    @property
    def nbytes(self) -> int:
        """Bytes of all slots that have memory."""
        return sum(getattr(self._columns, name).nbytes for name in NAMES)

    def columns(self) -> Columns:
        """All slots, as they are: for snapshots. Replaced when `add` grows them."""
        return self._columns

    def add(self, *, profile: int) -> int:
        """A fresh slot for a pack of that profile of the rules. Raises IndexError when the rules have no such one."""
        if not 0 <= profile < len(self.rules.profiles):
            raise IndexError(f"the rules have no profile {profile}")
        if self._free:
            slot = self._free.pop()
        else:
            slot, self.used = self.used, self.used + 1
            if slot == self.capacity:
                more = self._fresh(slot)
                for name in NAMES:
                    grown = np.concatenate([getattr(self._columns, name), getattr(more, name)])
                    setattr(self._columns, name, grown)
        self._columns.profile[slot] = profile
        return slot

    def free(self, slot: int) -> None:
        """Forget the slot's series; the number will be given out again."""
        self._columns.put(slice(slot, slot + 1), self._fresh(1))
        self._free.append(slot)

    def _fresh(self, slots: int) -> Columns:
        return fresh_columns(slots, layout=self.layout)
