"""The families. Spans are **assumed** unless family_kinds.py names a source; the two splits share none of them.

Where a span cannot be split in two without leaving what is plausible, the halves lie on both sides of the same middle.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from firmware_sim.family_kinds import Ailment, Design, Family, Handling, Logged, Sensors
from firmware_sim.interstates import INTERSTATES
from firmware_sim.outdoors import Climates
from registry.kinds import Chemistry, PackClass

if TYPE_CHECKING:
    from collections.abc import Mapping

TRAIN_DESIGN = Design(
    modules=16,
    cells=0,
    probes=16,
    taps=8,
    series=(1, 12),
    module_kg=(18.0, 30.0),
    cell_kg=(0.9, 1.4),
    cell_ah_per_kg=(48.0, 54.0),
    parallel=(3.8, 4.5),
    inner_ohm_ah=(0.05, 0.09),
    module_to_module=(3.0, 6.0),
    module_to_case=(3.0, 6.0),
    uneven=0.2,
    cell_to_cell=(0.9, 1.6),
    cell_to_case=(0.15, 0.3),
    case_kg=(50.0, 90.0),
    case_to_air=(15.0, 25.0),
    case_to_side=(1.0, 4.0),
    probe_on=(0, 1, 2),
    case_share=(0.0, 0.15),
    lag_s=(4.0, 20.0),
)
TEST_DESIGN = Design(
    modules=12,
    cells=0,
    probes=16,
    taps=8,
    series=(1, 8),
    module_kg=(30.0, 40.0),
    cell_kg=(1.4, 2.2),
    cell_ah_per_kg=(54.0, 60.0),
    parallel=(4.5, 6.5),
    inner_ohm_ah=(0.09, 0.14),
    module_to_module=(6.0, 9.0),
    module_to_case=(6.0, 9.0),
    uneven=0.25,
    cell_to_cell=(0.5, 0.9),
    cell_to_case=(0.05, 0.15),
    case_kg=(90.0, 130.0),
    case_to_air=(25.0, 40.0),
    case_to_side=(4.0, 7.0),
    probe_on=(0, 1, 2),
    case_share=(0.15, 0.25),
    lag_s=(20.0, 40.0),
)
TRAIN_SENSORS = Sensors(
    noise_c=(0.02, 0.08), step_c=(0.01, 0.0625, 0.1), offset_c=0.2, drift_c_per_day=0.0, noise_v=(0.0005, 0.002)
)
TEST_SENSORS = Sensors(
    noise_c=(0.08, 0.12), step_c=(0.05, 0.125, 0.2), offset_c=0.3, drift_c_per_day=0.02, noise_v=(0.002, 0.004)
)
TRAIN_DIRT = replace(
    TRAIN_SENSORS,
    noise_c=(0.05, 0.2),
    step_c=(0.01, 0.1, 0.5, 1.0),
    offset_c=0.7,
    drift_c_per_day=0.15,
    stuck_a_day=0.03,
    open_a_day=0.03,
    jumps_a_day=0.01,
    wild_a_day=0.3,
    noisy_a_day=0.05,
    lost_share=(0.0, 0.1),
    silences_a_day=2.0,
)
TEST_DIRT = replace(
    TEST_SENSORS,
    noise_c=(0.2, 0.3),
    step_c=(0.02, 0.25, 0.8, 1.0),
    offset_c=0.9,
    drift_c_per_day=0.25,
    stuck_a_day=0.05,
    open_a_day=0.05,
    jumps_a_day=0.015,
    wild_a_day=0.5,
    noisy_a_day=0.08,
    lost_share=(0.1, 0.2),
    silences_a_day=4.0,
)
TRAIN_CLIMATES = Climates(
    roads=INTERSTATES[:2],
    days_of_year=(100.0, 200.0),
    mean_c=(8.0, 26.0),
    swing_c=(4.0, 8.0),
    front_c=(0.5, 2.0),
    cloud=(0.0, 0.4),
    cruise_m_s=(22.0, 25.0),
    door_w_per_k=(100.0, 400.0),
)
TEST_CLIMATES = Climates(
    roads=INTERSTATES[2:],
    days_of_year=(205.0, 300.0),
    mean_c=(26.0, 33.0),
    swing_c=(8.0, 11.0),
    front_c=(2.0, 3.5),
    cloud=(0.4, 0.7),
    cruise_m_s=(25.0, 28.0),
    door_w_per_k=(400.0, 800.0),
)
CHEMISTRIES = (Chemistry.NMC, Chemistry.NCA, Chemistry.LFP, Chemistry.LMO)
CLASSES = (PackClass.MID_LIFE, PackClass.END_OF_LIFE, PackClass.DAMAGED)
_ILL = (PackClass.DAMAGED, PackClass.END_OF_LIFE)

_TRAIN_SICK = Family(
    event=True,
    split="train",
    description="",
    chemistries=CHEMISTRIES,
    classes=_ILL,
    hours=24.0,
    design=replace(TRAIN_DESIGN, cells=5),
    sensors=TRAIN_SENSORS,
    climates=TRAIN_CLIMATES,
)
_TEST_SICK = replace(
    _TRAIN_SICK, split="test", design=replace(TEST_DESIGN, cells=7), sensors=TEST_SENSORS, climates=TEST_CLIMATES
)
_TRAIN_WELL = replace(_TRAIN_SICK, event=False, classes=CLASSES, hours=48.0, design=TRAIN_DESIGN)
_TEST_WELL = replace(_TEST_SICK, event=False, classes=CLASSES, hours=48.0, design=TEST_DESIGN)


def _slow(sick: Family, short: Ailment, heating: Ailment) -> dict[str, Family]:
    """Hours of warning, one family for each chemistry and cause."""
    found: dict[str, Family] = {}
    for chemistry in CHEMISTRIES:
        found[f"slow_short_{chemistry}"] = replace(
            sick,
            chemistries=(chemistry,),
            description="an internal short whose resistance falls for hours",
            ailment=short,
        )
        found[f"self_heating_{chemistry}"] = replace(
            sick,
            chemistries=(chemistry,),
            description="cells that make heat of their own, more from hour to hour; gas sensors",
            sensors=replace(sick.sensors, gas=True),
            ailment=heating,
        )
    return found


def _fast(sick: Family, onset_share: tuple[float, float], lag_s: tuple[float, float]) -> dict[str, Family]:
    """Crushed cells, reported every second."""
    crushed = replace(
        sick,
        classes=(PackClass.DAMAGED,),
        hours=1.5,
        interval_s=1.0,
        design=replace(sick.design, probe_on=(0, 0, 0, 1), lag_s=lag_s),
        ailment=Ailment(kind="fast_short", onset_share=onset_share),
    )
    found = {
        f"fast_short_{chemistry}": replace(
            crushed, chemistries=(chemistry,), description="a crushed cell: a minute from +5 to 150 degC, then runaway"
        )
        for chemistry in CHEMISTRIES
    }
    found["fast_short_burns_open"] = replace(
        crushed,
        description="a crushed cell whose short burns open before it runs away",
        ailment=Ailment(kind="fast_short", onset_share=onset_share, stops_at_k=(30.0, 110.0)),
    )
    return found


def _other_events(sick: Family, heater_w: tuple[float, float], fizzle_w: tuple[float, float]) -> dict[str, Family]:
    growth_s = sick.ailment.growth_s if sick.ailment else (1800.0, 3600.0)
    return {
        "external_heating": replace(
            sick,
            description="a cell heated from outside until it burns",
            hours=8.0,
            sensors=replace(sick.sensors, gas=True),
            ailment=Ailment(kind="heater", onset_share=(0.4, 0.6), most_w=heater_w),
        ),
        "slow_short_fizzles": replace(
            sick,
            description="a short that grows for hours and drains its cell before it can run away",
            ailment=Ailment(kind="growing_short", growth_s=growth_s, most_w=fizzle_w),
        ),
        "slow_short_4_coarse_probes": replace(
            sick,
            description="a growing short in a pack with four probes of 1 degC",
            design=replace(sick.design, probes=4),
            sensors=replace(sick.sensors, step_c=(1.0,)),
        ),
        "slow_short_24_coarse_probes": replace(
            sick,
            description="a growing short in a pack with 24 probes of 1 degC",
            design=replace(sick.design, probes=24),
            sensors=replace(sick.sensors, step_c=(1.0,)),
        ),
    }


def _benign(
    well: Family, dirt: Sensors, cold_c: tuple[float, float], hall: Handling, logged: Logged
) -> dict[str, Family]:
    climates = well.climates
    return {
        "benign_sun": replace(well, description="on the road in sun, cloud, night and draught"),
        "benign_cold": replace(
            well,
            description="on the road in winter",
            climates=replace(
                climates, mean_c=cold_c, days_of_year=(0.0, 50.0) if well.split == "train" else (310.0, 360.0)
            ),
        ),
        "benign_day_night": replace(
            well, description="days and nights in a shed without sun", climates=replace(climates, sunlit=False)
        ),
        "benign_doors": replace(
            well,
            description="doors that open all day long",
            climates=replace(climates, doors_a_day=(6.0, 12.0) if well.split == "train" else (12.0, 24.0)),
        ),
        "benign_loading": replace(
            well, description="from hall to dock to road and back, sunlit on one side", handling=hall
        ),
        "benign_charging": replace(
            well,
            description="in use in a vehicle: driving, charging, cooling",
            design=replace(well.design, series=(1,)),
            charging=True,
        ),
        "benign_charging_coarse": replace(
            well,
            description="in use in a vehicle with 24 probes of 1 degC",
            design=replace(well.design, series=(1,), probes=24),
            sensors=replace(dirt, step_c=(1.0,)),
            charging=True,
        ),
        "benign_dirty": replace(well, description="bad probes, bad taps, lost frames", sensors=dirt),
        "benign_dirty_4_probes": replace(
            well,
            description="four bad probes of 1 degC",
            design=replace(well.design, probes=4),
            sensors=replace(dirt, step_c=(1.0,)),
        ),
        "benign_exhaust": replace(
            well,
            description="exhaust, cleaning agents and forklifts pass by gas sensors",
            sensors=replace(well.sensors, gas=True, exhaust_a_day=4.0 if well.split == "train" else 8.0),
        ),
        "benign_loggers": replace(
            well, description="weather of measured loggers: a parcel in the post, a panel in the sun", logged=logged
        ),
    }


_TRAIN_SHORT = Ailment(kind="growing_short", start_w=(0.3, 0.8), growth_s=(1800.0, 3600.0), most_w=(450.0, 650.0))
_TEST_SHORT = Ailment(kind="growing_short", start_w=(0.8, 1.5), growth_s=(3600.0, 4800.0), most_w=(650.0, 1000.0))
_TRAIN_HEATING = Ailment(kind="self_heating", start_w=(2.0, 6.0), growth_s=(3600.0, 7200.0), most_w=(300.0, 500.0))
_TEST_HEATING = Ailment(kind="self_heating", start_w=(6.0, 10.0), growth_s=(2400.0, 3600.0), most_w=(500.0, 800.0))

_TRAIN: dict[str, Family] = {
    **_slow(_TRAIN_SICK, _TRAIN_SHORT, _TRAIN_HEATING),
    **_fast(_TRAIN_SICK, (0.6, 0.75), (1.0, 3.0)),
    **_other_events(replace(_TRAIN_SICK, ailment=_TRAIN_SHORT), (150.0, 300.0), (20.0, 40.0)),
    **_benign(
        _TRAIN_WELL,
        TRAIN_DIRT,
        (-10.0, 5.0),
        Handling(a_day=(1.0, 3.0), hall_c=(15.0, 22.0), dock_sun_k=(5.0, 20.0)),
        Logged(stretch=(0.7, 1.0), shift_c=(-10.0, 0.0)),
    ),
}
_TEST: dict[str, Family] = {
    **_slow(_TEST_SICK, _TEST_SHORT, _TEST_HEATING),
    **_fast(_TEST_SICK, (0.75, 0.9), (3.0, 5.0)),
    **_other_events(replace(_TEST_SICK, ailment=_TEST_SHORT), (75.0, 150.0), (40.0, 55.0)),
    **_benign(
        _TEST_WELL,
        TEST_DIRT,
        (-30.0, -10.0),
        Handling(a_day=(3.0, 5.0), hall_c=(5.0, 15.0), dock_sun_k=(20.0, 35.0)),
        Logged(stretch=(1.0, 1.3), shift_c=(0.0, 8.0)),
    ),
}
TEST_SUFFIX = "_test"
FAMILIES: Mapping[str, Family] = _TRAIN | {f"{name}{TEST_SUFFIX}": family for name, family in _TEST.items()}
"""Every family by its name; the test half bears TEST_SUFFIX."""
