"""How long to wait before the next attempt to connect."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

FIRST_S = 0.25
"""**Assumed**: a broker that restarts on the same machine is back within a second."""
LONGEST_S = 30.0
"""**Assumed**: a truck that leaves a tunnel should not wait longer."""


class Backoff:
    """Doubling waits with jitter, so that a fleet does not come back in one instant after an outage."""

    def __init__(self, jitter: random.Random) -> None:
        self._jitter = jitter
        self._ceiling_s = FIRST_S

    def succeeded(self) -> None:
        """A connection worked: begin at the shortest wait again."""
        self._ceiling_s = FIRST_S

    def next_s(self) -> float:
        """Seconds to wait now: between half the ceiling and the ceiling, which doubles for the next time."""
        wait_s = self._ceiling_s * self._jitter.uniform(0.5, 1.0)
        self._ceiling_s = min(LONGEST_S, self._ceiling_s * 2)
        return wait_s
