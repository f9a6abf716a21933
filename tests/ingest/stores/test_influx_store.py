"""What the InfluxDB store does beyond the contract of all stores: no transactions, a server that may say no."""

from __future__ import annotations

import gzip
import http.server
import json
import shutil
import subprocess
import threading
import time
import urllib.parse
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import numpy as np
import pytest

from ingest.stores.contract import AppendResult, OutboxRange, StoreUnavailableError, UnitSpan
from ingest.stores.influx import InfluxDBStore
from ingest.stores.influx_answers import StoreRefusedLinesError, raise_for
from ingest.stores.influx_lines import LineEntry, LineFormatter
from ingest.stores.influx_server import InfluxAccess, WriteOfVersion2
from telemetry.samples import Provenance, Quality, ReceivedBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., ReceivedBatch]

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
EVERYTHING = ("unit-1", 0, 2**42, 100_000)


class Relay(http.server.BaseHTTPRequestHandler):
    """A real HTTP server between the store and its database, that refuses, delays or looks on."""

    target: ClassVar[str]
    seen: ClassVar[list[tuple[str, dict[str, str], bytes]]]
    script: ClassVar[list[tuple[int, dict[str, str], bytes] | str]]
    """Answers to the next writes: a status with headers and body, "pass", or "lose" the answer after passing."""
    version: ClassVar[str | None] = None
    """What /ping tells instead."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        cls = type(self)
        cls.seen.append((self.path, dict(self.headers), body))
        step: Any = "pass"
        if "/write" in self.path and cls.script:
            step = cls.script.pop(0)
        if isinstance(step, tuple):
            self._answer(*step)
            return
        headers = {name: value for name, value in self.headers.items() if name not in {"Host", "Content-Length"}}
        answer = httpx.request(
            self.command, cls.target + self.path, content=body, headers=headers, trust_env=False, timeout=60
        )
        if step == "lose":
            self.close_connection = True
            return
        kept = {name: value for name, value in answer.headers.items() if name.startswith(("x-", "content-type"))}
        if cls.version is not None:
            kept["x-influxdb-version"] = cls.version
        self._answer(answer.status_code, kept, answer.content)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def make_relay() -> Iterator[Callable[[str], tuple[str, type[Relay]]]]:
    servers: list[http.server.ThreadingHTTPServer] = []

    def make(target: str, kind: type[Relay] = Relay) -> tuple[str, type[Relay]]:
        handler = type("RelayOfTest", (kind,), {"target": target, "seen": [], "script": []})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", handler

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


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
            assert store.append([poison]).duplicate_batches == 1
            assert store.read(*EVERYTHING).rows == 5

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


@pytest.fixture(scope="module")
def victoria(tmp_path_factory: pytest.TempPathFactory, await_http, free_port) -> Iterator[str]:
    program = shutil.which("victoria-metrics")
    assert program, "victoria-metrics is missing: run scripts/test-servers"
    folder = tmp_path_factory.mktemp("victoria")
    port = free_port()
    arguments = [f"-storageDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
    await_http(f"http://127.0.0.1:{port}/health", process)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


class SpeaksVersion2(Relay):
    """Before an InfluxDB 1: the management and write API of InfluxDB 2, whose queries are those of 1.

    It stands in for InfluxDB 2, which no Debian package brings; what it answers follows that version's API reference.
    """

    version = "v2.7.1"
    buckets: ClassVar[dict[str, dict[str, Any]]]
    mapped: ClassVar[set[str]]

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        asked = dict(urllib.parse.parse_qsl(query))
        if path != "/ping" and self.headers.get("Authorization") != "Token a-secret":
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(401, {}, b'{"code":"unauthorized","message":"unauthorized access"}')
            return
        if path == "/api/v2/write":
            self.path = f"/write?db={asked['bucket']}&precision={asked['precision']}"
        if not path.startswith("/api/v2/") or path == "/api/v2/write":
            super()._serve()
            return
        sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        type(self).seen.append((f"{self.command} {path}", dict(self.headers), json.dumps(sent).encode()))
        self._answer(*self._manage(path, asked, sent))

    def _manage(self, path: str, asked: dict[str, str], sent: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        cls = type(self)
        found: Any = {}
        if path == "/api/v2/orgs":
            found = {"orgs": [{"id": "org1", "name": "packers"}] if asked["org"] == "packers" else []}
        elif path == "/api/v2/buckets" and self.command == "GET":
            if asked["name"] not in cls.buckets:
                return 404, {}, b'{"code":"not found","message":"bucket not found"}'
            found = {"buckets": [cls.buckets[asked["name"]]]}
        elif path == "/api/v2/buckets":
            create = {"q": f'CREATE DATABASE "{sent["name"]}"'}
            httpx.post(f"{cls.target}/query", data=create, trust_env=False).raise_for_status()
            found = cls.buckets[sent["name"]] = {"id": f"b-{sent['name']}", **sent}
        elif path.startswith("/api/v2/buckets/"):
            found = next(bucket for bucket in cls.buckets.values() if path.endswith(bucket["id"]))
            found.update(sent)
        elif path == "/api/v2/dbrps" and self.command == "GET":
            found = {"content": [{"database": asked["db"]}] if asked["db"] in cls.mapped else []}
        elif path == "/api/v2/dbrps":
            cls.mapped.add(sent["database"])
            found = sent
        return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()


class TestTheWholeWithVersion2:
    """The same store, told by /ping that the server is an InfluxDB 2."""

    @pytest.fixture
    def relay(self, make_relay, influx_access: InfluxAccess) -> tuple[InfluxAccess, type[SpeaksVersion2]]:
        url, relay = make_relay(influx_access.url, SpeaksVersion2)
        relay.buckets, relay.mapped = {}, set()
        return replace(influx_access, url=url, token="a-secret", organisation="packers"), relay

    def test_buckets_and_mappings_are_made_once_and_data_comes_back(self, relay, make_batch: Make) -> None:
        access, handler = relay
        for days, kept in ((None, []), (30, [{"type": "expire", "everySeconds": 30 * 86_400}])):
            with closing(InfluxDBStore(replace(access, retention_days=days))) as store:
                at_ms = time.time_ns() // 1_000_000
                store.append([make_batch(frame=days or 1, sampled_at_ms=[at_ms - 1000, at_ms])])
                store.hold(UnitSpan("unit-1", at_ms, at_ms + 1))
                assert store.latest_at("unit-1") == at_ms
            assert handler.buckets[access.database]["retentionRules"] == kept
            assert handler.buckets[access.kept]["retentionRules"] == []
        assert handler.mapped == {access.database, access.kept}
        calls = [path for path, *_ in handler.seen]
        assert calls.count("POST /api/v2/buckets") == calls.count("POST /api/v2/dbrps") == 2
        with closing(InfluxDBStore(access)) as store:
            assert store.read(*EVERYTHING).rows == 4
            assert len(store.holds()) == 2
            store.release(store.holds()[0])
            assert len(store.holds()) == 1

    def test_what_is_missing_is_told(self, relay) -> None:
        access, _ = relay
        with closing(InfluxDBStore(replace(access, organisation="others"))) as store:
            with pytest.raises(StoreUnavailableError, match="no organisation 'others'"):
                store.check()
        with closing(InfluxDBStore(replace(access, token="wrong"))) as store:
            with pytest.raises(StoreUnavailableError, match="does not let Packwatch in"):
                store.check()


def exported(victoria: str, series: str, within_s: float = 10) -> tuple[list[float], list[int]]:
    """A series' values and times, once VictoriaMetrics shows it."""
    deadline = time.monotonic() + within_s
    while True:
        httpx.get(f"{victoria}/internal/force_flush", trust_env=False)
        answer = httpx.get(f"{victoria}/api/v1/export", params={"match[]": series}, trust_env=False)
        if answer.text:
            return answer.json()["values"], answer.json()["timestamps"]
        assert time.monotonic() < deadline, f"{series} is not there"
        time.sleep(0.05)


class TestVersion2:
    """The v2 write API against VictoriaMetrics, which speaks it, behind a relay that looks at the headers."""

    @pytest.mark.parametrize("packed", [False, True])
    def test_what_is_written_is_there(
        self, victoria: str, make_relay, make_batch: Make, packed: bool, monkeypatch
    ) -> None:
        url, relay = make_relay(victoria)
        monkeypatch.setattr(InfluxAccess, "compress", packed)
        unit_id = f"unit-packed-{packed}"
        with closing(LineFormatter()) as formatter:
            at_ms = time.time_ns() // 1_000_000  # VictoriaMetrics takes nothing of the future
            received = make_batch(unit_id=unit_id, temperatures_c=[[20.5]], voltages_v=[[3.65]], sampled_at_ms=[at_ms])
            lines = formatter.format([LineEntry(received, 0)])
        with closing(WriteOfVersion2(InfluxAccess(url=url, token="a-secret", organisation="packers"))) as writer:
            writer.write("packwatch", lines)
        ((path, headers, body),) = relay.seen
        assert path.startswith("/api/v2/write?")
        assert {"org=packers", "bucket=packwatch", "precision=ms"} <= set(path.partition("?")[2].split("&"))
        assert headers["Authorization"] == "Token a-secret"
        assert (headers.get("Content-Encoding") == "gzip") is packed
        assert (gzip.decompress(body) if packed else body) == lines
        assert exported(victoria, f'samples_t1{{unit="{unit_id}"}}') == ([20.5], [at_ms])

    @pytest.mark.parametrize(
        ("answer", "error", "delay_s"),
        [
            ((429, {"Retry-After": "3"}, b"too many"), StoreUnavailableError, 3),
            ((503, {"Retry-After": "40"}, b"{}"), StoreUnavailableError, 40),
            ((503, {}, b""), StoreUnavailableError, None),
            ((401, {}, b'{"code":"unauthorized","message":"unauthorized access"}'), StoreUnavailableError, None),
        ],
    )
    def test_it_says_when_to_come_back(self, victoria: str, make_relay, answer, error, delay_s) -> None:
        url, relay = make_relay(victoria)
        relay.script += [answer]
        with closing(InfluxDBStore(InfluxAccess(url=url, token="t"))) as store:
            writer = WriteOfVersion2(InfluxAccess(url=url, token="t"))
            store._server._writer = writer
            with pytest.raises(error) as caught:
                store._server.write("packwatch", b"samples,unit=u frame=1i 1\n")
            assert caught.value.retry_after_s == delay_s
        assert len(relay.seen) == 1, "nothing is repeated behind our back"

    def test_a_partial_write_names_its_lines(self, victoria: str, make_relay) -> None:
        url, relay = make_relay(victoria)
        message = b'{"code":"invalid","message":"unable to parse \'samples,unit=u t1=x 1\': invalid number dropped=0"}'
        relay.script += [(400, {}, message)]
        with closing(InfluxDBStore(InfluxAccess(url=url, token="t"))) as store:
            store._server._writer = WriteOfVersion2(InfluxAccess(url=url, token="t"))
            with pytest.raises(StoreRefusedLinesError) as caught:
                store._server.write("packwatch", b"samples,unit=u t1=x 1\nsamples,unit=u t1=1.0 2\n")
        assert list(caught.value.lines) == ["samples,unit=u t1=x 1"]
