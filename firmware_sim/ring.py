"""The unit's ring of frames: what it has measured and nobody has taken into care yet."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING

from firmware_sim.flash import SLOT_FRAMES, KeptFrame

if TYPE_CHECKING:
    from firmware_sim.flash import FrameFlash

WINDOW_FRAMES = 64
"""At most so many frames are on their way at once, so that a gateway that comes back is not flooded."""
RESEND_AFTER_S = 3.0
RESEND_LONGEST_S = 30.0
"""A receipt takes well under a second. A frame that got none is sent again after 3, 6, 12, 24, 30, 30 ... s, so that a
gateway which restarts misses little and one that is overloaded gets room. **assumed**"""

_Key = tuple[str, int]
"""Boot and number: after a restart the ring holds frames of more than one boot."""


class FrameRing:
    """Frames until they are acknowledged, oldest first; when full, the oldest is overwritten and counted in `lost`.

    Only the oldest `window` frames are ever on their way, in order; and the newest one, so that an old frame which
    nobody acknowledges cannot hold back what is measured now. With a flash the frames of earlier boots, and the count
    of the lost ones, are there again after a restart.
    """

    def __init__(
        self,
        *,
        capacity: int = SLOT_FRAMES,
        window: int = WINDOW_FRAMES,
        resend_after_s: float = RESEND_AFTER_S,
        flash: FrameFlash | None = None,
    ) -> None:
        """The flash's slots, where there is one, are the capacity. Raises ValueError unless 1 <= window <= capacity."""
        self.capacity = capacity if flash is None else flash.slots
        if not 1 <= window <= self.capacity:
            raise ValueError(f"a window of {window} frames does not fit a ring of {self.capacity}")
        self.window = window
        self.resend_after_s = resend_after_s
        self.lost = 0 if flash is None else flash.lost
        self._flash = flash
        self._frames: OrderedDict[_Key, KeptFrame] = OrderedDict()
        for frame in () if flash is None else flash.recovered():
            self._frames[_key(frame)] = frame
        self._newest = next(reversed(self._frames), None)
        self._overwritten: _Key | None = None
        """Still in the flash, where the next frame goes over it: a crash in between loses neither frame nor count."""
        self._sent: dict[_Key, tuple[float, int]] = {}
        """When a frame was last sent, and how often since the connection came up."""

    def __len__(self) -> int:
        return len(self._frames)

    def keep(self, frame: KeptFrame) -> None:
        """Add the newest frame, into the flash first. Numbers must grow within a boot. Raises what the flash raises."""
        if self._flash is not None:
            self._flash.write(frame, lost=self.lost, over=self._overwritten)
            self._overwritten = None
        self._newest = _key(frame)
        self._frames[self._newest] = frame

    def make_room(self) -> KeptFrame | None:
        """Overwrite the oldest frame if the ring is full; called before a frame is made, which then carries `lost`.

        Returns what was lost.
        """
        if len(self._frames) < self.capacity:
            return None
        key, overwritten = self._frames.popitem(last=False)
        self._sent.pop(key, None)
        self.lost += 1
        self._overwritten = key
        return overwritten

    def acknowledge(self, boot_id: str, number: int) -> bool:
        """Forget a frame. False when it is not here (acknowledged before, or overwritten)."""
        key = (boot_id, number)
        self._sent.pop(key, None)
        if self._frames.pop(key, None) is None:
            return False
        if self._flash is not None:
            self._flash.free(boot_id, number)
        return True

    def forget_sent(self) -> None:
        """The connection is new: whatever was on its way may be lost, so everything waits to be sent again."""
        self._sent.clear()

    def take_sendable(self, now_s: float) -> list[KeptFrame]:
        """The frames to send now, in order; they count as sent at `now_s`."""
        due = [frame for frame in self._eligible() if self._due_at_s(_key(frame), now_s) <= now_s]
        for frame in due:
            _, times = self._sent.get(_key(frame), (now_s, 0))
            self._sent[_key(frame)] = (now_s, times + 1)
        return due

    def next_due_s(self, now_s: float) -> float | None:
        """When `take_sendable` will next return something, if nothing else happens; None = never."""
        return min((self._due_at_s(_key(frame), now_s) for frame in self._eligible()), default=None)

    def _eligible(self) -> list[KeptFrame]:
        eligible = list(islice(self._frames.values(), self.window))
        newest = None if self._newest is None else self._frames.get(self._newest)
        if newest is not None and len(self._frames) > self.window:
            eligible.append(newest)
        return eligible

    def _due_at_s(self, key: _Key, now_s: float) -> float:
        if key not in self._sent:
            return now_s
        sent_at_s, times = self._sent[key]
        # The exponent is bounded: a frame may be sent for days.
        return sent_at_s + min(self.resend_after_s * 2.0 ** min(times - 1, 10), RESEND_LONGEST_S)


def _key(frame: KeptFrame) -> _Key:
    return frame.boot_id, frame.number
