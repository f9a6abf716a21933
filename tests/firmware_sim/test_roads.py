"""Roads: lengths, headings, and vehicles that keep to them."""

import numpy as np
import pytest

from firmware_sim.convoy import build_scenario
from firmware_sim.interstates import INTERSTATES
from firmware_sim.roads import EARTH_RADIUS_M, Journey, Road

QUARTER_M = EARTH_RADIUS_M * np.pi / 2.0


def road(*waypoints: tuple[float, float]) -> Road:
    return Road(name="test", waypoints_deg=np.array(waypoints))


@pytest.mark.parametrize(
    ("start", "end", "heading_deg", "middle"),
    [
        ((0.0, 0.0), (0.0, 90.0), 90.0, (0.0, 45.0)),
        ((0.0, 90.0), (0.0, 0.0), 270.0, (0.0, 45.0)),
        ((0.0, 10.0), (90.0, 10.0), 0.0, (45.0, 10.0)),
        ((0.0, -20.0), (-90.0, -20.0), 180.0, (-45.0, -20.0)),
    ],
    ids=["east along the equator", "west", "north along a meridian", "south"],
)
def test_a_leg_is_a_great_circle(start, end, heading_deg, middle):
    leg = road(start, end)
    assert leg.length_m == pytest.approx(QUARTER_M)
    latitude_deg, longitude_deg, heading = leg.at(leg.length_m / 2.0)
    assert (latitude_deg, longitude_deg) == pytest.approx(middle)
    assert heading == pytest.approx(heading_deg)


def test_the_ends_are_the_ends():
    there_and_on = road((40.0, -120.0), (41.0, -119.0), (41.5, -119.0))
    assert there_and_on.at(-5.0)[:2] == pytest.approx((40.0, -120.0))
    assert there_and_on.at(1e9)[:2] == pytest.approx((41.5, -119.0))
    assert np.cos(np.radians(there_and_on.at(there_and_on.length_m)[2])) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("waypoints", "why"),
    [(((40.0, -120.0),), "1 way-points"), (((40.0, -120.0), (40.0, -120.0)), "two equal way-points")],
)
def test_what_is_no_road_is_refused(waypoints, why):
    with pytest.raises(ValueError, match=why):
        road(*waypoints)


@pytest.mark.parametrize(
    ("number", "miles"), [(0, 518), (1, 580), (2, 649), (3, 604)], ids=["I-80", "I-5", "I-40", "I-70"]
)
def test_interstates_have_about_their_real_length(number, miles):
    """Driving distances; way-points cut corners, so a little less, never more."""
    length_miles = INTERSTATES[number].length_m / 1609.344
    assert 0.9 * miles < length_miles < 1.01 * miles


@pytest.mark.parametrize("interstate", INTERSTATES, ids=lambda interstate: interstate.name)
def test_way_points_are_dense_and_turn_gently(interstate):
    legs_m = np.diff(interstate._start_m)
    assert legs_m.max() < 60_000.0
    headings_deg = np.array([interstate.at(start_m + 1.0)[2] for start_m in interstate._start_m[:-1]])
    turns_deg = np.abs((np.diff(headings_deg) + 180.0) % 360.0 - 180.0)
    assert turns_deg.max() < 100.0


@pytest.mark.parametrize("vehicle", build_scenario("convoy").vehicles, ids=lambda vehicle: vehicle.name)
def test_a_vehicle_moves_at_its_speed_and_along_its_heading(vehicle):
    start_s = 1_790_000_000.0
    for hour in range(0, 40, 5):
        now_s = start_s + hour * 3600.0
        here, there = vehicle.journey.place(now_s), vehicle.journey.place(now_s + 1.0)
        north_m = np.radians(there.latitude_deg - here.latitude_deg) * EARTH_RADIUS_M
        east_m = (
            np.radians(there.longitude_deg - here.longitude_deg)
            * EARTH_RADIUS_M
            * np.cos(np.radians(here.latitude_deg))
        )
        assert np.hypot(north_m, east_m) == pytest.approx(here.speed_m_s, rel=0.02)
        assert (np.degrees(np.arctan2(east_m, north_m)) - here.heading_deg + 180.0) % 360.0 == pytest.approx(
            180.0, abs=1.0
        )
        assert 20.0 < here.speed_m_s < 30.0
        assert 0.0 <= here.heading_deg < 360.0


def test_at_the_end_of_the_road_a_vehicle_turns_round():
    journey = Journey(road=road((40.0, -120.0), (40.1, -120.0)), cruise_m_s=20.0, head_start_m=0.0)
    lap_s = journey.road.length_m / 20.0
    out, back = journey.place(0.5 * lap_s), journey.place(1.5 * lap_s)
    assert np.cos(np.radians(out.heading_deg)) == pytest.approx(1.0)
    assert back.heading_deg == pytest.approx(180.0)
    # The swell of the speed moves it by at most a few hundred metres.
    assert out.latitude_deg == pytest.approx(back.latitude_deg, abs=0.004)
