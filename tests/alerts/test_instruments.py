"""A probe that measures nonsense for long is one calm notice of its unit."""

from __future__ import annotations

import pytest

from alerts.detector.kinds import Fault
from alerts.engine import Engine
from alerts.instruments import WORDS, FaultyUnit, InstrumentWatch
from alerts.levels import Subject
from registry.kinds import AlertKind, Level
from telemetry.samples import Provenance

UNIT = Subject(AlertKind.INSTRUMENT, "unit-1", Provenance.MEASURED)


@pytest.fixture
def unit(assignment):
    def unit(*probes, provenance=Provenance.MEASURED):
        return [FaultyUnit(assignment=assignment(), provenance=provenance, probes=tuple(probes))] if probes else []

    return unit


def told(watch, unit, *turns):
    """The levels and reasons of notices, as turns of (second, probes at fault) pass."""
    return [
        (at_s, each.level, each.reasons)
        for at_s, probes in turns
        for each in watch.check(unit(*probes), round(at_s * 1000))
    ]


OPEN_1, STUCK_2 = (1, Fault.OPEN), (2, Fault.STUCK)
ROWS = [
    ("five minutes are nothing yet", [(0, [OPEN_1]), (299, [OPEN_1])], []),
    ("longer than that is a notice", [(0, [OPEN_1]), (300, [OPEN_1])], [(300, "watch", 1)]),
    ("it is told once", [(0, [OPEN_1]), (300, [OPEN_1]), (900, [OPEN_1])], [(300, "watch", 1)]),
    ("a loose contact that is back now and then counts on", [(0, [OPEN_1]), (200, []), (400, [OPEN_1])],
     [(400, "watch", 1)]),
    ("well for ten minutes begins anew", [(0, [OPEN_1]), (700, []), (701, [OPEN_1]), (900, [OPEN_1])], []),
    ("it ends after ten minutes without", [(0, [OPEN_1]), (300, [OPEN_1]), (900, []), (901, [])],
     [(300, "watch", 1), (901, "normal", 1)]),
    ("a second probe is told too", [(0, [OPEN_1]), (300, [OPEN_1, STUCK_2]), (600, [OPEN_1, STUCK_2])],
     [(300, "watch", 1), (600, "watch", 2)]),
]  # fmt: skip


@pytest.mark.parametrize(("turns", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_when_a_fault_is_told_and_when_it_is_over(unit, turns, expected):
    assert [
        (at_s, str(level), len(reasons)) for at_s, level, reasons in told(InstrumentWatch(), unit, *turns)
    ] == expected


def test_the_notice_says_which_probe_and_what_is_wrong(unit):
    ((_, _, reasons),) = told(InstrumentWatch(), unit, (0, [STUCK_2]), (300, [STUCK_2]))
    assert reasons == ("probe 2 says the same while the others move",)
    assert set(WORDS) == set(Fault) - {Fault.OK}


def test_the_probes_of_a_replay_are_nobodys_to_repair(unit):
    watch = InstrumentWatch()
    for at_s in (0, 400):
        assert watch.check(unit(OPEN_1, provenance=Provenance.REPLAYED), at_s * 1000) == []


def test_a_notice_of_an_earlier_run_ends_when_its_unit_has_been_well_for_long(unit):
    watch = InstrumentWatch()
    watch.restore(UNIT)
    assert watch.check(unit(OPEN_1), 1000) == []
    assert watch.check([], 500_000) == []
    assert watch.check([], 700_000) == []
    assert watch.check([], 1_200_000) == []
    (end,) = watch.check([], 1_400_000)
    assert (end.subject, end.level) == (UNIT, Level.NORMAL)


def test_the_engine_names_the_probes_that_its_detector_finds_at_fault(assignment, received):
    engine = Engine()
    engine.assign([assignment(temperature_labels=("probe 1", "probe 2", "probe 3"))])
    rows = [[25.0 + 0.01 * (n % 3), 25.1, float("nan") if n > 5 else 25.2] for n in range(90)]
    engine.observe([received(range(0, 900, 10), rows)])
    engine.tick(received([3600], [[25, 25, 25]]).received_at_ms)
    (faulty,) = engine.faulty_units()
    assert (faulty.assignment.unit_id, faulty.probes) == ("unit-1", ((3, Fault.OPEN),))
