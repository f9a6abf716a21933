"""The trace format: the recordings that we have, and what is no trace."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.samples import SINGLE_CHANNELS
from telemetry.traces import TraceError, TraceLabel, parse_trace, parse_trace_index, trace_header

NAN = float("nan")


def recording(traces_dir, name):
    return parse_trace((traces_dir / name).read_text(encoding="utf-8"), name)


@pytest.mark.parametrize(
    ("name", "shape", "singles", "missing"),
    [
        ("heater_30_cells.csv", (6_082, 9, 0), [], 459),
        ("parcel_1.csv", (7_871, 1, 0), [], 0),
        ("sunlit_panel.csv", (480, 1, 0), ["ambient_c"], 0),
        ("field_ev_1.csv", (1_136, 24, 96), [], 0),
    ],
)
def test_the_recordings_are_read(traces_dir, name, shape, singles, missing):
    trace = recording(traces_dir, name)
    assert trace.name == name
    rows, temperatures, voltages = shape
    assert len(trace) == rows
    assert trace.temperatures_c.shape == (rows, temperatures)
    assert trace.voltages_v.shape == (rows, voltages)
    assert list(trace.singles) == singles
    assert np.isnan(trace.temperatures_c).sum() == missing
    assert np.all(np.diff(trace.time_s) > 0)
    for column in (trace.time_s, trace.temperatures_c, trace.voltages_v, *trace.singles.values()):
        assert not column.flags.writeable


def test_the_rows_of_the_runaway_that_lost_their_time_are_placed(traces_dir):
    trace = recording(traces_dir, "heater_30_cells.csv")
    assert trace.rows_without_time == 136
    # Its steps are 1 s but for a few, and the rows without a time are its last.
    assert trace.time_s[0] == 0
    np.testing.assert_allclose(np.diff(trace.time_s[-137:]), 1.0)
    assert (
        trace.temperatures_c[0].tolist()
        == np.float32([24.719, 24.176, 24.176, 24.324, 25.287, 24.596, 24.867, 24.867, 24.867]).tolist()
    )
    assert np.nanmax(trace.temperatures_c) == np.float32(1078.816)
    assert np.isnan(trace.temperatures_c[-136:]).all(axis=1).sum() == 51


def test_the_index_is_read(traces_dir):
    entries = {entry.trace: entry for entry in parse_trace_index((traces_dir / "index.csv").read_text("utf-8"))}
    assert sorted(entries) == sorted(path.name for path in traces_dir.glob("*.csv") if path.name != "index.csv")
    heater = entries["heater_30_cells.csv"]
    assert (heater.label, heater.runaway_at_s, heater.chemistry) == (TraceLabel.EVENT, 1701.0, "18650, 100 % SOC")
    assert heater.label == "event"
    assert entries["parcel_1.csv"].runaway_at_s is None
    assert entries["parcel_1.csv"].chemistry is None


def test_a_large_recording_is_read_quickly():
    # 100,000 rows of 16 channels. The limit is ten times what it took when it was written, on a busy machine.
    text = "\n".join([",".join(trace_header(16, 0, [])), *(f"{t}" + ",24.719" * 16 for t in range(100_000))])
    started_s = time.process_time()
    assert len(parse_trace(text, "large")) == 100_000
    assert time.process_time() - started_s < 10


def test_a_header_has_a_fixed_order():
    assert trace_header(2, 1, ["voc_ppm", "ambient_c"]) == [
        "time_s",
        "temperature_1_c",
        "temperature_2_c",
        "voltage_1_v",
        "ambient_c",
        "voc_ppm",
    ]


@pytest.mark.parametrize(
    ("times", "placed", "lost", "why"),
    [
        (["0", "1", "2"], [0, 1, 2], 0, "all known"),
        (["0", "", "2"], [0, 1, 2], 1, "between its neighbours"),
        (["0", "", "", "1.5", "2"], [0, 0.5, 1, 1.5, 2], 2, "evenly between its neighbours"),
        (["", "", "10", "12"], [6, 8, 10, 12], 2, "at the start, by the median step"),
        (["0", "1", "2", "50", "51", ""], [0, 1, 2, 50, 51, 52], 1, "at the end: one long gap is no usual step"),
        (["0", "", "4", ""], [0, 2, 4, 6], 2, "the step between rows, not between known times"),
        (["7"], [7], 0, "a single row"),
        (["-5", "-3"], [-5, -3], 0, "before zero"),
    ],
)
def test_rows_are_placed(times, placed, lost, why):
    trace = parse_trace("time_s,ambient_c\n" + "\n".join(f"{time_s},1" for time_s in times), "t")
    assert trace.time_s.tolist() == placed, why
    assert trace.rows_without_time == lost


@pytest.mark.parametrize("text", ["time_s,ambient_c\r\n0,1\r\n1,\r\n", "\ufefftime_s,ambient_c\n0,1\n1,\n\n"])
def test_line_ends_marks_and_blank_lines_are_no_matter(text):
    trace = parse_trace(text, "t")
    np.testing.assert_array_equal(trace.singles["ambient_c"], np.float32([1, NAN]))
    assert trace.temperatures_c.shape == (2, 0)


def test_columns_may_come_in_any_order():
    trace = parse_trace("time_s,voltage_1_v,temperature_2_c,ambient_c,temperature_1_c\n0,3.7,2,7,1\n", "t")
    assert trace.temperatures_c.tolist() == [[1, 2]]
    assert trace.voltages_v.tolist() == np.float32([[3.7]]).tolist()
    assert trace.singles["ambient_c"].tolist() == [7]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the first column is '', not time_s"),
        ("time_s", "no channel"),
        ("time,ambient_c\n0,1", "the first column is 'time', not time_s"),
        ("time_s,smell\n0,1", "t line 1: 'smell' is no column of a trace"),
        ("time_s,temperature_0_c\n0,1", "'temperature_0_c' is no column"),
        ("time_s,temperature_1_v\n0,1", "'temperature_1_v' is no column"),
        ("time_s,temperature_513_c\n0,1", "'temperature_513_c' is no column"),
        ("time_s,temperature_2_c\n0,1", "temperature columns are not numbered from 1"),
        ("time_s,ambient_c,ambient_c\n0,1,1", "ambient_c is there twice"),
        ("time_s,ambient_c\n", "no rows"),
        ("time_s,ambient_c\n0,1\n1", "t line 3 has 1 cells, not 2"),
        ("time_s,ambient_c\n0,1\n\n1,2,3", "t line 4 has 3 cells, not 2"),
        ("time_s,ambient_c\n0,1\n1,warm", "t line 3, column ambient_c: 'warm' is not a finite number"),
        ("time_s,ambient_c\n0,nan", "column ambient_c: 'nan'"),
        ("time_s,ambient_c\n0,-inf", "column ambient_c: '-inf'"),
        ("time_s,ambient_c\n0,1e999", "column ambient_c: '1e999'"),
        ("time_s,ambient_c\n0,1e39", "column ambient_c: '1e39'"),
        ("time_s,ambient_c\n0,1_000", "column ambient_c: '1_000'"),
        ("time_s,ambient_c\n0,'", "column ambient_c"),
        ('time_s,ambient_c\n0,"1"', "column ambient_c"),
        ("time_s,ambient_c\n1,1\n1,2", "t line 3, column time_s: 1.0 is not after the time before it"),
        ("time_s,ambient_c\n1,1\n,1\n\n0.5,2", "t line 5, column time_s: 0.5 is not after"),
        ("time_s,ambient_c\n,1\n,2", "no row has a time"),
        ("time_s,ambient_c\n3,1\n,2", "one time alone cannot place"),
    ],
)
def test_what_is_no_trace_is_refused_with_its_place(text, words):
    with pytest.raises(TraceError) as caught:
        parse_trace(text, "t")
    assert words in str(caught.value)


HEADER = "trace,label,chemistry,runaway_at_s,description,source\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "index line 1: the columns are ''"),
        ("trace,label\n", "index line 1"),
        (HEADER + "a.csv,event,,,", "index line 2 has 5 cells, not 6"),
        (HEADER + "a.csv,dubious,,,,", "index line 2: the label is 'dubious'"),
        (HEADER + "a.csv,event,,soon,,", "index line 2: runaway_at_s is 'soon'"),
        (HEADER + "a.csv,event,,inf,,", "index line 2: runaway_at_s is 'inf'"),
        (HEADER + "../a.csv,event,,1,,", "not the plain name of a file"),
        (HEADER + ",event,,1,,", "not the plain name of a file"),
        (HEADER + "a.csv,benign,,,,\na.csv,benign,,,,", "index line 3: a.csv is there twice"),
        (HEADER + 'a.csv,benign,,,"open', "index line 2"),
    ],
)
def test_what_is_no_index_is_refused_with_its_line(text, words):
    with pytest.raises(TraceError) as caught:
        parse_trace_index(text)
    assert words in str(caught.value)


@given(st.text(max_size=80) | st.text(alphabet='time_s,ambientcvolr0123456789\n.-e\r\ufeff"', max_size=80))
def test_any_text_is_a_trace_or_a_trace_error(text):
    for parse in (lambda: parse_trace(text, "t"), lambda: parse_trace("time_s,ambient_c\n" + text, "t")):
        try:
            assert len(parse()) > 0
        except TraceError:
            continue
    for index in (text, HEADER + text):
        try:
            parse_trace_index(index)
        except TraceError:
            continue


@given(st.integers(1, 5), st.integers(0, 5), st.sets(st.sampled_from(SINGLE_CHANNELS)), st.integers(1, 20), st.data())
def test_what_is_written_is_read(temperatures, voltages, singles, rows, data):
    header = trace_header(temperatures, voltages, sorted(singles))
    cell = st.none() | st.floats(-1e6, 1e6, width=32)
    cells = data.draw(
        st.lists(st.lists(cell, min_size=len(header) - 1, max_size=len(header) - 1), min_size=rows, max_size=rows)
    )
    lines = [",".join([str(10 * i), *("" if c is None else repr(c) for c in row)]) for i, row in enumerate(cells)]
    trace = parse_trace("\n".join([",".join(header), *lines]), "t")
    expected = np.array([[NAN if c is None else c for c in row] for row in cells], np.float32)
    read = np.column_stack(
        [trace.temperatures_c, trace.voltages_v, *(trace.singles[n] for n in header if n in singles)]
    )
    np.testing.assert_array_equal(read, expected)
