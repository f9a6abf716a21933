"""The families and the spans their parameters are drawn from; **assumed** unless a span says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from firmware_sim.interstates import INTERSTATES
from firmware_sim.outdoors import Climates
from registry.kinds import Chemistry, PackClass

if TYPE_CHECKING:
    from collections.abc import Mapping

Span = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Packs of one make. Spans are uniform; conductances in W/K."""

    modules: int
    cells: int
    """Of the sick module told apart; 0 where nothing ails."""
    probes: int
    taps: int
    series: tuple[int, ...]
    """Cells in series under a tap; 1 = every tap is a cell."""
    module_kg: Span
    cell_kg: Span
    cell_ah_per_kg: Span
    """55 Ah in a kilogram of 200 Wh/kg NMC at 3.65 V."""
    parallel: Span
    """How many cells' charge feeds a short in one of them."""
    inner_ohm_ah: Span
    """Resistance of a cell times its capacity: 0.05-0.15 ohm Ah in data sheets of large cells."""
    module_to_module: Span
    module_to_case: Span
    uneven: float
    """Relative standard deviation between modules of that."""
    cell_to_cell: Span
    cell_to_case: Span
    case_kg: Span
    case_to_air: Span
    case_to_side: Span
    probe_on: tuple[int, ...]
    """Cells between the fault and its nearest probe; beyond the cells told apart lies the module."""
    case_share: Span
    """How far a probe's foot follows the case instead of its cell."""
    lag_s: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensors:
    """Units of one make; rates a probe and day."""

    noise_c: Span
    step_c: tuple[float, ...]
    offset_c: float
    """Standard deviation."""
    drift_c_per_day: float
    noise_v: Span
    step_v: tuple[float, ...] = (0.001,)
    ambient: bool = True
    gas: bool = False
    stuck_a_day: float = 0.0
    open_a_day: float = 0.0
    jumps_a_day: float = 0.0
    wild_a_day: float = 0.0
    noisy_a_day: float = 0.0
    lost_share: Span = (0.0, 0.01)
    silences_a_day: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailment:
    """A kind of fault. Spans of positive quantities are uniform in their logarithm."""

    kind: Literal["growing_short", "self_heating", "heater", "fast_short"]
    onset_share: Span = (0.15, 0.3)
    """Of the recording's length."""
    start_w: Span = (0.2, 1.0)
    """Heat at the onset."""
    growth_s: Span = (1800.0, 7200.0)
    most_w: Span = (200.0, 600.0)
    """The most heat the fault makes, at full voltage."""
    rise_s: Span = (1.0, 172.0)
    """Fast shorts: from +5 to +150 degC at the cell; their median is 60 s, as measured."""
    stops_at_k: Span | None = None
    """Fast shorts: the rise at which the short burns open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family of recordings."""

    event: bool
    split: Literal["train", "test"]
    description: str
    chemistries: tuple[Chemistry, ...]
    classes: tuple[PackClass, ...]
    hours: float
    interval_s: float = 10.0
    """What it is meant to be reported at."""
    design: Design
    sensors: Sensors
    climates: Climates
    ailment: Ailment | None = None


_TRAIN_DESIGN = Design(
    modules=16,
    cells=0,
    probes=16,
    taps=8,
    series=(1, 12),
    module_kg=(18.0, 30.0),
    cell_kg=(0.9, 1.5),
    cell_ah_per_kg=(45.0, 60.0),
    parallel=(2.0, 5.0),
    inner_ohm_ah=(0.05, 0.1),
    module_to_module=(3.0, 7.0),
    module_to_case=(2.5, 6.0),
    uneven=0.2,
    cell_to_cell=(0.8, 2.0),
    cell_to_case=(0.15, 0.4),
    case_kg=(50.0, 90.0),
    case_to_air=(15.0, 30.0),
    case_to_side=(1.0, 4.0),
    probe_on=(0, 1, 2),
    case_share=(0.0, 0.15),
    lag_s=(4.0, 20.0),
)
_TRAIN_SENSORS = Sensors(
    noise_c=(0.02, 0.08), step_c=(0.01, 0.0625, 0.1), offset_c=0.2, drift_c_per_day=0.0, noise_v=(0.0005, 0.002)
)
_TRAIN_CLIMATES = Climates(
    roads=INTERSTATES[:2],
    days_of_year=(100.0, 200.0),
    mean_c=(8.0, 26.0),
    swing_c=(4.0, 10.0),
    front_c=(0.5, 2.5),
    cloud=(0.0, 0.7),
)
_ALL_CLASSES = (PackClass.MID_LIFE, PackClass.END_OF_LIFE, PackClass.DAMAGED)
_ALL_CHEMISTRIES = (Chemistry.NMC, Chemistry.NCA, Chemistry.LFP, Chemistry.LMO)

_SICK_DESIGN = replace(_TRAIN_DESIGN, cells=5)

FAMILIES: Mapping[str, Family] = {
    "slow_short_nmc": Family(
        event=True,
        split="train",
        description="an internal short that grows for hours",
        chemistries=(Chemistry.NMC,),
        classes=(PackClass.DAMAGED, PackClass.END_OF_LIFE),
        hours=24.0,
        design=_SICK_DESIGN,
        sensors=_TRAIN_SENSORS,
        climates=_TRAIN_CLIMATES,
        ailment=Ailment(kind="growing_short", growth_s=(900.0, 3000.0), most_w=(300.0, 900.0)),
    ),
    "self_heating_nmc": Family(
        event=True,
        split="train",
        description="cells that make heat by themselves, more from hour to hour",
        chemistries=(Chemistry.NMC,),
        classes=(PackClass.DAMAGED,),
        hours=24.0,
        design=_SICK_DESIGN,
        sensors=_TRAIN_SENSORS,
        climates=_TRAIN_CLIMATES,
        ailment=Ailment(kind="self_heating", start_w=(2.0, 8.0), growth_s=(2400.0, 9000.0)),
    ),
    "fast_short_nmc": Family(
        event=True,
        split="train",
        description="a crushed cell: a minute from +5 to 150 degC; some shorts burn open before runaway",
        chemistries=(Chemistry.NMC,),
        classes=(PackClass.DAMAGED,),
        hours=1.5,
        interval_s=1.0,
        design=replace(_SICK_DESIGN, probe_on=(0, 1), lag_s=(1.0, 5.0)),
        sensors=_TRAIN_SENSORS,
        climates=_TRAIN_CLIMATES,
        ailment=Ailment(kind="fast_short", onset_share=(0.6, 0.75)),
    ),
    "benign_sun": Family(
        event=False,
        split="train",
        description="healthy packs on the road in sun, cloud, night and draught",
        chemistries=_ALL_CHEMISTRIES,
        classes=_ALL_CLASSES,
        hours=48.0,
        design=_TRAIN_DESIGN,
        sensors=_TRAIN_SENSORS,
        climates=_TRAIN_CLIMATES,
    ),
    "benign_dirty": Family(
        event=False,
        split="train",
        description="healthy packs with bad sensors and units",
        chemistries=_ALL_CHEMISTRIES,
        classes=_ALL_CLASSES,
        hours=48.0,
        design=_TRAIN_DESIGN,
        sensors=replace(
            _TRAIN_SENSORS,
            noise_c=(0.05, 0.3),
            step_c=(0.0625, 0.25, 0.5, 1.0),
            offset_c=0.7,
            drift_c_per_day=0.2,
            stuck_a_day=0.03,
            open_a_day=0.03,
            jumps_a_day=0.02,
            wild_a_day=0.3,
            noisy_a_day=0.05,
            lost_share=(0.0, 0.1),
            silences_a_day=2.0,
        ),
        climates=_TRAIN_CLIMATES,
    ),
}
