"""Replay: traces cut into frames, and a real recording that arrives whole over real brokers."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.replay import (
    MAX_FRAME_BYTES,
    FrameSpan,
    ReplayError,
    default_samples_per_frame,
    frame_spans,
    replay_trace,
    rows_of,
)
from telemetry.frames import batch_from_frame, encode_frame
from telemetry.samples import Provenance
from telemetry.traces import Trace, parse_trace

TRACES = Path(__file__).parents[1] / "traces"
ENDED_AT_MS = 1_790_000_000_000


def recorded(name: str) -> Trace:
    return parse_trace((TRACES / f"{name}.csv").read_text(), name)


def small(text: str) -> Trace:
    return parse_trace(text, "small")


def batches(side, unit_id: str):
    frames = sorted(side.frames_of(unit_id), key=lambda frame: frame.number)
    return [
        batch_from_frame(frame, unit_id=unit_id, utc_at_tick_zero_ms=frame.utc_at_tick_zero_ms, time_uncertainty_s=0.0)
        for frame in frames
    ]


@pytest.mark.parametrize(
    ("ticks_ms", "samples_per_frame", "expected"),
    [
        ([0], 60, [(0, 1, 1000)]),
        ([0, 1000, 2000, 3000], 60, [(0, 4, 1000)]),
        ([0, 1000, 2000, 3000], 3, [(0, 3, 1000), (3, 4, 1000)]),
        ([0, 1000, 2000], 1, [(0, 1, 1000), (1, 2, 1000), (2, 3, 1000)]),
        ([0, 60, 120, 163, 223], 60, [(0, 3, 60), (3, 5, 60)]),
        ([0, 10, 30, 60, 100], 60, [(0, 2, 10), (2, 4, 30), (4, 5, 1000)]),
        ([0, 90_000_000, 90_001_000], 60, [(0, 1, 86_400_000), (1, 3, 1000)]),
    ],
    ids=[
        "one row",
        "even steps make one frame",
        "a full frame ends",
        "one sample a frame",
        "a frame ends where the step changes",
        "uneven rows travel in short frames",
        "a gap of more than a day ends a frame",
    ],
)
def test_rows_are_cut_into_frames_of_even_steps(ticks_ms, samples_per_frame, expected):
    spans = frame_spans(np.array(ticks_ms), samples_per_frame)
    assert spans == [FrameSpan(start=start, stop=stop, period_ms=period) for start, stop, period in expected]


@given(st.lists(st.integers(1, 5), max_size=200), st.integers(1, 10))
def test_every_row_is_in_one_frame_with_its_own_time(steps_ms, samples_per_frame):
    ticks_ms = np.concatenate(([0], np.cumsum(steps_ms, dtype=np.int64)))
    spans = frame_spans(ticks_ms, samples_per_frame)
    rebuilt = [
        int(ticks_ms[span.start]) + number * span.period_ms
        for span in spans
        for number in range(span.stop - span.start)
    ]
    assert rebuilt == ticks_ms.tolist()
    assert all(span.stop - span.start <= samples_per_frame for span in spans)


def test_rows_closer_than_the_wires_clock_are_refused():
    with pytest.raises(ReplayError, match="rows 2 and 3"):
        frame_spans(np.array([0, 5, 5, 9]), 10)


@pytest.mark.parametrize(
    ("name", "speed", "samples"),
    [
        ("heater_30_cells", None, 60),
        ("heater_30_cells", 1.0, 1),
        ("heater_30_cells", 10.0, 1),
        ("heater_30_cells", 100.0, 10),
        ("heater_30_cells", 1e6, 60),
        ("field_ev_1", None, 60),
        ("parcel_1", 60.0, 1),
    ],
)
def test_frames_hold_one_sample_live_and_many_at_full_speed(name, speed, samples):
    assert default_samples_per_frame(recorded(name), speed) == samples


def test_a_full_frame_of_a_wide_trace_stays_small():
    wide = small(
        "time_s,"
        + ",".join(f"voltage_{n}_v" for n in range(1, 401))
        + ",temperature_1_c\n"
        + "0,"
        + "3.6," * 400
        + "20\n"
    )
    assert default_samples_per_frame(wide, None) == MAX_FRAME_BYTES // 802


@pytest.mark.parametrize(
    ("volts", "pack_v"),
    [([3.6, 3.7], None), ([3.6, 350.0], 350.0), ([0.0, 66.0, 3.6, 3.7, 3.6], None)],
    ids=["cells only", "the last is the pack", "a wild value makes no pack"],
)
def test_a_last_column_beyond_a_taps_range_is_the_packs_voltage(volts, pack_v):
    if len(volts) == 2:
        rows = rows_of(small(f"time_s,temperature_1_c,voltage_1_v,voltage_2_v\n0,20,{volts[0]},{volts[1]}\n"))
        assert rows.voltages_v.shape == (1, 2 if pack_v is None else 1)
    else:
        lines = "".join(f"{second},20,{volt}\n" for second, volt in enumerate(volts))
        rows = rows_of(small(f"time_s,temperature_1_c,voltage_1_v\n{lines}"))
        assert rows.voltages_v.shape == (5, 1)
    assert (None if rows.pack_voltage_v is None else rows.pack_voltage_v[0]) == pack_v


async def test_a_recorded_runaway_arrives_whole(broker, gateway):
    trace = recorded("heater_30_cells")
    progress: list[tuple[int, int]] = []
    async with asyncio.timeout(60):
        summary = await replay_trace(
            trace,
            unit_id="heater",
            access=broker.access,
            speed=None,
            ended_at_ms=ENDED_AT_MS,
            on_progress=lambda done, total: progress.append((done, total)),
        )
    assert (summary.rows, summary.frames, summary.values) == (6082, 102, 6082 * 9)
    assert summary.rows_without_time == trace.rows_without_time == 136
    assert progress[-1] == (6082, 6082)
    arrived = batches(gateway, "heater")
    assert len({batch.frame for batch in arrived}) == len(arrived) == 102
    temperatures_c = np.concatenate([batch.temperatures_c for batch in arrived])
    assert np.isnan(temperatures_c).sum() == 459
    np.testing.assert_array_equal(np.isnan(temperatures_c), np.isnan(trace.temperatures_c))
    # Half a step of the wire, and the rounding of float32 at 1,000 degC.
    assert np.nanmax(np.abs(temperatures_c - trace.temperatures_c)) <= 0.025 + 1e-4
    sampled_at_ms = np.concatenate([batch.sampled_at_ms for batch in arrived])
    assert sampled_at_ms[-1] == ENDED_AT_MS
    assert (np.diff(sampled_at_ms) == 1000).all()
    frame = gateway.frames_of("heater")[0]
    assert frame.provenance is Provenance.REPLAYED
    assert all(len(encode_frame(frame)) <= MAX_FRAME_BYTES for frame in gateway.frames_of("heater"))
    assert gateway.beats == []


async def test_uneven_rows_keep_their_times(broker, gateway):
    trace = recorded("field_ev_1")
    async with asyncio.timeout(60):
        summary = await replay_trace(trace, unit_id="field", access=broker.access, speed=None, ended_at_ms=ENDED_AT_MS)
    assert summary.rows == 1136
    arrived = batches(gateway, "field")
    sampled_at_ms = np.concatenate([batch.sampled_at_ms for batch in arrived])
    np.testing.assert_array_equal(
        sampled_at_ms, ENDED_AT_MS + np.rint((trace.time_s - trace.time_s[-1]) * 1000.0).astype(np.int64)
    )
    voltages_v = np.concatenate([batch.voltages_v for batch in arrived])
    inside = trace.voltages_v <= 65.534
    assert np.abs(voltages_v - trace.voltages_v)[inside].max() <= 0.0005 + 1e-5


async def test_each_replay_is_a_boot_of_its_own(broker, gateway):
    trace = small("time_s,temperature_1_c\n0,20\n1,21\n")
    for _ in range(2):
        await replay_trace(trace, unit_id="twice", access=broker.access, speed=None, ended_at_ms=ENDED_AT_MS)
    assert len({frame.boot_id for frame in gateway.frames_of("twice")}) == 2


async def test_a_paced_replay_takes_the_recordings_time(broker, gateway):
    lines = "".join(f"{tenth / 10},{20 + tenth}\n" for tenth in range(21))
    trace = small(f"time_s,temperature_1_c\n{lines}")
    summary = await replay_trace(
        trace, unit_id="paced", access=broker.access, speed=2.0, ended_at_ms=ENDED_AT_MS, samples_per_frame=1
    )
    assert summary.frames == 21
    assert 1.0 <= summary.seconds < 3.0
    arrived_s = [at_s for at_s, _, _ in gateway.frames]
    assert 0.8 < arrived_s[-1] - arrived_s[0] < 2.5


async def test_a_window_bounds_what_is_on_its_way(broker, gateway, eventually, beside):
    gateway.acknowledging = False
    lines = "".join(f"{second},20\n" for second in range(50))
    replay = replay_trace(
        small(f"time_s,temperature_1_c\n{lines}"),
        unit_id="bounded",
        access=broker.access,
        speed=None,
        ended_at_ms=ENDED_AT_MS,
        samples_per_frame=1,
        window=8,
    )
    async with beside(replay) as running:
        await eventually(lambda: len(gateway.frames) >= 8)
        await gateway.acknowledge("bounded", gateway.frames[0][2].boot_id, 0)
        await eventually(lambda: len(gateway.frames) >= 9)
        assert {frame.number for frame in gateway.frames_of("bounded")} == set(range(9))
        assert not running.done()


async def test_a_broker_that_dies_in_between_loses_nothing(broker, gateway_at, eventually, beside):
    lines = "".join(f"{second},{second % 40}\n" for second in range(600))
    replay = replay_trace(
        small(f"time_s,temperature_1_c\n{lines}"),
        unit_id="broken",
        access=broker.access,
        speed=None,
        ended_at_ms=ENDED_AT_MS,
        samples_per_frame=1,
    )
    async with beside(replay) as running:
        async with gateway_at(broker.access) as before:
            await eventually(lambda: len(before.frames) > 100)
            broker.kill()
        broker.start()
        async with gateway_at(broker.access) as after:
            await eventually(running.done)
    seen = {frame.number for side in (before, after) for frame in side.frames_of("broken")}
    assert seen == set(range(600))
    assert running.result().frames == 600


async def test_without_a_gateway_it_gives_up_and_says_so(broker):
    with pytest.raises(ReplayError, match=r"no gateway acknowledged a frame of alone for 0\.2 s; 1 wait"):
        await replay_trace(
            small("time_s,temperature_1_c\n0,20\n"),
            unit_id="alone",
            access=broker.access,
            speed=None,
            ended_at_ms=ENDED_AT_MS,
            give_up_after_s=0.2,
        )


async def test_a_speed_of_nothing_is_refused(broker):
    with pytest.raises(ValueError, match="speed is 0"):
        await replay_trace(
            small("time_s,temperature_1_c\n0,20\n"),
            unit_id="still",
            access=broker.access,
            speed=0.0,
            ended_at_ms=ENDED_AT_MS,
        )
