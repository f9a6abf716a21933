"""Who stands still has not parked: tables of fixes, with the reason for each situation."""

import pytest

from dashboards.motion import situation_of, step
from registry.response_kinds import Situation
from telemetry.samples import PositionFix

T0_MS = 1_800_000_000_000
MINUTE_MS = 60_000
A_DEGREE_M = 111_195


def fix(minutes: float, speed_m_s: float | None = 0.0, north_m: float = 0.0) -> PositionFix:
    return PositionFix(
        fleet_id="f",
        gateway_id="g",
        fixed_at_ms=T0_MS + round(minutes * MINUTE_MS),
        latitude_deg=40.0 + north_m / A_DEGREE_M,
        longitude_deg=-105.0,
        speed_m_s=speed_m_s,
    )


def motion_of(fixes):
    motion = None
    for each in fixes:
        motion = step(motion, each)
    return motion


STANDING = [fix(minute / 2) for minute in range(23)]
TABLE = [
    ("at 20 m/s it drives", [fix(0, 20.0)], None, 0, Situation.DRIVING),
    ("a halt of nine minutes is traffic", STANDING[:19], None, 9, Situation.DRIVING),
    ("a standstill of ten minutes is parked", STANDING[:21], None, 10, Situation.PARKED),
    ("a receiver at rest may say half a metre a second", [fix(m, 0.5) for m in range(11)], None, 10, Situation.PARKED),
    ("who creeps in a queue drives", [fix(m, 1.0, 30.0 * m) for m in range(12)], None, 11, Situation.DRIVING),
    ("without speeds the places tell", [fix(m, None, 500.0 * m) for m in range(12)], None, 11, Situation.DRIVING),
    ("it drove, and its coverage is lost: it drives", [fix(0, 20.0)], None, 60, Situation.DRIVING),
    ("it stood, and nothing was heard since: it may drive", STANDING[:21], None, 16, Situation.DRIVING),
    ("without any fix it drives", [], None, 0, Situation.DRIVING),
    ("the driver said parked", STANDING[:3], (Situation.PARKED, 1), 1, Situation.PARKED),
    ("the driver said so, and sleeps", STANDING, (Situation.SLEEPING, 1), 11, Situation.SLEEPING),
    ("the driver said so, then drove", [fix(0), fix(2, 20.0)], (Situation.PARKED, 1), 2, Situation.DRIVING),
    ("... and stands at a light", [fix(0), fix(2, 20.0), fix(3)], (Situation.PARKED, 1), 3, Situation.DRIVING),
    ("the driver said parked, without any fix", [], (Situation.PARKED, 0), 29, Situation.PARKED),
    ("... which holds for half an hour", [], (Situation.PARKED, 0), 31, Situation.DRIVING),
    ("the driver is about to set off", STANDING[:21], (Situation.DRIVING, 9), 10, Situation.DRIVING),
]


@pytest.mark.parametrize(("why", "fixes", "said", "at_minute", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_where_the_driver_is(why, fixes, said, at_minute, expected):
    word, minute = (None, None) if said is None else said
    found = situation_of(
        motion_of(fixes),
        said=word,
        said_at_ms=None if minute is None else T0_MS + minute * MINUTE_MS,
        now_ms=T0_MS + at_minute * MINUTE_MS,
    )
    assert found is expected


def test_the_date_line_is_no_movement():
    east = PositionFix(
        fleet_id="f", gateway_id="g", fixed_at_ms=T0_MS, latitude_deg=0.0, longitude_deg=179.99999, speed_m_s=0.0
    )
    west = PositionFix(
        fleet_id="f", gateway_id="g", fixed_at_ms=T0_MS + 1, latitude_deg=0.0, longitude_deg=-179.99999, speed_m_s=0.0
    )
    assert not motion_of([east, west]).moving
