"""What every telemetry store promises: it keeps what it was given, once each, and gives it back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ingest.stores.contract import AppendResult, StoreRefusedError, StoreUnavailableError, UnitSpan
from telemetry.samples import PositionFix, Provenance, Quality, ReceivedBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest.stores.contract import Series, TelemetryStore

    Make = Callable[..., ReceivedBatch]
    Open = Callable[[], TelemetryStore]

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000


def test_a_batch_comes_back_as_it_went_in(store: TelemetryStore, make_batch: Make) -> None:
    temperatures = [[20.5, np.nan], [1079.25, -40.0]]
    received = make_batch(temperatures_c=temperatures, voltages_v=[[3.7], [np.nan]], humidity_pct=[np.nan, 41.0])
    assert store.append([received]) == AppendResult(stored_rows=2, duplicate_batches=0)
    series = store.read("unit-1", NOW_MS - 5000, NOW_MS + 1, 100)
    assert series.raw
    assert series.rows == 2
    assert series.at_ms.tolist() == [NOW_MS - 1000, NOW_MS]
    np.testing.assert_array_equal(series.temperatures_c.mean, np.array(temperatures, np.float32))
    np.testing.assert_array_equal(series.voltages_v.minimum, np.array([[3.7], [np.nan]], np.float32))
    assert list(series.singles) == ["humidity_pct"]
    np.testing.assert_array_equal(series.singles["humidity_pct"].maximum, [np.nan, 41.0])
    assert series.provenances == {Provenance.MEASURED}
    assert store.latest_at("unit-1") == NOW_MS


def test_a_frame_is_kept_once_whichever_gateway_brings_it(store: TelemetryStore, make_batch: Make) -> None:
    assert store.append([make_batch(frame=1), make_batch(frame=1)]).duplicate_batches == 1
    again = [make_batch(frame=1, gateway_id="gateway-2"), make_batch(frame=2)]
    assert store.append(again) == AppendResult(stored_rows=2, duplicate_batches=1)
    another_boot = make_batch(frame=1, boot_id="2-b")
    assert store.append([another_boot]) == AppendResult(stored_rows=2, duplicate_batches=0)


def test_progress_survives_closing(open_store: Open, make_batch: Make) -> None:
    first = open_store()
    first.append([make_batch(frame=number) for number in (1, 2, 3, 7, 9, 8, 5)])
    first.close()
    result = open_store().append([make_batch(frame=number) for number in range(1, 11)])
    assert result == AppendResult(stored_rows=2 * 3, duplicate_batches=7)


def test_channel_counts_may_change_and_shorter_rows_are_padded(store: TelemetryStore, make_batch: Make) -> None:
    narrow = make_batch(frame=1, temperatures_c=[[1.0]], voltages_v=np.zeros((1, 0)), sampled_at_ms=[NOW_MS - 10])
    wide = make_batch(frame=2, temperatures_c=[[2.0, 3.0, 4.0]], voltages_v=[[3.7, 3.8]], sampled_at_ms=[NOW_MS])
    store.append([wide, narrow])
    series = store.read("unit-1", 0, NOW_MS + 1, 10)
    expected = np.array([[1.0, np.nan, np.nan], [2.0, 3.0, 4.0]], np.float32)
    np.testing.assert_array_equal(series.temperatures_c.mean, expected)
    np.testing.assert_array_equal(series.voltages_v.mean, np.array([[np.nan, np.nan], [3.7, 3.8]], np.float32))
    reduced = store.read("unit-1", NOW_MS - 20, NOW_MS + 1, 1)
    assert not reduced.raw
    np.testing.assert_array_equal(reduced.temperatures_c.minimum, np.array([[1.0, 3.0, 4.0]], np.float32))
    np.testing.assert_array_equal(reduced.temperatures_c.maximum, np.array([[2.0, 3.0, 4.0]], np.float32))


def test_more_rows_than_points_come_as_buckets_with_their_extremes(store: TelemetryStore, make_batch: Make) -> None:
    rows = 1000
    temperatures = np.tile(np.arange(rows, dtype=np.float32)[:, None], (1, 2))
    temperatures[500, 0] = 511.0
    temperatures[:, 1] = np.nan
    received = make_batch(temperatures_c=temperatures, quality=np.where(np.arange(rows) == 500, 1, 0))
    store.append([received])
    start_ms = int(received.batch.sampled_at_ms[0])
    series = store.read("unit-1", start_ms, NOW_MS + 1000, 10)
    assert (series.raw, series.rows, len(series.at_ms)) == (False, 1000, 10)
    assert series.at_ms.tolist() == [start_ms + 100_000 * bucket for bucket in range(10)]
    assert series.temperatures_c.minimum[0, 0] == 0
    assert series.temperatures_c.mean[0, 0] == pytest.approx(49.5)
    assert series.temperatures_c.maximum[0, 0] == 99
    assert series.quality[5] == Quality.TEMPERATURE_SUSPECT
    assert np.isnan(series.temperatures_c.mean[:, 1]).all()


@pytest.fixture
def three_days(make_batch: Make) -> list[ReceivedBatch]:
    """A sample a minute in frames of an hour, with holes, a gap, widths and provenances that change, and flags."""
    random = np.random.default_rng(7)
    batches = []
    for hour in [*range(30), *range(40, 72)]:
        channels = (5, 2) if hour < 50 else (3, 4)
        values = [random.normal(30, 20, (60, each)).astype(np.float32) for each in channels]
        for each in values:
            each[random.random(each.shape) < 0.2] = np.nan
        batches.append(
            make_batch(
                frame=hour,
                sampled_at_ms=NOW_MS + 3_600_000 * hour + 60_000 * np.arange(60) + random.integers(0, 30_000, 60),
                temperatures_c=values[0],
                voltages_v=values[1],
                ambient_c=random.normal(10, 3, 60) if hour > 20 else None,
                quality=random.integers(0, 64, 60) * (random.random(60) < 0.1),
                provenance=Provenance.SIMULATED if hour < 10 else Provenance.MEASURED,
            )
        )
    return batches


def assert_plain_formula(series: Series, received: Sequence[ReceivedBatch]) -> None:
    """Every bucket of the series against all samples in it, one after the other."""
    batches = [each.batch for each in received]
    at_ms = np.concatenate([batch.sampled_at_ms for batch in batches])
    assert series.rows == len(at_ms)
    assert series.provenances == {batch.provenance for batch in batches}
    for name in ("temperatures_c", "voltages_v", "ambient_c"):
        band = series.singles["ambient_c"] if name == "ambient_c" else getattr(series, name)
        columns = max(getattr(batch, name).shape[-1] for batch in batches) if name != "ambient_c" else 1
        values = np.full((len(at_ms), columns), np.nan)
        row = 0
        for batch in batches:
            own = getattr(batch, name)
            if own is not None:
                own = own.reshape(len(batch), -1)
                values[row : row + len(batch), : own.shape[1]] = own
            row += len(batch)
        for index, start_ms in enumerate(series.at_ms):
            end_ms = series.at_ms[index + 1] if index + 1 < len(series.at_ms) else series.end_ms
            inside = values[(at_ms >= start_ms) & (at_ms < end_ms)]
            for channel in range(columns):
                found = tuple(
                    getattr(band, part).reshape(len(series.at_ms), -1)[index, channel]
                    for part in ("minimum", "mean", "maximum")
                )
                measured = inside[:, channel][~np.isnan(inside[:, channel])]
                if len(measured):
                    # float32 keeps 24 bits: half a unit in the last place of 100 is 4e-6
                    expected = (measured.min(), measured.mean(), measured.max())
                    assert found == pytest.approx(expected, rel=1e-6, abs=1e-5)
                else:
                    assert np.isnan(found).all()
    quality = np.concatenate([batch.quality for batch in batches])
    for index, start_ms in enumerate(series.at_ms):
        end_ms = series.at_ms[index + 1] if index + 1 < len(series.at_ms) else series.end_ms
        inside = quality[(at_ms >= start_ms) & (at_ms < end_ms)]
        assert series.quality[index] == np.bitwise_or.reduce(inside, initial=0)


def test_a_long_read_is_the_plain_formula_before_and_after_roll_ups(
    open_store: Open, three_days: list[ReceivedBatch], make_batch: Make
) -> None:
    start_ms, end_ms = NOW_MS - 1_234_567, NOW_MS + 72 * 3_600_000 - 98_765
    last = three_days[-1].batch.sampled_at_ms
    known = [*three_days[:-1], _cut(three_days[-1], int((last < end_ms).sum()))]
    store = open_store()
    store.append(three_days)
    for points in (130, 7):
        assert_plain_formula(store.read("unit-1", start_ms, end_ms, points), known)
    while store.roll_up(end_ms):
        pass
    for points in (130, 7):
        assert_plain_formula(store.read("unit-1", start_ms, end_ms, points), known)
    late = make_batch(frame=900, sampled_at_ms=[NOW_MS + 35 * 3_600_000 + 1], temperatures_c=[[990.0] * 6])
    store.append([late])
    store.close()
    again = open_store()
    for _ in range(2):
        assert_plain_formula(again.read("unit-1", start_ms, end_ms, 130), [*known, late])
        while again.roll_up(end_ms):
            pass


def test_a_channel_that_joins_a_rolled_up_row_is_read_at_once(store: TelemetryStore, make_batch: Make) -> None:
    plain = {"boot_id": None, "frame": None}
    times_ms = NOW_MS + 60_000 * np.arange(300)
    first = make_batch(sampled_at_ms=times_ms, temperatures_c=np.full((300, 1), 20.0), **plain)
    store.append([first])
    store.roll_up(NOW_MS + DAY_MS)
    more = make_batch(sampled_at_ms=times_ms[[70]], temperatures_c=[[np.nan, 77.0]], **plain)
    store.append([more])
    series = store.read("unit-1", NOW_MS, NOW_MS + 300 * 60_000, 10)
    assert np.nanmax(series.temperatures_c.maximum[:, 1]) == 77.0


def test_hot_days_outlive_their_samples(open_store: Open, make_batch: Make) -> None:
    midnight_ms = NOW_MS // DAY_MS * DAY_MS
    store = open_store()

    def measure(unit_id: str, at_ms: int, hottest_c: float) -> None:
        rows = [[20.0, hottest_c, np.nan]]
        store.append([make_batch(unit_id=unit_id, frame=at_ms // 1000, sampled_at_ms=[at_ms], temperatures_c=rows)])
        store.roll_up(midnight_ms + 9 * DAY_MS)

    measure("unit-1", midnight_ms + 5_000_000, 61.5)
    measure("unit-1", midnight_ms + 9_000_000, 55.0)
    measure("unit-2", midnight_ms - 1, 70.0)
    measure("unit-2", midnight_ms, 60.0)
    found = [("unit-2", midnight_ms - DAY_MS, 70.0), ("unit-1", midnight_ms, 61.5)]
    assert store.hot_days(60.0, midnight_ms - DAY_MS, midnight_ms + DAY_MS, 10) == tuple(found)
    assert store.hot_days(60.0, midnight_ms, midnight_ms + DAY_MS, 10) == tuple(found[1:])
    assert store.hot_days(10.0, 0, midnight_ms + DAY_MS, 2) == tuple(found)
    store.delete_before(midnight_ms + 9 * DAY_MS)
    store.close()
    assert open_store().hot_days(60.0, 0, midnight_ms + DAY_MS, 10) == tuple(found)


def _cut(received: ReceivedBatch, rows: int) -> ReceivedBatch:
    batch = received.batch
    arrays = ("sampled_at_ms", "temperatures_c", "voltages_v", "ambient_c", "quality")
    return replace(received, batch=replace(batch, **{name: getattr(batch, name)[:rows] for name in arrays}))


def test_an_unknown_unit_or_empty_span_reads_as_nothing(store: TelemetryStore) -> None:
    series = store.read("nobody", 0, 1000, 10)
    assert (series.rows, series.raw, series.temperatures_c.mean.shape) == (0, True, (0, 0))
    assert store.latest_at("nobody") is None


class TestPlainEdgeNodes:
    """Nodes that number no frames: kept once by (unit, channel, time)."""

    def test_the_same_rows_again_change_nothing(self, store: TelemetryStore, make_batch: Make) -> None:
        plain = make_batch(boot_id=None, frame=None)
        assert store.append([plain, plain]) == AppendResult(stored_rows=2, duplicate_batches=1)
        assert store.append([plain]) == AppendResult(stored_rows=0, duplicate_batches=1)
        assert store.read("unit-1", 0, NOW_MS + 1, 10).rows == 2

    def test_a_channel_that_comes_later_joins_its_row(self, store: TelemetryStore, make_batch: Make) -> None:
        nan = np.nan
        first = make_batch(boot_id=None, frame=None, temperatures_c=[[20.0, nan]], voltages_v=np.zeros((1, 0)))
        second = make_batch(boot_id=None, frame=None, temperatures_c=[[nan, 21.0, 22.0]], voltages_v=[[3.7]])
        other = make_batch(boot_id=None, frame=None, temperatures_c=[[99.0, nan]], voltages_v=np.zeros((1, 0)))
        store.append([first])
        assert store.append([second]) == AppendResult(stored_rows=1, duplicate_batches=0)
        assert store.append([other]) == AppendResult(stored_rows=0, duplicate_batches=1), "what is stored stays"
        series = store.read("unit-1", 0, NOW_MS + 1, 10)
        np.testing.assert_array_equal(series.temperatures_c.mean, np.array([[20.0, 21.0, 22.0]], np.float32))
        np.testing.assert_array_equal(series.voltages_v.mean, np.array([[3.7]], np.float32))

    def test_rows_whose_time_was_made_up_are_all_kept(self, store: TelemetryStore, make_batch: Make) -> None:
        made_up = {"boot_id": None, "frame": None, "quality": [Quality.TIME_IMPOSSIBLE]}
        hot = [make_batch(temperatures_c=[[value]], **made_up) for value in (85.0, 86.0, 87.0)]
        assert store.append(hot[:2]) == AppendResult(stored_rows=2, duplicate_batches=0)
        assert store.append(hot[2:]) == AppendResult(stored_rows=1, duplicate_batches=0)
        store.append([make_batch(boot_id=None, frame=None, temperatures_c=[[20.0]])])
        series = store.read("unit-1", 0, NOW_MS + 1, 10)
        assert sorted(series.temperatures_c.mean[:, 0].tolist()) == [20.0, 85.0, 86.0, 87.0]

    def test_late_rows_between_stored_ones_are_kept(self, store: TelemetryStore, make_batch: Make) -> None:
        def at(*times_ms: int) -> ReceivedBatch:
            rows = np.full((len(times_ms), 1), 20.0)
            return make_batch(boot_id=None, frame=None, temperatures_c=rows, sampled_at_ms=times_ms)

        store.append([at(1000, 3000)])
        assert store.append([at(2000), at(3000, 4000)]) == AppendResult(stored_rows=2, duplicate_batches=0)
        assert store.read("unit-1", 0, 9000, 10).at_ms.tolist() == [1000, 2000, 3000, 4000]


def test_a_flush_with_a_value_no_column_holds_is_refused_whole(store: TelemetryStore, make_batch: Make) -> None:
    good, poison = make_batch(frame=1), make_batch(frame=2**64)
    with pytest.raises(StoreRefusedError):
        store.append([good, poison])
    assert store.read("unit-1", 0, NOW_MS + 1, 10).rows == 0
    assert store.append([good]) == AppendResult(stored_rows=2, duplicate_batches=0)


def test_positions_are_kept_once_by_gateway_and_time(store: TelemetryStore) -> None:
    def fix(at_ms: int, gateway_id: str = "gateway-1") -> PositionFix:
        return PositionFix(
            fleet_id="fleet-1",
            gateway_id=gateway_id,
            fixed_at_ms=at_ms,
            latitude_deg=40.5,
            longitude_deg=-80.25,
            speed_m_s=None,
            heading_deg=90.0,
        )

    assert store.append_positions([fix(1000), fix(1000), fix(2000), fix(1000, "gateway-2")]) == 3
    assert store.append_positions([fix(2000), fix(3000)]) == 1
    assert store.append_positions([]) == 0
    assert store.positions("gateway-1", 1000, 3000) == (fix(1000), fix(2000))


class TestRetention:
    """Old samples go, unless a hold covers them."""

    def test_what_a_hold_covers_stays(self, store: TelemetryStore, make_batch: Make) -> None:
        times_ms = NOW_MS + DAY_MS * np.arange(10)
        store.append([make_batch(temperatures_c=np.full((10, 1), 20.0), sampled_at_ms=times_ms)])
        span = UnitSpan("unit-1", NOW_MS + 2 * DAY_MS, NOW_MS + 4 * DAY_MS)
        store.hold(span)
        store.hold(span)
        assert store.holds() == (span,)
        assert store.delete_before(NOW_MS + 6 * DAY_MS) == 4
        days = (store.read("unit-1", NOW_MS, NOW_MS + 10 * DAY_MS, 100).at_ms - NOW_MS) // DAY_MS
        assert days.tolist() == [2, 3, 6, 7, 8, 9]
        store.release(span)
        store.release(span)
        assert store.holds() == ()
        assert store.delete_before(NOW_MS + 6 * DAY_MS) == 2

    def test_progress_of_what_is_gone_is_forgotten_and_of_what_is_held_is_not(
        self, store: TelemetryStore, make_batch: Make
    ) -> None:
        held, gone = make_batch(unit_id="held"), make_batch(unit_id="gone")
        store.append([held, gone])
        store.hold(UnitSpan("held", 0, NOW_MS + 1))
        store.delete_before(NOW_MS + DAY_MS)
        assert store.append([held, gone]) == AppendResult(stored_rows=2, duplicate_batches=1)


def test_a_closed_store_says_so(store: TelemetryStore, make_batch: Make) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        store.append([make_batch()])
    with pytest.raises(StoreUnavailableError, match="closed"):
        store.latest_at("unit-1")
