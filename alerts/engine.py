"""The frame around the detector: batches of many units in, changes of level out. Pure: it performs no I/O.

It packs batches into rows, keeps whom each unit's series is about, drops frames that were evaluated already, and
gathers units into packs. How rows are judged is the detector's alone (`alerts.ceilings`).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from alerts.ceilings import Rows, evaluate
from alerts.detector.kinds import Fault
from alerts.engine_memory import Memory, RememberedSeries, columns_by_layout
from alerts.entrance import ROWS_KEPT, Entrance
from alerts.instruments import FaultyUnit
from alerts.levels import Settled, Standing, Subject, Transition
from alerts.ordering import LATENESS_MS, Ordering
from alerts.pack_states import NEVER_MS, PackStates
from alerts.reasons import again, circumstances_of, reasons_of
from alerts.rules import LATCHING_FROM, RULES, Rules
from alerts.seen_frames import SeenFrames
from alerts.series import (
    Crossing,
    Packing,
    Series,
    believed_until_ms,
    interval_s,
    max_operating_c,
    single_column,
    subject_of,
)
from alerts.snapshots import SnapshotError
from alerts.waiting_history import HISTORY_ROWS_KEPT, ROWS_OF_A_UNIT, Waiting, WaitingHistory
from registry.kinds import AlertKind, Chemistry, Level
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from registry.enrolment import Assignment
    from telemetry.samples import ReceivedBatch, SampleBatch

ROWS_AT_ONCE = 65_536
"""More are evaluated in several steps. Evidence takes the next row of every unit together: the more units, the better,
until what it remembers of them leaves the cache."""
UNREGISTERED_UNITS_KEPT = 10_000
"""**Assumed**: unknown units whose state is kept. Beyond, the one that was quiet longest is forgotten; if that one was
hot, its alert stays open, and is what it begins with when it comes back."""

HISTORY_IDLE_MS = 600_000
"""**Assumed**: ms after which history that comes no further has ended. A gateway sends its backlog without such
pauses."""

_LEVELS = tuple(Level)


class Engine:
    """Levels of all subjects, in event time."""

    def __init__(self, rules: Rules = RULES) -> None:
        self._rules = rules
        self._clearing_ranks = np.array([c.level.rank for c in rules.ceilings if c.clears is not None], np.int64)
        self._assignments: dict[str, Assignment] = {}
        self._vehicles: dict[str, str] = {}
        self._states: dict[tuple[int, int], PackStates] = {}
        self._series: dict[tuple[str, Provenance], Series] = {}
        self._lanes: dict[tuple[str, Provenance], Series] = {}
        """History that comes in: at most one stretch of a unit at a time."""
        self._entrance = Entrance()
        self._waiting = WaitingHistory()
        self._ordering = Ordering()
        self._unregistered: OrderedDict[tuple[str, Provenance], None] = OrderedDict()
        self._of_subject: dict[Subject, list[Series]] = {}
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
        keys = {**self._series, **self._lanes}
        for key in [key for key in keys if before.get(key[0]) != self._assignments.get(key[0])]:
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
        for series in [*self._series.values(), *self._lanes.values()]:
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
        series = [*self._series.items(), *self._lanes.items()]
        return Memory(
            series=tuple(
                RememberedSeries(
                    unit_id=unit_id,
                    provenance=provenance,
                    subject=each.subject,
                    layout=each.states.layout,
                    level=each.level,
                    hot=each.hot,
                    judged_ms=self._judged_ms((unit_id, provenance)),
                    fleet_id=each.fleet_id,
                    gateway_id=each.gateway_id,
                    history=each.history,
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
        recalled: list[tuple[tuple[str, Provenance], Series, int]] = []
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
                series = Series(
                    subject=each.subject,
                    assignment=assignment,
                    states=states,
                    slot=slot,
                    level=each.level,
                    hot=each.hot,
                )
                if each.subject != subject_of(each.unit_id, each.provenance, assignment):
                    states.free(slot)
                    continue
                series.fleet_id, series.gateway_id, series.history = each.fleet_id, each.gateway_id, each.history
                self._go_by(series)
                recalled.append(((each.unit_id, each.provenance), series, each.judged_ms))
        self._states = {layout: states for layout, states in states_of.items() if len(states)}
        for key, series, judged_ms in recalled:
            (self._lanes if series.history else self._series)[key] = series
            self._of_subject.setdefault(series.subject, []).append(series)
            if series.subject.kind is AlertKind.UNREGISTERED:
                self._unregistered[key] = None
            if not series.history:
                self._ordering.begin_at(key, judged_ms)
        self._standing = dict(memory.standing)
        self._settled = dict(memory.settled)
        self._left_hot_until_ms = dict(memory.left_hot_until_ms)
        self._seen = dict(memory.seen)

    def judged_ms(self, unit_id: str) -> int | None:
        """Event time up to which a unit's samples were evaluated; None when none were."""
        judged_ms = max(self._judged_ms((unit_id, provenance)) for provenance in Provenance)
        return None if judged_ms == NEVER_MS else judged_ms

    def _judged_ms(self, key: tuple[str, Provenance]) -> int:
        judged_ms = self._ordering.judged_ms(key)
        return NEVER_MS if judged_ms is None else judged_ms

    def forecast_s(self, unit_id: str) -> tuple[float, float] | None:
        """Earliest and latest s from the unit's newest live row to its next level; None = unknown."""
        series = (self._series.get((unit_id, provenance)) for provenance in Provenance)
        found = (each.states.forecast_s.get(each.slot) for each in series if each is not None)
        return next((band for band in found if band is not None), None)

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

    def faulty_units(self) -> list[FaultyUnit]:
        """Registered units with probes at fault as of their newest live row, for what the detector judges."""
        found = []
        for states in self._states.values():
            if not states.by_evidence:
                continue
            fault = states.columns().fault
            slots = np.flatnonzero(fault.any(axis=1))
            if not len(slots):
                continue
            bad = set(slots.tolist())
            for (_, provenance), series in self._series.items():
                if series.states is states and series.slot in bad and series.assignment is not None:
                    probes = [
                        (int(probe) + 1, Fault(fault[series.slot, probe])) for probe in fault[series.slot].nonzero()[0]
                    ]
                    found.append(FaultyUnit(assignment=series.assignment, provenance=provenance, probes=tuple(probes)))
        return found

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
        """Evaluate batches in their order of arrival; returns what changed, in that order.

        History comes after what is live. More than a little of it, or of one unit, waits for `take_waiting`.
        """
        transitions = self._catch_up(batches[0].received_at_ms) if batches and len(self._ordering) else []
        transitions += self._observe(self._entrance.admit(batches, self._ordering.is_history))
        while self._entrance.rows > ROWS_KEPT:
            transitions += self._observe(self._entrance.take_turn())
        return transitions

    def _observe(self, batches: Sequence[ReceivedBatch]) -> list[Transition]:
        transitions: list[Transition] = []
        packings: dict[tuple[int, int], Packing] = {}
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
                    self._waiting.drop(key)
                    self._settled.pop(series.subject, None)
                    self._left_hot_until_ms.pop(series.subject, None)
                series = None
            ready = self._ordering.place(received)
            if ready is None:
                ends = self._meets_what_was_evaluated(batch)
                self._waiting.add(key, Waiting(received=received, ends=ends))
                continue
            if series is None:
                series = self._begin(received, layout)
            elif series.subject.kind is AlertKind.UNREGISTERED:
                self._unregistered.move_to_end(key)
            packing = packings.get(layout)
            if packing is None:
                packing = packings[layout] = Packing(states=series.states)
            rows += packing.take(order, received, ready, series)
            if rows >= ROWS_AT_ONCE:
                transitions += self._take_in(packings)
                packings, rows = {}, 0
        transitions += self._take_in(packings)
        transitions += self._take_what_cannot_wait()
        self._forget_quietest()
        return transitions

    def _take_what_cannot_wait(self) -> list[Transition]:
        """A little history is taken at once, and so is what is too much to be kept."""
        transitions = self.take_history() if self._waiting.rows <= ROWS_OF_A_UNIT else []
        while self._waiting.rows > HISTORY_ROWS_KEPT:
            transitions += self.take_history()
        return transitions

    @property
    def waiting_rows(self) -> int:
        """Rows that wait for `take_waiting`."""
        return self._entrance.rows + self._waiting.rows

    def take_waiting(self) -> list[Transition]:
        """Evaluate the next turn of what waits: of each unit's backlog, and of history."""
        backlog = self._observe(self._entrance.take_turn()) if self._entrance.rows else []
        return backlog + self.take_history()

    def _forget_quietest(self) -> None:
        while len(self._unregistered) > UNREGISTERED_UNITS_KEPT:
            quietest = next(iter(self._unregistered))
            self._retire(quietest)
            self._seen.pop(quietest[0], None)

    def tick(self, now_ms: int) -> list[Transition]:
        """To be called about once a second, with the cloud's clock: waiting history goes on, or ends."""
        ended = [*self._catch_up(now_ms), *self.take_waiting()]
        for key, lane in list(self._lanes.items()):
            if lane.heard_ms == NEVER_MS:  # of before a restart
                lane.heard_ms = now_ms
            elif now_ms - lane.heard_ms > HISTORY_IDLE_MS and key not in self._waiting:
                ended += self._end_lane(key)
        return ended

    def _catch_up(self, now_ms: int) -> list[Transition]:
        """Let evidence look at what has waited for long enough."""
        packings: dict[tuple[int, int], Packing] = {}
        for order, received in enumerate(self._ordering.due(now_ms, self._entrance)):
            series = self._series.get((received.batch.unit_id, received.batch.provenance))
            if series is not None:
                layout = series.states.layout
                packings.setdefault(layout, Packing(states=series.states)).add(order, received, series)
        return self._take_in(packings)

    def take_history(self) -> list[Transition]:
        """Evaluate the next turn of what is older than what was evaluated: as of its own time, in slots of its own."""
        transitions: list[Transition] = []
        packings: dict[tuple[int, int], Packing] = {}
        for order, each in enumerate(self._waiting.take_turn()):
            received, batch = each.received, each.received.batch
            key = (batch.unit_id, batch.provenance)
            layout = (batch.temperatures_c.shape[1], batch.voltages_v.shape[1])
            lane = self._lanes.get(key)
            if lane is not None and (lane.states.layout != layout or _is_another_stretch(lane, batch)):
                transitions += self._take_in(packings)
                packings = {}
                transitions += self._end_lane(key)
                lane = None
            if lane is None:
                lane = self._begin(received, layout, history=True)
            lane.heard_ms = received.received_at_ms
            lane.taken_ms = max(lane.taken_ms, int(batch.sampled_at_ms[-1]))
            lane.fleet_id, lane.gateway_id = received.fleet_id, received.gateway_id
            packings.setdefault(layout, Packing(states=lane.states)).add(order, received, lane)
            if each.ends:
                transitions += self._take_in(packings)
                packings = {}
                transitions += self._end_lane(key)
        return transitions + self._take_in(packings)

    def _meets_what_was_evaluated(self, batch: SampleBatch) -> bool:
        seen = self._seen.get(batch.unit_id)
        if seen is None or batch.boot_id is None or batch.frame is None:
            return False
        return seen.has(batch.boot_id, batch.frame + 1)

    def _end_lane(self, key: tuple[str, Provenance]) -> list[Transition]:
        """History ends, and with it a level that nothing but it shows; a latched one stays."""
        lane = self._lanes.pop(key)
        sampled_at_ms = int(lane.states.newest_ms[lane.slot])
        self._leave(lane)
        standing = self._standing.get(lane.subject)
        others = [each.level for each in self._of_subject.get(lane.subject, [])]
        level = max([Level.NORMAL, *others], key=lambda each: each.rank)
        if standing is None or standing.level.rank >= LATCHING_FROM.rank or level.rank >= standing.level.rank:
            return []
        self._stand(lane.subject, level, sampled_at_ms)
        return [
            Transition(
                subject=lane.subject,
                before=standing.level,
                level=level,
                cause="ceiling",
                reasons=("late: it was so in samples that came late, and is no more in what is live",),
                sampled_at_ms=sampled_at_ms,
                pack_id=lane.subject.id if lane.subject.kind is AlertKind.THERMAL else None,
                unit_id=key[0],
                gateway_id=lane.gateway_id,
                fleet_id=lane.fleet_id,
            )
        ]

    def _stand(self, subject: Subject, level: Level, sampled_at_ms: int) -> None:
        """Remember a subject's level."""
        if level is Level.NORMAL:
            self._standing.pop(subject, None)
            return
        standing = self._standing.get(subject)
        since_ms = sampled_at_ms if standing is None else min(standing.since_ms, sampled_at_ms)
        peak = level if standing is None or level.rank > standing.peak.rank else standing.peak
        self._standing[subject] = Standing(level=level, peak=peak, since_ms=since_ms)

    def _take_in(self, packings: dict[tuple[int, int], Packing]) -> list[Transition]:
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

    def _begin(self, received: ReceivedBatch, layout: tuple[int, int], *, history: bool = False) -> Series:
        """Begin a unit's series, with the level that its subject has; history begins without one."""
        batch = received.batch
        key = (batch.unit_id, batch.provenance)
        assignment = self._assignments.get(batch.unit_id)
        subject = subject_of(batch.unit_id, batch.provenance, assignment)
        states = self._states.get(layout)
        if states is None:
            states = self._states[layout] = self._fresh_states(layout)
        slot = self._slot_for(states, assignment)
        series = Series(
            subject=subject,
            assignment=assignment,
            states=states,
            slot=slot,
            fleet_id=received.fleet_id,
            gateway_id=received.gateway_id,
            history=history,
        )
        standing, settled = self._standing.get(subject), self._settled.get(subject)
        if standing is not None and not history and not self._is_of_history(subject, standing.level):
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
        (self._lanes if history else self._series)[key] = series
        self._of_subject.setdefault(subject, []).append(series)
        if subject.kind is AlertKind.UNREGISTERED:
            self._unregistered[key] = None
        return series

    def _is_of_history(self, subject: Subject, level: Level) -> bool:
        """Whether a level that may clear is shown by samples that came late: what is live begins without it."""
        if level.rank >= LATCHING_FROM.rank:
            return False
        return any(each.history and each.level is level for each in self._of_subject.get(subject, []))

    def _fresh_states(self, layout: tuple[int, int]) -> PackStates:
        return PackStates(
            temperature_channels=layout[0],
            voltage_channels=layout[1],
            clearing_ceilings=len(self._clearing_ranks),
            by_evidence=True,
        )

    def _slot_for(self, states: PackStates, assignment: Assignment | None) -> int:
        return states.add(
            max_operating_temperature_c=max_operating_c(assignment),
            longest_gap_s=self._rules.longest_gap_s(interval_s(assignment)),
            profile=self._profile(assignment),
        )

    def _go_by(self, series: Series) -> None:
        """Take over what rules and registry say now."""
        states, slot = series.states, series.slot
        states.max_operating_c[slot] = max_operating_c(series.assignment)
        states.longest_gap_ms[slot] = round(self._rules.longest_gap_s(interval_s(series.assignment)) * 1000)
        states.columns().profile[slot] = self._profile(series.assignment)

    def _profile(self, assignment: Assignment | None) -> int:
        """Which of the detector's profiles such a pack has."""
        chemistry = Chemistry.UNKNOWN if assignment is None else assignment.chemistry
        return self._rules.detector.profile_of(None if assignment is None else assignment.pack_class, chemistry)

    def _retire(self, key: tuple[str, Provenance]) -> None:
        """End a unit's series, and its history; its subject keeps the level it had."""
        self._ordering.forget(key)
        self._unregistered.pop(key, None)
        lane, series = self._lanes.pop(key, None), self._series.pop(key, None)
        if lane is not None:
            self._leave(lane)
        if series is None:
            return
        standing = self._standing.get(series.subject)
        if standing is not None and standing.level.rank >= LATCHING_FROM.rank:
            before_ms = self._left_hot_until_ms.get(series.subject, NEVER_MS)
            until_ms = believed_until_ms(series) if series.hot else NEVER_MS
            self._left_hot_until_ms[series.subject] = max(before_ms, until_ms)
        self._leave(series)

    def _leave(self, series: Series) -> None:
        """Give a series' slot back."""
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

    def _evaluate(self, packing: Packing) -> Iterator[Crossing]:
        lengths = [len(received.batch) for received in packing.batches]
        slots = np.repeat(np.array([series.slot for series in packing.series], np.int64), lengths)
        arrived = np.argsort(slots, kind="stable")
        rows = Rows(
            slot=slots[arrived],
            sampled_at_ms=np.concatenate([each.batch.sampled_at_ms for each in packing.batches])[arrived],
            temperatures_c=np.concatenate([each.batch.temperatures_c for each in packing.batches])[arrived],
            voltages_v=np.concatenate([each.batch.voltages_v for each in packing.batches])[arrived],
            ambient_c=single_column(packing.batches, "ambient_c", arrived),
            hydrogen_ppm=single_column(packing.batches, "hydrogen_ppm", arrived),
            carbon_monoxide_ppm=single_column(packing.batches, "carbon_monoxide_ppm", arrived),
            voc_ppm=single_column(packing.batches, "voc_ppm", arrived),
            in_order=None if all(packing.in_order) else np.repeat(np.array(packing.in_order), lengths)[arrived],
        )
        crossings = evaluate(packing.states, self._rules, rows)
        if not len(crossings):
            return
        batch_of = np.repeat(np.arange(len(lengths)), lengths)
        for k, row in enumerate(crossings.row):
            place = int(arrived[row])
            which = int(batch_of[place])
            series, received = packing.series[which], packing.batches[which]
            yield Crossing(
                order=(packing.orders[which], place),
                series=series,
                level=_LEVELS[crossings.rank[k]],
                hot=bool(crossings.hot[k]),
                renewed=bool(crossings.renewed[k]),
                late=series.history or bool(crossings.late_by_ms[k] > 0),
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
                        self._late_by_ms(series, received, int(crossings.late_by_ms[k]), int(rows.sampled_at_ms[row])),
                        registered_real=series.assignment is not None and not series.assignment.simulated,
                    ),
                ],
                by_evidence=bool(crossings.rank[k] > max(crossings.rank_before[k], crossings.fixed_rank[k])),
                sampled_at_ms=int(rows.sampled_at_ms[row]),
                received=received,
            )

    def _late_by_ms(self, series: Series, received: ReceivedBatch, late_by_ms: int, sampled_at_ms: int) -> int:
        """How much older a row is than the newest of its unit; 0 = within the bound."""
        live = self._series.get((received.batch.unit_id, received.batch.provenance)) if series.history else None
        newest_ms = NEVER_MS if live is None else int(live.states.newest_ms[live.slot])
        late_ms = max(newest_ms - sampled_at_ms, late_by_ms)
        return late_ms if late_ms > LATENESS_MS else 0

    def _transition(self, crossing: Crossing) -> Transition | None:
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
        self._stand(subject, level, crossing.sampled_at_ms)
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
            cause="runaway" if level is Level.RUNAWAY else "evidence" if crossing.by_evidence else "ceiling",
            reasons=tuple(reasons),
            sampled_at_ms=crossing.sampled_at_ms,
            pack_id=subject.id if subject.kind is AlertKind.THERMAL else None,
            unit_id=received.batch.unit_id,
            gateway_id=received.gateway_id,
            fleet_id=received.fleet_id,
            renewed=renewed,
        )

    def _renews(self, crossing: Crossing, *, rises: bool) -> bool:
        """Whether a latched subject, of which no other unit is known to be hot, is hot again."""
        if crossing.late or not (crossing.renewed or rises):
            return False
        subject, at_ms = crossing.series.subject, crossing.sampled_at_ms
        if at_ms <= self._left_hot_until_ms.get(subject, NEVER_MS) and not crossing.renewed:
            return False
        others = (each for each in self._of_subject[subject] if each is not crossing.series)
        return not any(each.hot and at_ms <= believed_until_ms(each) for each in others)

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


def _is_another_stretch(lane: Series, batch: SampleBatch) -> bool:
    newest_ms = max(lane.taken_ms, int(lane.states.newest_ms[lane.slot]))
    return bool(batch.sampled_at_ms[0] < newest_ms - LATENESS_MS)
