"""`packwatch score`: the detector against a folder of labelled traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alerts.scoring import TraceScore, score_trace, summarise
from telemetry.traces import Trace, TraceError, parse_trace, parse_trace_index

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedTrace:
    """A trace and what the detector made of it."""

    trace: Trace
    score: TraceScore


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement:
    """All traces of a folder, and the report that `--json` prints."""

    traces: tuple[JudgedTrace, ...]
    report: dict[str, Any]
