"""`packwatch score`: the detector against a folder of labelled traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alerts.scoring import TraceScore, score_report, score_trace
from telemetry.traces import Trace, TraceError, parse_trace, parse_trace_index

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement:
    """All traces of a folder with their scores, and the report that `--json` prints."""

    traces: tuple[tuple[Trace, TraceScore], ...]
    report: dict[str, Any]


def score_folder(folder: Path) -> Judgement:
    """Run the detector over every trace that the folder's index.csv lists. Raises TraceError or OSError."""
    index = folder / "index.csv"
    if not index.is_file():
        raise TraceError(f"{folder} has no index.csv, which lists its traces and their labels")
    judged = []
    for entry in parse_trace_index(index.read_text()):
        trace = parse_trace((folder / entry.trace).read_text(), entry.trace)
        judged.append((trace, score_trace(trace, entry)))
    return Judgement(traces=tuple(judged), report=score_report([score for _, score in judged]))


def plot_trace(trace: Trace, score: TraceScore, folder: Path) -> Path:
    """A picture of the recording with the moment of each level, as a PNG in `folder`."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and few ask for pictures

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415 - after the choice of backend

    figure, axes = plt.subplots(figsize=(11, 5), layout="constrained")
    hours = trace.time_s / 3600.0
    axes.plot(hours, trace.temperatures_c, linewidth=0.8)
    moments = (
        ("warning", score.warning_at_s, "tab:orange"),
        ("critical", score.critical_at_s, "tab:red"),
        ("runaway", score.runaway_level_at_s, "black"),
        ("recorded runaway", score.runaway_at_s, "tab:purple"),
    )
    for name, at_s, colour in moments:
        if at_s is not None:
            axes.axvline(at_s / 3600.0, color=colour, linestyle="--", label=f"{name} at {at_s:,.0f} s")
    axes.set(title=f"{score.trace} ({score.label})", xlabel="hours", ylabel="degC")
    if any(at_s is not None for _, at_s, _ in moments):
        axes.legend()
    path = folder / f"{trace.name.removesuffix('.csv')}.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
