"""The unit's ring of frames: what it has measured and nobody has taken into care yet."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice

RING_FRAMES = 4_096
"""11 h of one frame every 10 s, over an hour of one a second: about 1 MB of flash. **assumed**"""
WINDOW_FRAMES = 64
"""At most so many frames are on their way at once, so that a gateway that comes back is not flooded."""
RESEND_AFTER_S = 15.0
"""A receipt takes well under a second; a gateway that restarts, several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFrame:
    """An encoded frame in the ring."""

    number: int
    payload: bytes


class FrameRing:
    """Frames until they are acknowledged, oldest first; when full, the oldest is overwritten and counted in `lost`.

    Only the oldest `window` frames are ever on their way, in order; and the newest one, so that an old frame which
    nobody acknowledges cannot hold back what is measured now.
    """

    def __init__(
        self, *, capacity: int = RING_FRAMES, window: int = WINDOW_FRAMES, resend_after_s: float = RESEND_AFTER_S
    ) -> None:
        """Raises ValueError unless 1 <= window <= capacity."""
        if not 1 <= window <= capacity:
            raise ValueError(f"a window of {window} frames does not fit a ring of {capacity}")
        self.capacity = capacity
        self.window = window
        self.resend_after_s = resend_after_s
        self.lost = 0
        self._frames: OrderedDict[int, KeptFrame] = OrderedDict()
        self._sent_at_s: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def keep(self, frame: KeptFrame) -> None:
        """Add the newest frame. Numbers must grow."""
        self._frames[frame.number] = frame

    def make_room(self) -> None:
        """Overwrite the oldest frame if the ring is full; called before a frame is made, which then carries `lost`."""
        if len(self._frames) >= self.capacity:
            number, _ = self._frames.popitem(last=False)
            self._sent_at_s.pop(number, None)
            self.lost += 1

    def acknowledge(self, number: int) -> bool:
        """Forget a frame. False when it is not here (acknowledged before, or overwritten)."""
        self._sent_at_s.pop(number, None)
        return self._frames.pop(number, None) is not None

    def forget_sent(self) -> None:
        """The connection is new: whatever was on its way may be lost, so everything waits to be sent again."""
        self._sent_at_s.clear()

    def take_sendable(self, now_s: float) -> list[KeptFrame]:
        """The frames to send now, in order; they count as sent at `now_s`."""
        due = [frame for frame in self._eligible() if self._due_at_s(frame.number, now_s) <= now_s]
        for frame in due:
            self._sent_at_s[frame.number] = now_s
        return due

    def next_due_s(self, now_s: float) -> float | None:
        """When `take_sendable` will next return something, if nothing else happens; None = never."""
        return min((self._due_at_s(frame.number, now_s) for frame in self._eligible()), default=None)

    def _eligible(self) -> list[KeptFrame]:
        eligible = list(islice(self._frames.values(), self.window))
        if len(self._frames) > self.window:
            eligible.append(next(reversed(self._frames.values())))
        return eligible

    def _due_at_s(self, number: int, now_s: float) -> float:
        sent_at_s = self._sent_at_s.get(number)
        return now_s if sent_at_s is None else sent_at_s + self.resend_after_s
