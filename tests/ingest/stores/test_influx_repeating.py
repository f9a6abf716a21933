"""A server that loses what it confirmed between two starts has it again, since it is asked again."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest

from ingest.stores.contract import OutboxRange, StoreUnavailableError, UnitSpan
from ingest.stores.influx import InfluxDBStore
from ingest.stores.influx_repeating import PIECE_BYTES, Asked, Lately
from ingest.stores.influx_server import InfluxAccess
from telemetry.samples import PositionFix

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from telemetry.samples import ReceivedBatch

    Make = Callable[..., ReceivedBatch]

EVERYTHING = ("unit-1", 0, 2**42, 100_000)


@pytest.mark.parametrize(
    ("asked", "pieces"),
    [
        ([], []),
        ([("a", b"1"), ("a", b"2")], [("a", b"12")]),
        ([("a", b"1"), ("b", b"2"), ("a", b"3")], [("a", b"1"), ("b", b"2"), ("a", b"3")]),
        ([("a", b"1"), ("a", "DELETE"), ("a", b"2")], [("a", b"1"), ("a", "DELETE"), ("a", b"2")]),
        ([("a", bytes(PIECE_BYTES)), ("a", b"2")], [("a", bytes(PIECE_BYTES)), ("a", b"2")]),
    ],
)
def test_what_was_asked_comes_in_order_and_in_large_pieces(asked, pieces) -> None:
    lately = Lately()
    for each in asked:
        lately.add(Asked(*each))
    assert list(lately.pieces()) == pieces


def test_of_too_much_the_oldest_is_forgotten() -> None:
    lately = Lately(kept_bytes=1_000)
    for number in range(9):
        lately.add(Asked("a", b"%d" % number * 100))
    assert b"".join(piece.what for piece in lately.pieces()) == b"".join(b"%d" % number * 100 for number in range(5, 9))


def tear_logs(folder: Path) -> None:
    """Take some bytes off each write-ahead log, as a full disk or a kill in the middle of a write does."""
    for log in (folder / "influxdb" / "wal").rglob("*.wal"):
        os.truncate(log, log.stat().st_size - 9)


def restart(influxd, tear: Path | None = None) -> None:
    influxd.kill()
    if tear is not None:
        tear_logs(tear)
    influxd.start()


def looked_at(store: InfluxDBStore) -> int:
    """How many samples it shows, after it has looked whether the server was started anew."""
    store._server._look_at_s = 0.0
    store.latest_at("unit-1")
    return store.read(*EVERYTHING).rows


def count_bare(access: InfluxAccess) -> int:
    """How many samples the server has, asked without our store."""
    query = {"db": access.database, "q": 'SELECT count("frame") FROM samples'}
    answer = httpx.get(f"{access.url}/query", params=query, trust_env=False).json()
    series = answer["results"][0].get("series")
    return series[0]["values"][0][1] if series else 0


def persist(append: Callable[[], object]) -> object:
    """As the writer does: a connection that a kill has broken is noticed by the first call."""
    try:
        return append()
    except StoreUnavailableError:
        return append()


def test_what_was_confirmed_between_two_starts_is_there_after_the_second(
    make_batch: Make, own_influxd, tmp_path: Path
) -> None:
    outbox = OutboxRange("fleet-1", "gateway-1", "an-outbox", 1, 4)
    with closing(InfluxDBStore(InfluxAccess(url=own_influxd.url))) as store:
        store.append([make_batch(frame=1, temperatures_c=[[20.0]])])
        restart(own_influxd, tear=tmp_path)
        for frame in range(2, 6):
            settled = [outbox] if frame == 5 else []
            batch = make_batch(frame=frame, temperatures_c=[[20.0]], sampled_at_ms=[1_800_000_000_000 + frame])
            persist(lambda batch=batch, settled=settled: store.append([batch], settled))
        shown = count_bare(store._server.access)
        restart(own_influxd)
        assert count_bare(store._server.access) < shown, "this InfluxDB loses nothing: the copy is not needed any more"
        assert persist(lambda: looked_at(store)) == 5
        assert store.outbox_progress() == (outbox,)


def test_a_server_that_was_not_started_anew_is_asked_for_nothing_again(make_batch: Make, influx_access) -> None:
    with closing(InfluxDBStore(influx_access)) as store:
        store.append([make_batch(frame=1)])
        asked = httpx.get(f"{influx_access.url}/query", params={"q": "SHOW STATS FOR 'write'"}, trust_env=False).text
        assert looked_at(store) == 2
        again = httpx.get(f"{influx_access.url}/query", params={"q": "SHOW STATS FOR 'write'"}, trust_env=False).text
        assert again == asked


def test_what_was_deleted_stays_deleted(make_batch: Make, own_influxd) -> None:
    with closing(InfluxDBStore(InfluxAccess(url=own_influxd.url))) as store:
        held = UnitSpan("unit-1", 0, 1_000)
        old = make_batch(frame=1, temperatures_c=[[20.0]], sampled_at_ms=[1_800_000_000_000])
        new = make_batch(frame=2, temperatures_c=[[20.0]], sampled_at_ms=[1_800_000_100_000])
        store.append([old, new])
        store.hold(held)
        store.release(held)
        assert store.delete_before(1_800_000_050_000) == 1
        restart(own_influxd)
        assert persist(lambda: looked_at(store)) == 1
        assert count_bare(store._server.access) == 1
        assert store.holds() == ()


def test_a_position_that_a_failed_write_shows_is_written_again(influx_access) -> None:
    fix = PositionFix(fleet_id="fleet-1", gateway_id="gateway-1", fixed_at_ms=10**12, latitude_deg=1, longitude_deg=2)
    with closing(InfluxDBStore(influx_access)) as store:
        write = store._server.write

        def fails_and_shows(database: str, lines: bytes) -> None:
            write(database, lines)
            raise StoreUnavailableError("no space left on device")

        store._server.write = fails_and_shows
        with pytest.raises(StoreUnavailableError):
            store.append_positions([fix])
        store._server.write = write
        assert store.append_positions([fix]) == 1
        assert store.append_positions([fix]) == 0
        assert len(store.positions("gateway-1", 0, 2**42)) == 1
