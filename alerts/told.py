"""What was told before this program started, as the registry has it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from alerts.book import ms_from_utc, subject_of
from alerts.levels import Settled, Transition
from alerts.ordering import LATENESS_MS
from alerts.reasons import duration_words
from registry.kinds import AlertState
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alerts.levels import Subject
    from registry.records import Alert, AlertEvent
    from registry.registry import Registry

ENDED_ALERTS_RESTORED = 500
"""**Assumed**: ended alerts whose samples may still come again after a restart."""


def ended_lately(registry: Registry) -> list[tuple[Alert, Settled | None]]:
    """Alerts that ended, and what each settled: from its first sample to the newest that its history names.

    Oldest first, so that a subject's latest stays. A replay settles nothing: the next one is another history.
    """
    found: list[tuple[Alert, Settled | None]] = []
    for alert in reversed(registry.alerts(limit=ENDED_ALERTS_RESTORED)):
        if alert.state not in {AlertState.CLEARED, AlertState.CLOSED}:
            continue
        events = registry.alert_events(alert.alert_id)
        until = max((event.sampled_at for event in events if event.sampled_at is not None), default=None)
        if until is None or alert.provenance is Provenance.REPLAYED:
            found.append((alert, None))
            continue
        from_ms = ms_from_utc(alert.sampled_at)
        found.append((alert, Settled(from_ms=from_ms, until_ms=ms_from_utc(until), peak=alert.peak_level)))
    return found


def histories(registry: Registry) -> list[tuple[Subject, tuple[AlertEvent, ...]]]:
    """What was told of the subjects of open alerts, and of those that ended lately."""
    alerts = {each.alert_id: each for each in [*registry.open_alerts(), *registry.alerts(limit=ENDED_ALERTS_RESTORED)]}
    return [(subject_of(each), registry.alert_events(each.alert_id)) for each in alerts.values()]


def told_until_ms(history: Iterable[tuple[Subject, Sequence[AlertEvent]]]) -> dict[Subject, int]:
    """Of each subject, the newest sample of which its alerts tell."""
    told: dict[Subject, int] = {}
    for subject, events in history:
        for event in events:
            if event.sampled_at is not None:
                told[subject] = max(told.get(subject, 0), ms_from_utc(event.sampled_at))
    return told


def marked_late(transition: Transition, now_ms: int) -> Transition:
    """A change of which the store alone told, marked as late where it is."""
    late_ms = now_ms - transition.sampled_at_ms
    if late_ms <= LATENESS_MS:
        return transition
    words = f"late: read from the store after a restart, {duration_words(late_ms / 1000)} after it was sampled"
    return replace(transition, reasons=(*transition.reasons, words))
