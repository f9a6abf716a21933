"""The frame around the detector: batches of many units in, changes of level out. Pure: it performs no I/O.

It packs batches into rows, keeps whom each unit's series is about, drops frames that were evaluated already, and
gathers units into packs. How rows are judged is the detector's alone (`alerts.ceilings`).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from alerts.ceilings import Rows, evaluate
from alerts.engine_memory import Memory, RememberedSeries, columns_by_layout
from alerts.levels import Settled, Standing, Subject, Transition
from alerts.pack_states import NEVER_MS, PackStates
from alerts.reasons import again, circumstances_of, reasons_of
from alerts.rules import DEFAULT_MAX_OPERATING_TEMPERATURE_C, LATCHING_FROM, RULES, Rules
from alerts.seen_frames import SeenFrames
from alerts.snapshots import SnapshotError
from registry.enrolment import DEFAULT_REPORT_INTERVAL_S
from registry.kinds import AlertKind, Level
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from registry.enrolment import Assignment
    from telemetry.samples import ReceivedBatch

ROWS_AT_ONCE = 8_192
"""More are evaluated in several steps, each of which stays in a processor's cache: twice as fast as all at once."""
UNREGISTERED_UNITS_KEPT = 10_000
"""**Assumed**: unknown units whose state is kept. Beyond, the one that was quiet longest is forgotten; if that one was
hot, its alert stays open, and is what it begins with when it comes back."""

_LEVELS = tuple(Level)


@dataclass(slots=True, kw_only=True, eq=False)
class _Series:
    """One unit's samples about one subject: a slot in a detector's states."""

    subject: Subject
    assignment: Assignment | None
    states: PackStates
    slot: int
    level: Level = Level.NORMAL
    hot: bool = False
    """Whether it would alarm without its latch, or may."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Packing:
    """The batches of one observe that share a layout of channels, in their order."""

    states: PackStates
    orders: list[int] = field(default_factory=list)
    batches: list[ReceivedBatch] = field(default_factory=list)
    series: list[_Series] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Crossing:
    """A series' level changed: what is needed to tell it of its subject."""

    order: tuple[int, int]
    series: _Series
    level: Level
    hot: bool
    renewed: bool
    late: bool
    reasons: list[str]
    sampled_at_ms: int
    received: ReceivedBatch


class Engine:
    """Levels of all subjects, in event time."""

    def __init__(self, rules: Rules = RULES) -> None:
        self._rules = rules
        self._clearing_ranks = np.array([c.level.rank for c in rules.ceilings if c.clears is not None], np.int64)
        self._assignments: dict[str, Assignment] = {}
        self._vehicles: dict[str, str] = {}
        self._states: dict[tuple[int, int], PackStates] = {}
        self._series: dict[tuple[str, Provenance], _Series] = {}
        self._unregistered: OrderedDict[tuple[str, Provenance], None] = OrderedDict()
        self._of_subject: dict[Subject, list[_Series]] = {}
        self._standing: dict[Subject, Standing] = {}
        self._settled: dict[Subject, Settled] = {}
        self._left_hot_until_ms: dict[Subject, int] = {}
        """Of a latched subject a series of which ended: until when its heat is believed; NEVER_MS = it had cooled."""
        self._seen: dict[str, SeenFrames] = {}
        self.duplicate_batches = 0
        """Batches dropped since they were evaluated before."""

    def assign(self, assignments: Iterable[Assignment]) -> None:
        """What each registered unit watches from now on; replaces what was said before.

        A unit of which something changed begins a new series, with the level that its pack has.
        """
        before, self._assignments = self._assignments, {each.unit_id: each for each in assignments}
        self._vehicles |= {
            each.gateway_id: each.vehicle_name
            for each in self._assignments.values()
            if each.gateway_id is not None and each.vehicle_name is not None
        }
        for key in [key for key in self._series if before.get(key[0]) != self._assignments.get(key[0])]:
            self._retire(key)

    def use_rules(self, rules: Rules) -> None:
        """Go by other rules from the next row on. Levels that stand, and what was learnt, stay.

        Raises ValueError when their ceilings are not of the same levels as before.
        """
        if [(c.level, c.clears is None) for c in rules.ceilings] != [
            (c.level, c.clears is None) for c in self._rules.ceilings
        ]:
            raise ValueError("the new rules have ceilings of other levels than those that are in force")
        self._rules = rules
        for series in self._series.values():
            self._go_by(series)

    def name_vehicle(self, gateway_id: str, vehicle_name: str) -> None:
        """What the gateway is on, for words about units that are not registered."""
        self._vehicles[gateway_id] = vehicle_name

    def knows(self, unit_id: str) -> bool:
        """Whether the unit is registered, as far as `assign` was told."""
        return unit_id in self._assignments

    def restore(self, subject: Subject, *, standing: Standing | None = None, settled: Settled | None = None) -> None:
        """Tell, before its first sample, what a subject had when an earlier run ended."""
        if standing is not None:
            self._standing[subject] = standing
        if settled is not None:
            self._settled[subject] = settled

    def remember(self) -> Memory:
        """A copy of all that the next rows depend on."""
        series = list(self._series.items())
        return Memory(
            series=tuple(
                RememberedSeries(
                    unit_id=unit_id,
                    provenance=provenance,
                    subject=each.subject,
                    layout=each.states.layout,
                    level=each.level,
                    hot=each.hot,
                    judged_ms=int(each.states.newest_ms[each.slot]),
                )
                for (unit_id, provenance), each in series
            ),
            columns={"fixed": columns_by_layout((each.states.layout, each.states, each.slot) for _, each in series)},
            standing=dict(self._standing),
            settled=dict(self._settled),
            left_hot_until_ms=dict(self._left_hot_until_ms),
            seen=dict(self._seen),
        )

    def recall(self, memory: Memory) -> None:
        """Go on from a memory, before the first sample and after `assign`; who watches another pack by now begins anew.

        Raises SnapshotError when the memory is of another program's states; then nothing is recalled.
        """
        recalled: dict[tuple[str, Provenance], _Series] = {}
        states_of: dict[tuple[int, int], PackStates] = {}
        for layout, columns in memory.columns.get("fixed", {}).items():
            mine = [each for each in memory.series if each.layout == layout]
            states = states_of[layout] = self._fresh_states(layout)
            slots = [self._slot_for(states, self._assignments.get(each.unit_id)) for each in mine]
            try:
                states.put(np.array(slots, np.int64), columns)
            except ValueError as error:
                raise SnapshotError(str(error)) from error
            for each, slot in zip(mine, slots, strict=True):
                assignment = self._assignments.get(each.unit_id)
                series = _Series(
                    subject=each.subject,
                    assignment=assignment,
                    states=states,
                    slot=slot,
                    level=each.level,
                    hot=each.hot,
                )
                if each.subject != _subject_of(each.unit_id, each.provenance, assignment):
                    states.free(slot)
                    continue
                self._go_by(series)
                recalled[each.unit_id, each.provenance] = series
        self._series = recalled
        self._states = {layout: states for layout, states in states_of.items() if len(states)}
        for (unit_id, provenance), series in recalled.items():
            self._of_subject.setdefault(series.subject, []).append(series)
            if series.subject.kind is AlertKind.UNREGISTERED:
                self._unregistered[unit_id, provenance] = None
        self._standing = dict(memory.standing)
        self._settled = dict(memory.settled)
        self._left_hot_until_ms = dict(memory.left_hot_until_ms)
        self._seen = dict(memory.seen)

    def judged_ms(self, unit_id: str) -> int | None:
        """Event time up to which a unit's samples were evaluated; None when none were."""
        found = [series for of in Provenance if (series := self._series.get((unit_id, of))) is not None]
        return max((int(each.states.newest_ms[each.slot]) for each in found), default=None)

    def standing(self) -> dict[Subject, Standing]:
        """The levels that subjects have, without those that are normal."""
        return dict(self._standing)

    def hold(self, subject: Subject, standing: Standing) -> None:
        """A subject has a level that its samples so far do not show: it began before them."""
        self._standing[subject] = standing
        for each in self._of_subject.get(subject, []):
            measured = np.isfinite(each.states.reading_c[each.slot])
            each.states.hold(
                each.slot,
                standing.level.rank,
                latching_rank=LATCHING_FROM.rank,
                clearing_ranks=self._clearing_ranks,
                measured=measured,
            )
            each.level = _LEVELS[each.states.level[each.slot]]
            each.hot = bool(each.states.eased_ms[each.slot] == NEVER_MS)

    def newest_ms(self, subject: Subject) -> int | None:
        """Event time of the subject's newest sample; None when none came since the start."""
        series = self._of_subject.get(subject, [])
        return max((int(each.states.newest_ms[each.slot]) for each in series), default=None)

    def release(self, subject: Subject) -> None:
        """A person closed the subject's alert: its level ends, and its samples so far raise nothing again.

        A newer sample that is still hot raises it anew.
        """
        standing = self._standing.pop(subject, None)
        self._left_hot_until_ms.pop(subject, None)
        newest_ms = self.newest_ms(subject)
        if standing is not None and newest_ms is not None:
            self._settle(subject, Settled(from_ms=standing.since_ms, until_ms=newest_ms, peak=standing.peak))
        for each in self._of_subject.get(subject, []):
            each.states.release(each.slot)
            each.level, each.hot = Level.NORMAL, False

    def observe(self, batches: Sequence[ReceivedBatch]) -> list[Transition]:
        """Evaluate batches in their order of arrival; returns what changed, in that order."""
        transitions: list[Transition] = []
        packings: dict[tuple[int, int], _Packing] = {}
        rows = 0
        for order, received in enumerate(batches):
            batch = received.batch
            begins_replay = batch.provenance is Provenance.REPLAYED and self._is_new_boot(received)
            if not len(batch) or self._is_duplicate(received):
                continue
            key = (batch.unit_id, batch.provenance)
            layout = (batch.temperatures_c.shape[1], batch.voltages_v.shape[1])
            series = self._series.get(key)
            if series is not None and (series.states.layout != layout or begins_replay):
                transitions += self._take_in(packings)
                packings = {}
                self._retire(key)
                if begins_replay:  # another recording, or the same once more: what one before it settled is not its
                    self._settled.pop(series.subject, None)
                    self._left_hot_until_ms.pop(series.subject, None)
                series = None
            if series is None:
                series = self._begin(received, layout)
            elif series.subject.kind is AlertKind.UNREGISTERED:
                self._unregistered.move_to_end(key)
            packing = packings.get(layout)
            if packing is None:
                packing = packings[layout] = _Packing(states=series.states)
            rows += len(batch)
            packing.orders.append(order)
            packing.batches.append(received)
            packing.series.append(series)
            if rows >= ROWS_AT_ONCE:
                transitions += self._take_in(packings)
                packings, rows = {}, 0
        transitions += self._take_in(packings)
        while len(self._unregistered) > UNREGISTERED_UNITS_KEPT:
            quietest = next(iter(self._unregistered))
            self._retire(quietest)
            self._seen.pop(quietest[0], None)
        return transitions

    def _take_in(self, packings: dict[tuple[int, int], _Packing]) -> list[Transition]:
        crossings = [crossing for packing in packings.values() for crossing in self._evaluate(packing)]
        crossings.sort(key=lambda crossing: crossing.order)
        return [transition for crossing in crossings if (transition := self._transition(crossing)) is not None]

    def _is_new_boot(self, received: ReceivedBatch) -> bool:
        seen, boot_id = self._seen.get(received.batch.unit_id), received.batch.boot_id
        return boot_id is not None and (seen is None or not seen.knows(boot_id))

    def _is_duplicate(self, received: ReceivedBatch) -> bool:
        batch = received.batch
        if batch.boot_id is None or batch.frame is None:
            return False
        seen = self._seen.get(batch.unit_id)
        if seen is None:
            seen = self._seen[batch.unit_id] = SeenFrames()
        if seen.add(batch.boot_id, batch.frame):
            return False
        self.duplicate_batches += 1
        return True

    def _begin(self, received: ReceivedBatch, layout: tuple[int, int]) -> _Series:
        """Begin a unit's series, with the level that its subject has."""
        batch = received.batch
        key = (batch.unit_id, batch.provenance)
        assignment = self._assignments.get(batch.unit_id)
        subject = _subject_of(batch.unit_id, batch.provenance, assignment)
        states = self._states.get(layout)
        if states is None:
            states = self._states[layout] = self._fresh_states(layout)
        slot = self._slot_for(states, assignment)
        series = _Series(subject=subject, assignment=assignment, states=states, slot=slot)
        standing, settled = self._standing.get(subject), self._settled.get(subject)
        if standing is not None:
            states.hold(
                slot,
                standing.level.rank,
                latching_rank=LATCHING_FROM.rank,
                clearing_ranks=self._clearing_ranks,
                measured=np.asarray(np.isfinite(batch.temperatures_c).any(axis=0)),
                hot=self._was_hot(subject, int(batch.sampled_at_ms[0])),
            )
            series.level = _LEVELS[states.level[slot]]
            series.hot = bool(states.eased_ms[slot] == NEVER_MS)
        if settled is not None:
            states.settle(slot, from_ms=settled.from_ms, until_ms=settled.until_ms, peak_rank=settled.peak.rank)
        self._series[key] = series
        self._of_subject.setdefault(subject, []).append(series)
        if subject.kind is AlertKind.UNREGISTERED:
            self._unregistered[key] = None
        return series

    def _fresh_states(self, layout: tuple[int, int]) -> PackStates:
        return PackStates(
            temperature_channels=layout[0],
            voltage_channels=layout[1],
            clearing_ceilings=len(self._clearing_ranks),
        )

    def _slot_for(self, states: PackStates, assignment: Assignment | None) -> int:
        return states.add(
            max_operating_temperature_c=_max_operating_c(assignment),
            longest_gap_s=self._rules.longest_gap_s(_interval_s(assignment)),
        )

    def _go_by(self, series: _Series) -> None:
        """Take over what rules and registry say now."""
        states, slot = series.states, series.slot
        states.max_operating_c[slot] = _max_operating_c(series.assignment)
        states.longest_gap_ms[slot] = round(self._rules.longest_gap_s(_interval_s(series.assignment)) * 1000)

    def _retire(self, key: tuple[str, Provenance]) -> None:
        """End a unit's series; its subject keeps the level it had."""
        series = self._series.pop(key)
        self._unregistered.pop(key, None)
        standing = self._standing.get(series.subject)
        if standing is not None and standing.level.rank >= LATCHING_FROM.rank:
            before_ms = self._left_hot_until_ms.get(series.subject, NEVER_MS)
            until_ms = _believed_until_ms(series) if series.hot else NEVER_MS
            self._left_hot_until_ms[series.subject] = max(before_ms, until_ms)
        series.states.free(series.slot)
        others = self._of_subject[series.subject]
        others.remove(series)
        if not others:
            del self._of_subject[series.subject]
        if not len(series.states):
            del self._states[series.states.layout]

    def _was_hot(self, subject: Subject, at_ms: int) -> bool | None:
        """What a series that ended leaves to the next; None when nothing is known of it, or not any more."""
        until_ms = self._left_hot_until_ms.pop(subject, None)
        if until_ms is None:
            return None
        if until_ms == NEVER_MS:
            return False
        return True if at_ms <= until_ms else None

    def _evaluate(self, packing: _Packing) -> Iterator[_Crossing]:
        lengths = [len(received.batch) for received in packing.batches]
        slots = np.repeat(np.array([series.slot for series in packing.series], np.int64), lengths)
        arrived = np.argsort(slots, kind="stable")
        rows = Rows(
            slot=slots[arrived],
            sampled_at_ms=np.concatenate([each.batch.sampled_at_ms for each in packing.batches])[arrived],
            temperatures_c=np.concatenate([each.batch.temperatures_c for each in packing.batches])[arrived],
            voltages_v=np.concatenate([each.batch.voltages_v for each in packing.batches])[arrived],
        )
        crossings = evaluate(packing.states, self._rules, rows)
        if not len(crossings):
            return
        batch_of = np.repeat(np.arange(len(lengths)), lengths)
        for k, row in enumerate(crossings.row):
            place = int(arrived[row])
            which = int(batch_of[place])
            series, received = packing.series[which], packing.batches[which]
            yield _Crossing(
                order=(packing.orders[which], place),
                series=series,
                level=_LEVELS[crossings.rank[k]],
                hot=bool(crossings.hot[k]),
                renewed=bool(crossings.renewed[k]),
                late=bool(crossings.late_by_ms[k] > 0),
                reasons=[
                    *reasons_of(
                        crossings,
                        k,
                        rules=self._rules,
                        labels=() if series.assignment is None else series.assignment.temperature_labels,
                        max_operating_c=float(packing.states.max_operating_c[series.slot]),
                    ),
                    *circumstances_of(
                        received,
                        int(crossings.late_by_ms[k]),
                        registered_real=series.assignment is not None and not series.assignment.simulated,
                    ),
                ],
                sampled_at_ms=int(rows.sampled_at_ms[row]),
                received=received,
            )

    def _transition(self, crossing: _Crossing) -> Transition | None:
        """The change of the subject's level; None when another unit of the same pack has a higher one."""
        series = crossing.series
        subject, all_series = series.subject, self._of_subject[series.subject]
        standing = self._standing.get(subject)
        # A latched level outlives the series that had it: its unit may watch another pack by now.
        latched = standing.level if standing is not None and standing.level.rank >= LATCHING_FROM.rank else Level.NORMAL
        before = max([latched, *(each.level for each in all_series)], key=lambda level: level.rank)
        rises = crossing.level.rank >= Level.WARNING.rank > series.level.rank
        series.level, series.hot = crossing.level, crossing.hot
        level = max([latched, *(each.level for each in all_series)], key=lambda level: level.rank)
        renewed = level is before and level is latched and self._renews(crossing, rises=rises)
        if level is before and not renewed:
            return None
        since_ms = crossing.sampled_at_ms if standing is None else min(standing.since_ms, crossing.sampled_at_ms)
        peak = level if standing is None or level.rank > standing.peak.rank else standing.peak
        if level is Level.NORMAL:
            self._standing.pop(subject, None)
        else:
            self._standing[subject] = Standing(level=level, peak=peak, since_ms=since_ms)
        received = crossing.received
        reasons = crossing.reasons
        if renewed and not crossing.renewed:  # its own series is not latched, another one's is
            reasons = again(reasons, np.nan)
        if subject.kind is AlertKind.UNREGISTERED:
            reasons = [self._introduction(received, series.assignment), *reasons]
        return Transition(
            subject=subject,
            before=before,
            level=level,
            cause="runaway" if level is Level.RUNAWAY else "ceiling",
            reasons=tuple(reasons),
            sampled_at_ms=crossing.sampled_at_ms,
            pack_id=subject.id if subject.kind is AlertKind.THERMAL else None,
            unit_id=received.batch.unit_id,
            gateway_id=received.gateway_id,
            fleet_id=received.fleet_id,
            renewed=renewed,
        )

    def _renews(self, crossing: _Crossing, *, rises: bool) -> bool:
        """Whether a latched subject, of which no other unit is known to be hot, is hot again."""
        if crossing.late or not (crossing.renewed or rises):
            return False
        subject, at_ms = crossing.series.subject, crossing.sampled_at_ms
        if at_ms <= self._left_hot_until_ms.get(subject, NEVER_MS) and not crossing.renewed:
            return False
        others = (each for each in self._of_subject[subject] if each is not crossing.series)
        return not any(each.hot and at_ms <= _believed_until_ms(each) for each in others)

    def _settle(self, subject: Subject, settled: Settled) -> None:
        self._settled[subject] = settled
        for each in self._of_subject.get(subject, []):
            each.states.settle(
                each.slot, from_ms=settled.from_ms, until_ms=settled.until_ms, peak_rank=settled.peak.rank
            )

    def _introduction(self, received: ReceivedBatch, assignment: Assignment | None) -> str:
        vehicle = self._vehicles.get(received.gateway_id)
        what = "unregistered unit" if assignment is None else "unit that watches no pack,"
        where = "an unknown vehicle" if vehicle is None else f"vehicle {vehicle}"
        return f"{what} {received.batch.unit_id} on {where} (gateway {received.gateway_id})"


def _subject_of(unit_id: str, provenance: Provenance, assignment: Assignment | None) -> Subject:
    if assignment is None or assignment.pack_id is None:
        return Subject(AlertKind.UNREGISTERED, unit_id, provenance)
    return Subject(AlertKind.THERMAL, assignment.pack_id, provenance)


def _max_operating_c(assignment: Assignment | None) -> float:
    stated_c = None if assignment is None else assignment.max_operating_temperature_c
    return DEFAULT_MAX_OPERATING_TEMPERATURE_C if stated_c is None else stated_c


def _interval_s(assignment: Assignment | None) -> float:
    return DEFAULT_REPORT_INTERVAL_S if assignment is None else assignment.report_interval_s


def _believed_until_ms(series: _Series) -> int:
    """Event time after which what its unit said last is too old to go by."""
    return int(series.states.newest_ms[series.slot] + series.states.longest_gap_ms[series.slot])
