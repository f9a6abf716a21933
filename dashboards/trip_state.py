"""What a driver has to know of the whole vehicle: one stage, the worst of its packs'. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.pack_state import NO_DATA_AFTER_MS
from registry.kinds import AlertKind, AlertState, Level, Role
from registry.response_kinds import Stage
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dashboards.rows import PackRow
    from registry.records import Alert

_WORST_FIRST = (
    Stage.RUNAWAY,
    Stage.LOST,
    Stage.CRITICAL,
    Stage.HELD,
    Stage.WARNING,
    Stage.NO_DATA,
    Stage.WATCH,
    Stage.NORMAL,
)
_OF_THE_PACK = frozenset({AlertKind.THERMAL, AlertKind.UNREGISTERED})
"""What else there are alerts about is the watching, and shows as missing data."""


def trip_stage(packs: Iterable[tuple[PackRow, Sequence[Alert]]], *, online: bool, now_ms: int) -> Stage:
    """The worst of the packs, each with its alerts that are not closed. A vehicle without packs has no data."""
    stages = {pack_stage(row, alerts, online=online, now_ms=now_ms) for row, alerts in packs}
    return next((stage for stage in _WORST_FIRST if stage in stages), Stage.NO_DATA)


def pack_stage(row: PackRow, alerts: Sequence[Alert], *, online: bool, now_ms: int) -> Stage:
    """One pack. online: the vehicle is heard of, so that a pack without data has lost its probes, not its coverage.

    From `critical` on it is HELD once the driver has acknowledged, or the heat has gone: only a release ends that.
    """
    hot = [alert for alert in alerts if alert.kind in _OF_THE_PACK and _counts(alert, row)]
    level = max((alert.level for alert in hot), key=lambda each: each.rank, default=Level.NORMAL)
    peak = max((alert.peak_level for alert in hot), key=lambda each: each.rank, default=Level.NORMAL)
    at_ms = fresh_at_ms(row)
    stale = at_ms is None or now_ms - at_ms > NO_DATA_AFTER_MS or row.hottest_c is None
    if peak.rank >= Level.CRITICAL.rank:
        if stale and online:
            return Stage.LOST
        if not any(waits_for_driver(alert) for alert in hot if alert.peak_level.rank >= Level.CRITICAL.rank):
            return Stage.HELD
        return Stage.RUNAWAY if level is Level.RUNAWAY else Stage.CRITICAL
    if level is Level.WARNING:
        return Stage.LOST if stale and online else Stage.WARNING
    if stale:
        return Stage.NO_DATA
    return Stage.WATCH if level is Level.WATCH else Stage.NORMAL


def waits_for_driver(alert: Alert) -> bool:
    """Whether the driver has not said yet that this level was seen. A rise makes it wait again."""
    if alert.state in (AlertState.CLEARED, AlertState.CLOSED):
        return False
    return Role.DRIVER not in alert.acknowledged_roles


def fresh_at_ms(row: PackRow) -> int | None:
    """The time that the row's newest sample speaks for; a replay's is its receipt."""
    if row.sampled_at_ms is None or row.received_at_ms is None:
        return None
    return row.received_at_ms if row.provenance == Provenance.REPLAYED else min(row.sampled_at_ms, row.received_at_ms)


def _counts(alert: Alert, row: PackRow) -> bool:
    """What was measured is judged by what was measured: a replay's alert is not this pack's state."""
    measured = row.provenance == Provenance.MEASURED
    return alert.state is not AlertState.CLOSED and (not measured or alert.provenance is Provenance.MEASURED)
