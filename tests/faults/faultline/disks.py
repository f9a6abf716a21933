"""Small disks that can be full: a tmpfs each in a mount namespace of the run's own, else a limit on files' sizes."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

OWN_MOUNTS = "PACKWATCH_FAULTS_OWN_MOUNTS"
"""Set in the environment of a run that has a mount namespace of its own: its mounts end with it."""


def enter_own_mounts(command: list[str]) -> None:
    """Go on as `command` in a mount namespace of our own, where this system allows it; else return."""
    if OWN_MOUNTS in os.environ:
        return
    ways = [["unshare", "--mount"]] if os.geteuid() == 0 else [["unshare", "--user", "--map-root-user", "--mount"]]
    for way in ways:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            subprocess.run(
                [*way, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"], check=True, capture_output=True
            )
            os.environ[OWN_MOUNTS] = "1"
            os.execvp(way[0], [*way, *command])  # noqa: S606 - the same program again


class Disk:
    """A folder whose disk can be filled and cleared."""

    def __init__(self, folder: Path, *, megabytes: int, growing: str = "*") -> None:
        """`growing`: names of the files that a limit on size must stop; others may be large from the beginning."""
        self.folder = folder
        self._growing = growing
        folder.mkdir(parents=True)
        self._mounted = False
        self._limited: int | None = None
        if OWN_MOUNTS in os.environ:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=True)
            self._mounted = True

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self, pid: int) -> None:
        """No byte more: for everybody on a disk of its own, else for this process and files as large as the largest."""
        if self._mounted:
            with self._ballast.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(1 << 20))
                except OSError as full:
                    if full.errno != errno.ENOSPC:
                        raise
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(512))
            return
        sizes = [path.stat().st_size for path in self.folder.rglob(self._growing) if path.is_file()]
        self._limited = pid
        self._limit(pid, max(sizes, default=0))

    def clear(self) -> None:
        """There is room again."""
        self._ballast.unlink(missing_ok=True)
        if self._limited is not None:
            self._limit(self._limited, resource.RLIM_INFINITY)
            self._limited = None

    def remove(self) -> None:
        """Unmount; nothing may use it any more."""
        if self._mounted:
            subprocess.run(["umount", "--lazy", self.folder], check=True)
            self._mounted = False

    @staticmethod
    def _limit(pid: int, soft: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))
