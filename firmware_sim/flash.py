"""The unit's flash: a file of fixed size that holds the ring's frames through a crash of the unit.

Slots of one size. A slot is written whole, with its checksum; freeing it clears one byte, as flash can. Which frame is
older is told by a serial number, so that any free slot will do and the file never grows.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SLOT_FRAMES = 4_096
"""11 h of one frame every 10 s, over an hour of one a second: about 1 MB of frames. **assumed**"""
SLOT_BYTES = 512
"""A frame of one sample of 24 channels has 200 to 250 bytes. A divisor of a page, so that no write crosses one."""

_FILE = struct.Struct("<8sII")
_MAGIC = b"PWFLASH1"
_SLOT = struct.Struct("<BxHHxxIQQQ")
"""State, bytes of boot id, bytes of payload, checksum, serial, frame number, frames lost so far; little-endian."""
_KEPT = 0xFF
_FREED = 0x00


class FlashError(ValueError):
    """A flash file that is not ours or of another shape, or a frame that does not fit a slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFrame:
    """An encoded frame that nobody has taken into care yet."""

    boot_id: str
    number: int
    payload: bytes


class FrameFlash:
    """One unit's flash. One process at a time opens it; call it from one thread."""

    def __init__(self, path: Path, *, slots: int = SLOT_FRAMES, slot_bytes: int = SLOT_BYTES) -> None:
        """Open or create `path`. Raises OSError, and FlashError when it is not a flash of this shape."""
        self.slots = slots
        self._slot_bytes = slot_bytes
        self._used: dict[tuple[str, int], int] = {}
        self._free = list(range(slots - 1, -1, -1))
        self._serial = 0
        self._lost = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._recovered = self._read(path)
        except BaseException:
            os.close(self._file)
            raise

    def recovered(self) -> tuple[KeptFrame, ...]:
        """The frames that were there when it was opened, oldest first."""
        return self._recovered

    @property
    def lost(self) -> int:
        """Frames that were overwritten before they were freed, since the flash was new."""
        return self._lost

    def write(self, frame: KeptFrame, *, lost: int, over: tuple[str, int] | None = None) -> None:
        """Keep a frame, and how many were lost before it; on disk when it returns.

        It goes to a free slot, or in one write `over` the frame of that boot and number. Raises FlashError when
        the frame is larger than a slot.
        """
        boot = frame.boot_id.encode()
        size = _SLOT.size + len(boot) + len(frame.payload)
        if size > self._slot_bytes:
            raise FlashError(f"a frame needs {size} bytes, more than a slot of {self._slot_bytes}")
        slot = self._free.pop() if over is None else self._used.pop(over)
        self._serial += 1
        record = _record(frame, boot, self._serial, lost)
        os.pwrite(self._file, record.ljust(self._slot_bytes, b"\xff"), self._offset(slot))
        os.fdatasync(self._file)
        self._lost = lost
        self._used[(frame.boot_id, frame.number)] = slot

    def free(self, boot_id: str, number: int) -> None:
        """The frame is no longer needed. After a crash it may be there again: then it is sent once more."""
        slot = self._used.pop((boot_id, number))
        os.pwrite(self._file, bytes([_FREED]), self._offset(slot))
        self._free.append(slot)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _offset(self, slot: int) -> int:
        return (slot + 1) * self._slot_bytes

    def _read(self, path: Path) -> tuple[KeptFrame, ...]:
        size = (self.slots + 1) * self._slot_bytes
        head = _FILE.pack(_MAGIC, self.slots, self._slot_bytes)
        if os.fstat(self._file).st_size == 0:
            os.ftruncate(self._file, size)
            os.pwrite(self._file, head, 0)
            os.fsync(self._file)
            return ()
        if os.pread(self._file, len(head), 0) != head:
            raise FlashError(f"{path} is no flash of {self.slots} slots of {self._slot_bytes} bytes")
        found: list[tuple[int, int, KeptFrame]] = []
        newest = 0
        for slot in range(self.slots):
            state, serial, lost, frame = _parse(os.pread(self._file, self._slot_bytes, self._offset(slot)))
            if frame is None:
                continue
            if serial > newest:
                # The newest record knows of every loss, freed or not.
                newest, self._lost = serial, lost
            if state == _KEPT:
                found.append((serial, slot, frame))
        self._serial = newest
        self._used = {(frame.boot_id, frame.number): slot for _, slot, frame in found}
        taken = set(self._used.values())
        self._free = [slot for slot in self._free if slot not in taken]
        return tuple(frame for _, _, frame in sorted(found, key=lambda entry: entry[0]))


def _record(frame: KeptFrame, boot: bytes, serial: int, lost: int) -> bytes:
    body = boot + frame.payload
    checksum = _checksum(serial, frame.number, lost, body)
    return _SLOT.pack(_KEPT, len(boot), len(frame.payload), checksum, serial, frame.number, lost) + body


def _parse(raw: bytes) -> tuple[int, int, int, KeptFrame | None]:
    """State, serial, lost and frame of a slot; no frame where none was written, or not wholly."""
    if len(raw) < _SLOT.size:
        return 0, 0, 0, None
    state, boot_bytes, payload_bytes, checksum, serial, number, lost = _SLOT.unpack_from(raw)
    body = raw[_SLOT.size : _SLOT.size + boot_bytes + payload_bytes]
    if serial == 0 or checksum != _checksum(serial, number, lost, body):
        return 0, 0, 0, None
    boot_id = body[:boot_bytes].decode()
    return state, serial, lost, KeptFrame(boot_id=boot_id, number=number, payload=bytes(body[boot_bytes:]))


def _checksum(serial: int, number: int, lost: int, body: bytes) -> int:
    return zlib.crc32(struct.pack("<QQQ", serial, number, lost) + body)
