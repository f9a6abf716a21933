"""The critical minute: what a dispatcher says, to whom, and how well it is known. Pure.

The rest of that screen is the emergency sheet, the board's rows and the incident, each as they are elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from registry.kinds import AlertKind, AlertState, Role
from registry.paging_kinds import PageState
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from dashboards.rows import PackRow
    from registry.incident_records import IncidentEvent
    from registry.paging_records import Page
    from registry.records import Alert

CALL = "call "
"""What the actions of calls begin with; their outcome follows."""
PLACE = "place"


class Seen(StrEnum):
    """How far the alarm has come to the driver, farthest first. A message that a channel took was not seen."""

    ACKNOWLEDGED = "acknowledged"
    SHOWN = "shown"
    SENT = "sent"
    FAILED = "failed"
    NOT_TOLD = "not told"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverSaw:
    """How far, since when, and on which way."""

    seen: Seen
    at: datetime | None = None
    channel: str | None = None
    why: str | None = None
    """Why it failed."""


def driver_saw(alert: Alert, pages: Iterable[Page]) -> DriverSaw:
    """What is proved of the driver. pages: the incident's, to anybody."""
    if Role.DRIVER in alert.acknowledged_roles:
        return DriverSaw(seen=Seen.ACKNOWLEDGED)
    own = [page for page in pages if page.role is Role.DRIVER]
    for seen, states in (
        (Seen.ACKNOWLEDGED, {PageState.ACKNOWLEDGED}),
        (Seen.SHOWN, {PageState.SHOWN}),
        (Seen.SENT, {PageState.HANDED_OVER, PageState.ACCEPTED, PageState.QUEUED}),
        (Seen.FAILED, {PageState.FAILED}),
    ):
        found = [page for page in own if page.state in states]
        if found:
            newest = max(found, key=lambda page: _told_at(page) or page.due_at)
            return DriverSaw(seen=seen, at=_told_at(newest), channel=newest.channel, why=newest.why)
    return DriverSaw(seen=Seen.NOT_TOLD)


def confidence(alert: Alert, row: PackRow | None, others: Sequence[Alert]) -> list[str]:
    """How well the level is known, in sentences. others: alerts of the pack that are not closed."""
    said = []
    if alert.provenance is not Provenance.MEASURED:
        said.append(f"The samples are {alert.provenance}: no real pack does this now.")
    there, here = alert.level_on_board, alert.level_here
    if there is None:
        said.append("Judged here only: the vehicle's own engine says nothing.")
    elif here is None or there == here:
        said.append(f"The vehicle's own engine says {there} too.")
    else:
        said.append(f"The vehicle's own engine says {there}, the engine here {here}: the higher one counts.")
    if alert.state is AlertState.CLEARED:
        said.append("Its condition is not met any more. That is no release: only a person ends it.")
    said.extend(
        f"An instrument is at fault: {'; '.join(other.reasons)}."
        for other in others
        if other.kind is AlertKind.INSTRUMENT and other.state in {AlertState.RAISED, AlertState.ACKNOWLEDGED}
    )
    if row is not None and row.suspect:
        said.append("The newest sample holds a reading that a broken sensor gives, or a fire.")
    if row is None or row.hottest_c is None:
        said.append("There is no temperature now: what the pack does is not known.")
    return said


def calls(events: Iterable[IncidentEvent]) -> list[IncidentEvent]:
    """Who was called, the newest first."""
    return [event for event in events if event.action.startswith(CALL)][::-1]


def told_place(events: Iterable[IncidentEvent]) -> IncidentEvent | None:
    """The newest word of somebody there on where it is."""
    return max((event for event in events if event.action == PLACE), key=lambda event: event.at, default=None)


def _told_at(page: Page) -> datetime | None:
    return page.acknowledged_at or page.shown_at or page.accepted_at or page.handed_over_at
