"""A unit's backlog that is in order: let in by turns, the same in the end, and nobody else waits for it."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.detector.states import NAMES
from alerts.engine import Engine
from alerts.entrance import ROWS_OF_A_UNIT, Entrance
from alerts.levels import Subject
from registry.kinds import AlertKind, Level
from telemetry.samples import Provenance

BACKLOG = 600


@pytest.fixture(scope="session")
def frames(received):
    """`frames(celsius, unit_id="unit-1")`: frames of one sample each, one a second, that all arrive at once."""

    def make(celsius, **given):
        return [received([second], [each], boot_id="1-a", frame=second, **given) for second, each in enumerate(celsius)]

    return make


@pytest.fixture
def engine(assignment):
    engine = Engine()
    engine.assign([assignment(report_interval_s=1.0), assignment("unit-2", report_interval_s=1.0)])
    return engine


def all_that_waits(engine):
    transitions = []
    while engine.waiting_rows:
        before = engine.waiting_rows
        transitions += engine.take_waiting()
        assert 0 < before - engine.waiting_rows <= ROWS_OF_A_UNIT
    return transitions


def test_a_backlog_is_taken_in_short_turns_and_another_pack_does_not_wait_for_it(engine, frames):
    hot = frames([25.0] * 4 + [85.0] * 4, unit_id="unit-2")
    transitions = engine.observe([*frames([25.0] * BACKLOG), *hot])
    assert transitions[-1].level is Level.CRITICAL
    assert transitions[-1].unit_id == "unit-2"
    assert engine.waiting_rows == BACKLOG - ROWS_OF_A_UNIT
    assert all_that_waits(engine) == []


def test_what_comes_behind_a_backlog_is_evaluated_behind_it(engine, frames, start_ms):
    all_frames = frames([25.0] * BACKLOG + [85.0] * 4)
    assert engine.observe(all_frames[:BACKLOG]) == []
    assert engine.observe(all_frames[BACKLOG:]) == []
    transitions = all_that_waits(engine)
    assert transitions[-1].level is Level.CRITICAL
    assert all(each.sampled_at_ms >= start_ms + 1000 * BACKLOG for each in transitions)


def test_a_hole_is_not_given_up_while_what_fills_it_waits(engine, frames, start_ms):
    backlog = frames([25.0] * 400)
    filler = backlog.pop(1)  # all that follows waits for it
    engine.observe([*backlog, filler])
    late_ms = start_ms + 3_600_000
    while engine.waiting_rows:
        assert engine._ordering.due(late_ms, engine._entrance) == []
        engine.take_waiting()
    assert engine._ordering.holes_given_up == 0
    assert engine.judged_ms("unit-1") == start_ms + 1000 * 399


def test_a_backlog_says_the_same_at_once_as_frame_by_frame(assignment, frames):
    celsius = [each for each in (25.0, 40.0, 62.0, 54.0, 25.0) for _ in range(80)]
    at_once, one_by_one = Engine(), Engine()
    for each in (at_once, one_by_one):
        each.assign([assignment(report_interval_s=1.0)])
    transitions = at_once.observe(frames(celsius)) + all_that_waits(at_once)
    assert transitions == [change for frame in frames(celsius) for change in one_by_one.observe([frame])]
    assert len(transitions) > 1
    (series,), (other,) = at_once._series.values(), one_by_one._series.values()
    evidence, expected = series.states.columns().take([series.slot]), other.states.columns().take([other.slot])
    np.testing.assert_equal({n: getattr(evidence, n) for n in NAMES}, {n: getattr(expected, n) for n in NAMES})


def test_units_take_turns_and_history_does_not_wait(frames):
    entrance = Entrance()
    first, second = frames([25.0] * 300), frames([25.0] * 200, unit_id="unit-2")
    admitted = entrance.admit([*first, *second], lambda received: received in first[200:])
    assert admitted == [*first[:ROWS_OF_A_UNIT], *first[200:], *second[:ROWS_OF_A_UNIT]]
    assert entrance.take_turn() == [*first[ROWS_OF_A_UNIT:200], *second[ROWS_OF_A_UNIT:]]
    assert entrance.rows == 0
    assert ("unit-1", Provenance.MEASURED) not in entrance


def test_what_finds_no_room_is_evaluated_at_once(engine, frames, monkeypatch):
    monkeypatch.setattr("alerts.engine.ROWS_KEPT", 2 * ROWS_OF_A_UNIT)
    transitions = engine.observe(frames([25.0] * (BACKLOG - 200) + [85.0] * 200))
    assert engine.waiting_rows <= 2 * ROWS_OF_A_UNIT
    transitions += all_that_waits(engine)
    assert engine.standing()[Subject(AlertKind.THERMAL, "pack-1", Provenance.MEASURED)].level is Level.CRITICAL
