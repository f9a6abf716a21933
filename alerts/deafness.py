"""Telling silence from deafness: a process that was busy has not heard what was said meanwhile. Pure."""

from __future__ import annotations

DEAF_FROM_S = 1.0
"""s that a wake-up comes late: less is a busy machine, and every silence limit is longer. **Assumed**."""
FORGIVEN_AT_MOST_S = 30.0
"""s from the first late wake-up on: who is late again and again must not call everybody well for ever. **Assumed**."""


class Hearing:
    """Late wake-ups in, whether silence counts out. Seconds of a clock that only runs forward."""

    def __init__(self) -> None:
        self._catches_up_until_s = float("-inf")
        self._late_since_s: float | None = None

    def woke(self, *, due_s: float, now_s: float) -> None:
        """It was to wake at `due_s`, and woke at `now_s`: what waits since then takes as long again to be heard."""
        late_s = now_s - due_s
        if late_s < DEAF_FROM_S:
            if self.counts(now_s):
                self._late_since_s = None
            return
        if self._late_since_s is None:
            self._late_since_s = now_s
        self._catches_up_until_s = min(now_s + late_s, self._late_since_s + FORGIVEN_AT_MOST_S)

    def counts(self, now_s: float) -> bool:
        """Whether who was not heard was silent."""
        return now_s >= self._catches_up_until_s
