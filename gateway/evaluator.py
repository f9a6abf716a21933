"""What a gateway consumes of an alert engine, so that the cab is warned without any network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.kinds import Level
    from telemetry.samples import Provenance, ReceivedBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The level of a unit's pack, since it changed. Times are ms since 1970, as the evaluated batches have them."""

    unit_id: str
    provenance: Provenance
    """What is simulated or replayed never mixes with what is measured."""
    level: Level
    peak: Level
    since_ms: int
    """Event time of the first sample of this stay above normal; of the one that ended it where it is normal."""
    sampled_at_ms: int
    """Of the sample that changed it."""
    reasons: tuple[str, ...]


class Evaluator(Protocol):
    """Calls come from one event loop, one at a time. `restore` and `assign` come before the first `observe`."""

    def assign(self, unit_id: str, words: str | None) -> list[Judgement]:
        """What the cloud says of the unit's pack; None = nothing is known. Raises ValueError for no such words."""

    def restore(self, judgements: Sequence[Judgement]) -> None:
        """Levels that stood when an earlier run ended."""

    def observe(self, batches: Sequence[ReceivedBatch]) -> list[Judgement]:
        """Evaluate, in the order of arrival; what changed. A frame that comes again changes nothing."""

    def tick(self, now_ms: int) -> list[Judgement]:
        """Called about once a second, with the time that the batches' times are of."""

    def release(self, unit_id: str, until_ms: int) -> list[Judgement]:
        """A person closed the alert: what began up to `until_ms` ends, and only newer heat raises anew."""
