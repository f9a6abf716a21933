"""What is flagged, what is told, and that nothing is lost; one batch at a time and many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening import inspect_all
from ingest.validation import Finding, KnownUnit, TimeLimits, inspect, possible_fix
from registry.kinds import ChannelKind
from telemetry.samples import PositionFix, Provenance, Quality, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., ReceivedBatch]

NOW_MS = 1_800_000_000_000
MINUTE_MS, DAY_MS = 60_000, 86_400_000
CELLS = KnownUnit(voltage_kinds=[ChannelKind.CELL, ChannelKind.CELL])


@pytest.mark.parametrize(
    ("given", "flag", "detail"),
    [
        ({"temperatures_c": [[150.05, 20]]}, Quality.TEMPERATURE_SUSPECT, "temperature 1 is 150.05 degC"),
        ({"temperatures_c": [[20, -60.05]]}, Quality.TEMPERATURE_SUSPECT, "temperature 2 is -60.05 degC"),
        ({"temperatures_c": [[1079, 511]]}, Quality.TEMPERATURE_SUSPECT, "1 more in this batch"),
        ({"ambient_c": [200]}, Quality.TEMPERATURE_SUSPECT, "ambient is 200 degC"),
        ({"voltages_v": [[0, 3.7]]}, Quality.VOLTAGE_SUSPECT, "voltage 1 is 0 V"),
        ({"voltages_v": [[3.7, 5.1]]}, Quality.VOLTAGE_SUSPECT, "voltage 2 is 5.1 V"),
        ({"voltages_v": [[-0.1, 3.7]]}, Quality.VOLTAGE_SUSPECT, "voltage 1 is -0.1 V"),
        ({"humidity_pct": [101]}, Quality.OTHER_SUSPECT, "humidity is 101 %"),
        ({"hydrogen_ppm": [-1]}, Quality.OTHER_SUSPECT, "hydrogen is -1 ppm"),
        ({"carbon_monoxide_ppm": [2e6]}, Quality.OTHER_SUSPECT, "carbon_monoxide is 2e+06 ppm"),
        ({"shock_g": [700]}, Quality.OTHER_SUSPECT, "shock is 700 g"),
    ],
)
def test_a_suspect_value_is_flagged_and_kept(
    make_batch: Make, given: dict[str, Any], flag: Quality, detail: str
) -> None:
    received = make_batch(**{"rows": 1, "voltages_v": [[3.7, 3.7]], "temperatures_c": [[20, 20]], **given})
    found = inspect(received, CELLS)
    assert found.received.batch.quality.tolist() == [flag]
    assert detail in found.findings[0].detail
    for name in given:
        np.testing.assert_array_equal(getattr(found.received.batch, name), getattr(received.batch, name))


@pytest.mark.parametrize(
    "given",
    [
        {"temperatures_c": [[150, -60]]},
        {"temperatures_c": [[np.nan, np.nan]]},
        {"voltages_v": [[5.0, 0.001]]},
        {"voltages_v": [[np.nan, np.nan]]},
        {"humidity_pct": [100], "voc_ppm": [0], "shock_g": [np.nan]},
        {"sampled_at_ms": [NOW_MS + 5 * MINUTE_MS]},
        {"sampled_at_ms": [NOW_MS - 35 * DAY_MS]},
    ],
)
def test_a_sound_batch_passes_untouched(make_batch: Make, given: dict[str, Any]) -> None:
    received = make_batch(**{"rows": 1, "voltages_v": [[3.7, 3.7]], "temperatures_c": [[20, 20]], **given})
    found = inspect(received, CELLS)
    assert found.received is received
    assert found.findings == ()


def test_each_row_has_its_own_flags_on_top_of_those_it_came_with(make_batch: Make) -> None:
    received = make_batch(
        temperatures_c=[[20], [511], [20]],
        voltages_v=[[3.7], [0], [3.7]],
        quality=[int(Quality.TIME_BRACKETED), 0, 0],
    )
    found = inspect(received, CELLS)
    both = Quality.TEMPERATURE_SUSPECT | Quality.VOLTAGE_SUSPECT
    assert found.received.batch.quality.tolist() == [Quality.TIME_BRACKETED, both, 0]


def test_an_infinity_is_no_value(make_batch: Make) -> None:
    found = inspect(make_batch(temperatures_c=[[np.inf], [20]], voltages_v=[[3.7], [-np.inf]]), CELLS)
    np.testing.assert_array_equal(found.received.batch.temperatures_c, [[np.nan], [20]])
    np.testing.assert_array_equal(found.received.batch.voltages_v, np.array([[3.7], [np.nan]], np.float32))
    assert found.received.batch.quality.tolist() == [Quality.INFINITY_REMOVED] * 2
    assert [finding.reason for finding in found.findings] == ["infinity", "infinity"]


def test_an_unknown_unit_is_flagged(make_batch: Make) -> None:
    found = inspect(make_batch(), None)
    assert found.received.batch.quality.tolist() == [Quality.UNREGISTERED] * 2
    assert found.findings == (Finding(reason="unknown_unit", detail="unit unit-1 is not registered"),)


@pytest.mark.parametrize(
    ("times_ms", "expected_ms"),
    [
        pytest.param([DAY_MS, DAY_MS + 10], [-10, 0], id="a day ahead: spacing kept, ending at receipt"),
        pytest.param([-366 * DAY_MS, -366 * DAY_MS + 10], [-10, 0], id="a year back"),
        pytest.param([-10, DAY_MS], [-DAY_MS - 10, 0], id="one impossible time: none is trusted"),
        pytest.param([-366 * DAY_MS, 0], [-1, 0], id="a spacing that cannot be: a millisecond apart"),
        pytest.param([-NOW_MS, -NOW_MS + 1], [-1, 0], id="a clock that was never set"),
        pytest.param([2**52], [0], id="beyond the years that have names"),
    ],
)
def test_impossible_times_move_to_the_receipt(make_batch: Make, times_ms: list[int], expected_ms: list[int]) -> None:
    rows = np.full((len(times_ms), 1), 85.0)
    received = make_batch(temperatures_c=rows, voltages_v=rows * 0 + 3, sampled_at_ms=np.array(times_ms) + NOW_MS)
    found = inspect(received, CELLS)
    assert (found.received.batch.sampled_at_ms - NOW_MS).tolist() == expected_ms
    assert set(found.received.batch.quality.tolist()) == {Quality.TIME_IMPOSSIBLE}
    np.testing.assert_array_equal(found.received.batch.temperatures_c, rows)


def test_limits_are_arguments(make_batch: Make) -> None:
    late = make_batch(rows=1, sampled_at_ms=[NOW_MS - 2000], temperatures_c=[[20]])
    assert inspect(late, CELLS, TimeLimits(age_ms=1000)).findings[0].reason == "time_impossible"
    assert inspect(late, CELLS).findings == ()


def test_voltage_columns_beyond_the_known_ones_may_be_packs(make_batch: Make) -> None:
    received = make_batch(temperatures_c=[[20]], voltages_v=[[3.7, 3.7, 800.0]])
    assert inspect(received, CELLS).findings == ()
    assert inspect(make_batch(temperatures_c=[[20]], voltages_v=[[3.7]]), CELLS).findings == ()


def test_a_fix_with_an_impossible_time_moves_to_the_receipt() -> None:
    def fix(at_ms: int) -> PositionFix:
        return PositionFix(fleet_id="f", gateway_id="g", fixed_at_ms=at_ms, latitude_deg=1.0, longitude_deg=2.0)

    assert possible_fix(fix(NOW_MS - 5), NOW_MS) == fix(NOW_MS - 5)
    assert possible_fix(fix(NOW_MS + DAY_MS), NOW_MS) == fix(NOW_MS)


VALUES = st.sampled_from([20.0, 3.7, 0.0, -1.0, 151.0, 511.0, np.nan, np.inf, -np.inf])


@st.composite
def received_batches(draw: st.DrawFn) -> ReceivedBatch:
    rows = draw(st.integers(0, 3))
    columns = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))

    def values(*shape: int) -> Any:
        size = int(np.prod(shape))
        return np.array(draw(st.lists(VALUES, min_size=size, max_size=size)), np.float32).reshape(shape)

    start_ms = NOW_MS + draw(st.sampled_from([-1000, -40 * DAY_MS, DAY_MS]))
    return ReceivedBatch(
        batch=SampleBatch(
            unit_id="unit",
            boot_id=None,
            frame=None,
            provenance=Provenance.MEASURED,
            sampled_at_ms=start_ms + np.arange(rows),
            time_uncertainty_s=0.0,
            temperatures_c=values(rows, columns[0]),
            voltages_v=values(rows, columns[1]),
            humidity_pct=values(rows) if draw(st.booleans()) else None,
            ambient_c=values(rows) if draw(st.booleans()) else None,
        ),
        fleet_id="fleet",
        gateway_id="gateway",
        received_at_ms=NOW_MS,
    )


@given(st.lists(st.tuples(received_batches(), st.sampled_from([None, CELLS])), max_size=6))
def test_many_at_once_find_what_one_at_a_time_finds(batches: list[tuple[ReceivedBatch, KnownUnit | None]]) -> None:
    together = inspect_all([received for received, _ in batches], [unit for _, unit in batches])
    for (received, unit), found in zip(batches, together, strict=True):
        alone = inspect(received, unit)
        assert found.findings == alone.findings
        for name in ("sampled_at_ms", "temperatures_c", "voltages_v", "humidity_pct", "ambient_c", "quality"):
            np.testing.assert_array_equal(getattr(found.received.batch, name), getattr(alone.received.batch, name))


@given(received_batches())
def test_no_finite_value_is_ever_lost(received: ReceivedBatch) -> None:
    found = inspect(received, None).received.batch
    for name in ("temperatures_c", "voltages_v"):
        before, after = getattr(received.batch, name), getattr(found, name)
        finite = np.isfinite(before)
        np.testing.assert_array_equal(after[finite], before[finite])
        assert np.isnan(after[~finite]).all()
    assert np.all(np.diff(found.sampled_at_ms) > 0)
