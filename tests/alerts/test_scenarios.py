"""What the fixed rules say of thermal histories: one sentence, one history, its changes of level in event time."""

from __future__ import annotations

import pytest

from alerts.engine import Engine
from registry.kinds import Level

TABLE = [
    ("a warm pack is normal", "probe: 25 59.9x5", []),
    ("60 degC is a warning at the row that reaches it", "probe: 25 60", ["1 warning"]),
    ("80 degC is critical", "probe: 25 81", ["1 critical"]),
    ("levels rise one after the other", "every 60 s\nprobe: 25 65 85", ["60 warning", "120 critical"]),
    (
        "a warning clears after 60 s below 55 degC, not before",
        "probe: 25 62 54x62",
        ["1 warning", "62 normal"],
    ),
    ("between 55 and 60 degC a warning stays", "probe: 62 56x200", ["0 warning"]),
    (
        "one reading in between starts the 60 s anew",
        "probe: 62 54x30 57 54x61",
        ["0 warning", "92 normal"],
    ),
    (
        "a flutter around the ceiling is one warning",
        "every 10 s\nprobe: 59 61 59 61 58 61 57 61",
        ["10 warning"],
    ),
    (
        "60 s with a gap that is too long in them are not 60 s below",
        "at 0 1 50 100 140 170\nprobe: 62 54x5",
        ["0 warning"],
    ),
    (
        "an outage does not clear a warning, fresh readings do",
        "at 0 3600 3620 3640 3660\nprobe: 62 20x4",
        ["0 warning", "3660 normal"],
    ),
    ("critical latches, however cool it gets", "every 10 s\nprobe: 85 20x500", ["0 critical"]),
    (
        "critical latches, and so the warning's clearing shows nothing",
        "probe: 65 85 20x100",
        ["0 warning", "1 critical"],
    ),
    ("a hot probe that dies does not clear", "probe: 62 _x300\nprobe: 25x301", ["0 warning"]),
    (
        "a hot probe that dies and comes back cool does",
        "probe: 62 _x20 54x61\nprobe: 25x82",
        ["0 warning", "81 normal"],
    ),
    (
        "each probe must come down by itself",
        "probe: 62 54x61 54x40\nprobe: 25x10 61 54x91",
        ["0 warning", "71 normal"],
    ),
    ("a dead probe is neither hot nor cool", "probe: _x5\nprobe: 25x5", []),
    ("511 degC once is critical, since a fire must not hide behind a fault", "probe: 25 511 25x200", ["1 critical"]),
    (
        "511 degC for one slow interval is no runaway: one wild reading is not two",
        "every 10 s\nprobe: 25 511 25x9",
        ["10 critical"],
    ),
    (
        "a runaway is 1 degC/s for more than 3 s and too hot: the fourth second of a rise at 1 s",
        "probe: 70x3 72>82x10",
        ["0 warning", "6 runaway"],
    ),
    (
        "exactly 3 s of rise are not more than 3 s",
        "probe: 70 71.1 72.2 73.3 73.3x20",
        ["0 warning"],
    ),
    ("a rise from 20 degC is no runaway while the pack is not too hot", "probe: 20>59x39", []),
    (
        "it is one as soon as it is too hot",
        "probe: 20>62x28",
        ["26 runaway"],
    ),
    (
        "it is one below the ceiling when a voltage has collapsed",
        "probe: 25x4 25>41x8\nvoltage: 3.7x6 2.5x6",
        ["7 runaway"],
    ),
    (
        "a voltage that fell by just a quarter has not collapsed",
        "probe: 25x4 25>41x8\nvoltage: 4.0x6 3.0x6",
        [],
    ),
    ("a collapse alone is no runaway", "probe: 25x12\nvoltage: 3.7x6 0x6", []),
    (
        "a voltage that dies after its collapse stays collapsed",
        "probe: 25x4 25>41x8\nvoltage: 3.7x5 2.0 _x6",
        ["7 runaway"],
    ),
    (
        "a slow discharge over hours is no collapse",
        "every 600 s\nprobe: 25x24\nvoltage: 4.2>2.6x24",
        [],
    ),
    (
        "a missing second inside the rise does not hide it",
        "probe: 70 70 72 _ 76 78",
        ["0 warning", "5 runaway"],
    ),
    (
        "10 s reports: two intervals of rise at 1 degC/s",
        "every 10 s\nprobe: 25 40 55 70",
        ["30 runaway"],
    ),
    (
        "a gap that is too long begins the rise anew",
        "at 0 10 50 60 70\nprobe: 61 75 117 130 142",
        ["0 warning", "50 critical", "70 runaway"],
    ),
    (
        "a rise of two probes by turns is none of one probe",
        "probe: 62 64 63 65 64 66\nprobe: 62 61 63 62 64 63",
        ["0 warning"],
    ),
    (
        "a latched pack that cooled and heats calls again",
        "probe: 85 41x70 61 81",
        ["0 critical", "71 critical again"],
    ),
    (
        "each time anew, but once a time",
        "probe: 85 41x70 61 85 61 41x70 62 65",
        ["0 critical", "71 critical again", "144 critical again"],
    ),
    ("59 s below 55 degC are not cool yet", "probe: 85 41x60 61", ["0 critical"]),
    ("60 s are", "probe: 85 41x61 61", ["0 critical", "62 critical again"]),
    ("between 55 and 60 degC a latched pack has not cooled", "probe: 85 56x200 61", ["0 critical"]),
    ("an outage does not cool it", "at 0 3600 3601\nprobe: 85 41 61", ["0 critical"]),
    (
        "what worsens after it had cooled is worse, not renewed",
        "every 10 s\nprobe: 85 41x10 85 96 107",
        ["0 critical", "110 critical again", "120 runaway"],
    ),
    (
        "a renewed runaway needs no 60 degC",
        "probe: 25x4 25>41x8 41x90 41>57x8\nvoltage: 3.7x6 2.5x104",
        ["7 runaway", "105 runaway again"],
    ),
    (
        "while one probe is hot, another one's heat is no news",
        "probe: 85x100 85\nprobe: 41x100 61",
        ["0 critical"],
    ),
    (
        "a hot probe that died does not hide that another heats up",
        "probe: 85 _x100 _\nprobe: 41x101 61",
        ["0 critical", "101 critical again"],
    ),
    (
        "a hot probe that comes and goes calls nobody",
        "probe: 85 _x100 85 _x100 85\nprobe: 41x203",
        ["0 critical"],
    ),
    (
        "late rows never renew",
        "probe: 85 41x100 61 41x3\nsent 0-0 102-104 1-101",
        ["0 critical"],
    ),
    (
        "a late hot row does not hide live heat after it",
        "probe: 85 41x80 65 41x3 61\nsent 0-80 82-84 81-81 85-85",
        ["0 critical", "85 critical again"],
    ),
    (
        "rows that come twice renew once",
        "probe: 85 41x70 61 41x3\nsent 0-40 0-71 71-74 60-74",
        ["0 critical", "71 critical again"],
    ),
    (
        "a late hot row raises, with its own time",
        "probe: 25 65 25x10\nsent 0-0 2-11 1-1",
        ["1 warning"],
    ),
    (
        "a late hot row is critical and latches",
        "probe: 25 85 25x200\nsent 0-0 2-11 1-1 12-201",
        ["1 critical"],
    ),
    (
        "a late warning clears after 60 s of what is live",
        "probe: 25 65 25x100\nsent 0-0 2-11 1-1 12-101",
        ["1 warning", "71 normal"],
    ),
    (
        "late cool rows clear nothing",
        "probe: 25x100 62 25x3\nsent 0-0 100-103 1-99",
        ["100 warning"],
    ),
    (
        "late rows make no runaway by themselves",
        "probe: 61>79x9 25x3\nsent 9-11 0-8",
        ["0 warning"],
    ),
    ("a code of one row beside calm probes is none", "probe: 25 85 25x5\nprobe: 25x7", []),
    ("two probes with codes one after the other have none", "probe: 25 85 25x5\nprobe: 25x2 150 25x4\nprobe: 25x7", []),
    ("a code that stays is none", "probe: 25 85x200\nprobe: 25x201", []),
    ("a code before the probe goes open is none", "probe: 25 85 _x20\nprobe: 25x22", []),
    ("a code that comes twice, with silence between, is none", "probe: 25 85 _x5 85x5\nprobe: 25x12", []),
    ("a crushed cell moves: it counts from its second reading", "probe: 25 85 86\nprobe: 25x3", ["2 critical"]),
    ("two codes running are none", "probe: 25 150 85 25\nprobe: 25x4", []),
    ("two codes running that rise are none either", "probe: 25 85 215 25\nprobe: 25x4", []),
    ("a leap that goes on as fast counts from its third reading", "probe: 25 85 145 205\nprobe: 25x4", ["3 critical"]),
    ("by what it reads then", "probe: 25 85 65\nprobe: 25x3", ["2 warning"]),
    ("the second reading may come late", "probe: 25 85 86\nprobe: 25x3\nsent 0-0 2-2 1-1", ["1 critical"]),
    ("a code that comes late is none", "probe: 25 85 25x9\nprobe: 25x11\nsent 0-0 2-10 1-1", []),
    ("a code that comes twice is none", "probe: 25 85 25x5\nprobe: 25x7\nsent 0-1 1-1 0-6 0-6", []),
    ("what another probe reads in its row says nothing", "probe: 25 85 25\nprobe: 25 31x2", []),
    ("codes of two probes in one row are none", "probe: 25 85 25\nprobe: 25 85 25\nprobe: 25x3", []),
    ("two that leap and move count", "probe: 25 85 86\nprobe: 25 85x2\nprobe: 25x3", ["2 critical"]),
    ("a code beside one that stays is none", "probe: 25 85x9\nprobe: 25x5 150 25x4\nprobe: 25x10", []),
    ("a code as a probe's first reading is none", "probe: 85 25x5" + 2 * "\nprobe: 25x6", []),
    ("heat from the first reading on counts from the second", "probe: 85 86" + 2 * "\nprobe: 25x2", ["1 critical"]),
    ("a pack that comes hot counts at once", "probe: 85x2\nprobe: 70x2\nprobe: 25x2", ["0 critical"]),
    ("a first reading beside one other counts at once", "probe: 85x2\nprobe: 25x2", ["0 critical"]),
    ("a code right after a gap is none", "at 0 3600 3601\nprobe: 25 85 25\nprobe: 25x3", []),
    (
        "heat right after a gap counts from its second reading",
        "at 0 3600 3601\nprobe: 25 85 86\nprobe: 25x3",
        ["3601 critical"],
    ),
    ("several codes of an open probe are none", "probe: 25 85 _x40 150 _x40 85 _\nprobe: 25x85", []),
    ("but it counts once it moves", "probe: 25 85 _x40 150 151\nprobe: 25x44", ["43 critical"]),
    (
        "a pack that fell silent after its leap and is hot still counts",
        "at 0 1 90\nprobe: 25 85 95\nprobe: 25x3",
        ["90 critical"],
    ),
    ("a voltage that falls with it too", "probe: 25 85\nprobe: 25x2\nvoltage: 3.7 3.6", ["1 critical"]),
    ("or one that falls later", "probe: 25 85x4\nprobe: 25x5\nvoltage: 3.7x3 3.6x2", ["3 critical"]),
    ("a load on all voltages does not", "probe: 25 85x4\nprobe: 25x5" + 3 * "\nvoltage: 3.7x3 3.6x2", []),
    ("nor does a broken tap", "probe: 25 85x4\nprobe: 25x5\nvoltage: 3.7x3 0x2", []),
    ("another that rises while it stays makes it count", "probe: 25 85x4\nprobe: 25x3 27x2", ["3 critical"]),
    ("weather on all others does not", "probe: 25 85x9" + 3 * "\nprobe: 25 25>34x9", []),
    (
        "two that the weather does not explain do",
        "probe: 25 85x4" + 2 * "\nprobe: 25x3 28x2" + 2 * "\nprobe: 25x5",
        ["3 critical"],
    ),
    ("one alone may be broken too", "probe: 25 85x4\nprobe: 25x3 31x2" + 3 * "\nprobe: 25x5", []),
    (
        "what moves apart over hours is weather",
        "every 60 s\nprobe: 25 85x59" + 2 * "\nprobe: 25 25>31x59" + 2 * "\nprobe: 25x60",
        [],
    ),
    ("beside a probe that was heard just before it waits", "probe: 25 85 86\nprobe: 25 _x2", ["2 critical"]),
    (
        "beside one that was not heard for long nobody says it is alone",
        "at 0 40 41\nprobe: 25x2 85\nprobe: 25 _x2",
        ["41 critical"],
    ),
    (
        "a leap to the mildest ceiling counts at once: it is no code, and clears by itself",
        "probe: 25 79\nprobe: 25x2",
        ["1 warning"],
    ),
    ("less than 20 degC is no leap", "probe: 66 85\nprobe: 25x2", ["0 warning", "1 critical"]),
    ("20 degC are", "probe: 65 85 65\nprobe: 25x3", ["0 warning"]),
    ("the power-on code of a one-wire probe on a hot pack is none", "probe: 58 85 58\nprobe: 57x3", []),
    ("a leap counts for no runaway before it counts", "probe: 25 85 25 85\nprobe: 25x4", []),
    (
        "rows that come twice change nothing",
        "probe: 25 62 54x61\nsent 0-20 0-20 15-40 30-62 1-62",
        ["1 warning", "62 normal"],
    ),
]


def changes_of(engine: Engine, batches, start_ms: int) -> list[str]:
    return [
        f"{(transition.sampled_at_ms - start_ms) / 1000:g} {transition.level}{' again' * transition.renewed}"
        for received in batches
        for transition in engine.observe([received])
    ]


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_levels(scenario, assignment, start_ms, text, expected):
    engine = Engine()
    engine.assign([assignment()])
    assert changes_of(engine, scenario(text).batches(), start_ms) == expected


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("probe: 20\nprobe: 83.4", ["probe 2 is 83.4 degC, above 80 degC"]),
        ("probe: 60\nprobe: 20", ["probe 1 is 60.0 degC, at 60 degC"]),
        ("probe: 25\nprobe: 511", ["probe 2 is 511.0 degC, above 80 degC: a fire, or a broken sensor"]),
        (
            "\n".join(f"probe: {61 + n}" for n in range(6)),
            [*(f"probe {n} is {60 + n}.0 degC, above 60 degC" for n in (6, 5, 4, 3)), "and 2 more probes"],
        ),
        (
            "probe: 25x4 25>41x8\nvoltage: 3.7x6 2.5x6",
            [
                "probe 1 is 33.0 degC and rises 2.0 degC/s, 1 degC/s or more for 4.0 s",
                "voltage 1 fell from 3.70 V to 2.50 V, 32% down",
                "thermal runaway by GB 38031-2025, C.5.3.7",
            ],
        ),
        (
            "probe: 25 40 55 70",
            [
                "probe 1 is 70.0 degC and rises 1.5 degC/s, 1 degC/s or more for 30.0 s",
                "that is hotter than the pack may get in use, 60 degC",
                "thermal runaway by GB 38031-2025, C.5.3.7",
            ],
        ),
        (
            "probe: 20x13\nprobe: 85 45x5 41.25 43x5 61.25",
            ["hot again: probe 2 is 61.2 degC, above 60 degC; it had cooled to 41.2 degC"],
        ),
        (
            "probe: 85 54x11 72\nprobe: 85 53.5x11 73",
            [
                "hot again: probe 2 is 73.0 degC, above 60 degC; it had cooled to 53.5 degC",
                "probe 1 is 72.0 degC, above 60 degC",
            ],
        ),
        ("probe: 62 54x61", ["all probes that were hot stayed below 55 degC for 60 s"]),
        (
            "probe: 25 85 25x10\nsent 0-0 2-11 1-1",
            ["probe 1 is 85.0 degC, above 80 degC", "late: sampled 100 s before the newest sample of its unit"],
        ),
    ],
)
def test_the_last_change_says_why_in_words_and_numbers(scenario, assignment, text, reasons):
    engine = Engine()
    engine.assign([assignment()])
    every = "" if "25>41" in text or "54x61" in text else "every 10 s\n"
    batches = scenario(every + text).batches()
    last = [transition for received in batches for transition in engine.observe([received])][-1]
    assert list(last.reasons) == reasons


def test_the_packs_own_maximum_operating_temperature_counts(scenario, assignment, start_ms):
    engine = Engine()
    engine.assign([assignment(max_operating_temperature_c=45.0)])
    assert changes_of(engine, scenario("probe: 25>57x16").batches(), start_ms) == ["9 runaway"]


def test_probes_are_called_as_the_registry_labels_them(received, assignment):
    engine = Engine()
    engine.assign([assignment(temperature_labels=("module 3 left", "module 3 right"))])
    (transition,) = engine.observe([received([0], [[20.0, 61.0]])])
    assert transition.reasons == ("module 3 right is 61.0 degC, above 60 degC",)
    assert transition.level is Level.WARNING
