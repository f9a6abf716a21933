"""`packwatch score`: the detector against a folder of labelled traces, as they are or worse reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alerts.scoring import TraceVerdict, score_report, score_trace
from firmware_sim.families import Recordings, worsen
from registry.enrolment import DEFAULT_REPORT_INTERVAL_S
from registry.kinds import Chemistry, PackClass
from telemetry.samples import SINGLE_CHANNELS
from telemetry.traces import Trace, TraceError, TraceIndexEntry, parse_trace, parse_trace_index

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Worsening:
    """What is done to a trace before it is judged."""

    interval_s: float | None = None
    """A report every so many s, rounded to a multiple of the trace's own; None, or a faster one = as it is."""
    drop: float = 0.0
    """Share of reports lost."""
    dead_probes: int = 0
    """So many stop at random times; at least one probe of a trace is left as it is."""
    stuck_probes: int = 0
    noise_c: float = 0.0
    """Standard deviation of added noise, degC."""
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedTrace:
    """A trace as it was judged, and the verdict."""

    entry: TraceIndexEntry
    recordings: Recordings
    """One pack, worsened; its time counts from the trace's first row."""
    first_s: float
    """The trace's time at that row."""
    verdict: TraceVerdict


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """All traces of a folder, and the report that `--json` prints."""

    traces: tuple[JudgedTrace, ...]
    report: dict[str, Any]


def score_folder(
    folder: Path,
    *,
    pack_class: PackClass = PackClass.MID_LIFE,
    worsening: Worsening | None = None,
    explain: bool = False,
) -> Judged:
    """Run the detector over every trace that the folder's index.csv lists. Raises TraceError, ScoringError, OSError."""
    traces = tuple(
        _judged(trace, entry, pack_class, worsening or Worsening(), explain=explain)
        for trace, entry in read_folder(folder)
    )
    return Judged(traces=traces, report=score_report([each.verdict.score for each in traces]))


def read_folder(folder: Path) -> list[tuple[Trace, TraceIndexEntry]]:
    """All traces that the folder's index.csv lists. Raises TraceError, which says what is wrong and what to do."""
    if not folder.is_dir():
        raise TraceError(f"{folder} is no folder; give one that holds traces and their index.csv")
    index = folder / "index.csv"
    if not index.is_file():
        raise TraceError(
            f"{folder} has no index.csv, which lists its traces and their labels; write one, or give its folder"
        )
    entries = parse_trace_index(_text_of(index))
    if not entries:
        raise TraceError(f"{index} lists no trace; add a line for each CSV beside it")
    found = []
    for entry in entries:
        path = folder / entry.trace
        if not path.is_file():
            raise TraceError(
                f"{index} lists {entry.trace}, which is not in {folder}; add the file or take out its line"
            )
        found.append((parse_trace(_text_of(path), entry.trace), entry))
    return found


def recordings_of(trace: Trace, entry: TraceIndexEntry, pack_class: PackClass = PackClass.MID_LIFE) -> Recordings:
    """The trace as a recording of one pack; its time counts from the trace's first row."""
    steps_s = np.diff(trace.time_s)
    singles = {name: trace.singles[name][None] if name in trace.singles else None for name in SINGLE_CHANNELS}
    never = np.array([np.nan])
    runaway_s = never if entry.runaway_at_s is None else np.array([entry.runaway_at_s - trace.time_s[0]])
    return Recordings(
        family=entry.trace,
        event=entry.label == "event",
        chemistry=(chemistry_of(entry),),
        pack_class=(pack_class,),
        interval_s=float(np.median(steps_s)) if len(steps_s) else DEFAULT_REPORT_INTERVAL_S,
        time_s=trace.time_s - trace.time_s[0],
        temperatures_c=trace.temperatures_c[None],
        voltages_v=trace.voltages_v[None],
        ambient_c=singles["ambient_c"],
        hydrogen_ppm=singles["hydrogen_ppm"],
        carbon_monoxide_ppm=singles["carbon_monoxide_ppm"],
        voc_ppm=singles["voc_ppm"],
        onset_s=never,
        plus5_s=never,
        runaway_s=runaway_s,
    )


def chemistry_of(entry: TraceIndexEntry) -> Chemistry:
    """The chemistry that the index names among other words; unknown if it names none, or several."""
    words = set((entry.chemistry or "").lower().replace(",", " ").split())
    named = [chemistry for chemistry in Chemistry if chemistry.value in words]
    return named[0] if len(named) == 1 else Chemistry.UNKNOWN


def _judged(
    trace: Trace, entry: TraceIndexEntry, pack_class: PackClass, worsening: Worsening, *, explain: bool
) -> JudgedTrace:
    recordings = _worsened(recordings_of(trace, entry, pack_class), worsening)
    first_s = float(trace.time_s[0])
    verdict = score_trace(recordings, entry, first_s=first_s, explain=explain)
    return JudgedTrace(entry=entry, recordings=recordings, first_s=first_s, verdict=verdict)


def _worsened(recordings: Recordings, worsening: Worsening) -> Recordings:
    if worsening == Worsening(seed=worsening.seed):
        return recordings
    stride = max(round((worsening.interval_s or 0.0) / recordings.interval_s), 1)
    to_spoil = max(recordings.temperatures_c.shape[2] - 1, 0)
    dead = min(worsening.dead_probes, to_spoil)
    return worsen(
        recordings,
        interval_s=stride * recordings.interval_s,
        drop=worsening.drop,
        dead_probes=dead,
        stuck_probes=min(worsening.stuck_probes, to_spoil - dead),
        noise_c=worsening.noise_c,
        seed=worsening.seed,
    )


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TraceError(f"{path} is no text: byte {error.start} is not UTF-8; give a CSV") from error
