"""Units that should report and do not, over all units at once. Pure: wall-clock time is an argument.

While nothing comes from a vehicle, that is told once (alerts.coverage), and its units' silence is not told beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alerts.coverage import CoverageWatch
from alerts.levels import Subject, Transition
from registry.kinds import AlertKind, Level, PackClass
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, KeysView, Sequence

    from registry.enrolment import Assignment
    from telemetry.samples import ReceivedBatch

_NO_FLEET = "unassigned"
"""The fleet of a unit behind no gateway."""
_LIVE = frozenset({Provenance.MEASURED, Provenance.SIMULATED})
"""A replay that ended is not silent: it is over."""


class SilenceWatch:
    """When each unit that watches a pack was last heard, and which are silent.

    Heard is what arrives live: samples that a gateway kept and sends late do not say that the pack is watched now.
    A unit that was never heard counts from when it became known here, unless its samples are not measured ones.
    """

    def __init__(self) -> None:
        self._assignments: dict[str, Assignment] = {}
        self._place: dict[str, int] = {}
        self._units: list[str] = []
        self._heard_ms = np.zeros(0, np.int64)
        self._waited_for_ms = np.zeros(0, np.int64)
        """From when on the unit's limit counts: when it was heard, or its vehicle came back."""
        self._limit_ms = np.zeros(0, np.int64)
        self._provenance: dict[str, Provenance] = {}
        self._silent: dict[str, Subject] = {}
        self._coverage = CoverageWatch()

    def assign(self, assignments: Iterable[Assignment], now_ms: int) -> None:
        """Who must report from now on: the units that watch a pack. Units known before keep when they were heard."""
        heard_ms = {unit_id: int(self._heard_ms[place]) for unit_id, place in self._place.items()}
        waited_ms = {unit_id: int(self._waited_for_ms[place]) for unit_id, place in self._place.items()}
        self._assignments = {each.unit_id: each for each in assignments if each.pack_id is not None}
        self._units = list(self._assignments)
        self._place = {unit_id: place for place, unit_id in enumerate(self._units)}
        self._heard_ms = np.array([heard_ms.get(unit_id, now_ms) for unit_id in self._units], np.int64)
        self._waited_for_ms = np.array([waited_ms.get(unit_id, now_ms) for unit_id in self._units], np.int64)
        self._coverage.assign(self._assignments.values(), now_ms)
        self._limit_ms = np.array([round(each.silent_after_s * 1000) for each in self._assignments.values()], np.int64)

    def restore(self, subject: Subject, level: Level = Level.WATCH) -> None:
        """A notice was open when an earlier run ended."""
        if subject.kind is AlertKind.COVERAGE:
            self._coverage.restore(subject, level)
        else:
            self._silent[subject.id] = subject

    def hear_vehicle(self, gateway_id: str, at_ms: int, *, guarded: bool = False) -> None:
        """Something of a vehicle arrived that is no sample; `guarded`: its own engine's word."""
        self._coverage.hear(gateway_id, at_ms, guarded=guarded)

    def hear(self, batches: Sequence[ReceivedBatch]) -> None:
        """Note who reported."""
        for received in batches:
            batch = received.batch
            if received.gateway_id:
                self._coverage.hear(received.gateway_id, received.received_at_ms)
            place = self._place.get(batch.unit_id)
            if place is not None and not batch.historical:
                self._heard_ms[place] = max(self._heard_ms[place], received.received_at_ms)
                self._waited_for_ms[place] = self._heard_ms[place]
                self._provenance[batch.unit_id] = batch.provenance

    def check(self, now_ms: int, suspicious_packs: frozenset[str] = frozenset()) -> list[Transition]:
        """Notices that begin or end. `suspicious_packs` have an open thermal alert: their silence is no calm notice."""
        overdue = np.flatnonzero(now_ms - self._waited_for_ms > self._limit_ms)
        late = {unit_id for place in overdue if self._counts(unit_id := self._units[place])}
        vehicles, lost = self._check_vehicles(now_ms, late, suspicious_packs)
        late = {unit_id for unit_id in late if self._assignments[unit_id].gateway_id not in lost} | (
            late & self._silent.keys()
        )
        ended = [self._ended(unit_id, now_ms) for unit_id in self._silent.keys() - late if self._is_over(unit_id)]
        begun = [self._begun(unit_id, now_ms, suspicious_packs) for unit_id in late - self._silent.keys()]
        for transition in ended:
            del self._silent[transition.unit_id]
        for transition in begun:
            self._silent[transition.unit_id] = transition.subject
        return sorted(
            [*vehicles, *ended, *begun], key=lambda transition: (transition.sampled_at_ms, transition.unit_id)
        )

    def _check_vehicles(
        self, now_ms: int, late: set[str], suspicious_packs: frozenset[str]
    ) -> tuple[list[Transition], KeysView[str]]:
        """Of a vehicle that came back, all units get their time to report again."""
        provenances = {unit_id: self._provenance.get(unit_id, Provenance.MEASURED) for unit_id in late}
        told, lost = self._coverage.check(now_ms, provenances, suspicious_packs)
        back = {each.gateway_id for each in told if each.level is Level.NORMAL}
        for unit_id in [unit_id for unit_id in late if back and self._assignments[unit_id].gateway_id in back]:
            self._waited_for_ms[self._place[unit_id]] = now_ms
            late.discard(unit_id)
        return told, lost

    def _counts(self, unit_id: str) -> bool:
        provenance = self._provenance.get(unit_id)
        return not self._assignments[unit_id].simulated if provenance is None else provenance in _LIVE

    def _is_over(self, unit_id: str) -> bool:
        """Whether a silence ended that is not overdue: one of an earlier run lasts until the unit is heard in this."""
        return unit_id in self._provenance or unit_id not in self._assignments or not self._counts(unit_id)

    def _begun(self, unit_id: str, now_ms: int, suspicious_packs: frozenset[str]) -> Transition:
        assignment = self._assignments[unit_id]
        heard_ms = int(self._heard_ms[self._place[unit_id]])
        provenance = self._provenance.get(unit_id)
        since = ", since the service began to wait for it" if provenance is None else ""
        damaged = assignment.pack_class is PackClass.DAMAGED
        suspicious = assignment.pack_id in suspicious_packs
        silent = (
            f"unit {unit_id} has not reported for {(now_ms - heard_ms) / 1000:.0f} s{since}; "
            f"{assignment.silent_after_s:g} s are allowed"
        )
        reasons = [silent]
        if damaged:
            reasons.append("its pack is damaged, defective or recalled")
        if suspicious:
            reasons.append("its pack has an open thermal alert")
        return Transition(
            subject=Subject(AlertKind.SILENCE, unit_id, provenance or Provenance.MEASURED),
            before=Level.NORMAL,
            level=Level.WARNING if damaged or suspicious else Level.WATCH,
            cause="silence",
            reasons=tuple(reasons),
            sampled_at_ms=heard_ms,
            pack_id=assignment.pack_id,
            unit_id=unit_id,
            gateway_id=assignment.gateway_id,
            fleet_id=assignment.fleet_id or _NO_FLEET,
        )

    def _ended(self, unit_id: str, now_ms: int) -> Transition:
        assignment = self._assignments.get(unit_id)
        if assignment is None:
            reason = f"unit {unit_id} watches no pack any more"
        elif not self._counts(unit_id):
            reason = f"unit {unit_id} is not expected to report: its last samples were no live ones"
        else:
            reason = f"unit {unit_id} reports again"
        return Transition(
            subject=self._silent[unit_id],
            before=Level.WATCH,
            level=Level.NORMAL,
            cause="silence",
            reasons=(reason,),
            sampled_at_ms=now_ms,
            pack_id=None if assignment is None else assignment.pack_id,
            unit_id=unit_id,
            gateway_id=None if assignment is None else assignment.gateway_id,
            fleet_id=(None if assignment is None else assignment.fleet_id) or _NO_FLEET,
        )
