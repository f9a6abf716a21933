"""The detector on recordings of others, and on made-up ones."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from alerts.baselines import FixedThreshold
from alerts.recorded import block_of, ranks_of_baseline, ranks_of_detector
from alerts.scoring import ScoringError, score_report, score_trace
from registry.kinds import Chemistry, Level, PackClass
from telemetry.traces import Trace, TraceIndexEntry, parse_trace, parse_trace_index

TRACES = Path(__file__).parents[1] / "traces"
INDEX = {entry.trace: entry for entry in parse_trace_index((TRACES / "index.csv").read_text())}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
    """One or more packs, as `score_trace` and the benchmark take them."""

    time_s: np.ndarray
    temperatures_c: np.ndarray
    voltages_v: np.ndarray
    chemistry: tuple[Chemistry, ...] = (Chemistry.UNKNOWN,)
    pack_class: tuple[PackClass, ...] = (PackClass.MID_LIFE,)
    interval_s: float = 1.0
    ambient_c: np.ndarray | None = None
    hydrogen_ppm: np.ndarray | None = None
    carbon_monoxide_ppm: np.ndarray | None = None
    voc_ppm: np.ndarray | None = None


def recording_of(trace: Trace) -> Recording:
    return Recording(
        time_s=trace.time_s - trace.time_s[0],
        temperatures_c=trace.temperatures_c[None],
        voltages_v=trace.voltages_v[None],
        interval_s=float(np.median(np.diff(trace.time_s))),
        ambient_c=trace.singles["ambient_c"][None] if "ambient_c" in trace.singles else None,
    )


def made_up(temperatures_c, *, first_s=0.0, **given):
    """Rows of one pack, one a second, and the verdict on them."""
    columns = np.asarray(temperatures_c, np.float32).reshape(len(temperatures_c), -1)
    fields = {"label": "event", "chemistry": None, "runaway_at_s": None, "description": "", "source": ""}
    recording = Recording(
        time_s=np.arange(len(columns), dtype=float),
        temperatures_c=columns[None],
        voltages_v=np.zeros((1, len(columns), 0), np.float32),
    )
    entry = TraceIndexEntry(trace="made-up", **(fields | given))
    return score_trace(recording, entry, first_s=first_s)


@pytest.fixture(scope="module")
def verdicts():
    found = {}
    for name, entry in INDEX.items():
        trace = parse_trace((TRACES / name).read_text(), name)
        first_s = float(trace.time_s[0])
        found[name] = score_trace(recording_of(trace), entry, first_s=first_s)
    return found


def test_a_heated_cell_is_a_warning_20_min_and_critical_8_min_before_its_runaway(verdicts):
    score = verdicts["heater_30_cells.csv"].score
    assert score.lead_s >= 20 * 60
    assert score.runaway_at_s - score.critical_at_s >= 8 * 60
    assert score.latency_s <= 60
    # Its probe jumps at 1761 s, a minute after the time that the index names; the rule wants more than 3 s of rise.
    assert 1701.0 < score.runaway_level_at_s < 1770.0
    assert [reason.split(" ", 1)[0] for reason in score.reasons] == ["watch", "warning", "critical", "runaway"]
    assert "probe 5" in score.reasons[-1]


def test_benign_recordings_get_no_warning(verdicts):
    for name, entry in INDEX.items():
        if entry.label == "benign":
            assert (verdicts[name].score.warning_at_s, verdicts[name].score.alarms) == (None, 0), name
    assert verdicts["parcel_1.csv"].score.pack_days == pytest.approx(10.93, abs=0.01)


def test_levels_are_given_for_every_row_in_which_anything_was_measured(verdicts):
    verdict = verdicts["heater_30_cells.csv"]
    assert len(verdict.ranks) == len(verdict.time_s) == 6082 - 51
    assert verdict.ranks[-1] == Level.RUNAWAY.rank


def test_the_report_is_what_others_rely_on(verdicts):
    report = json.loads(json.dumps(score_report([verdict.score for verdict in verdicts.values()])))
    assert list(report["traces"][0])[:10] == [
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
    assert summary["lead_s_median"] == report["traces"][0]["lead_s"]
    assert summary["false_alarms_per_pack_day_below"] == pytest.approx(3 / summary["benign_pack_days"])


def test_a_missed_runaway_and_false_alarms_show_in_the_summary():
    missed = made_up([25.0] * 10, runaway_at_s=5.0).score
    late = made_up([25.0] * 6 + [61.0] * 4, runaway_at_s=2.0).score
    false = made_up([61.0] + [25.0] * 62 + [61.0], label="benign").score
    assert (missed.lead_s, late.lead_s, false.alarms) == (None, -4.0, 2)
    summary = score_report([missed, late, false])["summary"]
    assert (summary["runaways"], summary["events_warned"], summary["runaways_warned_before"]) == (2, 1, 0)
    assert (summary["false_alarms"], summary["false_alarms_per_pack_day"]) == (2, pytest.approx(2 / (63 / 86_400)))


def test_times_are_the_trace_s_own():
    score = made_up([25.0] * 6 + [61.0] * 4, first_s=100.0, runaway_at_s=120.0).score
    assert (score.warning_at_s, score.lead_s) == (106.0, 14.0)
    assert score.reasons[0].startswith("warning at 106 s: probe 1 is 61.0 degC, above 60 degC")


def test_critical_stays_to_the_end_and_a_warning_goes():
    assert made_up([25.0, 81.0] + [25.0] * 100).ranks[-1] == Level.CRITICAL.rank
    assert made_up([25.0, 61.0] + [25.0] * 100).ranks[-1] == Level.NORMAL.rank


@pytest.mark.parametrize(
    ("probes_c", "expected_s"),
    [
        ([[20.0, 20, 20]] * 5 + [[25.0, 20, 20]], 5.0),
        ([[20.0, 20, 20]] * 5 + [[24.9, 20, 20]], None),
        ([[20.0, 20, 20]] * 5 + [[25.0, 25, 25]], None),
        ([[20.0, 20]] * 5 + [[25.0, 25]], 5.0),
        ([[20.0, 30, 20]] * 5 + [[20.0, 35, 20]], 5.0),
        ([[5.0, 20, 20]] + [[20.0, 20, 20]] * 6, None),
    ],
    ids=[
        "5 degC over its start",
        "a little less",
        "all of them is the weather",
        "two probes have no median to go by",
        "every probe has a start of its own",
        "one wild reading at the start is not the start",
    ],
)
def test_from_where_a_latency_counts(probes_c, expected_s):
    assert made_up(probes_c).score.plus5_at_s == expected_s
    assert made_up(probes_c, label="benign").score.plus5_at_s is None


def test_nothing_to_judge_is_an_empty_report():
    assert score_report([])["summary"]["lead_s_median"] is None


@pytest.mark.parametrize(("columns", "says"), [((2, 0), "no temperatures"), ((2, 1), "no row left")])
def test_a_trace_without_temperatures_cannot_be_judged(columns, says):
    with pytest.raises(ScoringError, match=says):
        made_up(np.full(columns, np.nan))


def test_a_trace_of_one_row_can():
    assert made_up([[85.0]]).score.critical_at_s == 0.0


@pytest.fixture(scope="module")
def two_packs():
    """One that gets hot and one that does not, of which every third sample was lost."""
    temperatures_c = np.full((2, 90, 4), 25.0, np.float32)
    temperatures_c[1, 40:, 2] = 62.0
    temperatures_c[:, ::3] = np.nan
    return Recording(
        time_s=np.arange(90) * 10.0,
        temperatures_c=temperatures_c,
        voltages_v=np.full((2, 90, 0), np.nan, np.float32),
        chemistry=(Chemistry.NMC, Chemistry.LFP),
        pack_class=(PackClass.DAMAGED, PackClass.MID_LIFE),
        interval_s=10.0,
        ambient_c=np.full((2, 90), 20.0, np.float32),
    )


def test_a_lost_sample_is_no_row_and_has_the_level_before_it(two_packs):
    block = block_of(two_packs, slice(None), slice(0, 6))
    assert block.rows.slot.tolist() == [0] * 4 + [1] * 4
    assert block.rows.sampled_at_ms.tolist() == [10_000, 20_000, 40_000, 50_000] * 2
    warned = ranks_of_baseline(two_packs, FixedThreshold()) >= Level.WARNING.rank
    assert (warned[0].any(), int(warned[1].argmax()), bool(warned[1, 40:].all())) == (False, 40, True)


def test_blocks_change_nothing(two_packs, monkeypatch):
    whole = ranks_of_detector(two_packs)
    monkeypatch.setattr("alerts.recorded.ROWS_AT_ONCE", 14)
    assert np.array_equal(whole, ranks_of_detector(two_packs))
    assert (whole[0].max(), whole[1, 39]) == (0, 0)
    assert whole[1, 40] >= Level.WARNING.rank
