"""Ingest's counters and the broker's own, side by side for the intake page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.rows import Intake

if TYPE_CHECKING:
    from collections.abc import Callable

    from alerts.rules_keeper import RulesStatus
    from ingest.service import IngestService
    from packwatch.broker import EmbeddedBroker


class Meter:
    """What was taken in, refused and lost since the process started."""

    def __init__(
        self,
        ingest: IngestService,
        broker: EmbeddedBroker | None = None,
        *,
        rules: Callable[[], RulesStatus | None],
    ) -> None:
        """`broker` None: it runs elsewhere, and what it refuses is not known here. `rules`: of the alert engine."""
        self._ingest = ingest
        self._broker = broker
        self._rules = rules
        self._failures_told = 0

    def snapshot(self) -> Intake:
        """As dashboards' IntakeMeter."""
        now = self._ingest.counters
        rules = self._rules()
        return Intake(
            messages=now.messages,
            batches=now.batches,
            values=now.values,
            stored_rows=now.stored_rows,
            duplicate_batches=now.duplicate_batches,
            refused_by_reason=now.refused_by_reason,
            dropped=now.dropped,
            broker_oversize=self._broker.counters.oversize if self._broker else 0,
            broker_denied=self._broker.counters.denied if self._broker else 0,
            broker_refused_sign_ins=self._broker.counters.refused_sign_ins if self._broker else 0,
            sequence_gaps=now.sequence_gaps,
            rebirths_requested=now.rebirths_requested,
            queue_fill=now.queue_fill,
            store_ok=now.store_ok,
            broker_ok=now.broker_ok and (self._broker is None or self._broker.healthy),
            rules_in_force=None if rules is None else rules.in_force,
            rules_trouble=None if rules is None else rules.trouble,
            rules_refused=0 if rules is None else rules.refused,
        )

    def trouble(self) -> str | None:
        """Why data is not taken now; None when it is."""
        now = self._ingest.counters
        if not now.broker_ok:
            return "ingest is not connected to the broker"
        if not now.store_ok:
            return "the store does not take data"
        if now.listener_failures > self._failures_told:
            self._failures_told = now.listener_failures
            return "a part of this process failed to take the stream: look at its log"
        return None
