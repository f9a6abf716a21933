"""The gateway's own clock: whether it may be trusted, and when it was set.

A box without a battery for its clock starts in 1970, or where it stopped, until the network or a receiver sets it.
Time that only runs forward (since boot, sleep included) tells a clock that was set from time that went by.
"""

from __future__ import annotations

import ctypes
import sys
import time

PLAUSIBLE_FROM_MS = 1_767_225_600_000
"""2026-01-01: no gateway with this program ran before. A clock that says so was never set."""
STEP_MS = 1_000
"""From here on a difference is a clock that was set; below, slewing, which the units' lines follow. **Assumed**: NTP
slews what is below 128 ms and steps the rest."""
_TIME_ERROR = 5
"""What `adjtimex` returns while the kernel's clock is not synchronised. Source: adjtimex(2)."""


class WallClock:
    """Notices steps. Call `look` at least every few seconds."""

    def __init__(self) -> None:
        self._ahead_ms: int | None = None

    def look(self, wall_ms: int, running_ms: int) -> int:
        """By how much the wall clock was set since the last look, ms; 0 = it was not."""
        ahead_ms = wall_ms - running_ms
        step_ms = 0 if self._ahead_ms is None else ahead_ms - self._ahead_ms
        self._ahead_ms = ahead_ms
        return step_ms if abs(step_ms) >= STEP_MS else 0


def is_plausible(wall_ms: int) -> bool:
    """Whether the clock can have been set at all."""
    return wall_ms >= PLAUSIBLE_FROM_MS


def is_synchronised() -> bool:
    """Whether the kernel says that its clock is synchronised; False where it cannot be asked."""
    if sys.platform != "linux":
        return False
    asked = ctypes.create_string_buffer(512)  # struct timex, modes = 0: only asks; it has 208 bytes
    return int(ctypes.CDLL(None, use_errno=True).adjtimex(asked)) not in (-1, _TIME_ERROR)


def wall_ms() -> int:
    """UTC, ms since 1970, by this machine."""
    return time.time_ns() // 1_000_000


def running_ms() -> int:
    """Ms since this machine started, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
