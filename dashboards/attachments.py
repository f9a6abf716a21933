"""Files that belong to incidents: kept under their SHA-256, streamed to disk, their type told by their first bytes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

import filetype

if TYPE_CHECKING:
    from pathlib import Path

ATTACHMENT_MAX_BYTES = 100 * 1024 * 1024
UNKNOWN_TYPE = "application/octet-stream"
_HASH = re.compile(r"[0-9a-f]{64}")
_HEAD_BYTES = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """A file that lies on disk for good."""

    sha256: str
    size: int
    """Bytes."""
    media_type: str


class Incoming:
    """A file that is being written. One that is not kept leaves nothing behind."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._path = folder / f"incoming-{uuid4().hex}"
        self._file = self._path.open("xb")
        self._digest = hashlib.sha256()
        self.size = 0
        self._head = b""

    def write(self, piece: bytes) -> None:
        """Add bytes; the caller bounds them."""
        self._file.write(piece)
        self._digest.update(piece)
        self.size += len(piece)
        if len(self._head) < _HEAD_BYTES:
            self._head += piece[: _HEAD_BYTES - len(self._head)]

    def keep(self) -> KeptFile:
        """Put it where its hash says; the same bytes are kept once."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        sha256 = self._digest.hexdigest()
        target = _place(self._folder, sha256)
        target.parent.mkdir(exist_ok=True)
        self._path.replace(target)
        return KeptFile(sha256=sha256, size=self.size, media_type=sniffed(self._head))

    def discard(self) -> None:
        """Leave nothing behind, unless it was kept."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class AttachmentFiles:
    """The folder of all of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def incoming(self) -> Incoming:
        """Begin to write one."""
        return Incoming(self._folder)

    def open(self, sha256: str) -> BinaryIO | None:
        """The file; None: it is not there."""
        if _HASH.fullmatch(sha256) is None:
            return None
        try:
            return _place(self._folder, sha256).open("rb")
        except FileNotFoundError:
            return None

    def copy(self, sha256: str, target: Path) -> bool:
        """Copy it; False: it is not there."""
        file = self.open(sha256)
        if file is None:
            return False
        with file, target.open("wb") as copied:
            shutil.copyfileobj(file, copied, 1 << 20)
        return True


def sniffed(head: bytes) -> str:
    """The type that the first bytes tell; what they do not tell is bytes, never HTML or a script."""
    found = filetype.guess(head) if head else None
    return UNKNOWN_TYPE if found is None else str(found.mime)


def _place(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / sha256
