"""The detector on recordings of others."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from alerts.engine import Engine
from alerts.scoring import ScoringError, score_report, score_trace
from registry.kinds import Level
from telemetry.traces import Trace, TraceIndexEntry, parse_trace, parse_trace_index

TRACES = Path(__file__).parents[1] / "traces"
INDEX = {entry.trace: entry for entry in parse_trace_index((TRACES / "index.csv").read_text())}


@pytest.fixture(scope="module")
def recording():
    """`recording("parcel_1.csv")`: a trace and its entry in the index."""
    return lambda name: (parse_trace((TRACES / name).read_text(), name), INDEX[name])


@pytest.fixture(scope="module")
def scores(recording):
    return {name: score_trace(*recording(name)) for name in INDEX}


def made_up(temperatures_c, **given) -> tuple[Trace, TraceIndexEntry]:
    trace = Trace(
        name="made-up",
        time_s=np.arange(len(temperatures_c), dtype=float),
        temperatures_c=np.asarray(temperatures_c, np.float32).reshape(len(temperatures_c), -1),
        voltages_v=np.zeros((len(temperatures_c), 0), np.float32),
        singles={},
        rows_without_time=0,
    )
    fields = {"label": "event", "chemistry": None, "runaway_at_s": None, "description": "", "source": ""}
    return trace, TraceIndexEntry(trace="made-up", **(fields | given))


def test_a_heated_cell_is_a_warning_18_min_before_its_runaway(scores):
    score = scores["heater_30_cells.csv"]
    assert (score.watch_at_s, score.warning_at_s, score.critical_at_s) == (614.0, 614.0, 832.0)
    assert score.lead_s == 1701.0 - 614.0
    # Its probe jumps at 1761 s, a minute after the time that the index names; the rule wants more than 3 s of rise.
    assert 1701.0 < score.runaway_level_at_s < 1770.0
    assert score.reasons[0] == "warning at 614 s: probe 5 is 60.0 degC, above 60 degC"
    assert len(score.reasons) == 3


def test_benign_recordings_stay_below_the_ceilings(scores):
    for name, entry in INDEX.items():
        if entry.label == "benign":
            assert (scores[name].warning_at_s, scores[name].alarms, scores[name].reasons) == (None, 0, ()), name
    assert scores["parcel_1.csv"].pack_days == pytest.approx(10.93, abs=0.01)


def test_a_recording_in_frames_of_any_length_raises_the_same_alerts_at_the_same_times(recording, received, start_ms):
    trace, _ = recording("heater_30_cells.csv")
    found = []
    for length in (1000, 60, 7):
        engine = Engine()
        frames = [
            received(trace.time_s[first : first + length], trace.temperatures_c[first : first + length])
            for first in range(0, len(trace), length)
        ]
        found.append([(t.level, t.sampled_at_ms - start_ms) for frame in frames for t in engine.observe([frame])])
    assert found[0] == found[1] == found[2]
    assert [level for level, _ in found[0]] == [Level.WARNING, Level.CRITICAL, Level.RUNAWAY]


def test_the_report_is_what_others_rely_on(scores):
    report = json.loads(json.dumps(score_report(list(scores.values()))))
    assert list(report["traces"][0]) == [
        "trace",
        "label",
        "pack_days",
        "watch_at_s",
        "warning_at_s",
        "critical_at_s",
        "runaway_level_at_s",
        "runaway_at_s",
        "lead_s",
        "reasons",
    ]
    summary = report["summary"]
    assert (summary["events"], summary["events_warned"], summary["runaways_warned_before"]) == (1, 1, 1)
    assert (summary["benign"], summary["false_alarms"]) == (3, 0)
    assert (summary["lead_s_median"], summary["share_of_runaways_with_5_min"]) == (1087.0, 1.0)
    assert summary["false_alarms_per_pack_day_below"] == pytest.approx(3 / summary["benign_pack_days"])


def test_a_missed_runaway_and_false_alarms_show_in_the_summary():
    missed = score_trace(*made_up([25.0] * 10, runaway_at_s=5.0))
    late = score_trace(*made_up([25.0] * 6 + [61.0] * 4, runaway_at_s=2.0))
    false = score_trace(*made_up([61.0] + [25.0] * 62 + [61.0], label="benign"))
    assert (missed.lead_s, late.lead_s, false.alarms) == (None, -4.0, 2)
    summary = score_report([missed, late, false])["summary"]
    assert (summary["runaways"], summary["events_warned"], summary["runaways_warned_before"]) == (2, 1, 0)
    assert (summary["false_alarms"], summary["false_alarms_per_pack_day_below"]) == (2, None)
    assert summary["false_alarms_per_pack_day"] == pytest.approx(2 / (63 / 86_400))


def test_nothing_to_judge_is_an_empty_report():
    assert score_report([])["summary"]["lead_s_median"] is None


def test_a_trace_without_temperatures_cannot_be_judged():
    trace, entry = made_up([25.0, 25.0])
    empty = dataclasses.replace(trace, temperatures_c=np.zeros((2, 0), np.float32))
    with pytest.raises(ScoringError, match="no temperatures"):
        score_trace(empty, entry)


def test_a_trace_of_one_row_can():
    trace, entry = made_up([[85.0]])
    assert score_trace(trace, entry).critical_at_s == 0.0
