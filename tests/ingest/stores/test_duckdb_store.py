"""What the DuckDB store does beyond the contract of all stores: its file, its failures."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest

from ingest.stores.contract import (
    AppendResult,
    OutboxRange,
    StoreCorruptError,
    StoreInUseError,
    StoreRefusedError,
    StoreUnavailableError,
)
from ingest.stores.duckdb import DuckDBStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from telemetry.samples import ReceivedBatch

    Make = Callable[..., ReceivedBatch]

NOW_MS = 1_800_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    opened = DuckDBStore(tmp_path / "telemetry.duckdb", threads=1, memory_limit_mb=256)
    yield opened
    opened.close()


def test_after_a_failure_the_file_is_opened_again(store: DuckDBStore, make_batch: Make) -> None:
    store.append([make_batch(frame=1)])
    store._connection.close()  # as DuckDB leaves it after a fatal error, a full disk for instance
    with pytest.raises(StoreUnavailableError):
        store.append([make_batch(frame=2)])
    result = store.append([make_batch(frame=1), make_batch(frame=2)])
    assert result == AppendResult(stored_rows=2, duplicate_batches=1)


def test_a_flush_that_fails_half_way_leaves_nothing(store: DuckDBStore, make_batch: Make, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("ingest.stores.duckdb_progress.RangesTable.write", fail)
        with pytest.raises(StoreUnavailableError, match="no space left"):
            store.append([make_batch(frame=1)])
    assert store.read("unit-1", 0, NOW_MS + 1, 10).rows == 0
    assert store.append([make_batch(frame=1)]) == AppendResult(stored_rows=2, duplicate_batches=0)


def outbox(first: int, last: int) -> OutboxRange:
    return OutboxRange("fleet-1", "gateway-1", "a" * 8, first, last)


def test_a_flush_that_fails_settles_nothing(store: DuckDBStore, make_batch: Make, monkeypatch) -> None:
    store.append([], [outbox(1, 1)])

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("ingest.stores.duckdb._insert", fail)
        with pytest.raises(StoreUnavailableError):
            store.append([make_batch(frame=1)], [outbox(2, 2)])
    assert store.outbox_progress() == (outbox(1, 1),)
    store.append([make_batch(frame=1)], [outbox(3, 3)])
    assert store.outbox_progress() == (outbox(1, 1), outbox(3, 3))


def test_a_store_of_the_first_version_goes_on(tmp_path: Path, make_batch: Make) -> None:
    path = tmp_path / "telemetry.duckdb"
    with closing(DuckDBStore(path)) as store:
        store.append([make_batch(frame=1)])
    with closing(duckdb.connect(path)) as connection:
        connection.execute("DROP TABLE outbox_progress; DROP TABLE fences; UPDATE store_version SET version = 1")
        connection.execute("DROP TABLE hot_days")
    for _ in range(2):
        with closing(DuckDBStore(path)) as store:
            assert [day.hottest_c for day in store.hot_days(19.0, 0, 2 * NOW_MS, 10)] == [20.0]
            assert store.append([make_batch(frame=1)], [outbox(1, 1)]).duplicate_batches == 1
            assert store.outbox_progress() == (outbox(1, 1),)


class TestOpening:
    """Whatever is in the way is said in one clear error."""

    def test_a_second_process_is_turned_away(self, store: DuckDBStore, tmp_path: Path) -> None:
        script = (
            "import sys; from pathlib import Path; from ingest.stores.duckdb import DuckDBStore\n"
            "from ingest.stores.contract import StoreInUseError\n"
            "try: DuckDBStore(Path(sys.argv[1]))\n"
            "except StoreInUseError as error: print(error)\n"
        )
        second = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "telemetry.duckdb")],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "is open in another process" in second.stdout
        assert store.latest_at("unit-1") is None

    @pytest.mark.parametrize("damage", ["noise", "cut", "flipped"])
    def test_a_damaged_file_is_named(self, tmp_path: Path, make_batch: Make, damage: str) -> None:
        path = tmp_path / "telemetry.duckdb"
        whole = DuckDBStore(path)
        whole.append([make_batch(frame=number, rows=50) for number in range(200)])
        whole.close()
        content = bytearray(path.read_bytes())
        match damage:
            case "noise":
                content[:] = np.random.default_rng(1).bytes(len(content))
            case "cut":
                del content[9000:]
            case "flipped":
                content[12_288::4096] = bytes(255 - byte for byte in content[12_288::4096])
        path.write_bytes(content)
        with pytest.raises(StoreCorruptError, match="damaged"):
            DuckDBStore(path)

    def test_a_folder_that_cannot_be_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreUnavailableError, match="cannot be opened"):
            DuckDBStore(tmp_path / "file" / "telemetry.duckdb")

    def test_a_foreign_or_newer_file_is_left_alone(self, tmp_path: Path) -> None:
        foreign = tmp_path / "foreign.duckdb"
        with duckdb.connect(str(foreign)) as connection:
            connection.execute("CREATE TABLE orders (id INTEGER)")
        with pytest.raises(StoreCorruptError, match="no telemetry store"):
            DuckDBStore(foreign)
        newer = tmp_path / "newer.duckdb"
        DuckDBStore(newer).close()
        with duckdb.connect(str(newer)) as connection:
            connection.execute("UPDATE store_version SET version = 99")
        with pytest.raises(StoreCorruptError, match="format 99"):
            DuckDBStore(newer)


def test_errors_form_the_tree_that_callers_sort_by() -> None:
    assert not issubclass(StoreInUseError, StoreUnavailableError)
    assert not issubclass(StoreRefusedError, StoreUnavailableError)
