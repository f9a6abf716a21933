"""Probes that measure nonsense, or nothing, for long: one calm notice a unit. Pure: time is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from alerts.detector.kinds import Fault
from alerts.levels import Subject, Transition
from alerts.life_rules import shipped_life
from registry.kinds import AlertKind, Level
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alerts.life_rules import InstrumentRule
    from registry.enrolment import Assignment

_LIVE = frozenset({Provenance.MEASURED, Provenance.SIMULATED})
"""The probes of a replay are nobody's to repair."""
WORDS: Mapping[Fault, str] = MappingProxyType(
    {
        Fault.OPEN: "does not measure",
        Fault.OUT_OF_RANGE: "says what is no temperature",
        Fault.STUCK: "says the same while the others move",
        Fault.JUMP: "jumps while the others do not",
        Fault.NOISY: "is far noisier than the others",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyUnit:
    """A unit with probes that are at fault now."""

    assignment: Assignment
    provenance: Provenance
    probes: tuple[tuple[int, Fault], ...]
    """The probe's number, from 1, and what is wrong with it."""


@dataclass(slots=True, kw_only=True)
class _Watched:
    assignment: Assignment
    since_ms: dict[int, int]
    """By probe: since when it has been at fault."""
    seen_ms: dict[int, int]
    """By probe: when it was last at fault."""
    faults: dict[int, Fault]
    """By probe: what was wrong with it last."""
    told: frozenset[int] = frozenset()
    """Probes that the notice names."""


class InstrumentWatch:
    """Which probes are at fault for how long, and the notices about them."""

    def __init__(self, rule: InstrumentRule | None = None) -> None:
        rule = shipped_life().instrument if rule is None else rule
        self._after_ms, self._well_ms = round(rule.after_s * 1000), round(rule.well_for_s * 1000)
        self._watched: dict[Subject, _Watched] = {}
        self._restored: dict[Subject, int | None] = {}
        """Notices of an earlier run, and since when their units have been well in this one."""

    def restore(self, subject: Subject) -> None:
        """A notice was open when an earlier run ended."""
        self._restored[subject] = None

    def check(self, faulty: Iterable[FaultyUnit], now_ms: int) -> list[Transition]:
        """Notices that begin, name more probes, or end."""
        self._note(faulty, now_ms)
        found = []
        for subject, unit in list(self._watched.items()):
            for probe in [probe for probe, seen_ms in unit.seen_ms.items() if now_ms - seen_ms > self._well_ms]:
                del unit.since_ms[probe], unit.seen_ms[probe]
            lasting = frozenset(
                p for p, seen_ms in unit.seen_ms.items() if seen_ms - unit.since_ms[p] >= self._after_ms
            )
            if lasting - unit.told:
                found.append(self._told(subject, unit, lasting, renewed=bool(unit.told)))
            if not unit.seen_ms:
                if unit.told:
                    found.append(self._well(subject, unit.assignment, now_ms))
                del self._watched[subject]
        return found + self._well_again(now_ms)

    def _note(self, faulty: Iterable[FaultyUnit], now_ms: int) -> None:
        for each in faulty:
            if each.provenance not in _LIVE:
                continue
            subject = Subject(AlertKind.INSTRUMENT, each.assignment.unit_id, each.provenance)
            unit = self._watched.setdefault(
                subject, _Watched(assignment=each.assignment, since_ms={}, seen_ms={}, faults={})
            )
            unit.assignment = each.assignment
            for probe, fault in each.probes:
                unit.since_ms.setdefault(probe, now_ms)
                unit.seen_ms[probe] = now_ms
                unit.faults[probe] = fault

    def _told(self, subject: Subject, unit: _Watched, lasting: frozenset[int], *, renewed: bool) -> Transition:
        unit.told |= lasting
        self._restored.pop(subject, None)
        labels = unit.assignment.temperature_labels
        reasons = tuple(
            f"{labels[probe - 1] if probe <= len(labels) else f'probe {probe}'} {WORDS[unit.faults[probe]]}"
            for probe in sorted(unit.told & unit.seen_ms.keys())
        )
        return _transition(subject, unit.assignment, Level.WATCH, reasons, min(unit.since_ms.values()), renewed=renewed)

    def _well(self, subject: Subject, assignment: Assignment | None, now_ms: int) -> Transition:
        words = f"all probes have measured well for {self._well_ms / 60_000:g} min"
        return _transition(subject, assignment, Level.NORMAL, (words,), now_ms)

    def _well_again(self, now_ms: int) -> list[Transition]:
        """Of notices of an earlier run: a unit that is not at fault in this for long enough is well."""
        ended = []
        for subject, since_ms in list(self._restored.items()):
            if subject in self._watched:
                self._restored[subject] = None
            elif since_ms is None:
                self._restored[subject] = now_ms
            elif now_ms - since_ms > self._well_ms:
                del self._restored[subject]
                ended.append(self._well(subject, None, now_ms))
        return ended


def _transition(
    subject: Subject,
    assignment: Assignment | None,
    level: Level,
    reasons: tuple[str, ...],
    at_ms: int,
    *,
    renewed: bool = False,
) -> Transition:
    return Transition(
        subject=subject,
        before=Level.NORMAL,
        level=level,
        cause="instrument",
        reasons=reasons,
        sampled_at_ms=at_ms,
        pack_id=None if assignment is None else assignment.pack_id,
        unit_id=subject.id,
        gateway_id=None if assignment is None else assignment.gateway_id,
        fleet_id=(None if assignment is None else assignment.fleet_id) or "unassigned",
        renewed=renewed,
    )
