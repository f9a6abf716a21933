"""What a family of recordings is: a make of packs and units, a weather and a fault, each as spans to draw from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from firmware_sim.outdoors import Climates
    from registry.kinds import Chemistry, PackClass

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
    exhaust_a_day: float = 0.0
    """Clouds of exhaust, cleaning agent or a forklift's hydrogen that pass by a unit with gas sensors."""
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
class Handling:
    """Halls and docks between legs."""

    a_day: Span
    hall_c: Span
    dock_sun_k: Span
    """How far the sunlit side of a dock is above the air while the packs stand there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """How a logger's recording is varied from pack to pack."""

    stretch: Span
    """Of its departures from its own mean."""
    shift_c: Span


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
    charging: bool = False
    """In use in a vehicle: driving, charging and cooling instead of rest."""
    handling: Handling | None = None
    logged: Logged | None = None
    """Its weather comes from measured loggers, whose paths generate() must be given."""
