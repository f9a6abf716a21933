"""What vehicles' own engines say, beside this one: neither hides the other. Pure.

An alert has the higher of both levels; what each says is kept with it. And what each vehicle should know: how fast its
units are to report, which pack each watches, and what people closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from alerts.book import utc_from_ms
from alerts.levels import Subject, Transition
from alerts.rules import LATCHING_FROM
from registry.kinds import AlertKind, Level
from registry.pack_words import words_of
from telemetry.on_board import ALARM_RELEASED, PACK, REPORT_INTERVAL
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alerts.levels import Settled, Standing
    from registry.enrolment import Assignment
    from registry.records import Alert
    from telemetry.on_board import OnBoardReport

FAST_FROM = Level.WATCH
FAST_S = 1.0
"""s. A crushed cell leaves a minute from its first +5 degC, and three samples at 10 s are half of it."""
ASK_AGAIN_S = (5.0, 60.0)
"""s until a wish that no report shows is told again: at first, and at most, doubling between. **Assumed**."""
UNITS_KEPT = 100_000
"""**Assumed**: units whose report is kept; beyond, the one told first is forgotten until it is told again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What both engines say of one subject."""

    here: Level
    on_board: Level | None
    """None: no vehicle says anything of it."""
    since_ms: int | None


@dataclass(slots=True, kw_only=True)
class _Vehicle:
    """What one unit's gateway told last."""

    report: OnBoardReport
    level: Level
    asked_s: float | None = None
    """When it was last asked for something that it does not show."""
    again_s: float = ASK_AGAIN_S[0]


class OnBoardWatch:
    """Of all units that a vehicle tells of. `now_s`: seconds of a clock that only runs forward."""

    def __init__(self) -> None:
        self._vehicles: dict[str, _Vehicle] = {}
        self._assignments: dict[str, Assignment] = {}
        self._words: dict[str, str] = {}
        self._units_of: dict[str, list[str]] = {}
        """By pack."""
        self._settled: dict[Subject, Settled] = {}

    def assign(self, assignments: Iterable[Assignment]) -> None:
        """What each registered unit watches; replaces what was said before."""
        self._assignments = {each.unit_id: each for each in assignments}
        self._words = {unit_id: words_of(each) for unit_id, each in self._assignments.items()}
        self._units_of = {}
        for each in self._assignments.values():
            if each.pack_id is not None:
                self._units_of.setdefault(each.pack_id, []).append(each.unit_id)

    def settle(self, subject: Subject, settled: Settled) -> None:
        """A person closed the subject's alert, or it ended: what a vehicle raised before says nothing more."""
        self._settled[subject] = settled

    def hear(self, report: OnBoardReport, standing: Mapping[Subject, Standing]) -> list[Transition]:
        """Take a vehicle's word; what to compare the subject's alert with. `standing`: by this engine.

        Raises ValueError for a level that is none.
        """
        level = Level(report.status.level)
        known = self._vehicles.pop(report.unit_id, None)
        before = None if known is None else self._subject(known)
        vehicle = self._vehicles[report.unit_id] = _Vehicle(report=report, level=level)
        if known is not None:
            vehicle.asked_s, vehicle.again_s = known.asked_s, known.again_s
        if len(self._vehicles) > UNITS_KEPT:
            del self._vehicles[next(iter(self._vehicles))]
        subjects = dict.fromkeys(each for each in (before, self._subject(vehicle)) if each is not None)
        rose = known is not None and level.rank > known.level.rank > 0
        return [self._comparison(subject, vehicle, standing, rose=rose) for subject in subjects]

    def merge(self, transition: Transition, alert: Alert | None) -> tuple[Transition, Beside | None]:
        """A change of level by this engine, as the alert takes it: never below what the vehicle says.

        `alert`: the subject's that is open. One that latched does not go down by anything that an engine says.
        """
        subject = transition.subject
        worst = self._worst(subject)
        if worst is None:
            return transition, None
        beside = Beside(here=transition.level, on_board=worst.level, since_ms=worst.report.status.since_ms)
        level = transition.level
        if worst.level.rank > level.rank:
            level = worst.level
            own = () if transition.cause == _COMPARED else transition.reasons
            transition = replace(transition, level=level, reasons=tuple(dict.fromkeys((*_words(worst), *own))))
        if alert is not None and alert.peak_level.rank >= LATCHING_FROM.rank and level.rank < alert.level.rank:
            transition = replace(transition, level=alert.level)
        return transition, beside

    def wishes(self, standing: Mapping[Subject, Standing], now_s: float) -> list[tuple[OnBoardReport, dict[str, Any]]]:
        """What vehicles are to be told now, since their last report does not show it."""
        found = []
        for unit_id, vehicle in self._vehicles.items():
            wanted = self._wanted(unit_id, vehicle, standing)
            if not wanted:
                vehicle.asked_s, vehicle.again_s = None, ASK_AGAIN_S[0]
            elif vehicle.asked_s is None or now_s - vehicle.asked_s >= vehicle.again_s:
                if vehicle.asked_s is not None:
                    vehicle.again_s = min(2 * vehicle.again_s, ASK_AGAIN_S[1])
                vehicle.asked_s = now_s
                found.append((vehicle.report, wanted))
        return found

    def _wanted(self, unit_id: str, vehicle: _Vehicle, standing: Mapping[Subject, Standing]) -> dict[str, Any]:
        assignment, status = self._assignments.get(unit_id), vehicle.report.status
        levels = [
            standing[subject].level
            for provenance in Provenance
            if (subject := _subject_of(unit_id, assignment, provenance)) in standing
        ]
        fast = any(level.rank >= FAST_FROM.rank for level in levels)
        wanted: dict[str, Any] = {
            REPORT_INTERVAL: FAST_S if fast else None,
            PACK: self._words.get(unit_id),
        }
        shown = {REPORT_INTERVAL: status.report_interval_s, PACK: status.pack}
        settled = self._settled.get(self._subject(vehicle) or _NOBODY)
        if settled is not None and vehicle.level.rank >= LATCHING_FROM.rank and self._is_settled(vehicle):
            wanted[ALARM_RELEASED], shown[ALARM_RELEASED] = settled.until_ms, status.released_ms
        return {name: value for name, value in wanted.items() if shown[name] != value}

    def _worst(self, subject: Subject) -> _Vehicle | None:
        units = self._units_of.get(subject.id, []) if subject.kind is AlertKind.THERMAL else [subject.id]
        told = [
            vehicle
            for unit_id in units
            if (vehicle := self._vehicles.get(unit_id)) is not None
            and self._subject(vehicle) == subject
            and not self._is_settled(vehicle)
        ]
        return max(told, key=lambda each: each.level.rank, default=None)

    def _is_settled(self, vehicle: _Vehicle) -> bool:
        """Whether what a vehicle says was closed by a person since."""
        settled, since_ms = self._settled.get(self._subject(vehicle) or _NOBODY), vehicle.report.status.since_ms
        return (
            settled is not None
            and since_ms is not None
            and since_ms <= settled.until_ms
            and 0 < vehicle.level.rank <= settled.peak.rank
        )

    def _subject(self, vehicle: _Vehicle) -> Subject | None:
        """Whom its word is about; None for a replay, which its vehicle ran through long before it arrives here."""
        status, unit_id = vehicle.report.status, vehicle.report.unit_id
        if status.provenance is None or status.provenance is Provenance.REPLAYED:
            return None
        return _subject_of(unit_id, self._assignments.get(unit_id), status.provenance)

    def _comparison(
        self, subject: Subject, vehicle: _Vehicle, standing: Mapping[Subject, Standing], *, rose: bool
    ) -> Transition:
        """The subject's level by this engine, told again since a vehicle says something of it.

        A vehicle says since when it is above normal; of a further rise (`rose`) the time of receipt is what is known.
        """
        here = standing[subject].level if subject in standing else Level.NORMAL
        report = vehicle.report
        since_ms = report.status.since_ms
        return Transition(
            subject=subject,
            before=here,
            level=here,
            cause=_COMPARED,
            reasons=() if here is Level.NORMAL else (f"here: {here}",),
            sampled_at_ms=report.received_at_ms if since_ms is None or rose else since_ms,
            pack_id=subject.id if subject.kind is AlertKind.THERMAL else None,
            unit_id=report.unit_id,
            gateway_id=report.gateway_id,
            fleet_id=report.fleet_id,
        )


_COMPARED = "on_board"
"""The cause of a level that is told again only since a vehicle says something of its subject."""
_NOBODY = Subject(AlertKind.SILENCE, "", Provenance.MEASURED)


def _subject_of(unit_id: str, assignment: Assignment | None, provenance: Provenance) -> Subject:
    if assignment is None or assignment.pack_id is None:
        return Subject(AlertKind.UNREGISTERED, unit_id, provenance)
    return Subject(AlertKind.THERMAL, assignment.pack_id, provenance)


def _words(vehicle: _Vehicle) -> list[str]:
    """Why, and whose judgement it is: what a person reads first is the heat."""
    status = vehicle.report.status
    whose = f"by the vehicle's own engine: {vehicle.level}"
    if status.since_ms is not None:
        whose += f", above normal since {utc_from_ms(status.since_ms):%Y-%m-%d %H:%M:%S} UTC"
    return [*status.reasons, whose]
