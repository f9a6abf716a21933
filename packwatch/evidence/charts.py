"""Charts of a pack's samples for the report: lowest, mean and highest temperature, voltages, and the levels."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from registry.kinds import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from dashboards.ports import Series
    from registry.case_files import CaseFile

POINTS = 1_000
CHARTS_SHOWN = 12
"""**Assumed**: packs that a report draws; the others are in the bundle."""
_COLOURS = {Level.WATCH: "tab:olive", Level.WARNING: "tab:orange", Level.CRITICAL: "tab:red", Level.RUNAWAY: "black"}


def pack_chart(case: CaseFile, pack_id: str, parts: Sequence[Series]) -> bytes | None:
    """A PNG of one pack's series; None where nothing was measured."""
    if not any(len(part.at_ms) for part in parts):
        return None
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and only reports draw

    figure = Figure(figsize=(10, 5.6), layout="constrained")
    heat, volts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for part in parts:
        times = part.at_ms.astype("datetime64[ms]")
        _draw_bands(heat, times, part.temperatures_c.minimum, part.temperatures_c.mean, part.temperatures_c.maximum)
        _draw_bands(volts, times, part.voltages_v.minimum, part.voltages_v.mean, part.voltages_v.maximum)
        if "ambient_c" in part.singles:
            heat.plot(times, part.singles["ambient_c"].mean, color="grey", linestyle=":", linewidth=0.9)
    for event in case.alert_events:
        alert = next(each for each in case.alerts if each.alert_id == event.alert_id)
        if alert.pack_id == pack_id and event.actor is None and event.level in _COLOURS:
            at = event.sampled_at or event.at
            heat.axvline(at, color=_COLOURS[event.level], linestyle="--", linewidth=0.9)
    heat.set(ylabel="degC", title=f"{pack_id}: each probe's mean, and its lowest to highest; dotted: ambient")
    volts.set(ylabel="V", xlabel="UTC")
    for axes in (heat, volts):
        axes.grid(visible=True, alpha=0.3)
    figure.autofmt_xdate()
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=110)
    return target.getvalue()


def _draw_bands(
    axes: Axes,
    times: NDArray[np.datetime64],
    low: NDArray[np.float32],
    mean: NDArray[np.float32],
    high: NDArray[np.float32],
) -> None:
    if not mean.shape[1]:
        return
    lines = axes.plot(times, mean, linewidth=0.8)
    for column, line in enumerate(lines):
        axes.fill_between(times, low[:, column], high[:, column], color=line.get_color(), alpha=0.15, linewidth=0)
