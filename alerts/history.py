"""What the alert service asks of the telemetry store: the samples that came while it did not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.samples import SampleBatch


class HistoryUnavailableError(Exception):
    """The store does not answer now. The message says why."""


class SampleHistory(Protocol):
    """Stored samples as they were measured. Calls block, and may be made from any thread."""

    def batches(self, unit_id: str, start_ms: int, end_ms: int) -> Sequence[SampleBatch]:
        """A unit's samples from `start_ms` up to, not including, `end_ms`, oldest first, each once, without frames.

        Raises HistoryUnavailableError.
        """
