"""One pack's history out of the histories of the units that watched it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from telemetry.samples import SINGLE_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from dashboards.ports import Band, HistoryReader, Series, Span

_UNIT_SUFFIXES = ("_c", "_pct", "_ppm", "_g")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bands:
    """Channel-major bands as JSON has them: (C, p) each, or (p,) of a single sensor; NaN = not measured."""

    labels: Sequence[str]
    min: NDArray[np.float32]
    mean: NDArray[np.float32]
    max: NDArray[np.float32]


def read_pack(
    history: HistoryReader,
    spans: Sequence[Span],
    *,
    points: int,
    labels: Callable[[str], tuple[Sequence[str], Sequence[str]]],
) -> dict[str, object]:
    """Everything of the spans in about `points` buckets, ready for JSON, without `from_ms` and `to_ms`. Blocks.

    labels: of a unit's temperature and voltage columns; columns beyond them are numbered. The points are shared out
    by the length of the spans, at least one to each.
    """
    total_ms = sum(end_ms - start_ms for _, start_ms, end_ms in spans)
    parts = [
        (unit_id, history.read(unit_id, start_ms, end_ms, max(1, points * (end_ms - start_ms) // total_ms)))
        for unit_id, start_ms, end_ms in spans
    ]
    at_ms = np.unique(np.concatenate([part.at_ms for _, part in parts])) if parts else np.zeros(0, np.int64)
    units = list(dict.fromkeys(unit_id for unit_id, _ in parts))
    temperatures, voltages = [], []
    for unit_id in units:
        own = [part for each, part in parts if each == unit_id]
        suffix = f" ({unit_id})" if len(units) > 1 else ""
        temperature_labels, voltage_labels = labels(unit_id)
        temperatures.append(_columns(at_ms, own, "temperatures_c", temperature_labels, ("probe", suffix)))
        voltages.append(_columns(at_ms, own, "voltages_v", voltage_labels, ("voltage", suffix)))
    return {
        "raw": all(part.raw for _, part in parts),
        "t_ms": at_ms,
        "temperature": _stacked(temperatures, len(at_ms)),
        "voltage": _stacked(voltages, len(at_ms)),
        **{_json_name(name): _single(at_ms, [part for _, part in parts], name) for name in SINGLE_CHANNELS},
        "provenance": sorted({str(provenance) for _, part in parts for provenance in part.provenances}),
    }


def _columns(
    at_ms: NDArray[np.int64], parts: Sequence[Series], name: str, labels: Sequence[str], naming: tuple[str, str]
) -> Bands:
    """One unit's channels on the common time axis; the unit may have watched the pack more than once."""
    bands: list[Band] = [getattr(part, name) for part in parts]
    width = max(band.mean.shape[1] for band in bands)
    low, mean, high = (np.full((width, len(at_ms)), np.nan, np.float32) for _ in range(3))
    for part, band in zip(parts, bands, strict=True):
        rows = np.searchsorted(at_ms, part.at_ms)
        own = band.mean.shape[1]
        low[:own, rows], mean[:own, rows], high[:own, rows] = band.minimum.T, band.mean.T, band.maximum.T
    word, suffix = naming
    named = [*labels[:width], *(f"{word} {column}" for column in range(len(labels) + 1, width + 1))]
    return Bands(labels=[f"{label}{suffix}" for label in named], min=low, mean=mean, max=high)


def _stacked(parts: Sequence[Bands], points: int) -> Bands:
    if not parts:
        nothing = np.zeros((0, points), np.float32)
        return Bands(labels=[], min=nothing, mean=nothing, max=nothing)
    return Bands(
        labels=[label for part in parts for label in part.labels],
        min=np.concatenate([part.min for part in parts]),
        mean=np.concatenate([part.mean for part in parts]),
        max=np.concatenate([part.max for part in parts]),
    )


def _single(at_ms: NDArray[np.int64], parts: Sequence[Series], name: str) -> Mapping[str, NDArray[np.float32]] | None:
    """A sensor that a unit has one of; where two units overlap, the later one's value."""
    if not any(name in part.singles for part in parts):
        return None
    low, mean, high = (np.full(len(at_ms), np.nan, np.float32) for _ in range(3))
    for part in parts:
        if (band := part.singles.get(name)) is not None:
            rows = np.searchsorted(at_ms, part.at_ms)
            low[rows], mean[rows], high[rows] = band.minimum, band.mean, band.maximum
    return {"min": low, "mean": mean, "max": high}


def _json_name(name: str) -> str:
    """The sensor without its unit, which OpenAPI tells: `ambient_c` -> `ambient`."""
    for suffix in _UNIT_SUFFIXES:
        name = name.removesuffix(suffix)
    return name
