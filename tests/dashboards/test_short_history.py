"""The spark line and the rise, against the plain definition over all samples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.short_history import SLOT_MS, SLOTS, Recent, ShortHistories

T0_MS = 1_800_000_000_000


def history_of(*samples: tuple[float, list[float]]) -> Recent:
    """Samples as (seconds, temperatures), each offered alone."""
    histories = ShortHistories()
    place = histories.add()
    for at_s, temperatures_c in samples:
        at_ms = np.array([T0_MS + int(at_s * 1000)])
        histories.offer(np.array([place]), at_ms, np.array([temperatures_c], np.float32))
    return histories.recent([place])[0]


@pytest.mark.parametrize(
    ("samples", "spark", "rise_c_per_min"),
    [
        pytest.param([], (), None, id="nothing measured: no line and no rise"),
        pytest.param([(0, [20, 25, math.nan])], (25.0,), None, id="the hottest counts, a missing probe does not"),
        pytest.param([(0, [20]), (3, [22]), (9, [21])], (22.0,), None, id="within ten seconds the hottest counts"),
        pytest.param([(0, [20]), (30, [23])], (20.0, None, None, 23.0), None, id="half a minute is no rise yet"),
        pytest.param([(0, [20]), (60, [23])], (20.0, *[None] * 5, 23.0), 3.0, id="a minute is"),
        pytest.param([(0, [20]), (300, [25]), (360, [35])], None, 10.0, id="the rise begins within the last 5 minutes"),
        pytest.param([(0, [25]), (240, [25]), (300, [150])], None, 0.0, id="one jump waits for a second slot"),
        pytest.param([(0, [25]), (60, [150])], None, None, id="and is no slope by itself"),
        pytest.param([(10 * n, [25 + 2 * n]) for n in range(31)], None, 12.0, id="a steady rise is what it is"),
        pytest.param([(60 * n, [25 + n / 50]) for n in range(6)], None, 0.02, id="and a slow one too"),
        pytest.param([(60, [30]), (0, [20]), (60, [29])], (20.0, *[None] * 5, 30.0), 10.0, id="late samples fit in"),
        pytest.param([(0, [math.nan]), (60, [20])], (20.0,), None, id="all probes missing is a hole, not zero"),
        pytest.param([(0, [90]), (700, [20])], (20.0,), None, id="what is older than ten minutes is forgotten"),
        pytest.param([(700, [20]), (0, [90])], (20.0,), None, id="and does not come back late"),
        pytest.param([(0, [511]), (60, [511])], (511.0, *[None] * 5, 511.0), 0.0, id="a suspect value is shown"),
    ],
)
def test_spark_and_rise(samples, spark, rise_c_per_min):
    history = history_of(*samples)
    if spark is not None:
        assert history.spark == spark
    assert history.rise_c_per_min == rise_c_per_min


@pytest.mark.parametrize("before", range(1, 31))
@pytest.mark.parametrize("slope_c_per_min", [0.0, 3.0])
def test_a_step_within_the_window_is_no_rise(before, slope_c_per_min):
    """25 degC for so many slots, then 1,190 degC: whatever the step's age, the plateaus' own slope is shown."""
    history = history_of(
        *((10 * slot, [(25 if slot < before else 1190) + slope_c_per_min * slot / 6]) for slot in range(31))
    )
    assert history.rise_c_per_min == pytest.approx(slope_c_per_min, abs=0.01)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 90), st.one_of(st.just(math.nan), st.floats(-40, 900, width=32))),
        min_size=1,
        max_size=200,
    ),
    st.integers(1, 200),
    st.randoms(),
)
def test_order_and_batching_change_nothing_and_each_slot_holds_its_hottest(samples, at_once, random):
    """Units, slots and temperatures, offered in any order, several at once: plain dictionaries of maxima say the same.

    The places were another's before, who has left.
    """
    shuffled = samples.copy()
    random.shuffle(shuffled)
    histories = ShortHistories()
    places = [histories.add() for _ in range(3)]
    histories.offer(np.array(places), np.full(3, T0_MS + 45 * SLOT_MS), np.full((3, 1), 1000.0, np.float32))
    for place in places:
        histories.free(place)
    places = [histories.add() for _ in range(3)]
    for first in range(0, len(shuffled), at_once):
        units, slots, temperatures_c = zip(*shuffled[first : first + at_once], strict=True)
        histories.offer(
            np.array([places[unit] for unit in units]),
            T0_MS + np.array(slots) * SLOT_MS,
            np.array(temperatures_c, np.float32)[:, None],
        )
    for unit, recent in enumerate(histories.recent(places)):
        of_unit = [(slot, temperature_c) for whose, slot, temperature_c in samples if whose == unit]
        newest = max((slot for slot, _ in of_unit), default=0)
        hottest: dict[int, float] = {}
        for slot, temperature_c in of_unit:
            if not math.isnan(temperature_c) and slot > newest - SLOTS:
                hottest[slot] = max(temperature_c, hottest.get(slot, -math.inf))
        expected = [hottest.get(slot) for slot in range(min(hottest), newest + 1)] if hottest else []
        assert recent.spark == tuple(None if c is None else round(float(c), 2) for c in expected)


def test_more_units_than_are_worked_out_together():
    histories = ShortHistories()
    places = np.array([histories.add() for _ in range(300)])
    for at_s in (0, 60):
        rising_c = 20 + np.arange(300) / 100 * (at_s / 60)
        histories.offer(places, np.full(300, T0_MS + at_s * 1000), rising_c.astype(np.float32)[:, None])
    rises = [recent.rise_c_per_min for recent in histories.recent(places.tolist())]
    assert rises == pytest.approx([n / 100 for n in range(300)], abs=0.0051)
