"""What the InfluxDB store does beyond the contract of all stores: no transactions, a server that may say no."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from ingest.stores.contract import AppendResult, OutboxRange, StoreUnavailableError, UnitSpan
from ingest.stores.influx import InfluxDBStore
from ingest.stores.influx_answers import StoreRefusedLinesError, raise_for
from ingest.stores.influx_lines import LineEntry, LineFormatter
from ingest.stores.influx_server import InfluxAccess
from telemetry.samples import Provenance, Quality, ReceivedBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., ReceivedBatch]

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
EVERYTHING = ("unit-1", 0, 2**42, 100_000)


@pytest.fixture
def store(influx_access: InfluxAccess) -> Iterator[InfluxDBStore]:
    with closing(InfluxDBStore(influx_access)) as opened:
        yield opened


def lanes(access: InfluxAccess) -> set[str]:
    """Which lanes hold samples."""
    query = {"db": access.database, "q": 'SELECT count("frame") FROM samples GROUP BY lane'}
    answer = httpx.get(f"{access.url}/query", params=query, trust_env=False).json()
    return {series["tags"]["lane"] for series in answer["results"][0]["series"]}


class TestLines:
    """The form that samples have in InfluxDB."""

    @pytest.fixture
    def formatter(self) -> Iterator[LineFormatter]:
        with closing(LineFormatter()) as opened:
            yield opened

    def test_a_frame_by_hand(self, formatter: LineFormatter, make_batch: Make) -> None:
        received = make_batch(
            boot_id='7-"a\\b',
            frame=41,
            temperatures_c=[[20.0, np.nan], [np.nan, np.nan]],
            voltages_v=[[3.65], [np.nan]],
            humidity_pct=[41.5, np.nan],
            quality=[0, 3],
            time_uncertainty_s=0.25,
        )
        expected = (
            'samples,unit=unit-1 frame=41i,boot="7-\\"a\\\\b",provenance="measured",t1=20.0,v1=3.65,humidity_pct=41.5,'
            'temperatures=2i,voltages=1i,gateway="gateway-1",received=1800000000000i,uncertainty=0.25 1799999999000\n'
            'samples,unit=unit-1 frame=41i,boot="7-\\"a\\\\b",provenance="measured",quality=3i 1800000000000\n'
        )
        assert formatter.format([LineEntry(received, 0)]).decode() == expected

    def test_rows_without_a_frame_all_say_where_they_come_from(
        self, formatter: LineFormatter, make_batch: Make
    ) -> None:
        received = make_batch(boot_id=None, frame=None, time_uncertainty_s=np.nan)
        lines = formatter.format([LineEntry(received, 2)]).decode().splitlines()
        assert all(line.startswith("samples,unit=unit-1,lane=2 frame=-1i,provenance=") for line in lines)
        assert all('gateway="gateway-1"' in line for line in lines)

    def test_every_float_comes_back_to_the_bit(self, store: InfluxDBStore, make_batch: Make) -> None:
        bits = np.random.default_rng(7).integers(0, 2**32, 20_000, dtype=np.uint64).astype(np.uint32)
        values = bits.view(np.float32)
        values = values[np.isfinite(values)][:16_000].reshape(1000, 16)
        store.append([make_batch(temperatures_c=values, voltages_v=np.zeros((1000, 0)))])
        found = store.read("unit-1", 0, 2**42, 1000).temperatures_c.mean
        np.testing.assert_array_equal(found.view(np.uint32), values.view(np.uint32))


class TestOneTimeTwice:
    """InfluxDB keeps one point a series and time; none of ours may fall on another's."""

    def test_a_trace_that_is_replayed_twice_is_there_twice(
        self, store: InfluxDBStore, make_batch: Make, influx_access: InfluxAccess
    ) -> None:
        first = make_batch(boot_id="1-a", temperatures_c=[[20.0, np.nan], [21.0, 22.0]], voltages_v=[[1.0], [1.0]])
        second = make_batch(boot_id="2-b", temperatures_c=[[30.0, 31.0], [np.nan, 32.0]], voltages_v=[[2.0], [2.0]])
        assert store.append([first, second]).stored_rows == 4
        series = store.read(*EVERYTHING)
        found = {tuple(row) for row in np.nan_to_num(series.temperatures_c.mean, nan=-1).tolist()}
        assert found == {(20.0, -1.0), (21.0, 22.0), (30.0, 31.0), (-1.0, 32.0)}
        assert lanes(influx_access) == {"", "1"}

    def test_boots_one_after_the_other_share_the_first_lane(
        self, store: InfluxDBStore, make_batch: Make, influx_access: InfluxAccess
    ) -> None:
        for number in range(5):
            times_ms = NOW_MS + 10_000 * number + np.array([0, 1000])
            store.append([make_batch(boot_id=f"{number}-a", frame=number, sampled_at_ms=times_ms)])
        late = make_batch(boot_id="2-a", frame=3, rows=1, sampled_at_ms=[NOW_MS + 22_000])
        assert store.append([late]).stored_rows == 1
        assert lanes(influx_access) == {""}

    def test_rows_without_frames_and_frames_do_not_melt(self, store: InfluxDBStore, make_batch: Make) -> None:
        plain = make_batch(boot_id=None, frame=None, temperatures_c=[[20.0]], voltages_v=np.zeros((1, 0)))
        framed = make_batch(temperatures_c=[[30.0]], voltages_v=[[3.7]])
        store.append([plain])
        store.append([framed])
        store.append([plain])
        series = store.read(*EVERYTHING)
        assert sorted(series.temperatures_c.mean[:, 0].tolist()) == [20.0, 30.0]


class TestNoTransactions:
    """Whatever a crash leaves between samples and progress, nothing is lost, doubled or mixed."""

    def test_samples_without_progress_are_written_to_their_places_again(
        self, influx_access: InfluxAccess, make_batch: Make, monkeypatch
    ) -> None:
        first = make_batch(boot_id="1-a", temperatures_c=[[20.0], [np.nan]], voltages_v=[[1.0], [1.0]])
        second = make_batch(boot_id="2-b", temperatures_c=[[30.0], [31.0]], voltages_v=[[np.nan], [2.0]])
        with closing(InfluxDBStore(influx_access)) as dying:
            with monkeypatch.context() as patched:
                patched.setattr(InfluxDBStore, "_keep_progress", _die)
                with pytest.raises(StoreUnavailableError, match="killed"):
                    dying.append([first, second])
        with closing(InfluxDBStore(influx_access)) as store:
            assert store.append([second], [OutboxRange("f", "g", "o", 2, 2)]).stored_rows == 2
            assert store.append([first, second]) == AppendResult(stored_rows=2, duplicate_batches=1)
            series = store.read(*EVERYTHING)
            rows = np.stack([series.temperatures_c.mean[:, 0], series.voltages_v.mean[:, 0]], axis=1)
            found = {tuple(row) for row in np.nan_to_num(rows, nan=-1).tolist()}
            assert found == {(20.0, 1.0), (-1.0, 1.0), (30.0, -1.0), (31.0, 2.0)}

    def test_an_answer_that_is_lost_doubles_nothing(
        self, influx_access: InfluxAccess, make_batch: Make, make_relay
    ) -> None:
        url, relay = make_relay(influx_access.url)
        with closing(InfluxDBStore(replace(influx_access, url=url))) as store:
            store.check()
            made_up = make_batch(boot_id=None, frame=None, quality=[Quality.TIME_IMPOSSIBLE] * 2)
            batches = [make_batch(boot_id="1-a"), make_batch(boot_id="2-b"), made_up]
            relay.script += ["lose"]
            with pytest.raises(StoreUnavailableError, match="does not answer"):
                store.append(batches)
            assert store.append(batches).stored_rows == 6
            assert store.read(*EVERYTHING).rows == 6

    def test_what_the_server_forgets_to_say_is_asked_again_after_a_kill(self, make_batch: Make, own_influxd) -> None:
        access = InfluxAccess(url=own_influxd.url)
        with closing(InfluxDBStore(access)) as store:
            store.append([make_batch(frame=1)])
            own_influxd.kill()
            with pytest.raises(StoreUnavailableError):
                store.append([make_batch(frame=2)])
            with pytest.raises(StoreUnavailableError):
                store.read(*EVERYTHING)
            own_influxd.start()
            result = store.append([make_batch(frame=1), make_batch(frame=2)])
            assert result == AppendResult(stored_rows=2, duplicate_batches=1)
            assert store.read(*EVERYTHING).rows == 4


def _die(*_: object) -> None:
    raise StoreUnavailableError("killed between samples and progress")


class TestTheServerSaysNo:
    """Each answer means one thing to the caller."""

    def test_a_named_line_is_refused_and_the_rest_is_kept(
        self, influx_access: InfluxAccess, make_batch: Make, make_relay
    ) -> None:
        url, relay = make_relay(influx_access.url)
        poison = make_batch(frame=2, temperatures_c=[[np.inf, 1.0], [2.0, 3.0]])
        with closing(InfluxDBStore(replace(influx_access, url=url))) as store:
            store.append([make_batch(frame=1)])
            before = len(relay.seen)
            result = store.append([poison, make_batch(frame=3, sampled_at_ms=[NOW_MS + 1, NOW_MS + 2])])
            assert result.stored_rows == 3
            (refused,) = result.refused
            assert refused.received is poison
            assert "invalid" in refused.reason
            samples = [body for path, _, body in relay.seen[before:] if "/write" in path and b"samples," in body]
            assert len(samples) == 1, "the batch is not sent again"
            assert store.read(*EVERYTHING).rows == 5

    def test_what_is_refused_is_not_settled_and_comes_again_after_a_crash(
        self, influx_access: InfluxAccess, make_batch: Make
    ) -> None:
        batches = [
            make_batch(
                frame=n, sampled_at_ms=[NOW_MS + 2 * n, NOW_MS + 2 * n + 1], outbox_sequence=n, outbox_id="a" * 8
            )
            for n in range(1, 4)
        ]
        poison = batches[1] = replace(
            batches[1], batch=replace(batches[1].batch, temperatures_c=np.array([[np.inf, 1], [2, 3]], np.float32))
        )
        gateway = (poison.fleet_id, poison.gateway_id, "a" * 8)
        for stored_rows, duplicates in ((5, 0), (1, 2)):  # the second time, nothing knows that a note was never kept
            with closing(InfluxDBStore(influx_access)) as store:
                result = store.append(batches, [OutboxRange(*gateway, 1, 3)])
                assert [each.received for each in result.refused] == [poison]
                assert (result.stored_rows, result.duplicate_batches) == (stored_rows, duplicates)
                assert store.outbox_progress() == (OutboxRange(*gateway, 1, 1), OutboxRange(*gateway, 3, 3))
                assert store.read(*EVERYTHING).rows == 5
        with closing(InfluxDBStore(influx_access)) as store:
            store.append([], [OutboxRange(*gateway, 2, 2)])
            assert store.outbox_progress() == (OutboxRange(*gateway, 1, 3),)

    @pytest.mark.parametrize("status", [429, 503])
    def test_the_server_says_when_to_come_back(
        self, influx_access: InfluxAccess, make_batch: Make, make_relay, status: int
    ) -> None:
        url, relay = make_relay(influx_access.url)
        with closing(InfluxDBStore(replace(influx_access, url=url))) as store:
            store.append([make_batch(frame=1)])
            relay.script += [(status, {"Retry-After": "17"}, b'{"error":"busy"}')]
            with pytest.raises(StoreUnavailableError, match="busy") as caught:
                store.append([make_batch(frame=2)])
            assert caught.value.retry_after_s == 17
            assert store.append([make_batch(frame=2)]).stored_rows == 2

    def test_who_is_not_let_in_is_told(self, own_influxd_with_accounts) -> None:
        url = own_influxd_with_accounts.url
        create = {"q": "CREATE USER admin WITH PASSWORD 'right' WITH ALL PRIVILEGES"}
        httpx.post(f"{url}/query", data=create, trust_env=False).raise_for_status()
        with closing(InfluxDBStore(InfluxAccess(url=url, username="admin", password="wrong"))) as store:
            with pytest.raises(StoreUnavailableError, match="does not let Packwatch in"):
                store.check()
        with closing(InfluxDBStore(InfluxAccess(url=url, username="admin", password="right"))) as store:
            store.check()
            assert store.latest_at("unit-1") is None
        assert "right" not in repr(InfluxAccess(url=url, username="admin", password="right"))

    def test_a_database_that_was_dropped_is_made_again(self, influx_access: InfluxAccess, make_batch: Make) -> None:
        with closing(InfluxDBStore(influx_access)) as store:
            store.append([make_batch(frame=1)])
            drop = {"q": f'DROP DATABASE "{influx_access.database}"'}
            httpx.post(f"{influx_access.url}/query", data=drop, trust_env=False).raise_for_status()
            with pytest.raises(StoreUnavailableError, match="no such database"):
                store.append([make_batch(frame=2)])
            assert store.append([make_batch(frame=2)]).stored_rows == 2

    def test_no_server_at_all(self) -> None:
        with closing(InfluxDBStore(InfluxAccess(url="http://127.0.0.1:9"))) as store:
            with pytest.raises(StoreUnavailableError, match="does not answer"):
                store.check()

    def test_another_kind_of_server_is_named(self, make_relay, influx_access: InfluxAccess) -> None:
        url, relay = make_relay(influx_access.url)
        relay.version = "4.0"
        with closing(InfluxDBStore(InfluxAccess(url=url))) as store:
            with pytest.raises(StoreUnavailableError, match=r"'4.0': no InfluxDB 1 or 2"):
                store.check()

    def test_influxdb_3_lists_the_lines_that_it_refuses(self) -> None:
        answer = (
            '{"error":"partial write of line protocol occurred","data":[{"original_line":"samples,unit=u t1=x 1",'
            '"line_number":2,"error_message":"invalid number"}]}'
        )
        with pytest.raises(StoreRefusedLinesError) as caught:
            raise_for(400, {}, answer)
        assert caught.value.lines == {"samples,unit=u t1=x 1": "invalid number"}


class TestRetention:
    """The database drops what is old by itself; a hold is a copy elsewhere."""

    def test_the_databases_own_policy_is_set(self, influx_access: InfluxAccess) -> None:
        def policy(database: str) -> dict[str, Any]:
            query = {"q": f'SHOW RETENTION POLICIES ON "{database}"'}
            (series,) = httpx.get(f"{influx_access.url}/query", params=query, trust_env=False).json()["results"][0][
                "series"
            ]
            return dict(zip(series["columns"], series["values"][0], strict=True))

        for days, duration, shard in ((30, "720h0m0s", "24h0m0s"), (None, "0s", "168h0m0s"), (1, "24h0m0s", "1h0m0s")):
            with closing(InfluxDBStore(replace(influx_access, retention_days=days))) as store:
                store.append([])
            with closing(InfluxDBStore(replace(influx_access, retention_days=7))) as reader:
                reader.latest_at("unit-1")
            found = policy(influx_access.database)
            assert (found["duration"], found["shardGroupDuration"]) == (duration, shard)
            assert policy(influx_access.kept)["duration"] == "0s"

    def test_what_comes_after_its_retention_is_settled_and_not_seen(
        self, influx_access: InfluxAccess, make_batch: Make
    ) -> None:
        with closing(InfluxDBStore(replace(influx_access, retention_days=30))) as store:
            old = make_batch(sampled_at_ms=[1_500_000_000_000, 1_500_000_001_000])
            store.append([old])
            assert store.append([old]).duplicate_batches == 1
            assert store.read("unit-1", 0, NOW_MS, 10).rows == 0

    def test_a_hold_outlives_the_database_and_takes_what_comes_later(
        self, influx_access: InfluxAccess, make_batch: Make
    ) -> None:
        span = UnitSpan("unit-1", NOW_MS - 500, NOW_MS + 5000)
        with closing(InfluxDBStore(influx_access)) as store:
            store.append([make_batch(frame=1, provenance=Provenance.REPLAYED, quality=[0, 1])])
            store.hold(span)
            store.append([make_batch(frame=2, sampled_at_ms=[NOW_MS + 4000, NOW_MS + 6000], voc_ppm=[7.0, 8.0])])
            query = {"db": influx_access.database, "q": "DROP MEASUREMENT samples"}
            httpx.post(f"{influx_access.url}/query", data=query, trust_env=False).raise_for_status()
            store.delete_before(NOW_MS + DAY_MS)
            series = store.read("unit-1", 0, NOW_MS + 2 * DAY_MS, 10)
            assert series.at_ms.tolist() == [NOW_MS, NOW_MS + 4000]
            assert series.temperatures_c.mean.shape == (2, 3)
            assert series.singles["voc_ppm"].mean.tolist()[1] == 7.0
            assert series.quality.tolist() == [1, 0]
            assert series.provenances == {Provenance.REPLAYED, Provenance.MEASURED}
            assert store.latest_at("unit-1") == NOW_MS + 4000

    def test_buckets_across_the_boundary_are_put_together(self, influx_access: InfluxAccess, make_batch: Make) -> None:
        times_ms = NOW_MS + 1000 * np.arange(100)
        with closing(InfluxDBStore(influx_access)) as store:
            store.append([make_batch(temperatures_c=np.arange(100.0)[:, None], sampled_at_ms=times_ms)])
            whole = store.read("unit-1", NOW_MS, NOW_MS + 100_000, 7)
            store.hold(UnitSpan("unit-1", 0, NOW_MS + DAY_MS))
            assert store.delete_before(NOW_MS + 50_500) == 0
            parted = store.read("unit-1", NOW_MS, NOW_MS + 100_000, 7)
        assert (whole.rows, whole.raw) == (parted.rows, parted.raw) == (100, False)
        for part in ("minimum", "mean", "maximum"):
            np.testing.assert_array_equal(getattr(whole.temperatures_c, part), getattr(parted.temperatures_c, part))
        expected = np.arange(100.0)[(np.arange(100) * 1000) // 14_286 == 3]
        assert whole.temperatures_c.mean[3, 0] == pytest.approx(expected.mean())
