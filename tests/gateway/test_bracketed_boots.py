"""Boots that nobody heard live: put between their neighbours once, and kept there, whatever arrives when."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock_map import UNBRACKETED_S, UnitClock, WaitingBoot
from telemetry.samples import Quality

START_MS = 1_790_000_000_000
BEAT_MS = 10_000


def heard(clock: UnitClock, boot_id: str, zero_ms: int, *, first_ms: int = 0, last_ms: int) -> None:
    """Beats of a boot, whose tick zero was at START_MS + `zero_ms`."""
    for tick_ms in range(first_ms, last_ms + 1, BEAT_MS):
        clock.observe(boot_id, tick_ms, START_MS + zero_ms + tick_ms)


def waiting(boot_id: str, last_tick_ms: int, received_ms: int) -> WaitingBoot:
    return WaitingBoot(boot_id, last_tick_ms, START_MS + received_ms - last_tick_ms, START_MS + received_ms)


def fixed(clock: UnitClock, boot_id: str, first_ms: int, last_ms: int | None = None):
    fix = clock.fix(
        boot_id,
        first_tick_ms=first_ms,
        last_tick_ms=first_ms if last_ms is None else last_ms,
        declared_zero_ms=None,
    )
    assert fix is not None
    return fix


def restarted(clock: UnitClock) -> UnitClock:
    """As the next run of the gateway has it."""
    return UnitClock.restored(json.loads(json.dumps(clock.state())))


def test_it_begins_after_the_boot_before_and_its_uncertainty_reaches_to_the_boot_after():
    # 1 was heard until 100 s, 3 began at 400 s; 2 lived in between for at least 100 s: its tick zero is in 100..300 s.
    clock = UnitClock()
    heard(clock, "1-a", 0, last_ms=100_000)
    heard(clock, "3-c", 400_000, last_ms=30_000)
    clock.bracket([waiting("2-b", 100_000, 405_000)])
    fix = fixed(clock, "2-b", 90_000, 100_000)
    assert fix.quality is Quality.TIME_BRACKETED
    assert fix.utc_at_tick_zero_ms == START_MS + 100_001
    assert fix.uncertainty_s == pytest.approx(200, abs=0.1)


def test_samples_of_the_boot_before_that_came_out_of_the_ring_narrow_it():
    clock = UnitClock()
    heard(clock, "1-a", 0, last_ms=100_000)
    heard(clock, "3-c", 400_000, last_ms=30_000)
    fixed(clock, "1-a", 200_000, 290_000)  # its gateway was away, its unit went on
    clock.bracket([waiting("2-b", 100_000, 405_000)])
    fix = fixed(clock, "2-b", 0)
    assert fix.utc_at_tick_zero_ms == START_MS + 290_001
    assert fix.uncertainty_s < 11


@pytest.mark.parametrize("restart", [False, True])
def test_pieces_that_come_later_have_the_same_zero_and_end_before_the_next_boot(restart):
    clock = UnitClock()
    heard(clock, "1-a", 0, last_ms=100_000)
    heard(clock, "3-c", 400_000, last_ms=30_000)
    clock.bracket([waiting("2-b", 10_000, 405_000)])
    first = fixed(clock, "2-b", 0, 10_000)
    if restart:
        clock = restarted(clock)
    heard(clock, "3-c", 400_000, first_ms=40_000, last_ms=200_000)
    assert clock.is_bracketed("2-b")
    later = fixed(clock, "2-b", 280_000, 290_000)
    assert later.utc_at_tick_zero_ms == first.utc_at_tick_zero_ms
    assert later.utc_at_tick_zero_ms + 290_000 < START_MS + 400_000


def test_two_that_were_not_heard_lie_one_after_the_other_whichever_came_first():
    clock = UnitClock()
    heard(clock, "9-a", 0, last_ms=100_000)
    heard(clock, "12-d", 900_000, last_ms=30_000)
    clock.bracket([waiting("11-c", 50_000, 905_000), waiting("10-b", 200_000, 910_000)])
    assert fixed(clock, "10-b", 0).utc_at_tick_zero_ms == START_MS + 100_001
    assert fixed(clock, "11-c", 0).utc_at_tick_zero_ms == START_MS + 300_002
    assert fixed(clock, "10-b", 0).uncertainty_s == pytest.approx(550, abs=0.1)  # 10 began in 100..650 s
    assert fixed(clock, "11-c", 0).uncertainty_s == pytest.approx(550, abs=0.1)  # 11 in 300..850 s


def test_a_unit_that_sends_no_beats_is_placed_by_its_arrival_and_says_so():
    clock = UnitClock()
    clock.bracket([waiting("1-a", 10_000, 0)])
    placed = fixed(clock, "1-a", 0, 10_000)
    assert placed.utc_at_tick_zero_ms == START_MS - 10_000
    assert placed.uncertainty_s >= UNBRACKETED_S
    assert placed.quality is Quality.TIME_BRACKETED


def test_without_any_boot_before_they_end_where_the_next_begins():
    clock = UnitClock()
    heard(clock, "3-c", 400_000, last_ms=30_000)
    clock.bracket([waiting("1-a", 100_000, 405_000), waiting("2-b", 50_000, 405_000)])
    assert fixed(clock, "2-b", 50_000).utc_at_tick_zero_ms + 50_000 == START_MS + 399_999
    assert fixed(clock, "1-a", 100_000).utc_at_tick_zero_ms + 100_000 == START_MS + 349_998


def test_names_without_a_counter_go_by_their_arrival_and_by_beats_since():
    clock = UnitClock()
    heard(clock, "x", 0, last_ms=100_000)
    heard(clock, "z", 400_000, last_ms=30_000)
    clock.bracket([waiting("y", 100_000, 405_000)])
    assert fixed(clock, "y", 0).utc_at_tick_zero_ms == START_MS + 100_001


def test_beats_that_come_after_all_are_believed():
    clock = UnitClock()
    heard(clock, "1-a", 0, last_ms=100_000)
    clock.bracket([waiting("2-b", 10_000, 200_000)])
    heard(clock, "2-b", 180_000, first_ms=30_000, last_ms=50_000)
    fix = fixed(clock, "2-b", 40_000)
    assert (fix.utc_at_tick_zero_ms, fix.quality) == (START_MS + 180_000, Quality.GOOD)


def test_a_clock_that_is_set_leaves_them_where_they_are_and_less_certain():
    clock = UnitClock()
    heard(clock, "1-a", 0, last_ms=100_000)
    clock.bracket([waiting("2-b", 10_000, 200_000)])
    before = fixed(clock, "2-b", 0)
    clock.move(-60_000)
    after = fixed(clock, "2-b", 0)
    assert after.utc_at_tick_zero_ms == before.utc_at_tick_zero_ms
    assert after.uncertainty_s - before.uncertainty_s == pytest.approx(60)
    clock.move(20 * 365 * 86_400_000)
    assert not clock.is_bracketed("2-b")


SECONDS = st.integers(1, 20_000)


@given(
    lives=st.lists(st.tuples(SECONDS, SECONDS, st.lists(SECONDS, max_size=3)), min_size=1, max_size=5),
    restarts=st.sets(st.integers(0, 20)),
)
def test_whatever_comes_out_of_a_ring_in_pieces_is_in_order_and_as_certain_as_it_says(lives, restarts):
    """lives: of each boot that was not heard, s off before it, s in its first piece, and s in later pieces."""
    clock = UnitClock()
    heard(clock, "1-a", 0, last_ms=100_000)
    now_ms, zeros, pieces = 100_000, [], []
    for number, (off_s, first_s, more) in enumerate(lives, start=2):
        zeros.append((f"{number}-n", now_ms + off_s * 1_000))
        tick_ms = 0
        for at, length_s in enumerate([first_s, *more]):
            pieces.append((at, f"{number}-n", tick_ms, tick_ms + length_s * 1_000))
            tick_ms += length_s * 1_000 + 250
        now_ms = zeros[-1][1] + tick_ms
    heard(clock, "99-z", now_ms + 1_000, last_ms=20_000)
    first = [waiting(boot_id, last_ms, now_ms + 30_000) for at, boot_id, _, last_ms in pieces if at == 0]
    clock.bracket(first)
    spans = {}
    for step, (_, boot_id, first_ms, last_ms) in enumerate(sorted(pieces)):
        if step in restarts:
            clock = restarted(clock)
        fix = fixed(clock, boot_id, first_ms, last_ms)
        spans.setdefault(boot_id, []).append((fix, first_ms, last_ms))
    for boot_id, true_zero_ms in zeros:
        fixes = [fix for fix, _, _ in spans[boot_id]]
        assert len({fix.utc_at_tick_zero_ms for fix in fixes}) == 1
        off_s = (fixes[0].utc_at_tick_zero_ms - START_MS - true_zero_ms) / 1_000
        assert abs(off_s) <= fixes[0].uncertainty_s
    # Those of which a piece is still out when the next one is placed may reach into it, as far as they are uncertain.
    whole = all(not more for _, _, more in lives)
    ends = [(spans[boot_id][0][0].utc_at_tick_zero_ms, spans[boot_id][-1]) for boot_id, _ in zeros]
    for (_, (fix, _, last_ms)), (next_zero_ms, _) in pairwise(ends):
        if whole:
            assert fix.utc_at_tick_zero_ms + last_ms < next_zero_ms
    last_fix, _, last_ms = ends[-1][1]
    assert last_fix.utc_at_tick_zero_ms + last_ms <= START_MS + now_ms + 1_000
