"""Everything moves from one store to the other and back; what is there already is not moved twice."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ingest.stores.contract import OutboxRange, StoreError, StoreUnavailableError, UnitSpan
from ingest.stores.duckdb import DuckDBStore
from ingest.stores.influx import InfluxDBStore
from ingest.stores.moving import digest_of, row_hashes
from packwatch.migrating import move_store, open_named, open_pair
from packwatch.settings import Settings, SettingsError
from telemetry.samples import PositionFix, Provenance, Quality, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.stores.influx_server import InfluxAccess
    from ingest.stores.moving import MovableStore

NOW_MS = 1_800_000_000_000


def batch(frame: int | None = 1, *, rows: int = 3, seed: int = 0, **given: Any) -> ReceivedBatch:
    random = np.random.default_rng(seed)
    temperatures = random.normal(20, 9, (rows, 4)).astype(np.float32)
    temperatures[random.random(temperatures.shape) < 0.2] = np.nan
    fields: dict[str, Any] = {
        "unit_id": "unit-1",
        "boot_id": None if frame is None else "1-a",
        "frame": frame,
        "provenance": Provenance.MEASURED,
        "sampled_at_ms": NOW_MS + 10_000 * seed + 1000 * np.arange(rows),
        "time_uncertainty_s": 0.25,
        "temperatures_c": temperatures,
        "voltages_v": random.normal(3.6, 0.1, (rows, 2)),
        **given,
    }
    return ReceivedBatch(
        batch=SampleBatch(**fields), fleet_id="fleet", gateway_id=f"gateway-{seed % 3}", received_at_ms=NOW_MS + seed
    )


def fix(at_ms: int) -> PositionFix:
    return PositionFix(
        fleet_id="fleet", gateway_id="g", fixed_at_ms=at_ms, latitude_deg=40.123456789, longitude_deg=-80, speed_m_s=3
    )


def fill(store: MovableStore) -> int:
    """All that a store may hold; how many samples."""
    made_up = {"quality": np.full(3, Quality.TIME_IMPOSSIBLE), "unit_id": "plain"}
    result = store.append(
        [
            *(batch(number, seed=number, humidity_pct=[1.0, np.nan, 2.5]) for number in range(1, 60)),
            *(batch(number, seed=number, boot_id="2-b") for number in range(1, 5)),
            batch(7, seed=70, rows=5500, boot_id='9-"x', provenance=Provenance.SIMULATED, time_uncertainty_s=np.nan),
            *(batch(None, seed=seed, unit_id="plain") for seed in range(80, 90)),
            batch(None, seed=95, **made_up),
            batch(None, seed=95, **made_up),
        ],
        [OutboxRange("fleet", "g", "box", 3, 9)],
    )
    store.append_positions([fix(NOW_MS + 86_400_000 * day) for day in range(10)])
    store.hold(UnitSpan("unit-1", NOW_MS, NOW_MS + 20_000))
    return result.stored_rows


@pytest.fixture
def duckdb_store(tmp_path: Path) -> Iterator[DuckDBStore]:
    with closing(DuckDBStore(tmp_path / "one.duckdb", threads=1, memory_limit_mb=256)) as store:
        yield store


@pytest.fixture
def influx_store(influx_access: InfluxAccess) -> Iterator[InfluxDBStore]:
    with closing(InfluxDBStore(influx_access)) as store:
        yield store


def silent(_done: int, _total: int) -> None:
    pass


def test_there_and_back(duckdb_store: DuckDBStore, influx_store: InfluxDBStore, tmp_path: Path) -> None:
    samples = fill(duckdb_store)
    told: list[tuple[int, int]] = []
    there = move_store(duckdb_store, influx_store, lambda *step: told.append(step))
    assert (there.samples, there.units, there.positions, there.holds) == (samples, 2, 10, 1)
    assert told[-1] == (samples, samples)
    with closing(DuckDBStore(tmp_path / "two.duckdb", threads=1, memory_limit_mb=256)) as back:
        assert move_store(influx_store, back, silent) == there
        assert back.holds() == duckdb_store.holds()
        assert back.outbox_progress() == duckdb_store.outbox_progress()
        assert back.append([batch(3, seed=3)]).duplicate_batches == 1, "progress has moved as well"
        for unit_id in ("unit-1", "plain"):
            before, after = (store.read(unit_id, 0, 2**42, 10_000) for store in (duckdb_store, back))
            assert before.rows == after.rows
            assert digest_of(back.stored_batches(unit_id)) == digest_of(duckdb_store.stored_batches(unit_id))


@pytest.mark.parametrize("forth", [True, False], ids=["to InfluxDB", "to DuckDB"])
def test_a_move_that_was_stopped_goes_on(
    duckdb_store: DuckDBStore, influx_store: InfluxDBStore, forth: bool, monkeypatch
) -> None:
    monkeypatch.setattr("packwatch.migrating._PORTION_ROWS", 40)
    source, target = (duckdb_store, influx_store) if forth else (influx_store, duckdb_store)
    samples = fill(source)
    appended: list[int] = []
    real = type(target).append

    def append(self: Any, batches: Any, *more: Any) -> Any:
        if sum(appended) > samples - 12:
            raise StoreUnavailableError("out of room")
        result = real(self, batches, *more)
        appended.append(result.stored_rows)
        return result

    with monkeypatch.context() as patched:
        patched.setattr(type(target), "append", append)
        with pytest.raises(StoreUnavailableError):
            move_store(source, target, silent)
    assert 0 < sum(appended) < samples or sum(appended) == samples
    for _ in range(2):
        assert move_store(source, target, silent).samples == samples


def test_a_difference_is_told(duckdb_store: DuckDBStore, influx_store: InfluxDBStore) -> None:
    duckdb_store.append([batch(1)])
    influx_store.append([batch(1, seed=5)])
    with pytest.raises(StoreError, match="unit unit-1 differs after the move"):
        move_store(duckdb_store, influx_store, silent)


def test_an_empty_store_is_told(duckdb_store: DuckDBStore, influx_store: InfluxDBStore) -> None:
    with pytest.raises(StoreError, match="holds no samples"):
        move_store(influx_store, duckdb_store, silent)


def test_every_part_of_a_row_counts() -> None:
    one = batch(1, rows=1, temperatures_c=[[1.0, 2.0, np.nan]], voltages_v=[[3.0]])

    def changed(**given: Any) -> int:
        fields = {"rows": 1, "temperatures_c": [[1.0, 2.0, np.nan]], "voltages_v": [[3.0]], **given}
        return int(row_hashes(batch(fields.pop("frame", 1), **fields))[0])

    same = int(row_hashes(one)[0])
    assert (
        changed()
        == changed(temperatures_c=[[1.0, 2.0]])
        == changed(temperatures_c=[[1.0, 2.0, np.nan, np.nan]])
        == same
    )
    different = [
        changed(frame=2),
        changed(boot_id="x"),
        changed(temperatures_c=[[2.0, 1.0]]),
        changed(temperatures_c=[[1.0, np.nan, 2.0]]),
        changed(voltages_v=[[3.0, 1.0]]),
        changed(quality=[1]),
        changed(ambient_c=[0.0]),
        changed(sampled_at_ms=[5]),
        changed(time_uncertainty_s=1.0),
        changed(provenance=Provenance.REPLAYED),
    ]
    assert len({same, *different}) == 11


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("http://me:secret@127.0.0.1:8086/packwatch", "store.url holds an account"),
        ("postgres", "is no store"),
        ("http://127.0.0.1:8086", "names no database"),
        ("influxdb", "store.url is not set"),
    ],
)
def test_a_store_that_is_none_is_told(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        open_named(Settings(data_dir=tmp_path), name)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("duckdb", "duckdb"),
        ("duckdb", "{folder}/telemetry.duckdb"),
        ("{folder}/../{name}/telemetry.duckdb", "{folder}/link.duckdb"),
        ("http://localhost:8086/packwatch", "http://127.0.0.1:8086/packwatch"),
    ],
)
def test_a_store_is_not_moved_onto_itself(tmp_path: Path, source: str, target: str) -> None:
    (tmp_path / "link.duckdb").symlink_to(tmp_path / "telemetry.duckdb")
    names = [name.format(folder=tmp_path, name=tmp_path.name) for name in (source, target)]
    with pytest.raises(SettingsError, match="are the same store: name another"):
        open_pair(Settings(data_dir=tmp_path), *names)
    assert not (tmp_path / "telemetry.duckdb").exists()


def test_two_stores_are_opened_to_move(tmp_path: Path, influx_access: InfluxAccess) -> None:
    name = f"{influx_access.url}/{influx_access.database}"
    for store in open_pair(Settings(data_dir=tmp_path), str(tmp_path / "other.duckdb"), name):
        store.close()
