"""The registry's tests run on SQLite and on a real PostgreSQL, which the session starts and ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from registry.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _programs() -> Path:
    """The folder with initdb and postgres: the newest of Debian's, or wherever the path leads."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = debian[-1] if debian else shutil.which("initdb")
    if found is None:
        pytest.fail("PostgreSQL is missing: apt-get install postgresql", pytrace=False)
    return Path(found).parent


def _as_its_user() -> list[str]:
    """PostgreSQL does not run as root; and where `setpriv` is, the server ends with this process, however that ends."""
    if shutil.which("setpriv") is None:
        return []
    identity = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *identity, "--pdeathsig=INT"]


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[Path]:
    """The socket's folder of a running server that listens on no network; user `postgres` is trusted."""
    programs, prefix = _programs(), _as_its_user()
    folder = Path(tempfile.mkdtemp(prefix="registry-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    database = folder / "data"
    subprocess.run(
        [*prefix, programs / "initdb", "-D", database, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    settings = ("listen_addresses=", f"unix_socket_directories={folder}", "fsync=off", "log_min_messages=log")
    quiet = ("log_checkpoints=off", "timezone=America/Chicago")  # a zone of its own must not show in any time
    options = [word for setting in (*settings, *quiet) for word in ("-c", setting)]
    server = subprocess.Popen(
        [*prefix, programs / "postgres", "-D", database, *options], stderr=subprocess.PIPE, text=True, cwd=folder
    )
    try:
        said = []
        for line in server.stderr:
            said.append(line)
            if "ready to accept connections" in line:
                break
        else:
            pytest.fail("PostgreSQL did not start: " + "".join(said), pytrace=False)
        yield folder
    finally:
        server.terminate()
        server.communicate(timeout=20)
        shutil.rmtree(folder)


@pytest.fixture
def postgres_url(postgres_folder: Path) -> Iterator[str]:
    """A database of its own on the session's server."""
    name = f"registry_{uuid4().hex[:12]}"
    with psycopg.connect(host=str(postgres_folder), user="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield f"postgresql+psycopg://postgres@/{name}?host={postgres_folder}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/registry.sqlite"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def registry(url: str) -> Iterator[Registry]:
    """An open, empty registry of each kind."""
    opened = Registry.open(url)
    yield opened
    opened.close()


@pytest.fixture
def postgres_registry(postgres_url: str) -> Iterator[Registry]:
    """An open, empty registry on PostgreSQL, for what only it does."""
    opened = Registry.open(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def now() -> datetime:
    """The tests' present."""
    return NOW
