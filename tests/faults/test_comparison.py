"""The comparison finds everything that can be wrong with a store, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from firmware_sim.ledger import Lost, Took
from firmware_sim.pattern import pattern_rows

from faultline.comparison import Expectation, GivenUp, StoredRow, compare

UNIT, SEED, NOW_MS = "unit-1", 5, 1_800_000_000_000
EXPECTED = Expectation(seed=SEED, unit_id=UNIT, temperatures=2, voltages=1)
BOOTS = ("1-aaaa", "2-bbbb")


def ledger() -> list[Took | Lost]:
    return [
        Took(boot_id=boot, frame=frame, rows=3, period_ms=100, tick_ms=300 * frame, taken_at_ms=at(boot, frame))
        for boot in BOOTS
        for frame in range(4)
    ]


def at(boot: str, frame: int) -> int:
    return NOW_MS + 60_000 * BOOTS.index(boot) + 300 * frame


def store() -> list[StoredRow]:
    return [row for took in ledger() for row in rows_of(took)]


def rows_of(took: Took) -> list[StoredRow]:
    pattern = pattern_rows(
        seed=SEED, unit_id=UNIT, boot_id=took.boot_id, frame=took.frame, rows=3, temperatures=2, voltages=1
    )
    return [
        StoredRow(
            unit_id=UNIT,
            boot_id=took.boot_id,
            frame=took.frame,
            sampled_at_ms=took.taken_at_ms + 100 * row + 12,
            uncertainty_s=0.02,
            temperatures_c=tuple(np.float32(pattern.temperatures_c[row])),
            voltages_v=tuple(np.float32(pattern.voltages_v[row])),
        )
        for row in range(3)
    ]


def found(rows, entries=None, expectation=EXPECTED) -> set[str]:
    verdict = compare({UNIT: expectation}, {UNIT: ledger() if entries is None else entries}, rows)
    assert set(verdict.counts) == {finding.partition(":")[0] for finding in verdict.findings}
    return set(verdict.counts)


def test_a_store_that_has_everything_once_is_right():
    verdict = compare({UNIT: EXPECTED}, {UNIT: ledger()}, reversed(store()))
    assert (verdict.findings, verdict.samples_taken, verdict.samples_stored) == ([], 24, 24)


def change(number: int, **fields: object):
    rows = store()
    rows[number] = rows[number]._replace(**fields)
    return rows


def shifted(rows, boot: str, by_ms: int):
    return [row._replace(sampled_at_ms=row.sampled_at_ms + by_ms) if row.boot_id == boot else row for row in rows]


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("missing", store()[1:]),
        ("missing", store()[3:]),
        ("missing", []),
        ("twice", [*store(), store()[0]]),
        ("twice", [*store(), *store()]),
        ("values", change(4, temperatures_c=(20.0, 20.0))),
        ("values", change(4, temperatures_c=(float("nan"), float("nan")))),
        ("values", change(4, temperatures_c=store()[4].temperatures_c[:1])),
        ("values", change(4, voltages_v=())),
        ("spacing", change(4, sampled_at_ms=store()[4].sampled_at_ms + 1)),
        ("time", shifted(store(), BOOTS[1], 5_000)),
        ("time", shifted(store(), BOOTS[1], -5_000)),
        ("stranger", change(4, unit_id="unit-9")),
        ("stranger", change(4, frame=77)),
        ("stranger", change(4, boot_id="3-cccc")),
        ("stranger", change(4, boot_id=None)),
    ],
)
def test_what_is_wrong_is_found(kind, rows):
    assert kind in found(rows)


def test_frames_in_another_order_than_they_were_taken_are_found():
    rows = [row._replace(sampled_at_ms=row.sampled_at_ms + (350 if row.frame == 1 else 0)) for row in store()]
    assert found(rows) == {"order"}
    assert found(rows, expectation=replace(EXPECTED, clock_stepped=True)) == set()


def test_a_boot_that_begins_before_the_one_before_it_ends_is_found():
    entries = [replace(entry, taken_at_ms=None) for entry in ledger()]
    assert found(shifted(store(), BOOTS[1], -70_000), entries) == {"order"}


def test_what_a_unit_reported_as_lost_may_be_missing_and_nothing_else():
    lost = [Lost(boot_id=BOOTS[0], frame=0)]
    rest = [row for row in store() if (row.boot_id, row.frame) != (BOOTS[0], 0)]
    assert found(rest, [*ledger(), *lost]) == set()
    assert found(store(), [*ledger(), *lost]) == set()
    assert found(store()[1:], [*ledger(), *lost]) == {"missing"}
    assert found(rest[3:], [*ledger(), *lost]) == {"missing"}


def test_what_a_gateway_reported_as_given_up_may_be_missing_or_thinned_and_nothing_else():
    given_up = replace(EXPECTED, given_up=(GivenUp(BOOTS[0], 0, 0, 3),))
    assert found(store()[1:], expectation=given_up) == set()
    assert found(store()[3:], expectation=given_up) == set()
    assert found(store()[4:], expectation=given_up) == {"missing"}
    fewer = replace(EXPECTED, given_up=(GivenUp(BOOTS[0], 0, 0, 1),))
    assert found(store()[1:], expectation=fewer) == set()
    assert found(store()[2:], expectation=fewer) == {"missing"}
    between = replace(EXPECTED, given_up=(GivenUp(BOOTS[0], 0, 3, 6),))
    assert found([*store()[3:6], *store()[9:]], expectation=between) == set()


def test_what_is_left_of_a_thinned_frame_must_have_been_taken():
    thinned = replace(EXPECTED, given_up=(GivenUp(BOOTS[0], 0, 0, 2),))
    first, second, third, *rest = store()
    assert found([second, *rest], expectation=thinned) == set()
    assert found([first, third, *rest], expectation=thinned) == set()
    assert found([second._replace(voltages_v=(1.0,)), *rest], expectation=thinned) == {"values"}
    assert found([second, second, *rest], expectation=thinned) == {"values"}
    closer = third._replace(sampled_at_ms=third.sampled_at_ms - 1)
    assert found([first, closer, *rest], expectation=thinned) == {"spacing"}
