"""What is wrong with a decoded batch, flagged and told, never dropped: a value that cannot be may be a fire. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from registry.kinds import ChannelKind
from telemetry.samples import SINGLE_CHANNELS, Quality, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from telemetry.samples import PositionFix, ReceivedBatch

TEMPERATURES_C = (-60.0, 150.0)
"""What an instrument on a pack reads when nothing burns; the bound of Quality.TEMPERATURE_SUSPECT."""
VOLTAGE_CEILINGS_V = {
    # No lithium-ion cell is charged above 4.5 V; 5 V leaves room for an instrument's offset. **assumed**
    ChannelKind.CELL: 5.0,
    # The limit of extra-low direct voltage that modules are built below, IEC 61140. **assumed** to hold for all.
    ChannelKind.MODULE: 120.0,
    # Low voltage ends there, IEC 60038; no road vehicle's pack is above.
    ChannelKind.PACK: 1500.0,
    ChannelKind.PROBE: 1500.0,
}
OTHERS = {
    "humidity_pct": (0.0, 100.0),
    # Parts per million end at a million.
    "hydrogen_ppm": (0.0, 1e6),
    "carbon_monoxide_ppm": (0.0, 1e6),
    "voc_ppm": (0.0, 1e6),
    # The largest that the unit's wire can say; **assumed** for others.
    "shock_g": (0.0, 655.34),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """Which sample times are possible, seen from the time of receipt."""

    ahead_ms: int = 5 * 60_000
    """Clocks disagree by less, once set. **assumed**"""
    age_ms: int = 35 * 86_400_000
    """A gateway bridges 72 h, a unit's flash some weeks at most. **assumed**"""


class KnownUnit:
    """What validation must know of a registered unit."""

    def __init__(self, *, voltage_kinds: Sequence[ChannelKind] = ()) -> None:
        """`voltage_kinds`: what each voltage column measures; those beyond are taken for packs, the highest of all."""
        self._ceilings_v = np.array([VOLTAGE_CEILINGS_V[kind] for kind in voltage_kinds], np.float32)
        self._tiles: dict[tuple[int, int], NDArray[np.float32]] = {}

    def ceilings_v(self, rows: int, columns: int) -> NDArray[np.float32]:
        """(rows, columns) V, the highest that each voltage can be. Units repeat their shapes, so a few are kept."""
        tile = self._tiles.get((rows, columns))
        if tile is None:
            row = np.full(columns, VOLTAGE_CEILINGS_V[ChannelKind.PACK], np.float32)
            known = self._ceilings_v[:columns]
            row[: len(known)] = known
            tile = np.ascontiguousarray(np.broadcast_to(row, (rows, columns)))
            if len(self._tiles) >= 8:
                self._tiles.clear()
            self._tiles[rows, columns] = tile
        return tile


UNKNOWN_UNIT = KnownUnit()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a batch."""

    reason: str
    """A short stable slug."""
    detail: str
    """A sentence."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inspected:
    """A batch with its flags set, and why."""

    received: ReceivedBatch
    findings: tuple[Finding, ...] = ()


def inspect(received: ReceivedBatch, unit: KnownUnit | None, limits: TimeLimits | None = None) -> Inspected:
    """Look at every value of a batch. `unit` None = the registry does not know it.

    Suspect values are flagged and kept. Infinities become NaN. If any time is impossible, none is trusted: all rows
    move, spacing kept, so that the last falls on the time of receipt (1 ms apart where the spacing cannot be either).
    """
    batch = received.batch
    findings: list[Finding] = []
    quality = batch.quality.copy()
    changes: dict[str, Any] = {}
    if unit is None:
        quality |= np.uint32(Quality.UNREGISTERED)
        findings.append(Finding(reason="unknown_unit", detail=f"unit {batch.unit_id} is not registered"))
    for name in ("temperatures_c", "voltages_v", *SINGLE_CHANNELS):
        values = getattr(batch, name)
        if values is None or not values.size:
            continue
        infinite = np.isinf(values)
        if infinite.any():
            values = changes[name] = np.where(infinite, np.float32(np.nan), values)
            quality |= _on(infinite, Quality.INFINITY_REMOVED)
            findings.append(
                Finding(reason="infinity", detail=f"{_count(infinite)} of {name} {_were(infinite)} infinite")
            )
        low, high, flag = _bounds(name, batch, unit or UNKNOWN_UNIT)
        suspect = (values < low) | (values > high)
        if name == "voltages_v":
            suspect |= values == 0
        if suspect.any():
            quality |= _on(suspect, flag)
            findings.append(_suspicion(name, flag, values, suspect))
    if (times := _possible_times(received, limits or TimeLimits())) is not None:
        changes["sampled_at_ms"] = times
        quality |= np.uint32(Quality.TIME_IMPOSSIBLE)
        findings.append(_time_finding(received))
    if not changes and np.array_equal(quality, batch.quality):
        return Inspected(received=received, findings=tuple(findings))
    changed = replace(batch, **changes, quality=quality)
    return Inspected(received=replace(received, batch=changed), findings=tuple(findings))


def possible_fix(fix: PositionFix, received_at_ms: int, limits: TimeLimits | None = None) -> PositionFix:
    """The fix, at the time of receipt if its own time is impossible."""
    bounds = limits or TimeLimits()
    if received_at_ms - bounds.age_ms <= fix.fixed_at_ms <= received_at_ms + bounds.ahead_ms:
        return fix
    return replace(fix, fixed_at_ms=received_at_ms)


def _bounds(name: str, batch: SampleBatch, unit: KnownUnit) -> tuple[float, float | NDArray[np.float32], Quality]:
    if name in ("temperatures_c", "ambient_c"):
        return *TEMPERATURES_C, Quality.TEMPERATURE_SUSPECT
    if name == "voltages_v":
        return 0.0, unit.ceilings_v(*batch.voltages_v.shape), Quality.VOLTAGE_SUSPECT
    return *OTHERS[name], Quality.OTHER_SUSPECT


def _possible_times(received: ReceivedBatch, limits: TimeLimits) -> NDArray[np.int64] | None:
    """New times for a batch with an impossible one; None when all are possible."""
    at_ms, received_at_ms = received.batch.sampled_at_ms, received.received_at_ms
    oldest_ms = received_at_ms - limits.age_ms
    if not len(at_ms) or (at_ms[0] >= oldest_ms and at_ms[-1] <= received_at_ms + limits.ahead_ms):
        return None
    shifted: NDArray[np.int64] = at_ms - at_ms[-1] + received_at_ms
    if shifted[0] >= oldest_ms:
        return shifted
    return received_at_ms - np.arange(len(at_ms), dtype=np.int64)[::-1]


def _on(where: NDArray[np.bool_], flag: Quality) -> NDArray[np.uint32]:
    """(n,) `flag` in the rows that have a hit."""
    rows = where.any(axis=1) if where.ndim == 2 else where
    return np.where(rows, np.uint32(flag), np.uint32(0))


_SPOKEN = {"c": "degC", "v": "V", "pct": "%"}
"""Units as people read them, by the suffix of the column's name."""


def _suspicion(name: str, flag: Quality, values: NDArray[np.float32], suspect: NDArray[np.bool_]) -> Finding:
    first = tuple(int(index[0]) for index in np.nonzero(suspect))
    quantity, unit = name.rsplit("_", 1)
    column = f" {first[1] + 1}" if len(first) == 2 else ""
    more = int(suspect.sum()) - 1
    return Finding(
        reason=(flag.name or "suspect").lower(),
        detail=f"{quantity.removesuffix('s')}{column} is {values[first]:g} {_SPOKEN.get(unit, unit)}, "
        "no value of a sound instrument" + (f"; {more} more in this batch" if more else ""),
    )


def _time_finding(received: ReceivedBatch) -> Finding:
    at_ms = received.batch.sampled_at_ms
    told = " to ".join(_iso(int(at)) for at in dict.fromkeys((at_ms[0], at_ms[-1])))
    return Finding(
        reason="time_impossible",
        detail=f"sampled at {told}, received at {_iso(received.received_at_ms)}: evaluated as received now",
    )


def _iso(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):  # beyond the years that have a name
        return f"{at_ms} ms since 1970"


def _count(where: NDArray[np.bool_]) -> str:
    return f"{int(where.sum())} value{'s' if where.sum() > 1 else ''}"


def _were(where: NDArray[np.bool_]) -> str:
    return "were" if where.sum() > 1 else "was"
