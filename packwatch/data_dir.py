"""The data directory: one service at a time holds it, and says where it can be asked."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class DataDirError(RuntimeError):
    """The data directory cannot be used. The message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningService:
    """Where a running service of a data directory answers."""

    pid: int
    url: str
    whole: bool
    """Answers the whole API (`packwatch up`); False: the store's history only (`packwatch ingest`)."""


@contextmanager
def claim_data_dir(folder: Path) -> Iterator[None]:
    """Hold the data directory for this process. Raises DataDirError when another one has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataDirError(f"the data directory {folder} cannot be used: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = running_service(folder)
            where = f" (process {other.pid}, {other.url})" if other else ""
            raise DataDirError(
                f"another Packwatch uses the data directory {folder}{where}: stop it, or choose another with --data-dir"
            ) from error
        yield
    finally:
        os.close(lock)


@contextmanager
def published_service(folder: Path, url: str, *, whole: bool) -> Iterator[None]:
    """Let the command line find this service while it runs."""
    note = folder / "service.json"
    note.write_text(json.dumps({"pid": os.getpid(), "url": url, "whole": whole}))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def running_service(folder: Path) -> RunningService | None:
    """The service that runs on the data directory now, or None. A note left behind by a kill is no service."""
    try:
        record = json.loads((folder / "service.json").read_text())
        service = RunningService(pid=int(record["pid"]), url=str(record["url"]), whole=bool(record["whole"]))
        lock = os.open(folder / "lock", os.O_RDWR)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return service
    finally:
        os.close(lock)
    return None


def lease_holder(data_dir: Path) -> str:
    """The name under which who has claimed the directory holds leases: whoever claims it next may go on at once."""
    return f"{socket.gethostname()}:{data_dir.resolve()}"[-200:]
