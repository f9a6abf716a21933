"""The InfluxDB store with a server of version 2: management and write API; VictoriaMetrics takes the latter."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import time
import urllib.parse
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import pytest

from ingest.stores.contract import StoreUnavailableError, UnitSpan
from ingest.stores.influx import InfluxDBStore
from ingest.stores.influx_answers import StoreRefusedLinesError
from ingest.stores.influx_lines import LineEntry, LineFormatter
from ingest.stores.influx_server import InfluxAccess, WriteOfVersion2

from influx_relay import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from telemetry.samples import ReceivedBatch

    Make = Callable[..., ReceivedBatch]

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
EVERYTHING = ("unit-1", 0, 2**42, 100_000)


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
