"""The unit's ring of frames: what it has measured and nobody has taken into care yet."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice

RING_FRAMES = 4_096
"""11 h of one frame every 10 s, over an hour of one a second: about 1 MB of flash. **assumed**"""
WINDOW_FRAMES = 64
"""At most so many frames are on their way at once, so that a gateway that comes back is not flooded."""
RESEND_AFTER_S = 3.0
RESEND_LONGEST_S = 30.0
"""A receipt takes well under a second. A frame that got none is sent again after 3, 6, 12, 24, 30, 30 ... s, so that a
gateway which restarts misses little and one that is overloaded gets room. **assumed**"""


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
        self._newest = -1
        self._frames: OrderedDict[int, KeptFrame] = OrderedDict()
        self._sent: dict[int, tuple[float, int]] = {}
        """When a frame was last sent, and how often since the connection came up."""

    def __len__(self) -> int:
        return len(self._frames)

    def keep(self, frame: KeptFrame) -> None:
        """Add the newest frame. Numbers must grow."""
        self._frames[frame.number] = frame
        self._newest = frame.number

    def make_room(self) -> None:
        """Overwrite the oldest frame if the ring is full; called before a frame is made, which then carries `lost`."""
        if len(self._frames) >= self.capacity:
            number, _ = self._frames.popitem(last=False)
            self._sent.pop(number, None)
            self.lost += 1

    def acknowledge(self, number: int) -> bool:
        """Forget a frame. False when it is not here (acknowledged before, or overwritten)."""
        self._sent.pop(number, None)
        return self._frames.pop(number, None) is not None

    def forget_sent(self) -> None:
        """The connection is new: whatever was on its way may be lost, so everything waits to be sent again."""
        self._sent.clear()

    def take_sendable(self, now_s: float) -> list[KeptFrame]:
        """The frames to send now, in order; they count as sent at `now_s`."""
        due = [frame for frame in self._eligible() if self._due_at_s(frame.number, now_s) <= now_s]
        for frame in due:
            _, times = self._sent.get(frame.number, (now_s, 0))
            self._sent[frame.number] = (now_s, times + 1)
        return due

    def next_due_s(self, now_s: float) -> float | None:
        """When `take_sendable` will next return something, if nothing else happens; None = never."""
        return min((self._due_at_s(frame.number, now_s) for frame in self._eligible()), default=None)

    def _eligible(self) -> list[KeptFrame]:
        eligible = list(islice(self._frames.values(), self.window))
        newest = self._frames.get(self._newest)
        if newest is not None and len(self._frames) > self.window:
            eligible.append(newest)
        return eligible

    def _due_at_s(self, number: int, now_s: float) -> float:
        if number not in self._sent:
            return now_s
        sent_at_s, times = self._sent[number]
        # The exponent is bounded: a frame may be sent for days.
        return sent_at_s + min(self.resend_after_s * 2.0 ** min(times - 1, 10), RESEND_LONGEST_S)
