"""`packwatch score`: labelled traces in, levels, figures and pictures out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from packwatch.cli import app
from packwatch.judging import Worsening, chemistry_of, read_folder, recordings_of, score_folder
from registry.kinds import Chemistry
from telemetry.traces import INDEX_COLUMNS, TraceIndexEntry, TraceLabel

TRACES = Path(__file__).parents[1] / "traces"
HEADER = ",".join(INDEX_COLUMNS) + "\n"


def score(*words: object):
    return CliRunner().invoke(app, ["score", *map(str, words)])


def shortened(folder: Path, rows_of: dict[str, int]) -> Path:
    """Those recordings alone, each of so many rows, with their lines of the index."""
    lines = (TRACES / "index.csv").read_text().splitlines(keepends=True)
    chosen = [line for line in lines[1:] if line.split(",")[0] in rows_of]
    (folder / "index.csv").write_text(lines[0] + "".join(chosen))
    for name, rows in rows_of.items():
        kept = (TRACES / name).read_text().splitlines(keepends=True)[: rows + 1]
        (folder / name).write_text("".join(kept))
    return folder


@pytest.fixture(scope="module")
def heater(tmp_path_factory):
    """A folder of one recording, up to a little after its runaway."""
    return shortened(tmp_path_factory.mktemp("heater"), {"heater_30_cells.csv": 1800})


def test_a_folder_is_scored_as_json_and_every_trace_has_a_picture(tmp_path):
    names = ("heater_30_cells.csv", "sunlit_panel.csv")
    folder = shortened(tmp_path, dict.fromkeys(names, 400))
    done = score(folder, "--json", "--plot", tmp_path / "new" / "pictures")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert tuple(row["trace"] for row in report["traces"]) == names
    assert report["summary"]["runaways_warned_before"] == 1
    pictures = sorted((tmp_path / "new" / "pictures").iterdir())
    assert [path.name for path in pictures] == ["heater_30_cells.png", "sunlit_panel.png"]
    assert all(path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for path in pictures)


def test_the_table_tells_times_reasons_and_the_summary(heater):
    done = score(heater)
    assert done.exit_code == 0, done.output
    for words in ("heater_30_cells", "1,701", "warning at", "share of runaways with 5 min: 1", "benign pack days: 0"):
        assert words in done.stdout


def test_the_same_recording_worse_reported_is_judged_by_what_is_left(heater):
    worsening = Worsening(interval_s=60, drop=0.2, dead_probes=1, stuck_probes=1, noise_c=0.2, seed=3)
    (judged,) = score_folder(heater, worsening=worsening).traces
    assert np.diff(judged.recordings.time_s).min() == pytest.approx(60, abs=1)
    probes_c = judged.recordings.temperatures_c[0]
    lost = np.isnan(probes_c).all(axis=1)
    assert 0 < lost.sum() < len(lost) / 2
    assert np.isnan(probes_c[~lost][-1]).sum() == 1
    assert judged.verdict.score.lead_s >= 300
    words = ("--interval", 60, "--drop", 0.2, "--dead-probes", 1, "--stuck-probes", 1, "--noise", 0.2, "--seed", 3)
    report = json.loads(score(heater, "--json", *words).stdout)
    assert report["traces"][0]["lead_s"] == judged.verdict.score.lead_s


def test_as_many_probes_may_be_spoiled_as_leave_one(heater):
    (judged,) = score_folder(heater, worsening=Worsening(dead_probes=20, stuck_probes=20)).traces
    assert np.isnan(judged.recordings.temperatures_c[0]).all(axis=1).sum() == 0
    assert np.isnan(judged.recordings.temperatures_c[0, -1]).sum() == 8


def test_a_faster_interval_than_the_recording_s_changes_nothing(heater):
    (as_it_is,) = score_folder(heater).traces
    (faster,) = score_folder(heater, worsening=Worsening(interval_s=0.1)).traces
    assert faster.verdict.score == as_it_is.verdict.score


def test_a_recording_counts_from_its_first_row():
    trace, entry = next(pair for pair in read_folder(TRACES) if pair[1].trace == "heater_30_cells.csv")
    recordings = recordings_of(trace, entry)
    assert (recordings.time_s[0], recordings.interval_s, recordings.runaway_s[0]) == (0, 1.0, 1701.0 - trace.time_s[0])


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "has no index.csv"),
        ({"index.csv": HEADER}, "lists no trace; add a line"),
        ({"index.csv": HEADER + "a.csv,event,,,,\n"}, "lists a.csv, which is not in"),
        ({"index.csv": HEADER + "a.csv,calm,,,,\n"}, "index line 2: the label is 'calm', not event or benign"),
        ({"index.csv": HEADER + "a.csv,event,,,,\n", "a.csv": b"\xff\xfe"}, "is no text: byte 0 is not UTF-8"),
        (
            {"index.csv": HEADER + "a.csv,event,,,,\n", "a.csv": "time_s,voltage_1_v\n0,3.7\n"},
            "a.csv has no temperatures",
        ),
        ({"index.csv": HEADER + "a.csv,event,,,,\n", "a.csv": "time_s,temperature_1_c\n0,warm\n"}, "'warm' is not a"),
        ({"index.csv": HEADER + "a.csv,event,,,,\n", "a.csv": "time_s,temperature_1_c\n0,\n"}, "a.csv has no row left"),
    ],
    ids=[
        "no index",
        "an index of nothing",
        "a file that is missing",
        "a label that is none",
        "a file that is no text",
        "no temperatures",
        "a cell that is no number",
        "nothing measured",
    ],
)
def test_a_folder_that_cannot_be_scored_says_what_is_wrong(tmp_path, files, says):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    done = score(tmp_path)
    assert done.exit_code == 1
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.output


def test_a_folder_that_is_none_is_named(tmp_path):
    done = score(tmp_path / "nowhere")
    assert done.exit_code == 1
    assert "nowhere is no folder; give one that holds traces" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "chemistry"),
    [
        ("18650, 100 % SOC", Chemistry.UNKNOWN),
        ("NMC, 50 Ah", Chemistry.NMC),
        ("lfp", Chemistry.LFP),
        ("NMC or LFP", Chemistry.UNKNOWN),
        (None, Chemistry.UNKNOWN),
    ],
)
def test_the_chemistry_is_found_among_the_index_s_words(words, chemistry):
    entry = TraceIndexEntry(
        trace="a.csv", label=TraceLabel.EVENT, chemistry=words, runaway_at_s=None, description="", source=""
    )
    assert chemistry_of(entry) is chemistry
