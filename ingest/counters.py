"""What ingest has counted since it started."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric


@dataclass(slots=True, kw_only=True)
class Tally:
    """The running counts; they only grow."""

    messages: int = 0
    batches: int = 0
    values: int = 0
    positions: int = 0
    stored_rows: int = 0
    duplicate_batches: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    flagged: Counter[str] = field(default_factory=Counter)
    sequence_gaps: int = 0
    rebirths_requested: int = 0
    listener_failures: int = 0
    acknowledgements: int = 0
    missing_stretches: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestCounters:
    """A snapshot of the counts and of how things stand."""

    messages: int
    """Messages from the broker, whatever they were."""
    batches: int
    """Batches decoded, duplicates included."""
    values: int
    """Channel values in them, missing ones included."""
    positions: int
    stored_rows: int
    """Samples that the store committed."""
    duplicate_batches: int
    """Batches that the store had already."""
    refused_by_reason: Mapping[str, int]
    """Messages of which nothing could be taken."""
    flagged_by_reason: Mapping[str, int]
    """Batches that were taken with something wrong in them."""
    dropped: int
    """Messages and batches that found a queue full. A gateway sends again what was never acknowledged."""
    quarantine_dropped: int
    """Entries that found the quarantine's queue full; they are counted by reason all the same."""
    sequence_gaps: int
    rebirths_requested: int
    listener_failures: int
    """Times that a listener raised, which it must not."""
    acknowledgements: int
    """Messages that told gateways what their outboxes may forget."""
    missing_stretches: int
    """Stretches of samples that gateways let go for want of room, as they told."""
    left_to_another: int
    """Records that were not written since another worker writes for their group."""
    groups_held: int
    """Groups that this worker writes for, "all" being one."""
    groups_waited_for: int
    """Groups that another worker writes for, or of which it is not known yet."""
    queue_fill: float
    """0 to 1, the fullest of the queues."""
    store_ok: bool
    broker_ok: bool


class IngestCollector(Collector):
    """Shows the counters to Prometheus; they are read when it asks, so that counting costs nothing."""

    def __init__(self, snapshot: Callable[[], IngestCounters]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        now = self._snapshot()
        for name, what, value in (
            ("messages", "Messages received from the broker", now.messages),
            ("batches", "Batches decoded", now.batches),
            ("values", "Channel values decoded", now.values),
            ("positions", "Vehicle positions decoded", now.positions),
            ("stored_rows", "Samples committed to the store", now.stored_rows),
            ("duplicate_batches", "Batches that the store had already", now.duplicate_batches),
            ("dropped", "Messages and batches that found a queue full", now.dropped),
            ("quarantine_dropped", "Quarantine entries that found their queue full", now.quarantine_dropped),
            ("sequence_gaps", "Gaps in the sequence numbers of edge nodes", now.sequence_gaps),
            ("rebirths_requested", "Rebirths asked of edge nodes", now.rebirths_requested),
            ("listener_failures", "Times that a listener raised", now.listener_failures),
            ("acknowledgements", "Acknowledgements sent to gateways", now.acknowledgements),
            ("missing_stretches", "Stretches of samples that gateways let go", now.missing_stretches),
            ("left_to_another", "Records that another worker writes", now.left_to_another),
        ):
            yield CounterMetricFamily(f"packwatch_ingest_{name}", what, value=value)
        for name, what, by_reason in (
            ("refused", "Messages of which nothing could be taken", now.refused_by_reason),
            ("flagged", "Batches taken with something wrong in them", now.flagged_by_reason),
        ):
            family = CounterMetricFamily(f"packwatch_ingest_{name}", what, labels=["reason"])
            for reason, count in sorted(by_reason.items()):
                family.add_metric([reason], count)
            yield family
        for name, what, level in (
            ("queue_fill", "How full the fullest queue is, 0 to 1", now.queue_fill),
            ("groups_held", "Groups that this worker writes for", float(now.groups_held)),
            ("groups_waited_for", "Groups that another worker writes for", float(now.groups_waited_for)),
            ("store_ok", "1 while the store takes data", float(now.store_ok)),
            ("broker_ok", "1 while the broker is connected and subscribed", float(now.broker_ok)),
        ):
            yield GaugeMetricFamily(f"packwatch_ingest_{name}", what, value=level)
