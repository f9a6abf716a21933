"""Opening: the schema comes to this program's, or the reason why not is one clear sentence."""

from __future__ import annotations

import sqlite3
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from registry.errors import UnavailableError, UnusableError
from registry.records import Base
from registry.registry import Registry

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_the_steps_make_exactly_the_tables_of_the_records(url: str) -> None:
    Registry.open(url).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        difference = compare_metadata(context, Base.metadata)
    engine.dispose()
    assert difference == []


def test_constraints_that_the_comparison_does_not_see_are_there_too(url: str) -> None:
    Registry.open(url).close()
    engine = create_engine(url)
    found, expected = {}, {}
    with engine.connect() as connection:
        for table in Base.metadata.tables.values():
            looking = inspect(connection)
            keys = [looking.get_pk_constraint(table.name), *looking.get_foreign_keys(table.name)]
            rules = [*keys, *looking.get_check_constraints(table.name), *looking.get_unique_constraints(table.name)]
            found[table.name] = {rule["name"] for rule in rules}
            expected[table.name] = {constraint.name for constraint in table.constraints}
        partial = {index["name"]: index for index in looking.get_indexes("bindings")}["uq_bindings_open_unit"]
    engine.dispose()
    assert found == expected
    assert partial["unique"]
    assert "bound_to IS NULL" in str(partial["dialect_options"][f"{engine.dialect.name}_where"])


def test_opening_again_keeps_what_is_there(url: str) -> None:
    first = Registry.open(url)
    account = first.create_account(name="ana", display_name="Ana", now=NOW)
    first.close()
    second = Registry.open(url)
    assert second.accounts() == (account,)
    second.close()


def test_many_threads_open_a_new_registry_at_once(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(Registry.open, [url] * 8))
    assert [registry.revision() for registry in opened] == [0] * 8
    for registry in opened:
        registry.close()


def test_four_processes_open_a_new_registry_at_once(url: str) -> None:
    program = "import sys; from registry.registry import Registry; print(Registry.open(sys.argv[1]).revision())"
    running = [Popen([sys.executable, "-c", program, url], stdout=PIPE, text=True) for _ in range(4)]
    assert [process.communicate(timeout=60)[0] for process in running] == ["0\n"] * 4


def test_a_schema_newer_than_this_program_is_left_alone(url: str) -> None:
    Registry.open(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'r9999'"))
    with pytest.raises(UnusableError, match=r"schema 'r9999'.*newer Packwatch.*another data directory"):
        Registry.open(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "r9999"
    engine.dispose()


def test_a_step_that_fails_leaves_an_empty_database(url: str) -> None:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        Path(engine.url.database).parent.mkdir()
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE revision (theirs INTEGER)"))  # the last of our tables
    with pytest.raises(UnusableError, match="revision"):
        Registry.open(url)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["revision"]
    engine.dispose()


def test_a_file_that_is_not_sqlite_is_named(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    path.write_bytes(b"these bytes are no database" * 100)
    with pytest.raises(UnusableError, match=r"registry\.sqlite cannot be used: file is not a database"):
        Registry.open(f"sqlite:///{path}")
    assert path.read_bytes() == b"these bytes are no database" * 100


def test_a_truncated_database_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    Registry.open(f"sqlite:///{path}").close()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UnusableError, match="malformed"):
        Registry.open(f"sqlite:///{path}")


def test_a_folder_in_the_file_s_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match="cannot be opened: Is a directory"):
        Registry.open(f"sqlite:///{tmp_path}")


def test_a_file_in_the_folder_s_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(UnusableError, match="cannot be opened"):
        Registry.open(f"sqlite:///{tmp_path}/data/registry.sqlite")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("mysql://root@localhost/registry", "cannot live in mysql"),
        ("no url at all", "no URL"),
        ("", "no URL"),
    ],
)
def test_an_address_that_cannot_hold_a_registry_is_refused(address: str, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        Registry.open(address)


def test_a_postgresql_that_is_away_may_come_back_and_its_password_stays_secret(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="does not answer") as caught:
        Registry.open(f"postgresql+psycopg://ana:open-sesame@/registry?host={tmp_path}")
    assert "open-sesame" not in str(caught.value)


def test_sqlite_is_set_up_for_several_processes_and_keeps_its_references(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    registry = Registry.open(f"sqlite:///{path}")
    with registry._engine.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        }
    assert settings == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5000, "synchronous": 1}
    registry.close()


def test_only_its_owner_reads_the_file_where_password_hashes_lie(tmp_path: Path) -> None:
    registry = Registry.open(f"sqlite:///{tmp_path}/registry.sqlite")
    registry.create_account(name="ana", display_name="Ana", now=NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    registry.close()
    assert modes == dict.fromkeys(["registry.sqlite", "registry.sqlite-shm", "registry.sqlite-wal"], 0o600)


def test_a_writer_that_waits_too_long_is_told_to_try_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.database.BUSY_TIMEOUT_S", 0.01)
    path = tmp_path / "registry.sqlite"
    registry = Registry.open(f"sqlite:///{path}")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="database is locked"):
        registry.create_account(name="ana", display_name="Ana", now=NOW)
    assert registry.accounts() == ()  # readers never wait
    other.execute("COMMIT")
    other.close()
    registry.create_account(name="ana", display_name="Ana", now=NOW)
    registry.close()
