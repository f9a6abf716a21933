"""Backfilled history: evaluated as of its own time, marked late, and never a part of what is live."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.engine import HISTORY_IDLE_MS, Engine
from alerts.engine_memory import from_plain, to_plain
from alerts.levels import Settled, Subject
from alerts.waiting_history import ROWS_OF_A_UNIT, Waiting, WaitingHistory
from registry.kinds import AlertKind, Level
from telemetry.samples import Provenance

PACK = Subject(AlertKind.THERMAL, "pack-1", Provenance.MEASURED)


@pytest.fixture
def engine(assignment):
    engine = Engine()
    engine.assign([assignment(report_interval_s=1.0)])
    return engine


@pytest.fixture(scope="session")
def frame(received, start_ms):
    """`frame(3, 62)`: the fourth frame, one sample a second; `at` = when it arrives, s."""

    def make(number, celsius, at=None, **given):
        arrives = start_ms + 1000 * (number if at is None else at)
        historical = at is not None
        fields = {"boot_id": "1-a", "frame": number, "received_at_ms": arrives, "historical": historical, **given}
        return received([number], [celsius], **fields)

    return make


def told(transitions, start_ms):
    return [(str(each.level), (each.sampled_at_ms - start_ms) / 1000) for each in transitions]


def live_columns(engine):
    (series,) = engine._series.values()
    return series.states.take(np.array([series.slot]))


def after_an_outage(engine, frame, live=(0, 1, 2, 300, 301, 310)):
    """Ten minutes in which nothing came; what follows is cool."""
    for number in live:
        assert engine.observe([frame(number, 30)]) == []
    engine.tick(frame(330, 30).received_at_ms)


def test_heat_in_an_outage_is_raised_and_cleared_as_of_its_own_time(engine, frame, start_ms):
    after_an_outage(engine, frame)
    before = live_columns(engine)
    backlog = [frame(number, 62 if number == 50 else 40, at=320) for number in range(3, 300)]
    transitions = [change for each in backlog for change in engine.observe([each])]
    assert told(transitions, start_ms) == [("warning", 50), ("normal", 111)]
    assert [change.reasons[-1] for change in transitions] == [
        "late: sampled 4 min before the newest sample of its unit",
        "late: sampled 3 min before the newest sample of its unit",
    ]
    np.testing.assert_equal(live_columns(engine), before)
    assert not engine._lanes  # it met what was evaluated


def test_a_runaway_in_an_outage_is_seen_as_one_and_stays_until_a_person_closes_it(engine, frame, start_ms):
    after_an_outage(engine, frame)
    rise = [frame(number, 40 + 2 * (number - 50), at=320) for number in range(50, 70)]
    transitions = [change for each in rise for change in engine.observe([each])]
    assert told(transitions, start_ms) == [("warning", 60), ("runaway", 60)] or told(transitions, start_ms) == [
        ("runaway", 60)
    ]
    assert engine.observe([frame(311, 30)]) == []
    assert engine.standing()[PACK].level is Level.RUNAWAY
    engine.release(PACK)
    assert engine.observe([frame(312, 30)]) == []


def test_a_level_that_only_history_showed_ends_with_it(engine, frame, start_ms):
    after_an_outage(engine, frame)
    (raised,) = engine.observe([frame(298, 63, at=320)])
    assert raised.level is Level.WARNING
    (ended,) = engine.observe([frame(299, 62, at=320)])
    assert (ended.before, ended.level, ended.subject) == (Level.WARNING, Level.NORMAL, PACK)
    assert ended.reasons[0].startswith("late: it was so in samples that came late")
    assert told([ended], start_ms) == [("normal", 299)]
    assert (ended.unit_id, ended.gateway_id, ended.fleet_id) == ("unit-1", "gateway-1", "fleet-1")


def test_history_that_comes_no_further_ends_after_a_while(engine, frame, start_ms):
    after_an_outage(engine, frame)
    engine.observe([frame(100, 63, at=320)])
    assert engine.tick(start_ms + 320_000 + HISTORY_IDLE_MS) == []
    assert told(engine.tick(start_ms + 320_001 + HISTORY_IDLE_MS), start_ms) == [("normal", 100)]


def test_another_stretch_of_history_is_another_one(engine, frame, start_ms):
    after_an_outage(engine, frame)
    engine.observe([frame(200, 63, at=320)])
    transitions = engine.observe([frame(100, 64, at=321)])
    assert told(transitions, start_ms) == [("normal", 200), ("warning", 100)]


def test_history_before_anything_live_is_none_of_what_is_live(engine, frame, start_ms):
    assert told(engine.observe([frame(0, 62, at=300)]), start_ms) == [("warning", 0)]
    assert engine.observe([frame(299, 58)]) == []
    assert live_columns(engine)["level"].tolist() == [0]


def test_live_heat_is_no_news_while_history_has_the_level_and_stays_when_that_ends(engine, frame, start_ms):
    after_an_outage(engine, frame)
    engine.observe([frame(297, 63, at=320)])
    assert engine.observe([frame(311, 62)]) == []
    assert engine.observe([frame(299, 40, at=321)]) == []
    assert told(engine.observe([frame(312, 81)]), start_ms) == [("critical", 312)]


def test_what_a_person_settled_is_not_raised_by_history(engine, frame, start_ms):
    after_an_outage(engine, frame)
    engine.restore(PACK, settled=Settled(from_ms=start_ms, until_ms=start_ms + 200_000, peak=Level.CRITICAL))
    assert engine.observe([frame(100, 85, at=320)]) == []
    assert told(engine.observe([frame(250, 85, at=320)]), start_ms) == [("critical", 250)]


def test_history_outlives_a_restart_and_ends_by_itself(engine, assignment, frame, start_ms):
    after_an_outage(engine, frame)
    engine.observe([frame(100, 63, at=320)])
    again = Engine()
    again.assign([assignment(report_interval_s=1.0)])
    again.recall(from_plain(*to_plain(engine.remember())))
    assert told(again.observe([frame(101, 81, at=330)]), start_ms) == [("critical", 101)]
    again.release(PACK)
    assert again.tick(start_ms + 400_000) == []
    assert again.tick(start_ms + 400_000 + 2 * HISTORY_IDLE_MS) == []
    assert not again._lanes


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_no_history_ever_touches_what_is_live(assignment, frame, start_ms, data):
    rows = data.draw(st.integers(10, 60))
    kinds = st.sampled_from([25.0, 54.0, 61.0, 81.0, np.nan])
    celsius = data.draw(st.lists(kinds, min_size=rows, max_size=rows))
    lost = data.draw(st.sets(st.integers(1, rows - 7), max_size=rows // 2))
    live, plain = Engine(), Engine()
    for engine in (live, plain):
        engine.assign([assignment(report_interval_s=1.0)])
        for number in range(rows):
            if number not in lost:
                engine.observe([frame(number, celsius[number])])
            engine.tick(start_ms + 1000 * number)
        engine.tick(start_ms + 1000 * rows + 6_000)
    for number in data.draw(st.permutations(sorted(lost))):
        live.observe([frame(number, celsius[number], at=rows + 100)])
    np.testing.assert_equal(live_columns(live), live_columns(plain))


def test_a_long_backlog_lets_live_samples_pass_and_is_taken_in_short_turns(engine, frame, start_ms):
    live = (0, 1, 2, 1300, 1301)
    after_an_outage(engine, frame, live)
    backlog = [frame(number, 40, at=1320) for number in range(3, 1300)]
    hot = [frame(1302 + number, celsius) for number, celsius in enumerate([45, 62, 62, 62])]
    transitions = engine.observe([*backlog, *hot])
    assert transitions
    assert min(change.sampled_at_ms for change in transitions) > start_ms + 1_302_000
    assert engine.waiting_rows == len(backlog)
    turns = 0
    while engine.waiting_rows:
        before = engine.waiting_rows
        assert engine.take_history() == []
        assert before - engine.waiting_rows <= ROWS_OF_A_UNIT
        turns += 1
    assert turns == -(-len(backlog) // ROWS_OF_A_UNIT)
    assert not engine._lanes  # it met what was evaluated


def test_a_backlog_says_the_same_in_turns_as_batch_by_batch(engine, frame, received, start_ms):
    live = (0, 1, 2, 1300, 1301, 1310)
    after_an_outage(engine, frame, live)
    long = received(range(3, 1300), [62 if number in {70, 1100} else 40 for number in range(3, 1300)])
    long = replace(long, received_at_ms=start_ms + 1_320_000)
    transitions = engine.observe([long])
    while engine.waiting_rows:
        transitions += engine.take_history()
    assert told(transitions, start_ms) == [("warning", 70), ("normal", 131), ("warning", 1100), ("normal", 1161)]


def test_units_take_turns_and_a_full_queue_is_taken_at_once(received, start_ms):
    waiting = WaitingHistory()
    for unit, rows in (("unit-1", 100), ("unit-2", 30)):
        batch = received(range(rows), [25.0] * rows, unit_id=unit)
        waiting.add((unit, Provenance.MEASURED), Waiting(received=batch, ends=True))
    turns = [[(each.received.batch.unit_id, len(each.received.batch), each.ends) for each in waiting.take_turn()]]
    assert waiting.rows == 100 - ROWS_OF_A_UNIT
    turns += [[(each.received.batch.unit_id, len(each.received.batch), each.ends) for each in waiting.take_turn()]]
    assert turns == [
        [("unit-1", ROWS_OF_A_UNIT, False), ("unit-2", 30, True)],
        [("unit-1", 100 - ROWS_OF_A_UNIT, True)],
    ]
    assert waiting.take_turn() == []
