"""Levels of the rows of all packs at once: ceilings, the runaway rule, and the detector's evidence beside them.

Pure but for its `states`. A level is the higher of what the ceilings and what the evidence (alerts/detector) says;
the evidence only counts where `states` keeps its memory.

Late rows (older than the newest one of their pack) are held against the ceilings on their own: they may raise a
level, and never lower or clear one. A reading that leapt to the hottest ceiling alone waits for what follows
(alerts/leaps.py). One that passes a milder ceiling by no more than its instrument explains does not count for it
(alerts/detector/doubts.py). All else looks at the other rows, in event time. How rows were cut into batches
changes nothing, and neither does a row that comes again; channels that come one by one, each with the same time, are
one row (a plain edge node may send them so).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from alerts import detector
from alerts.leaps import lone_leaps
from alerts.pack_states import NEVER_MS
from alerts.renewal import Stays, follow_renewals, no_renewals
from alerts.rules import LATCHING_FROM
from alerts.scans import group_ends, group_starts, last_true, running_max
from alerts.steps import Steps, follow_steps
from alerts.voltages import follow_voltages
from registry.kinds import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alerts.detector import Evidence, Judgement
    from alerts.pack_states import PackStates
    from alerts.rules import Hysteresis, Rules
    from alerts.voltages import Voltages

_N = TypeVar("_N", bound=np.generic)

ROWS_IN_CACHE = 8_192
"""Of more, the ceilings look at some after the others: twice as fast as all at once."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows(detector.Rows):
    """The detector's rows, but a pack's in order of arrival."""

    in_order: NDArray[np.bool_] | None = None
    """(N,) rows that evidence may look at now; others wait for a hole before them, and come again. None = all."""

    def part(self, first: int, last: int) -> Rows:
        """Rows `first` up to, not including, `last`."""
        columns = {each.name: getattr(self, each.name) for each in fields(self)}
        part: dict[str, Any] = {
            name: None if column is None else column[first:last] for name, column in columns.items()
        }
        return Rows(**part)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crossings:
    """K rows at which a slot's level or its evidence changed, in row order, with what the words about them need."""

    row: NDArray[np.int64]
    """(K,) of `Rows`."""
    rank_before: NDArray[np.int64]
    rank: NDArray[np.int64]
    renewed: NDArray[np.bool_]
    """(K,) the level is latched and stays, and the pack is hot again after it had cooled."""
    hot: NDArray[np.bool_]
    """(K,) whether the pack would alarm without the latch, or may."""
    coolest_c: NDArray[np.float32]
    """(K, T) where it is renewed, each probe's lowest reading since it was hot before; else NaN."""
    late_by_ms: NDArray[np.int64]
    """(K,) how much older the row is than the newest of its pack; 0 = it is live."""
    temperatures_c: NDArray[np.float32]
    """(K, T); NaN also where a reading does not count, or not yet."""
    runaway: NDArray[np.bool_]
    """(K, T) probes by which the runaway rule holds."""
    rate_c_per_s: NDArray[np.float32]
    """(K, T) since the probe's reading before; NaN where there is none to trust."""
    rise_s: NDArray[np.float32]
    """(K, T) for how long the probe has risen at the rule's rate."""
    fallen: NDArray[np.bool_]
    """(K, V) channels whose latest voltage is a collapse."""
    voltages_v: NDArray[np.float32]
    """(K, V)"""
    references_v: NDArray[np.float32]
    """(K, V)"""
    fixed_rank: NDArray[np.int64]
    """(K,) what the ceilings and the runaway rule alone hold."""
    fixed_rank_before: NDArray[np.int64]
    """(K,) one row earlier."""
    evidences: tuple[tuple[Evidence, ...], ...]
    """(K,) what the detector's level rose by in that row, strongest first; empty where it did not rise."""

    def __len__(self) -> int:
        return len(self.row)

    def behind(self, rows: int) -> Crossings:
        """The same, of rows that have so many before them."""
        return replace(self, row=self.row + rows)


def _joined(parts: Sequence[Crossings]) -> Crossings:
    """Of rows one after the other."""
    found = [each for each in parts if len(each)] or parts[:1]
    if len(found) == 1:
        return found[0]
    columns = {each.name: [getattr(part, each.name) for part in found] for each in fields(Crossings)}
    evidences = tuple(chain.from_iterable(columns.pop("evidences")))
    return Crossings(**{name: np.concatenate(column) for name, column in columns.items()}, evidences=evidences)


def evaluate(states: PackStates, rules: Rules, rows: Rows) -> Crossings:
    """Take one or more rows in: changes `states`, returns the changes of level and of the evidence for it.

    Evidence looks at all slots at once, since it goes row by row; the ceilings, which do not, at what fits the cache.
    """
    judgement = _judge(states, rules, rows)
    cuts = _cuts(rows.slot)
    if len(cuts) == 2:
        return _evaluate_part(states, rules, rows, judgement)
    crossings = [
        _evaluate_part(
            states, rules, rows.part(first, last), None if judgement is None else judgement.part(first, last)
        ).behind(int(first))
        for first, last in pairwise(cuts)
    ]
    return _joined(crossings)


def _cuts(slot: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where to cut rows between slots, the beginning and the end included."""
    ends = np.append(np.flatnonzero(np.diff(slot)) + 1, len(slot))
    wanted = np.arange(ROWS_IN_CACHE, len(slot) + ROWS_IN_CACHE, ROWS_IN_CACHE)
    chosen = np.minimum(np.searchsorted(ends, wanted), len(ends) - 1)
    return np.append(0, ends[np.unique(chosen)])


def _evaluate_part(states: PackStates, rules: Rules, rows: Rows, judgement: Judgement | None) -> Crossings:
    """The ceilings of one or more rows.

    Nearly all packs are calm nearly always, so what only matters near a level is computed for the packs there alone.
    """
    slot, sampled_at_ms = rows.slot, rows.sampled_at_ms
    starts = group_starts(slot)
    newest_ms = running_max(sampled_at_ms, starts, states.newest_ms[slot])
    newest_before_ms = np.where(np.arange(len(slot)) == starts, states.newest_ms[slot], np.roll(newest_ms, 1))
    live = sampled_at_ms >= newest_before_ms

    steps = follow_steps(states, rules, rows, starts, live)
    voltages = follow_voltages(
        states, rules.runaway, all_slots=slot, all_ms=sampled_at_ms, all_v=rows.voltages_v, live=live
    )

    lively = (rows.temperatures_c >= _lowest_c(rules)).any(axis=1) | steps.rising.any(axis=1)
    if judgement is not None:
        lively |= judgement.rank > 0
    ends = group_ends(starts)
    end_slots = slot[ends]
    first_rows = starts[ends]
    busy_slots = states.above[end_slots].any(axis=(1, 2)) | states.rise_ms[end_slots].any(axis=1)
    busy_slots |= (states.level[end_slots] > 0) | np.isfinite(states.leap_c[end_slots]).any(axis=1)
    busy = np.logical_or.reduceat(lively, first_rows) | busy_slots
    chosen = np.flatnonzero(np.repeat(busy, ends - first_rows + 1))
    crossings = _near_a_level(
        states,
        rules=rules,
        all_rows=rows,
        all_steps=steps,
        voltages=voltages,
        judgement=judgement,
        chosen=chosen,
        newest_before_ms=newest_before_ms,
    )

    _remember(states, rows, starts, ends, steps.measured)
    states.newest_ms[end_slots] = newest_ms[ends]
    return crossings


def _lowest_c(rules: Rules) -> float:
    return min(ceiling.at_c for ceiling in rules.ceilings)


def _hottest_c(rules: Rules) -> float:
    return max(ceiling.at_c for ceiling in rules.ceilings)


def _judge(states: PackStates, rules: Rules, rows: Rows) -> Judgement | None:
    if not states.by_evidence:
        return None
    evidence_rows = detector.Rows(
        slot=rows.slot,
        sampled_at_ms=rows.sampled_at_ms,
        temperatures_c=_in_order(rows, rows.temperatures_c),
        voltages_v=_in_order(rows, rows.voltages_v),
        ambient_c=rows.ambient_c,
        hydrogen_ppm=None if rows.hydrogen_ppm is None else _in_order(rows, rows.hydrogen_ppm),
        carbon_monoxide_ppm=None if rows.carbon_monoxide_ppm is None else _in_order(rows, rows.carbon_monoxide_ppm),
        voc_ppm=None if rows.voc_ppm is None else _in_order(rows, rows.voc_ppm),
    )
    judgement = detector.judge(states, rules.detector, evidence_rows, ceiling_c=_lowest_c(rules))
    if len(rows.slot):
        newest = group_ends(group_starts(rows.slot))
        states.keep_forecasts(rows.slot[newest], judgement.forecast_s[newest])
    return judgement


def _in_order(rows: Rows, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, ...) without the rows that wait: a row that measured nothing changes nothing."""
    if rows.in_order is None:
        return values
    return np.where(rows.in_order.reshape((-1,) + (1,) * (values.ndim - 1)), values, np.float32(np.nan))


def _near_a_level(
    states: PackStates,
    *,
    rules: Rules,
    all_rows: Rows,
    all_steps: Steps,
    voltages: Voltages,
    judgement: Judgement | None,
    chosen: NDArray[np.int64],
    newest_before_ms: NDArray[np.int64],
) -> Crossings:
    """Levels of the `chosen` rows, which are all rows of their packs."""
    rows = Rows(
        slot=all_rows.slot[chosen],
        sampled_at_ms=all_rows.sampled_at_ms[chosen],
        temperatures_c=all_rows.temperatures_c[chosen],
        voltages_v=all_rows.voltages_v[chosen],
    )
    slot, t_ms, steps = rows.slot, rows.sampled_at_ms, all_steps[chosen]
    newest_before_ms = newest_before_ms[chosen]
    starts = group_starts(slot)
    ends = group_ends(starts)
    settled = (t_ms >= states.settled_from_ms[slot]) & (t_ms <= states.settled_until_ms[slot])
    settled_rank = np.where(settled, states.settled_level[slot], 0)

    waits = lone_leaps(
        states,
        rules.leap,
        hottest_c=_hottest_c(rules),
        slot=slot,
        t_ms=t_ms,
        temperatures_c=rows.temperatures_c,
        before_c=steps.before_c,
        measured=steps.measured,
        lately=np.isfinite(steps.before_c) & (steps.step_ms <= states.longest_gap_ms[slot][:, None]),
        newest_before_ms=newest_before_ms,
        voltages_v=rows.voltages_v,
        references_v=voltages.references_of(chosen),
        starts=starts,
        ends=ends,
    )
    counted_c = np.where(waits, np.float32(np.nan), rows.temperatures_c) if waits.any() else rows.temperatures_c
    rise_ms = _rise_ms(states, rows, steps, starts)
    long_enough = (rise_ms > rules.runaway.longer_than_s * 1000) & (rise_ms > steps.step_ms)
    too_hot = counted_c >= states.max_operating_c[slot][:, None]
    runaway = long_enough & ~waits & (too_hot | voltages.fallen[chosen].any(axis=1, keepdims=True))
    runaway &= (settled_rank < Level.RUNAWAY.rank)[:, None]
    evidence = np.zeros(len(chosen), np.int64) if judgement is None else judgement.rank[chosen].astype(np.int64)
    evidence[evidence <= settled_rank] = 0
    believed_c = counted_c if judgement is None else _believed(counted_c, judgement.doubt_c[chosen], rules, runaway)
    fired = np.where(runaway.any(axis=1), Level.RUNAWAY.rank, 0)
    held = np.zeros(len(chosen), np.int64)
    held_before = np.zeros(len(ends), np.int64)
    clearing = 0
    alarm, alarm_before = None, None
    for ceiling in rules.ceilings:
        exceeds = (believed_c >= ceiling.at_c) & (settled_rank < ceiling.level.rank)[:, None]
        if ceiling.clears is None:
            fired = np.maximum(fired, np.where(exceeds.any(axis=1), ceiling.level.rank, 0))
            continue
        above_before = states.above[slot[ends], clearing]
        stays = _stays(
            states,
            clearing=clearing,
            hysteresis=ceiling.clears,
            rows=rows,
            steps=steps,
            starts=starts,
            exceeds=exceeds | runaway,
            newest_before_ms=newest_before_ms,
        )
        held = np.maximum(held, np.where(stays.above.any(axis=1), ceiling.level.rank, 0))
        held_before = np.maximum(held_before, np.where(above_before.any(axis=1), ceiling.level.rank, 0))
        if alarm is None and ceiling.level.rank >= Level.WARNING.rank:
            alarm, alarm_before = stays, above_before
        clearing += 1
    fixed = np.maximum(fired, held)
    fixed_before = np.roll(fixed, 1)
    fixed_before[starts[ends]] = held_before
    fired = np.maximum(fired, np.where(evidence >= LATCHING_FROM.rank, evidence, 0))
    latched = running_max(fired, starts, states.latched[slot])
    level = np.maximum(latched, np.maximum(held, evidence))
    if alarm is not None and alarm_before is not None:
        alarm = _with_evidence(alarm, counted_c, evidence >= Level.WARNING.rank)
    before = np.where(np.arange(len(level)) == starts, states.level[slot], np.roll(level, 1))
    renewals = (
        no_renewals(rows.temperatures_c)
        if alarm is None or alarm_before is None
        else follow_renewals(
            states,
            slot=slot,
            t_ms=t_ms,
            temperatures_c=rows.temperatures_c,
            measured=steps.measured,
            stays=alarm,
            above_before=alarm_before,
            latched=latched,
            starts=starts,
            ends=ends,
        )
    )

    states.rise_ms[slot[ends]] = _latest(rise_ms, steps.measured, starts, ends, states.rise_ms[slot[ends]])
    states.latched[slot[ends]] = latched[ends]
    states.level[slot[ends]] = level[ends]

    at = np.flatnonzero((level != before) | renewals.renewed | (renewals.hot != renewals.hot_before))
    risen_c = np.where(steps.trusted, rows.temperatures_c - steps.before_c, np.nan)[at]
    return Crossings(
        row=chosen[at],
        rank_before=before[at],
        rank=level[at],
        renewed=renewals.renewed[at] & (level == before)[at],
        hot=renewals.hot[at],
        coolest_c=renewals.coolest_c[at],
        late_by_ms=np.maximum(newest_before_ms - t_ms, 0)[at],
        temperatures_c=counted_c[at],
        runaway=runaway[at],
        rate_c_per_s=(risen_c * 1000 / np.where(steps.trusted, steps.step_ms, 1)[at]).astype(np.float32),
        rise_s=(rise_ms[at] / 1000).astype(np.float32),
        fallen=voltages.fallen[chosen[at]],
        voltages_v=rows.voltages_v[at],
        references_v=voltages.references_of(chosen[at]),
        fixed_rank=fixed[at],
        fixed_rank_before=fixed_before[at],
        evidences=tuple(
            tuple(detector.reason_numbers(judgement, int(row)))
            if judgement is not None and row in judgement.risen
            else ()
            for row in chosen[at]
        ),
    )


def _believed(
    temperatures_c: NDArray[np.float32], doubt_c: NDArray[np.float32], rules: Rules, runaway: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(N, T) without the readings between the ceilings that would be below both but for their instrument."""
    between = (temperatures_c >= _lowest_c(rules)) & (temperatures_c < _hottest_c(rules)) & ~runaway
    return np.where(between & (temperatures_c - doubt_c < _lowest_c(rules)), np.float32(np.nan), temperatures_c)


def _with_evidence(alarm: Stays, temperatures_c: NDArray[np.float32], alarms: NDArray[np.bool_]) -> Stays:
    """The same, but in rows whose evidence alarms the hottest probe counts as one above the ceiling."""
    if not alarms.any():
        return alarm
    hottest_c = np.fmax.reduce(temperatures_c, axis=1, initial=-np.inf, keepdims=True)
    hottest = alarms[:, None] & (temperatures_c == hottest_c)
    return Stays(above=alarm.above | hottest, passes=alarm.passes | hottest, clears=alarm.clears & ~hottest)


def _rise_ms(states: PackStates, rows: Rows, steps: Steps, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N, T) for how long each probe has risen at the rule's rate: since its latest reading that did not."""
    base_row = last_true(steps.measured & ~steps.rising)
    inside = base_row >= starts[:, None]
    carried_ms = states.reading_ms[rows.slot] - states.rise_ms[rows.slot]
    base_ms = np.where(inside, rows.sampled_at_ms[np.where(inside, base_row, 0)], carried_ms)
    return np.where(steps.rising, rows.sampled_at_ms[:, None] - base_ms, 0)


def _stays(
    states: PackStates,
    *,
    clearing: int,
    hysteresis: Hysteresis,
    rows: Rows,
    steps: Steps,
    starts: NDArray[np.int64],
    exceeds: NDArray[np.bool_],
    newest_before_ms: NDArray[np.int64],
) -> Stays:
    """Each probe against the `clearing`-th ceiling that clears. Whatever runs away passes it, however cool it is.

    A stay below begins with the first low reading after a higher one or after a gap that is too long. A late reading
    that passes counts only if it is newer than the latest that passed (else it says nothing new, or the same again),
    and then the stay begins anew, at the newest time that was known. A probe that is not measured stays as it was, so
    a hot probe that dies does not clear.
    """
    slot, t_ms = rows.slot, rows.sampled_at_ms
    passed_ms = np.where(exceeds, t_ms[:, None], NEVER_MS)
    exceeded_ms = running_max(passed_ms, starts, states.exceeded_ms[slot, clearing])
    before_ms = np.where(
        (np.arange(len(slot)) == starts)[:, None], states.exceeded_ms[slot, clearing], np.roll(exceeded_ms, 1, axis=0)
    )
    exceeds = exceeds & (steps.measured | (passed_ms > before_ms))

    low = steps.measured & (rows.temperatures_c < hysteresis.below_c)
    stays = steps.trusted & (steps.before_c < hysteresis.below_c)
    since_row = last_true((low & ~stays) | (exceeds & (low | ~steps.measured)))
    since_ms = np.maximum(t_ms, newest_before_ms)[np.maximum(since_row, 0)]
    since_ms = np.where(since_row >= starts[:, None], since_ms, states.low_since_ms[slot, clearing])
    clears = low & (t_ms[:, None] - since_ms >= hysteresis.after_s * 1000)

    exceeded_row, cleared_row = last_true(exceeds), last_true(clears)
    inside = np.maximum(exceeded_row, cleared_row) >= starts[:, None]
    above = np.where(inside, exceeded_row > cleared_row, states.above[slot, clearing])
    ends = group_ends(starts)
    states.above[slot[ends], clearing] = above[ends]
    states.low_since_ms[slot[ends], clearing] = since_ms[ends]
    states.exceeded_ms[slot[ends], clearing] = exceeded_ms[ends]
    return Stays(above=above, passes=exceeds, clears=clears)


def _latest(
    values: NDArray[_N],
    mask: NDArray[np.bool_],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    carried: NDArray[_N],
) -> NDArray[_N]:
    """(G, T) each group's value in its latest row where `mask` held; `carried` (G, T) where it never did."""
    row = last_true(mask)[ends]
    inside = row >= starts[ends][:, None]
    return np.where(inside, np.take_along_axis(values, np.where(inside, row, 0), axis=0), carried)


def _remember(
    states: PackStates,
    rows: Rows,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    measured: NDArray[np.bool_],
) -> None:
    """Each probe's latest live reading."""
    slots, latest = rows.slot[ends], measured[ends]
    if len(ends) == len(starts) or latest.all():  # nearly always a pack's last row tells of all its probes
        states.reading_c[slots] = np.where(latest, rows.temperatures_c[ends], states.reading_c[slots])
        states.reading_ms[slots] = np.where(latest, rows.sampled_at_ms[ends, None], states.reading_ms[slots])
        return
    times_ms = np.broadcast_to(rows.sampled_at_ms[:, None], measured.shape)
    states.reading_c[slots] = _latest(rows.temperatures_c, measured, starts, ends, states.reading_c[slots])
    states.reading_ms[slots] = _latest(times_ms, measured, starts, ends, states.reading_ms[slots])
