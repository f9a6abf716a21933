"""The vectorised detector against a plain one that looks at one reading after the other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.ceilings import Rows, evaluate
from alerts.pack_states import PackStates
from alerts.rules import RULES, Ceiling, Hysteresis, Rules
from registry.kinds import Level

GAP_MS = 30_000
MAX_OPERATING_C = 60.0
TWO_CLEARING = Rules(
    ceilings=(
        Ceiling(level=Level.WATCH, at_c=50.0, clears=Hysteresis(below_c=48.0, after_s=20.0)),
        *RULES.ceilings,
    ),
)


@dataclass
class PlainProbe:
    reading_c: float = nan
    reading_ms: int | None = None
    rising_since_ms: int | None = None
    above: dict[int, bool] = field(default_factory=dict)
    passed_ms: dict[int, int] = field(default_factory=dict)
    low_since_ms: dict[int, int] = field(default_factory=dict)
    hot: bool = False
    coolest_c: float = nan
    leapt_to_c: float | None = None
    """Alone, while it does not count yet."""
    apart: bool = False
    """And then read something far from it."""
    base_c: float | None = None
    """What it read when another probe leapt alone."""

    def cool(self, *, read: bool, anew: bool) -> None:
        if anew:
            self.coolest_c = nan
        elif read and not self.coolest_c <= self.reading_c:
            self.coolest_c = self.reading_c


@dataclass
class PlainVoltage:
    reading_ms: int | None = None
    reference_v: float | None = None
    slice_number: int | None = None
    slice_highest_v: float | None = None
    fallen: bool = False


class PlainPack:
    """The rules once more, written row by row as one would explain them."""

    def __init__(self, rules: Rules, probes: int, voltages: int) -> None:
        self.rules = rules
        self.newest_ms = -1
        self.latched = 0
        self.level = 0
        self.eased_ms: int | None = None
        self.probes = [PlainProbe() for _ in range(probes)]
        self.voltages = [PlainVoltage() for _ in range(voltages)]

    def take(self, t_ms: int, temperatures_c: list[float], voltages_v: list[float]) -> tuple[int, int, list[float]]:
        """The level's rank before and after the row, and where heat is renewed how far each probe had cooled."""
        late = t_ms < self.newest_ms
        if not late:
            for voltage, volts in zip(self.voltages, voltages_v, strict=True):
                self.follow(voltage, t_ms, volts)
        aside = self.set_leaps_aside(t_ms, temperatures_c, voltages_v, late=late)
        before, latched_before = self.level, self.latched
        hot_before = [probe.hot if latched_before else self.above(probe) for probe in self.probes]
        events = [
            self.judge(probe, t_ms, temperature_c, late=late, counts=not waits) if not isnan(temperature_c) else ""
            for probe, temperature_c, waits in zip(self.probes, temperatures_c, aside, strict=True)
        ]
        renewed = self.follow_heat(t_ms, hot_before, events, latched_before=latched_before)
        self.newest_ms = max(self.newest_ms, t_ms)
        held = [
            ceiling.level.rank
            for number, ceiling in enumerate(self.rules.ceilings)
            if any(probe.above.get(number) for probe in self.probes)
        ]
        self.level = max([self.latched, *held])
        return before, self.level, renewed if before == self.level else []

    def set_leaps_aside(
        self, t_ms: int, temperatures_c: list[float], voltages_v: list[float], *, late: bool
    ) -> list[bool]:
        """Which readings do not count: each leapt to a ceiling alone, and has not moved since, nor anything else."""
        hottest_c, leap_c = self.rules.ceilings[-1].at_c, self.rules.leap.leap_c
        paired = list(zip(self.probes, temperatures_c, strict=True))
        new = [not late and not isnan(c) and (p.reading_ms is None or t_ms > p.reading_ms) for p, c in paired]
        lately = [p.reading_ms is not None and t_ms - p.reading_ms <= GAP_MS for p in self.probes]
        waited = [probe.leapt_to_c is not None for probe in self.probes]
        read_c = sorted([c for c, fresh in zip(temperatures_c, new, strict=True) if fresh])
        begins = [
            c >= hottest_c
            and (
                fresh and len(read_c) >= 3 and c - read_c[-2] >= leap_c  # the hottest, since the others are cooler
                if p.reading_ms is None
                else p.reading_c < hottest_c
                if late
                else fresh and c - p.reading_c >= leap_c
            )
            and not waits
            for (p, c), fresh, waits in zip(paired, new, waited, strict=True)
        ]
        falls = not late and any(
            0.1 < volts < 1.6 * (voltage.reference_v or nan) and volts / voltage.reference_v < 0.99
            for voltage, volts in zip(self.voltages, voltages_v, strict=True)
        )
        risen_c = [  # of at most two others: both, and no median
            nan if p.base_c is None else c - p.base_c
            for (p, c), fresh, waits, begun in zip(paired, new, waited, begins, strict=True)
            if fresh and not waits and not begun
        ]
        risen_c = [c for c in risen_c if not isnan(c)]
        moves = falls or (bool(risen_c) and min(risen_c) >= 2)
        goes_on = any(fresh and near for fresh, near in zip(new, lately, strict=True))
        heard = sum(fresh or near for fresh, near in zip(new, lately, strict=True))
        for (probe, c), fresh, near, waits, begun in zip(paired, new, lately, waited, begins, strict=True):
            follows = late or (fresh and (near or not goes_on))
            back = fresh and c < hottest_c
            moved_c = abs(c - probe.leapt_to_c) if waits else nan
            confirms = follows and moved_c > 0 and (moved_c < 50 or (probe.apart and not late))
            counts = c >= hottest_c and (moves or confirms)
            if fresh:
                probe.apart = waits and follows and (probe.apart or moved_c >= 50)
            if waits and (back or counts):
                probe.leapt_to_c, probe.apart = None, False
            elif (waits and fresh) or (begun and not falls and heard > (fresh or near)):
                probe.leapt_to_c = c
        begun = any(b and p.leapt_to_c is not None for p, b in zip(self.probes, begins, strict=True))
        if (begun and not any(waited)) or t_ms // 600_000 > self.newest_ms // 600_000:
            for (probe, c), fresh in zip(paired, new, strict=True):
                probe.base_c = c if fresh else None if probe.reading_ms is None else probe.reading_c
        return [probe.leapt_to_c is not None and c >= hottest_c for probe, c in paired]

    def alarm(self) -> int:
        return next(
            number
            for number, ceiling in enumerate(self.rules.ceilings)
            if ceiling.clears is not None and ceiling.level.rank >= 2
        )

    def above(self, probe: PlainProbe) -> bool:
        return probe.above.get(self.alarm(), False) and probe.reading_ms is not None

    def follow_heat(self, t_ms: int, hot_before: list[bool], events: list[str], *, latched_before: int) -> list[float]:
        """Events: of each probe, "" = it was not read anew, else "hot", "low", or "read"."""
        for probe, hot in zip(self.probes, hot_before, strict=True):
            probe.hot = hot
        if not latched_before:
            self.eased_ms = None
            for probe in self.probes:
                probe.coolest_c = nan
        if not self.latched or not any(events):
            return []
        passes = any(event == "hot" and not hot for event, hot in zip(events, hot_before, strict=True))
        renewed = passes and self.eased_ms not in (None, t_ms)
        told = [probe.coolest_c for probe in self.probes] if renewed else []
        for probe, event in zip(self.probes, events, strict=True):
            probe.hot = event == "hot" or (probe.hot and event != "low")
            probe.cool(read=event != "", anew="hot" in events)
        if any(p.hot and (p.reading_ms is None or t_ms - p.reading_ms <= GAP_MS) for p in self.probes):
            self.eased_ms = None
        elif self.eased_ms is None:
            self.eased_ms = t_ms
        return told

    def judge(self, probe: PlainProbe, t_ms: int, temperature_c: float, *, late: bool, counts: bool) -> str:
        new = not late and (probe.reading_ms is None or t_ms > probe.reading_ms)
        step_ms = None if probe.reading_ms is None else t_ms - probe.reading_ms
        trusted = new and step_ms is not None and step_ms <= GAP_MS
        event = "read" if new else ""
        runs_away = new and self.judge_rise(probe, t_ms, temperature_c, step_ms if trusted else None, counts=counts)
        for number, ceiling in enumerate(self.rules.ceilings):
            if ceiling.clears is None:
                if temperature_c >= ceiling.at_c and counts:
                    self.latched = max(self.latched, ceiling.level.rank)
            elif (temperature_c >= ceiling.at_c and counts) or runs_away:
                self.pass_ceiling(probe, number, t_ms, aside=not new)
                if temperature_c < ceiling.clears.below_c:
                    probe.low_since_ms[number] = t_ms
                if new and number == self.alarm():
                    event = "hot"
            elif new and self.stays_low(probe, number, ceiling.clears, t_ms, temperature_c, trusted=trusted):
                event = "low" if number == self.alarm() else event
        if new:
            probe.reading_c, probe.reading_ms = temperature_c, t_ms
        return event

    def stays_low(
        self, probe: PlainProbe, number: int, clears: Hysteresis, t_ms: int, temperature_c: float, *, trusted: bool
    ) -> bool:
        if temperature_c >= clears.below_c:
            return False
        if not (trusted and probe.reading_c < clears.below_c):
            probe.low_since_ms[number] = t_ms
        long_enough = t_ms - probe.low_since_ms[number] >= clears.after_s * 1000
        if long_enough:
            probe.above[number] = False
        return long_enough

    def judge_rise(
        self, probe: PlainProbe, t_ms: int, temperature_c: float, step_ms: int | None, *, counts: bool
    ) -> bool:
        if step_ms is None or temperature_c - probe.reading_c < step_ms / 1000 - 1e-3:
            probe.rising_since_ms = None
            return False
        if probe.rising_since_ms is None:
            probe.rising_since_ms = probe.reading_ms
        long_ms = t_ms - probe.rising_since_ms
        collapsed = any(voltage.fallen for voltage in self.voltages)
        if counts and long_ms > max(3000, step_ms) and (temperature_c >= MAX_OPERATING_C or collapsed):
            self.latched = 4
            return True
        return False

    def pass_ceiling(self, probe: PlainProbe, number: int, t_ms: int, *, aside: bool) -> None:
        passed_ms = probe.passed_ms.get(number, -1)
        probe.passed_ms[number] = max(passed_ms, t_ms)
        if aside and t_ms <= passed_ms:
            return
        probe.above[number] = True
        if aside:
            probe.low_since_ms[number] = self.newest_ms

    def follow(self, voltage: PlainVoltage, t_ms: int, volts: float) -> None:
        number = t_ms // 600_000
        if number != voltage.slice_number:
            if voltage.slice_highest_v is not None:
                voltage.reference_v = voltage.slice_highest_v
            voltage.slice_number, voltage.slice_highest_v = number, None
        if isnan(volts):
            return
        if voltage.reference_v is None:
            voltage.reference_v = volts
        voltage.fallen = volts < voltage.reference_v * 0.75
        voltage.slice_highest_v = volts if voltage.slice_highest_v is None else max(voltage.slice_highest_v, volts)


@dataclass(frozen=True)
class History:
    """Rows of packs in order of arrival, and where they are cut into calls."""

    packs: int
    pack: np.ndarray
    t_ms: np.ndarray
    temperatures_c: np.ndarray
    voltages_v: np.ndarray
    cuts: list[int]


# Values at and around every threshold; multiples of 1/4, which float32 holds exactly.
TEMPERATURES_C = st.sampled_from(
    [20.0, 47.5, 48.0, 50.0, 54.75, 55.0, 59.75, 60.0, 61.5, 65.0, 70.0, 79.75, 80.0, 511.0, nan]
)
COOL_C = st.sampled_from([20.0, 21.0, 40.0, 47.0, 54.0, 61.0, nan])
VOLTAGES_V = st.sampled_from([4.0, 3.5, 3.0, 2.75, 0.0, 66.0, nan])
STEPS_MS = st.sampled_from([0, 500, 1000, 1000, 1000, 2000, 10_000, 30_000, 31_000, 60_000, 400_000, -1000, -20_000])


@st.composite
def histories(draw, temperatures=TEMPERATURES_C, steps=STEPS_MS, packs=3) -> History:
    rows = draw(st.integers(1, 40))
    probes, voltages = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    pack = np.array(draw(st.lists(st.integers(0, packs - 1), min_size=rows, max_size=rows)))
    clock_ms = dict.fromkeys(range(packs), 1_000_000)
    t_ms = []
    for number in pack:
        clock_ms[number] = max(clock_ms[number] + draw(steps), 0)
        t_ms.append(clock_ms[number])
    grid = st.lists(temperatures, min_size=probes, max_size=probes)
    volts = st.lists(VOLTAGES_V, min_size=voltages, max_size=voltages)
    return History(
        packs=packs,
        pack=pack,
        t_ms=np.array(t_ms, np.int64),
        temperatures_c=np.array([draw(grid) for _ in range(rows)], np.float32),
        voltages_v=np.array([draw(volts) for _ in range(rows)], np.float32).reshape(rows, voltages),
        cuts=sorted(draw(st.sets(st.integers(1, rows), max_size=4)) | {rows}),
    )


Found = list[tuple[int, int, int, list[float]]]
"""(row, rank before, rank, how far each probe had cooled where heat is renewed) of each change, in order of arrival."""


def detected(history: History, rules: Rules, cuts: list[int]) -> Found:
    states = PackStates(
        temperature_channels=history.temperatures_c.shape[1],
        voltage_channels=history.voltages_v.shape[1],
        clearing_ceilings=sum(ceiling.clears is not None for ceiling in rules.ceilings),
    )
    slots = [
        states.add(max_operating_temperature_c=MAX_OPERATING_C, longest_gap_s=GAP_MS / 1000)
        for _ in range(history.packs)
    ]
    found = []
    for first, last in zip([0, *cuts[:-1]], cuts, strict=True):
        slot = np.array(slots)[history.pack[first:last]]
        order = np.argsort(slot, kind="stable")
        crossings = evaluate(
            states,
            rules,
            Rows(
                slot=slot[order],
                sampled_at_ms=history.t_ms[first:last][order],
                temperatures_c=history.temperatures_c[first:last][order],
                voltages_v=history.voltages_v[first:last][order],
            ),
        )
        found += [
            (
                first + int(order[row]),
                int(crossings.rank_before[k]),
                int(crossings.rank[k]),
                plain(crossings.coolest_c[k].tolist()) if crossings.renewed[k] else [],
            )
            for k, row in enumerate(crossings.row)
            if crossings.renewed[k] or crossings.rank_before[k] != crossings.rank[k]
        ]
    return sorted(found)


def plain(values_c: list[float]) -> list[float]:
    """Without NaN, which equals nothing: -1 for it."""
    return [-1.0 if isnan(value) else value for value in values_c]


def explained(history: History, rules: Rules) -> Found:
    packs = [
        PlainPack(rules, history.temperatures_c.shape[1], history.voltages_v.shape[1]) for _ in range(history.packs)
    ]
    found = []
    for row, number in enumerate(history.pack):
        before, after, renewed = packs[number].take(
            int(history.t_ms[row]), history.temperatures_c[row].tolist(), history.voltages_v[row].tolist()
        )
        if before != after or renewed:
            found.append((row, before, after, plain(renewed)))
    return found


@settings(max_examples=150, deadline=None)
@given(history=histories(), rules=st.sampled_from([RULES, TWO_CLEARING]))
def test_it_says_what_the_plain_rules_say(history, rules):
    assert detected(history, rules, history.cuts) == explained(history, rules)


@settings(max_examples=150, deadline=None)
@given(history=histories(temperatures=COOL_C, steps=st.sampled_from([1000, 2000, 10_000, -3000]), packs=1))
def test_it_says_what_the_plain_rules_say_of_long_stays(history):
    assert detected(history, TWO_CLEARING, history.cuts) == explained(history, TWO_CLEARING)


REHEATING_C = st.sampled_from([20.0, 20.0, 30.0, 41.0, 54.0, 57.0, 61.0, 85.0, nan])
REHEATING_STEPS_MS = st.sampled_from([0, 10_000, 20_000, 30_000, 30_000, 30_000, 31_000, -20_000])


@settings(max_examples=300, deadline=None)
@given(
    history=histories(temperatures=REHEATING_C, steps=REHEATING_STEPS_MS, packs=2),
    rules=st.sampled_from([RULES, TWO_CLEARING]),
)
def test_it_says_what_the_plain_rules_say_of_packs_that_cool_and_heat_again(history, rules):
    expected = explained(history, rules)
    assert detected(history, rules, history.cuts) == expected
    assert detected(history, rules, [len(history.pack)]) == expected


@settings(max_examples=150, deadline=None)
@given(history=histories())
def test_how_rows_are_cut_into_calls_changes_nothing(history):
    at_once = detected(history, RULES, [len(history.pack)])
    one_by_one = detected(history, RULES, list(range(1, len(history.pack) + 1)))
    assert at_once == one_by_one == detected(history, RULES, history.cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alerts.ceilings.ROWS_IN_CACHE", 1)
        assert detected(history, RULES, history.cuts) == at_once


@settings(max_examples=150, deadline=None)
@given(history=histories(packs=1), data=st.data())
def test_rows_that_come_again_change_nothing(history, data):
    again = data.draw(st.lists(st.integers(0, len(history.pack) - 1), max_size=8))
    order = list(range(len(history.pack)))
    for row in again:  # each copy somewhere after its original
        order.insert(data.draw(st.integers(order.index(row) + 1, len(order))), row)
    doubled = History(
        packs=1,
        pack=history.pack[order],
        t_ms=history.t_ms[order],
        temperatures_c=history.temperatures_c[order],
        voltages_v=history.voltages_v[order],
        cuts=[],
    )
    found = [(order[row], *change) for row, *change in detected(doubled, RULES, [len(order)])]
    assert found == detected(history, RULES, [len(history.pack)])


NO_LEAPS_C = st.sampled_from([54.5, 54.75, 55.0, 58.0, 59.75, 60.0, 61.5, 65.0, 69.75, 70.0, 74.25, nan])
"""A probe that leaps waits one reading, if there are others."""
CRITICAL_AT_70 = replace(RULES, ceilings=(RULES.ceilings[0], replace(RULES.ceilings[1], at_c=70.0)))
LIVE_STEPS_MS = st.sampled_from([500, 1000, 2000, 10_000, 31_000])


def ranks(history: History, temperatures_c: np.ndarray) -> np.ndarray:
    """(N,) the level's rank after each row, if these were the temperatures."""
    other = History(
        packs=1,
        pack=history.pack,
        t_ms=history.t_ms,
        temperatures_c=temperatures_c,
        voltages_v=history.voltages_v,
        cuts=[],
    )
    level = np.zeros(len(history.pack), int)
    for row, _, rank, _ in detected(other, CRITICAL_AT_70, [len(history.pack)]):
        level[row:] = rank
    return level


@settings(max_examples=150, deadline=None)
@given(history=histories(temperatures=NO_LEAPS_C, steps=LIVE_STEPS_MS, packs=1), data=st.data())
def test_a_broken_probe_beside_the_others_never_lowers_a_level(history, data):
    rows = len(history.pack)
    broken = data.draw(
        st.one_of(
            st.just(np.full(rows, nan)),
            st.floats(-60, 200, width=32).map(lambda stuck_c: np.full(rows, stuck_c)),
            st.lists(st.sampled_from([-1000.0, 0.0, 25.0, 511.0, 1638.0, nan]), min_size=rows, max_size=rows).map(
                np.array
            ),
        )
    )
    beside = np.column_stack([history.temperatures_c, broken.astype(np.float32)])
    assert (ranks(history, beside) >= ranks(history, history.temperatures_c)).all()


@settings(max_examples=150, deadline=None)
@given(history=histories(temperatures=NO_LEAPS_C, steps=LIVE_STEPS_MS, packs=1), data=st.data())
def test_a_level_outlives_the_probes_that_raised_it(history, data):
    dies_at = data.draw(st.integers(1, len(history.pack)))
    probe = data.draw(st.integers(0, history.temperatures_c.shape[1] - 1))
    own = ranks(history, history.temperatures_c[:, [probe]])[dies_at - 1]
    dying = history.temperatures_c.copy()
    dying[dies_at:, probe] = nan
    assert (ranks(history, dying)[dies_at:] >= own).all()


@settings(max_examples=150, deadline=None)
@given(history=histories(steps=LIVE_STEPS_MS, packs=1), data=st.data())
def test_a_level_outlives_all_probes_of_its_pack(history, data):
    dies_at = data.draw(st.integers(1, len(history.pack)))
    dying = history.temperatures_c.copy()
    dying[dies_at:] = nan
    level = ranks(history, dying)
    assert (level[dies_at:] == level[dies_at - 1]).all()


def test_slots_grow_by_doubling_keep_their_state_and_are_used_again():
    states = PackStates(temperature_channels=2, voltage_channels=1, clearing_ceilings=1)
    for number in range(100):
        slot = states.add(max_operating_temperature_c=float(number), longest_gap_s=30.0)
        states.reading_c[slot] = number
    assert len(states) == 100
    assert len(states.newest_ms) == 128
    assert states.reading_c[:100, 0].tolist() == list(range(100))
    states.free(7)
    assert len(states) == 99
    assert states.add(max_operating_temperature_c=60.0, longest_gap_s=30.0) == 7
    assert np.isnan(states.reading_c[7]).all()
