"""What the box in the cab did, kept with the alerts that it was about; and its broken equipment as a calm notice.

A gateway keeps an action until it is told that somebody has it. That is said here once the registry does, so nothing is
lost and what comes again is seen by its record's id. The cab's button is the driver's acknowledgement of what the cab
had seen by then, and of nothing above or after it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from alerts.book import ms_from_utc, utc_from_ms
from alerts.levels import Subject, Transition
from registry.errors import NotFoundError, RegistryError
from registry.gathering import RISES
from registry.kinds import AlertKind, Level, Role
from telemetry.cab_report import CabAction
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from alerts.backlog import Backlog, Entry
    from alerts.book import AlertBook, AlertChange
    from registry.enrolment import Assignment
    from registry.records import Alert, AlertEvent
    from registry.registry import Registry
    from telemetry.cab_report import CabReport, CabTold

LOOK_EVERY_S = 0.2
"""s between looks at what waits for its alert, or for the registry."""
ALERT_WITHIN_S = 60.0
"""**Assumed**: s in which the samples, or the vehicle's own word, raise the alert that an action was about."""
ACTIONS_KEPT = 1_000
"""**Assumed**: actions that wait. One more is left to its gateway, which sends it again on its next connection."""
FAULTS_TOLD = 20
"""**Assumed**: more parts than a cab has. Of more, the latest are told."""
_EQUIPMENT = frozenset({CabAction.FAULT, CabAction.MENDED})
_AFTER = timedelta(milliseconds=1)
"""An acknowledgement of the instant of a rise would not count."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Waiting:
    told: CabTold
    kept: Callable[[], None]
    since_s: float
    """By the monotonic clock."""
    entry: Entry | None = None
    """Of a notice about equipment: the change on its way."""


class CabKeeper:
    """Follows actions into the registry. `observe` returns at once; `run` does the rest until cancelled."""

    def __init__(
        self,
        registry: Registry,
        book: AlertBook,
        backlog: Backlog,
        *,
        pass_on: Callable[[AlertChange], Entry],
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._book = book
        self._backlog = backlog
        self._pass_on = pass_on
        self._now = now
        self._assignments: dict[str, Assignment] = {}
        self._waiting: dict[tuple[str, str, str], _Waiting] = {}
        self._woken = asyncio.Event()
        self._log = structlog.get_logger("packwatch.alerts")

    def assign(self, assignments: Iterable[Assignment]) -> None:
        """Which unit watches which pack from now on."""
        self._assignments = {each.unit_id: each for each in assignments}

    def observe(self, actions: Sequence[tuple[CabTold, Callable[[], None]]]) -> None:
        """Take actions in, each with what to call once it is kept."""
        for told, kept in actions:
            if len(self._waiting) >= ACTIONS_KEPT:
                self._log.error("cab_action_left", gateway=told.gateway_id, action=told.report.action)
                continue
            key = (told.fleet_id, told.gateway_id, told.report.report_id)
            self._waiting.setdefault(key, _Waiting(told=told, kept=kept, since_s=time.monotonic()))
        self._woken.set()

    async def run(self) -> None:
        """Keep what waits, each alert's in the order of arrival."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                undone: set[str] = set()
                for key, each in list(self._waiting.items()):
                    if await self._is_kept(each, undone):
                        del self._waiting[key]
                        each.kept()
                await asyncio.sleep(LOOK_EVERY_S)

    async def _is_kept(self, waiting: _Waiting, undone: set[str]) -> bool:
        """Do the next step; whether there is none left. `undone`: alerts whose earlier actions come first."""
        if waiting.told.report.action in _EQUIPMENT:
            return self._equipment(waiting)
        late = time.monotonic() - waiting.since_s > ALERT_WITHIN_S
        missing = dict(waiting.told.report.units)
        kept = True
        for unit_id, alert in list(self._alerts_of(waiting.told)):
            missing.pop(unit_id, None)
            if alert.alert_id in undone or not await self._noted(alert, waiting.told, unit_id):
                undone.add(alert.alert_id)
                kept = False
        # What ended the siren was the alert's closing: none is open any more.
        if missing and not late and waiting.told.report.action is not CabAction.ENDED:
            return False
        if missing and kept:
            self._log.info(
                "cab_action_without_alert",
                gateway=waiting.told.gateway_id,
                action=waiting.told.report.action,
                units=sorted(missing),
            )
        return kept

    def _alerts_of(self, told: CabTold) -> Iterator[tuple[str, Alert]]:
        """Open alerts about heat that the action was about. A gateway speaks of what is behind it only."""
        for alert in self._book.open_alerts():
            if alert.kind.calm or alert.fleet_id != told.fleet_id:
                continue
            for unit_id in told.report.units:
                known = self._assignments.get(unit_id)
                gateways = {alert.gateway_id, None if known is None else known.gateway_id}
                same = alert.unit_id == unit_id or (known is not None and known.pack_id == alert.pack_id is not None)
                if same and told.gateway_id in gateways:
                    yield unit_id, alert
                    break

    async def _noted(self, alert: Alert, told: CabTold, unit_id: str) -> bool:
        """Whether the registry has the action with the alert; if not, it is on its way or comes at the next look."""
        if self._backlog.holds(alert.alert_id):
            return False
        try:
            events = await asyncio.to_thread(self._registry.alert_events, alert.alert_id)
        except RegistryError as error:
            return isinstance(error, NotFoundError) and self._book.version(alert.alert_id) is None
        if any((event.comment or "").endswith(_mark(told.report)) for event in events):
            return True
        if self._book.version(alert.alert_id) == alert.version and not self._backlog.holds(alert.alert_id):
            self._pass_on(self._change(alert, events, told, unit_id))
        return False

    def _change(self, alert: Alert, events: Sequence[AlertEvent], told: CabTold, unit_id: str) -> AlertChange:
        report = told.report
        at = utc_from_ms(min(report.at_ms, ms_from_utc(self._now())))
        words, comment = _words(report), _mark(report)
        if report.action is CabAction.ACKNOWLEDGED:
            why_not = reason_not_to_count(alert, events, level=report.units[unit_id], at=at)
            if why_not is None:
                return self._book.acknowledge(
                    alert.alert_id,
                    version=alert.version,
                    by=f"the cab of {told.gateway_id}",
                    comment=f"{words} at {at:%H:%M:%S} UTC; {comment}",
                    now=max([at, *(event.at + _AFTER for event in events if event.action in RISES)]),
                    role=Role.DRIVER,
                )
            words = f"{words}: {why_not}"
        return self._book.note_cab(alert, at=at, told=words, comment=comment)

    def _equipment(self, waiting: _Waiting) -> bool:
        entry = waiting.entry
        if entry is None or (entry.done.is_set() and entry.refusal is not None):
            changes = self._notice(waiting.told)
            entries = [self._pass_on(change) for change in changes]
            if not entries:
                return True
            waiting.entry = entries[-1]
            return False
        return entry.done.is_set()

    def _notice(self, told: CabTold) -> list[AlertChange]:
        """What a fault, or its end, does to the vehicle's one notice. Its reasons are the faults, a line a part."""
        now, report = self._now(), told.report
        at = utc_from_ms(min(report.at_ms, ms_from_utc(now)))
        alert = self._book.open_alert(Subject(AlertKind.CAB, told.gateway_id, Provenance.MEASURED))
        before = [] if alert is None else list(alert.reasons)
        part = report.detail.partition(": ")[0]
        after = [line for line in before if line.partition(": ")[0] != part]
        if report.action is CabAction.FAULT:
            after = [*after, report.detail][-FAULTS_TOLD:]
        if sorted(after) == sorted(before):
            return []
        if alert is not None and after:
            return [self._book.note_cab(alert, at=at, told=_words(report), comment=_mark(report), reasons=after)]
        level = Level.WATCH if after else Level.NORMAL
        reasons = tuple(after) or (_words(report),)
        return self._book.take(_transition(told, level, reasons, ms_from_utc(at)), now)


def reason_not_to_count(alert: Alert, events: Sequence[AlertEvent], *, level: str, at: datetime) -> str | None:
    """Why the cab's button at `at`, pressed at `level`, is not the driver's acknowledgement; None: it is."""
    if Role.DRIVER in alert.acknowledged_roles:
        return "the driver had acknowledged it already"
    if level not in set(Level) or Level(level).rank < alert.level.rank:
        return f"the cab had seen {level}, this is {alert.level}"
    if any(event.action in RISES and event.sampled_at is not None and event.sampled_at > at for event in events):
        return "it rose after that"
    return None


def _words(report: CabReport) -> str:
    return f"{report.action} ({report.detail})" if report.detail else str(report.action)


def _mark(report: CabReport) -> str:
    """By which a repeat is known, after a restart too."""
    return f"record {report.report_id}"


def _transition(told: CabTold, level: Level, reasons: tuple[str, ...], at_ms: int) -> Transition:
    return Transition(
        subject=Subject(AlertKind.CAB, told.gateway_id, Provenance.MEASURED),
        before=Level.NORMAL,
        level=level,
        cause="cab",
        reasons=reasons,
        sampled_at_ms=at_ms,
        pack_id=None,
        unit_id="",
        gateway_id=told.gateway_id,
        fleet_id=told.fleet_id,
    )
