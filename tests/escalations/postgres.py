"""A PostgreSQL of a round's own, which is killed and comes back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psycopg

from registry.registry import Registry

_OPENING = threading.Lock()


def opened(url: str) -> Registry:
    """Alembic opens one registry of a process at a time."""
    with _OPENING:
        return Registry.open(url)


class Postgres:
    """One server with an empty registry to copy. `start` it before all else, `end` it at last."""

    def __init__(self) -> None:
        self._programs = _programs()
        self._prefix = ["setpriv", *_identity(), "--pdeathsig=INT"]
        self.folder = Path(tempfile.mkdtemp(prefix="escalations-postgres-"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self._data = self.folder / "data"
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        self._run([self._programs / "initdb", "-D", self._data, *options])
        self._server: subprocess.Popen[bytes] | None = None
        self.start()
        self._sql("CREATE DATABASE empty")
        opened(self.url("empty")).close()

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def database(self, name: str) -> str:
        """A new registry; its address."""
        self._sql(f"CREATE DATABASE {name} TEMPLATE empty")
        return self.url(name)

    def drop(self, name: str) -> None:
        self._sql(f"DROP DATABASE {name} WITH (FORCE)")

    def start(self) -> None:
        """Start, again and again until what is left of the one before has gone.

        Without fsync: processes are killed here, never the machine, and recovery begins at once.
        """
        words = ("listen_addresses=", f"unix_socket_directories={self.folder}", "log_min_messages=fatal", "fsync=off")
        options = [word for setting in words for word in ("-c", setting)]
        until_s = time.monotonic() + 30
        while time.monotonic() < until_s:
            self._server = subprocess.Popen(
                [*self._prefix, self._programs / "postgres", "-D", self._data, *options],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self.folder,
            )
            while self._server.poll() is None and time.monotonic() < until_s:
                try:
                    psycopg.connect(host=str(self.folder), user="postgres", connect_timeout=2).close()
                except psycopg.OperationalError:
                    time.sleep(0.05)
                else:
                    return
            time.sleep(0.1)
        raise RuntimeError("PostgreSQL did not start")

    def kill(self) -> None:
        """SIGKILL: its other processes end when they notice."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()

    def stop(self) -> None:
        """At once, its other processes with it: as `kill` for whoever uses it, without the wait for those."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(20)

    def end(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, words: list[str | Path]) -> None:
        subprocess.run([*self._prefix, *words], check=True, capture_output=True, cwd=self.folder)

    def _sql(self, statement: str) -> None:
        with psycopg.connect(host=str(self.folder), user="postgres", autocommit=True) as connection:
            connection.execute(statement)


def _programs() -> Path:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = debian[-1] if debian else shutil.which("initdb")
    if found is None:
        raise RuntimeError("PostgreSQL is missing: apt-get install postgresql")
    return Path(found).parent


def _identity() -> list[str]:
    return ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
