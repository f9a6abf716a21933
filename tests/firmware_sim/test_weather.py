"""Sun, air and the container's skin."""

from dataclasses import replace

import numpy as np
import pytest

from firmware_sim.container import mean_irradiance_w_per_m2, outside_coefficient_w_per_m2_k, outside_of
from firmware_sim.convoy import build_scenario
from firmware_sim.sun import sunlight_at
from firmware_sim.weather import (
    DAY_S,
    Climate,
    Sunlight,
    air_temperature_c,
    no_sunlight,
    relative_humidity_pct,
    rested_temperature_c,
    weather_at,
)
from firmware_sim.world import World

GOLDEN = (np.array([39.742476]), np.array([-105.1786]))
GOLDEN_S = 1_066_419_030.0
"""17 October 2003, 12:30:30 at UTC-7: the worked example of NREL/TP-560-34302."""


def climate(cloud: float = 0.0) -> Climate:
    return Climate(
        mean_c=np.array([20.0]), swing_c=np.array([8.0]), dew_point_c=np.array([5.0]), cloud=np.array([cloud])
    )


def test_the_sun_stands_where_the_published_example_says():
    sun = sunlight_at(GOLDEN_S, *GOLDEN)
    # Height, pressure and temperature of the example differ from ours: refraction, 0.01 degrees at most.
    assert sun.elevation_deg[0] == pytest.approx(90.0 - 50.11162, abs=0.01)
    assert sun.azimuth_deg[0] == pytest.approx(194.34024, abs=0.01)


def test_a_clear_noon_is_bright_and_night_is_dark():
    noon = sunlight_at(GOLDEN_S, *GOLDEN)
    night = sunlight_at(GOLDEN_S + DAY_S / 2.0, *GOLDEN)
    assert 750.0 < noon.direct_w_per_m2[0] < 1050.0
    assert 30.0 < noon.diffuse_w_per_m2[0] < 200.0
    assert night.direct_w_per_m2[0] == night.diffuse_w_per_m2[0] == 0.0
    assert night.elevation_deg[0] < 0


def test_many_places_are_asked_at_once():
    west_and_east = sunlight_at(GOLDEN_S, np.array([39.0, 39.0]), np.array([-120.0, -75.0]))
    assert west_and_east.azimuth_deg[0] < 180.0 < west_and_east.azimuth_deg[1]


@pytest.mark.parametrize(
    ("solar_hour", "expected_c"),
    [(15.0, 28.0), (3.0, 12.0), (9.0, 20.0)],
    ids=["warmest in the afternoon", "coldest before dawn", "mean in between"],
)
def test_the_air_swings_with_the_local_day(solar_hour, expected_c):
    longitude_deg = np.array([-105.0])
    utc_s = 20_000 * DAY_S + (solar_hour + 7.0) * 3600.0
    assert air_temperature_c(climate(), utc_s, longitude_deg)[0] == pytest.approx(expected_c)


def test_what_rests_in_the_shade_swings_less_and_later():
    place, longitude_deg = np.array([0, 0]), np.array([0.0])
    hours = np.arange(24)
    course_c = np.array(
        [
            rested_temperature_c(
                climate(), hour * 3600.0, longitude_deg, place=place, lag_s=np.array([0.0, 4 * 3600.0])
            )
            for hour in hours
        ]
    )
    assert hours[course_c[:, 0].argmax()] == 15
    assert hours[course_c[:, 1].argmax()] in (18, 19)
    assert np.ptp(course_c[:, 1]) < 0.8 * np.ptp(course_c[:, 0])


def test_cloud_takes_the_beam_and_leaves_some_light():
    sun = sunlight_at(GOLDEN_S, *GOLDEN)
    clear, overcast = (weather_at(climate(cloud), sun, utc_s=GOLDEN_S, longitude_deg=GOLDEN[1]) for cloud in (0.0, 1.0))
    assert overcast.direct_w_per_m2[0] == 0.0
    assert clear.diffuse_w_per_m2[0] == pytest.approx(sun.diffuse_w_per_m2[0])
    assert clear.diffuse_w_per_m2[0] < overcast.diffuse_w_per_m2[0] < 0.3 * clear.direct_w_per_m2[0]


def test_humidity_is_full_at_the_dew_point_and_half_well_above():
    # 10 degC holds 12.27 hPa, 20 degC 23.37 hPa (WMO-No. 8): 52.5 %.
    humidity = relative_humidity_pct(np.array([10.0, 20.0, 5.0]), np.array([10.0, 10.0, 10.0]))
    assert humidity == pytest.approx([100.0, 52.5, 100.0], abs=0.1)


def low_sun(azimuth_deg: float) -> Sunlight:
    return Sunlight(
        elevation_deg=np.array([10.0]),
        azimuth_deg=np.array([azimuth_deg]),
        direct_w_per_m2=np.array([700.0]),
        diffuse_w_per_m2=np.array([0.0]),
    )


def test_the_sun_heats_a_container_more_from_the_side_than_from_behind():
    def irradiance(azimuth_deg: float) -> float:
        weather = weather_at(climate(), low_sun(azimuth_deg), utc_s=0.0, longitude_deg=np.array([0.0]))
        return float(mean_irradiance_w_per_m2(weather, np.array([90.0]))[0])

    assert irradiance(180.0) == pytest.approx(irradiance(0.0))
    assert irradiance(180.0) > 1.8 * irradiance(90.0)


def test_still_air_and_wind_at_the_skin_meet_at_five_metres_a_second():
    below, above = outside_coefficient_w_per_m2_k(np.array([4.999, 5.001]))
    # McAdams' two branches join within 10 %.
    assert above / below == pytest.approx(1.0, abs=0.1)
    assert outside_coefficient_w_per_m2_k(np.array([0.0]))[0] == 5.7


def test_a_parked_container_is_hotter_than_a_driving_one():
    sun = sunlight_at(GOLDEN_S, *GOLDEN)
    weather = weather_at(climate(), sun, utc_s=GOLDEN_S, longitude_deg=GOLDEN[1])
    parked, driving = (
        outside_of(weather, heading_deg=np.array([90.0]), speed_m_s=np.array([speed])) for speed in (0.0, 25.0)
    )
    assert driving.skin_c[0] < parked.skin_c[0] < weather.air_c[0] + 20.0
    assert parked.skin_c[0] > weather.air_c[0] + 4.0


def test_packs_under_the_summer_sun_stay_inside_the_measured_envelope():
    """A container's interior, closed, on land: -29 to 57 degC (Xerox study)."""
    calm = build_scenario("calm")
    parked = tuple(
        replace(vehicle, journey=replace(vehicle.journey, cruise_m_s=0.0), cloud=0.0, mean_c=29.0, swing_c=9.0)
        for vehicle in calm.vehicles
    )
    world = World(
        replace(calm, vehicles=parked), started_at_s=1_782_000_000.0 // DAY_S * DAY_S, noise=np.random.default_rng(1)
    )
    world.sunlight_at = sunlight_at
    air_c, pack_c = [], []
    for quarter in range(1, 97):
        world.advance(quarter * 900.0)
        air_c.append(world.state.air_c.max())
        pack_c.append(world.state.module_c[:, 0].copy())
    assert 42.0 < max(air_c) < 57.0
    assert np.ptp(np.array(pack_c), axis=0).max() < np.ptp(air_c)


def test_no_sunlight_is_night():
    dark = no_sunlight(3)
    assert (dark.elevation_deg < 0).all()
    assert dark.direct_w_per_m2.sum() == dark.diffuse_w_per_m2.sum() == 0.0
