"""What every telemetry store promises: it keeps what it was given, once each, and gives it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ingest.stores.contract import AppendResult, StoreRefusedError, StoreUnavailableError, UnitSpan
from telemetry.samples import PositionFix, Provenance, Quality, ReceivedBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.stores.contract import TelemetryStore

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
