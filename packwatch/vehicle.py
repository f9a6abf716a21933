"""The alert engine as a gateway consumes it: the same engine, by the same rules, on one vehicle's packs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from alerts.engine import Engine
from alerts.levels import Standing, Subject
from alerts.rules_file import RulesError, parse_rules, shipped_rules
from gateway.evaluator import Judgement
from registry.enrolment import Assignment, assumed_voltage_kinds
from registry.kinds import AlertKind, Level
from registry.pack_words import assignment_from_words
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from alerts.levels import Transition
    from alerts.rules import Rules
    from registry.enrolment import Enrolment
    from telemetry.samples import ReceivedBatch


def vehicle_rules(path: Path) -> Rules:
    """The rules of a file; the shipped ones where there is none, or one with a mistake: a vehicle always has some."""
    try:
        return parse_rules(path.read_bytes(), str(path)).rules
    except FileNotFoundError:
        return shipped_rules().rules
    except (OSError, RulesError) as error:
        structlog.get_logger("packwatch").error("rules_not_used", file=str(path), reason=str(error))
        return shipped_rules().rules


def engine_for(rules: Rules, gateway_id: str, fleet_id: str, enrolments: Iterable[Enrolment]) -> VehicleEngine:
    """The engine of a gateway whose units were just enrolled, as the registry will describe them."""
    return VehicleEngine(
        rules,
        gateway_id=gateway_id,
        fleet_id=fleet_id,
        assignments=[_as_enrolled(each) for each in enrolments if each.gateway_id == gateway_id],
    )


def _as_enrolled(enrolment: Enrolment) -> Assignment:
    kinds = enrolment.voltage_kinds or assumed_voltage_kinds(enrolment.voltage_channels, enrolment.series_count)
    return Assignment(
        unit_id=enrolment.unit_id,
        pack_id=enrolment.pack_id,
        chemistry=enrolment.chemistry,
        pack_class=enrolment.pack_class,
        series_count=enrolment.series_count,
        capacity_ah=enrolment.capacity_ah,
        max_operating_temperature_c=enrolment.max_operating_temperature_c,
        gateway_id=enrolment.gateway_id,
        vehicle_id=None,
        vehicle_name=None,
        fleet_id=enrolment.fleet_id,
        report_interval_s=enrolment.report_interval_s,
        simulated=enrolment.simulated,
        temperature_labels=tuple(f"probe {number + 1}" for number in range(enrolment.temperature_channels)),
        voltage_kinds=tuple(kinds),
    )


class VehicleEngine:
    """A gateway's Evaluator. A unit that nobody told it about is judged as one that is not registered."""

    def __init__(self, rules: Rules, *, gateway_id: str, fleet_id: str, assignments: Iterable[Assignment] = ()) -> None:
        """`assignments`: what is known of its units before the cloud tells."""
        self._engine = Engine(rules)
        self._gateway_id = gateway_id
        self._fleet_id = fleet_id
        self._assignments = {each.unit_id: each for each in assignments}
        self._engine.assign(self._assignments.values())

    def assign(self, unit_id: str, words: str | None) -> list[Judgement]:
        """A unit whose pack is another one keeps its level: what was hot in it is not cold by a word."""
        before = self._assignments.pop(unit_id, None)
        if words is not None:
            try:
                self._assignments[unit_id] = assignment_from_words(
                    words, unit_id=unit_id, gateway_id=self._gateway_id, fleet_id=self._fleet_id
                )
            except ValueError:
                if before is not None:
                    self._assignments[unit_id] = before
                raise
        standing = self._engine.standing()
        for provenance in Provenance:
            old, new = (_subject(unit_id, each, provenance) for each in (before, self._assignments.get(unit_id)))
            if old != new and old in standing and new not in standing and old.kind is AlertKind.UNREGISTERED:
                self._engine.restore(new, standing=standing[old])
        self._engine.assign(self._assignments.values())
        return []

    def restore(self, judgements: Sequence[Judgement]) -> None:
        """As Evaluator.restore."""
        for each in judgements:
            subject = _subject(each.unit_id, self._assignments.get(each.unit_id), each.provenance)
            self._engine.restore(subject, standing=Standing(level=each.level, peak=each.peak, since_ms=each.since_ms))

    def observe(self, batches: Sequence[ReceivedBatch]) -> list[Judgement]:
        """As Evaluator.observe. What the engine lets wait for others is taken at once: a vehicle has few packs."""
        transitions = self._engine.observe(batches)
        while self._engine.waiting_rows:
            transitions += self._engine.take_waiting()
        return self._judgements(transitions)

    def tick(self, now_ms: int) -> list[Judgement]:
        """As Evaluator.tick."""
        return self._judgements(self._engine.tick(now_ms))

    def release(self, unit_id: str, until_ms: int) -> list[Judgement]:
        """As Evaluator.release."""
        released: list[Judgement] = []
        standing = self._engine.standing()
        for provenance in Provenance:
            subject = _subject(unit_id, self._assignments.get(unit_id), provenance)
            stands = standing.get(subject)
            if stands is None or stands.since_ms > until_ms:
                continue
            newest_ms = self._engine.newest_ms(subject)
            self._engine.release(subject)
            ended_ms = until_ms if newest_ms is None else newest_ms
            released += [
                Judgement(
                    unit_id=each,
                    provenance=provenance,
                    level=Level.NORMAL,
                    peak=stands.peak,
                    since_ms=ended_ms,
                    sampled_at_ms=ended_ms,
                    reasons=("a person closed the alert",),
                )
                for each in self._units_of(subject, unit_id)
            ]
        return released

    def _judgements(self, transitions: Iterable[Transition]) -> list[Judgement]:
        return [
            self._judgement(transition, unit_id)
            for transition in transitions
            for unit_id in self._units_of(transition.subject, transition.unit_id)
        ]

    def _judgement(self, transition: Transition, unit_id: str) -> Judgement:
        standing = self._engine.standing().get(transition.subject)
        is_normal = transition.level is Level.NORMAL or standing is None
        return Judgement(
            unit_id=unit_id,
            provenance=transition.subject.provenance,
            level=transition.level,
            peak=transition.level if standing is None else standing.peak,
            since_ms=transition.sampled_at_ms if is_normal or standing is None else standing.since_ms,
            sampled_at_ms=transition.sampled_at_ms,
            reasons=transition.reasons,
        )

    def _units_of(self, subject: Subject, unit_id: str) -> list[str]:
        """The units that a subject's level is told of: all that watch the pack."""
        if subject.kind is not AlertKind.THERMAL:
            return [unit_id]
        return sorted({unit_id, *(each.unit_id for each in self._assignments.values() if each.pack_id == subject.id)})


def _subject(unit_id: str, assignment: Assignment | None, provenance: Provenance) -> Subject:
    if assignment is None or assignment.pack_id is None:
        return Subject(AlertKind.UNREGISTERED, unit_id, provenance)
    return Subject(AlertKind.THERMAL, assignment.pack_id, provenance)
