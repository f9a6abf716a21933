"""Evidence that depends on the order of samples sees them in order, however they came; ceilings do not wait."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.engine import Engine
from alerts.ordering import LATENESS_MS

SECONDS = 600


@pytest.fixture(scope="session")
def course():
    """Eight probes in the shade for five minutes, then one of them gains 6 degC/min; well below every ceiling."""
    noise = np.random.default_rng(7).normal(0, 0.05, (SECONDS, 8))
    noise[300:, 2] += np.linspace(0, 30, 300)
    return 22 + noise


@pytest.fixture(scope="session")
def frame(received, start_ms, course):
    def make(number, arrives_s):
        rows = slice(5 * number, 5 * number + 5)
        arrives_ms = start_ms + round(1000 * arrives_s)
        return received(np.arange(SECONDS)[rows], course[rows], boot_id="1-a", frame=number, received_at_ms=arrives_ms)

    return make


def changes(engine_of, sent, start_ms):
    engine = engine_of()
    found = []
    for each in sent:
        found += engine.tick(each.received_at_ms)
        found += engine.observe([each])
    found += engine.tick(start_ms + 10**6)
    return [(str(change.level), (change.sampled_at_ms - start_ms) / 1000) for change in found]


@pytest.fixture(scope="session")
def engine_of(assignment):
    def make():
        engine = Engine()
        engine.assign([assignment(report_interval_s=1.0)])
        return engine

    return make


@pytest.fixture(scope="session")
def expected(engine_of, frame, start_ms):
    found = changes(engine_of, [frame(number, 5 * number + 5) for number in range(SECONDS // 5)], start_ms)
    assert "warning" in [level for level, _ in found]
    return found


@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_out_of_order_within_the_bound_changes_nothing(engine_of, frame, expected, start_ms, data):
    count = SECONDS // 5
    delays_s = data.draw(st.lists(st.floats(0, 4.9), min_size=count - 1, max_size=count - 1))
    arrivals = sorted((5 * number + 5 + delay_s, number) for number, delay_s in enumerate([0.0, *delays_s]))
    swapped = [frame(number, at_s) for at_s, number in arrivals]
    assert changes(engine_of, swapped, start_ms) == expected


def test_frames_that_change_places_change_nothing(engine_of, frame, expected, start_ms):
    """Each second frame comes half a second after the one behind it."""
    arrivals = sorted((5 * number + (10.5 if number % 2 else 5), number) for number in range(SECONDS // 5))
    sent = [frame(number, at_s) for at_s, number in arrivals]
    assert changes(engine_of, sent, start_ms) == expected


def test_a_hole_delays_evidence_by_the_bound_and_no_more(engine_of, frame, expected, start_ms):
    """One frame of the quiet time is lost for good."""
    engine = engine_of()
    sent = [frame(number, 5 * number + 5) for number in range(SECONDS // 5) if number != 20]
    for each in sent:
        engine.observe([each])
        if each.batch.frame == 21:
            assert len(engine._ordering) == 1
            engine.tick(each.received_at_ms + LATENESS_MS)
            assert len(engine._ordering) == 0
    assert engine._ordering.holes_given_up == 1
    levels = [level for level, _ in expected]
    (standing,) = engine.standing().values()
    assert str(standing.level) == levels[-1]


def test_ceilings_do_not_wait_for_a_hole(engine_of, frame, received, start_ms):
    engine = engine_of()
    engine.observe([frame(0, 5)])
    hot = received([20], [[22.0] * 6 + [84.0, 85.0]], boot_id="1-a", frame=4, received_at_ms=start_ms + 21_000)
    assert engine.observe([hot]) == []  # both leapt
    hot = received([21], [[22.0] * 6 + [84.5, 85.5]], boot_id="1-a", frame=5, received_at_ms=start_ms + 21_000)
    (transition,) = engine.observe([hot])
    assert (str(transition.level), transition.sampled_at_ms) == ("critical", start_ms + 21_000)
