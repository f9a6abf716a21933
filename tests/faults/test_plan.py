"""Plans: the same seed always gives the same, in words, and a few seeds in a row leave no kind of harm out."""

from collections import Counter

import pytest

from faultline.plan import DATABASE_KINDS, HARMS_A_ROUND, LAST_KINDS, OVERFLOW_CONFLICTS, Kind, Store, make_plan

ALL = frozenset(Store)
EMBEDDED = frozenset({Store.DUCKDB})


def test_a_seed_gives_the_same_plan_every_time_and_another_seed_another():
    assert str(make_plan(17)) == str(make_plan(17))
    assert str(make_plan(17)) != str(make_plan(18))


@pytest.mark.parametrize("lap", range(0, 50, 5))
def test_five_seeds_in_a_row_have_every_kind(lap):
    kinds = [harm.kind for seed in range(lap, lap + 5) for harm in make_plan(seed).harms]
    assert set(kinds) >= set(Kind) - {Kind.OUTBOX_OVERFLOW}
    embedded = [harm.kind for seed in range(lap, lap + 5) for harm in make_plan(seed, stores=EMBEDDED).harms]
    assert set(embedded) >= set(Kind) - {Kind.OUTBOX_OVERFLOW, *DATABASE_KINDS}


def test_two_hundred_rounds_have_many_on_either_store_and_outboxes_that_overflow():
    plans = [make_plan(seed) for seed in range(1, 201)]
    assert min(Counter(plan.store for plan in plans).values()) >= 80
    assert sum(plan.has(Kind.OUTBOX_OVERFLOW) for plan in plans) >= 12
    assert sum(plan.resend_s is None for plan in plans) >= 12


@pytest.mark.parametrize("seed", range(100))
def test_no_round_has_what_excludes_each_other(seed):
    plan = make_plan(seed)
    kinds = {harm.kind for harm in plan.harms}
    assert len(plan.harms) == len(kinds) <= HARMS_A_ROUND + (Kind.OUTBOX_OVERFLOW in kinds)
    assert Kind.OUTBOX_OVERFLOW not in kinds or not kinds & OVERFLOW_CONFLICTS
    if kinds & DATABASE_KINDS:
        assert plan.store is Store.INFLUXDB
    if Kind.TWO_INGEST_WORKERS in kinds and plan.store is Store.DUCKDB:
        assert not kinds & {Kind.INGEST_KILLED, Kind.STORE_DISK_FULL}
    embedded = make_plan(seed, stores=EMBEDDED)
    assert embedded.store is Store.DUCKDB
    if embedded.has(Kind.TWO_INGEST_WORKERS):
        assert not embedded.has(Kind.INGEST_KILLED, Kind.STORE_DISK_FULL)
    assert len(kinds & LAST_KINDS) <= 1


def test_the_plan_says_who_suffers_what_and_when():
    plan = next(plan for seed in range(50) if (plan := make_plan(seed)).has(Kind.UNIT_KILLED))
    (line,) = [line for line in str(plan).splitlines() if "unit killed" in line]
    assert " s  for " in line
    assert ": unit-" in line


def test_a_scale_of_20_makes_outages_and_delays_as_long_as_in_life():
    seeds = range(20)
    longest = max(harm.lasts_s for seed in seeds for harm in make_plan(seed, scale=20).harms)
    delays = [h.amount for seed in seeds for h in make_plan(seed, scale=20).harms if h.kind is Kind.DELAY]
    assert longest > 30
    assert all(5 <= delay <= 60 for delay in delays)
