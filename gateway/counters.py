"""What a gateway has counted since it started, and the refusals that it tells upward."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from gateway.intake import Refusal

REFUSALS_KEPT = 64
"""Refusals that wait to be told; the oldest gives way. All of them are counted. **Assumed**."""
REFUSALS_PER_S = 2.0
REFUSALS_BURST = 32.0
"""A broken unit must not fill the log and the uplink: beyond this rate refusals are only counted. **Assumed**."""
_SHOWN_CHARACTERS = 300


@dataclass(slots=True, kw_only=True)
class GatewayCounters:
    """All counts only grow."""

    frames_accepted: int = 0
    """Frames that the outbox took."""
    frames_again: int = 0
    """Frames sent again after the outbox had taken them: acknowledged again, kept once."""
    frames_deferred: int = 0
    """Frames left to their unit, unacknowledged: disk or outbox had no room. They were published all the same."""
    frames_foreign: int = 0
    """Messages of units that this gateway does not look after."""
    refused: Counter[str] = field(default_factory=Counter)
    """Messages that were not what their topic says, by reason."""
    inbox_dropped: int = 0
    """Messages that found an inbox full."""
    positions_accepted: int = 0
    positions_dropped: int = 0
    """Positions that found no room."""
    frames_judged: int = 0
    """Frames that the vehicle's own engine evaluated."""
    frames_unjudged: int = 0
    """Frames that it never saw: too many waited, or they were of a boot whose time could not be told."""
    evaluation_failures: int = 0
    """How often it failed: frames of that turn were not evaluated on board."""
    frames_mapped_late: int = 0
    """Frames that had waited in the outbox for their time."""
    clock_steps: int = 0
    """How often the gateway's clock was set."""
    published: int = 0
    """Messages given to the uplink's broker."""
    resent: int = 0
    """Records sent again because they were not settled in time, or under way when a connection ended."""
    records_without_form: int = 0
    """Records that could not be encoded for the wire: given up, and told as lost."""
    overtaken: int = 0
    """Live records that left the window unsettled, since live data must flow."""
    settled: int = 0
    """Acknowledgements that settled something."""
    foreign_acknowledgements: int = 0
    """Acknowledgements of another outbox, which were ignored."""
    outboxes_set_aside: int = 0
    """Damaged outbox files that were replaced."""
    uplink_connects: int = 0
    local_connects: int = 0
    rebirths: int = 0
    """Births that the host commanded."""


class Refusals:
    """Counts refusals, and keeps as many as may be told: in the log, and upward as `Health/Refused`."""

    def __init__(self, counters: GatewayCounters) -> None:
        self._counters = counters
        self._waiting: deque[Refusal] = deque(maxlen=REFUSALS_KEPT)
        self._allowance = REFUSALS_BURST
        self._allowed_at_s: float | None = None

    def add(self, refusal: Refusal, now_s: float) -> bool:
        """Count it; True when it may be told as well. `now_s`: seconds of a clock that only runs forward."""
        self._counters.refused[refusal.reason] += 1
        if self._allowed_at_s is not None:
            earned = (now_s - self._allowed_at_s) * REFUSALS_PER_S
            self._allowance = min(REFUSALS_BURST, self._allowance + earned)
        self._allowed_at_s = now_s
        if self._allowance < 1:
            return False
        self._allowance -= 1
        self._waiting.append(refusal)
        return True

    def drain(self) -> list[str]:
        """The refusals to tell upward, oldest first, each as JSON."""
        texts = [
            orjson.dumps(
                {
                    "topic": refusal.topic[:_SHOWN_CHARACTERS],
                    "reason": refusal.reason,
                    "detail": refusal.detail[:_SHOWN_CHARACTERS],
                }
            ).decode()
            for refusal in self._waiting
        ]
        self._waiting.clear()
        return texts
