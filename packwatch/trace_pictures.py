"""A picture of a judged trace: temperatures, evidence and levels over one axis of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from registry.kinds import Level

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from packwatch.judging import JudgedTrace

_COLOURS = {Level.WATCH: "tab:olive", Level.WARNING: "tab:orange", Level.CRITICAL: "tab:red", Level.RUNAWAY: "black"}


def write_picture(judged: JudgedTrace, folder: Path) -> Path:
    """A PNG in `folder`, named like the trace."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and few ask for pictures

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415 - after the choice of backend

    figure, (heat, evidence, levels) = plt.subplots(
        3, 1, figsize=(11, 9), sharex=True, height_ratios=(4, 3, 1.5), layout="constrained"
    )
    hours = (judged.verdict.time_s - judged.first_s) / 3600
    _draw_temperatures(heat, judged)
    _draw_evidence(evidence, judged, hours)
    levels.step(hours, judged.verdict.ranks, where="post", color="black", linewidth=1.2)
    levels.set(
        yticks=range(len(Level)),
        yticklabels=list(Level),
        ylim=(-0.3, len(Level) - 0.7),
        xlabel="hours of the recording",
    )
    for axes in (heat, evidence, levels):
        axes.grid(visible=True, alpha=0.3)
        _draw_moments(axes, judged)
    if heat.get_legend_handles_labels()[0]:
        heat.legend(loc="upper left", fontsize="small")
    path = folder / f"{judged.entry.trace.removesuffix('.csv')}.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _draw_temperatures(axes: Axes, judged: JudgedTrace) -> None:
    hours = judged.recordings.time_s / 3600
    axes.plot(hours, judged.recordings.temperatures_c[0], linewidth=0.8)
    if judged.recordings.ambient_c is not None:
        axes.plot(hours, judged.recordings.ambient_c[0], color="grey", linestyle=":", label="ambient")
    axes.set(title=f"{judged.entry.trace} ({judged.entry.label})", ylabel="degC")


def _draw_evidence(axes: Axes, judged: JudgedTrace, hours: NDArray[np.float64]) -> None:
    """Each kind of evidence as its strongest probe's, so that one line speaks for many."""
    for name, values in judged.verdict.evidence.items():
        strongest = values if values.ndim == 1 else np.fmax.reduce(values, axis=1, initial=np.nan)
        if np.isfinite(strongest).any():
            axes.plot(hours, strongest, linewidth=0.9, label=name.replace("_", " "))
    axes.set(ylabel="evidence")
    # Evidence grows without bound in a fire; what decides is near its thresholds.
    axes.set_yscale("symlog", linthresh=10)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", fontsize="small", ncols=3)


def _draw_moments(axes: Axes, judged: JudgedTrace) -> None:
    score = judged.verdict.score
    moments = (
        ("watch", score.watch_at_s, _COLOURS[Level.WATCH]),
        ("warning", score.warning_at_s, _COLOURS[Level.WARNING]),
        ("critical", score.critical_at_s, _COLOURS[Level.CRITICAL]),
        ("runaway", score.runaway_level_at_s, _COLOURS[Level.RUNAWAY]),
        ("recorded runaway", score.runaway_at_s, "tab:purple"),
    )
    for name, at_s, colour in moments:
        if at_s is not None:
            axes.axvline((at_s - judged.first_s) / 3600, color=colour, linestyle="--", label=f"{name} at {at_s:,.0f} s")
