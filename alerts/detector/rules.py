"""What the detector goes by, as data: every threshold with its unit. The shipped values stand in `rules.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from registry.kinds import Chemistry, PackClass

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeRules:
    """An evidence is clear or strong when it passes both its own noise and a plain figure. A hint is half of clear."""

    clear_sigmas: float
    """Times the noise scale that was learnt."""
    clear_at: float
    """In the evidence's own unit."""
    strong_sigmas: float
    strong_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatialRules:
    """A probe against the median of its pack's other valid probes, less its own slow offset."""

    grades: GradeRules
    """degC above the others."""
    fewest_probes: int
    """Valid ones; with fewer there is no median to go by."""
    window_s: float
    """The residual is smoothed over so long."""
    offset_days: float
    """How slowly a probe's own offset is learnt."""
    settle_s: float
    """How long a new pack's offsets are plain means."""
    largest_first_offset_c: float
    """A first difference beyond it is no offset of a sensor, but heat."""
    scale_prior_c: float
    """The wander expected of a pack that is not known yet."""
    scale_prior_hours: float
    """How many hours of its own the prior weighs."""
    scale_at_least_c: float
    scale_at_least_resolutions: float
    """Times the sensor's resolution."""
    scale_at_most_of_pack: float
    """A probe's own scale, times the pack's: else a fault that grows slowly is learnt as its habit."""
    scale_at_most_c: float
    """Or so much, if that is more."""
    lasting_c: float
    """So far above the others for half an hour at rest is strong, whatever the scale."""
    growing_c: float
    """So far above the others, for long and still growing, is as much as strong."""
    scale_of_noise: float
    """Times the noise from reading to reading: smaller jumps cannot be told from it."""
    scale_of_common_rise: float
    """Share of the whole pack's rise within an hour: what warms in use, or in the sun, warms unevenly."""
    scale_of_drive: float
    """Share of how far the ambient is from the pack: what is warmed or cooled from outside is so unevenly."""
    doubt_hours: float
    """For so long a probe that jumped, was stuck, was open or told codes is trusted less."""
    doubt_times: float
    """Its scale, times this."""
    doubt_at_most_c: float
    """But widened to no more than so much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlopeRules:
    """The rise of a residual: its mean over the spatial window less its mean over this longer one."""

    grades: GradeRules
    """degC risen between the two means."""
    window_s: float
    rising_c_per_min: float
    """What counts as rising when it is said for how long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SumRules:
    """CUSUM: hours times sigmas by which a residual stays above a drift."""

    drift_sigmas: float
    clear_sigma_hours: float
    strong_sigma_hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickRules:
    """A rise within a minute or two, in two readings running."""

    grades: GradeRules
    """degC above the probe's residual of just before; sigmas of its noise from reading to reading."""
    window_s: float
    resolutions: float
    """A rise is at least so many times the sensor's resolution."""
    above_c: float
    """A clear quick rise of a probe so far above the others is as much as a strong one: a gently crushed cell."""
    critical_c: float
    """A quick rise of so much is critical."""
    runaway_c_per_s: float
    """GB 38031-2025, C.5.3.7: 1 degC/s, here against the other probes."""
    runaway_c: float
    """And hotter than the others by so much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatRules:
    """The pack as a whole against its own thermal model."""

    grades: GradeRules
    """degC/h that neither the ambient nor the habit of the pack explains."""
    fit_hours: float
    """Memory of the fit."""
    fit_after_hours: float
    """A fit younger than so much says nothing."""
    rise_window_s: float
    rise_clear_c: float
    """degC above the mean of the window, with or without an ambient."""
    rise_strong_c: float
    rise_strong_above_c: float
    """A strong rise ends above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoltageRules:
    """A cell or module against the median one, in thousandths of it, less its own slow offset."""

    grades: GradeRules
    """Thousandths below the others."""
    window_s: float
    offset_days: float
    scale_prior_permille: float
    scale_at_least_permille: float
    scale_of_common_change: float
    """Share of the median's change within an hour: cells that carry current differ more."""
    comparable: float
    """A channel beyond this factor of the median measures something else, such as the whole pack."""
    sinking_s: float
    """A channel that has been sinking alone for so long, at rest, is no transient."""
    rest_permille: float
    """The median voltage differs by no more from its mean of an hour in a pack at rest."""
    collapse: float
    """Share of its expected voltage whose loss is a collapse. GB 38031-2025, C.5.3.7."""
    moved_permille: float
    """A step between two rows that supports a sudden heat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GasRules:
    """A gas against its own rolling baseline."""

    window_s: float
    """How long it must persist."""
    baseline_hours: float
    clear_ratio: float
    strong_ratio: float
    clear_hydrogen_ppm: float
    strong_hydrogen_ppm: float
    clear_carbon_monoxide_ppm: float
    strong_carbon_monoxide_ppm: float
    clear_voc_ppm: float
    strong_voc_ppm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRules:
    """When a probe is called broken."""

    lowest_c: float
    highest_c: float
    """Readings beyond are codes, not temperatures."""
    open_after_s: float
    open_after_intervals: float
    stuck_after_s: float
    stuck_while_others_move_c: float
    stuck_resolutions: float
    """The others move by at least so many times the resolution."""
    spike_c: float
    """A change of so much from one reading to the next does not show that a probe is not stuck."""
    jump_c: float
    jump_sigmas: float
    jump_resolutions: float
    """A jump passes all three."""
    jump_goes_on: float
    """Share of a jump that follows it in the same direction when it is heat."""
    jump_cools: float
    """Share of a jump that is lost gradually when it was heat."""
    jump_decided_s: float
    """A jump that stays flat for so long was an instrument's."""
    jump_shown_s: float
    noisy_times: float
    """Noise from reading to reading, against the pack's."""
    noisy_c: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionRules:
    """How evidences become a level, and how a level goes."""

    critical_c: float
    """degC above the others, and rising."""
    critical_any_c: float
    """degC above the others, rising or not."""
    ease_share: float
    """A level that stands is held by evidence above this share of what raised it."""
    watch_eases_s: float
    warning_eases_s: float
    critical_eases_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How careful to be with one kind of pack: thresholds are divided by these."""

    pack_class: PackClass
    chemistry: Chemistry
    caution: float
    """On temperatures: 1 = as the rules say; 1.25 = a fifth lower."""
    voltage_caution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRules:
    """Everything the detector goes by."""

    version: int
    spatial: SpatialRules
    slope: SlopeRules
    sum: SumRules
    quick: QuickRules
    heat: HeatRules
    voltage: VoltageRules
    gas: GasRules
    fault: FaultRules
    fusion: FusionRules
    profiles: tuple[Profile, ...]

    def profile_of(self, pack_class: PackClass | None, chemistry: Chemistry) -> int:
        """Index of the profile for such a pack. An unknown class is treated as damaged: the most careful."""
        wanted = PackClass.DAMAGED if pack_class is None else pack_class
        for index, profile in enumerate(self.profiles):
            if profile.pack_class is wanted and profile.chemistry is chemistry:
                return index
        raise LookupError(f"the rules have no profile for {wanted} and {chemistry}")


def rules_from(document: Mapping[str, Any]) -> DetectorRules:
    """Rules from a parsed TOML document; `caution` tables give each class and chemistry its factors."""
    by_class, by_chemistry = document["caution"], document["voltage_caution"]
    return DetectorRules(
        version=document["version"],
        profiles=tuple(
            Profile(
                pack_class=pack_class,
                chemistry=chemistry,
                caution=by_class[pack_class.value],
                voltage_caution=by_chemistry[chemistry.value],
            )
            for pack_class in PackClass
            for chemistry in Chemistry
        ),
        **{
            name: kind(**{key: _value(value) for key, value in document[name].items()})
            for name, kind in _SECTIONS.items()
        },
    )


def _value(value: Any) -> Any:
    return GradeRules(**value) if isinstance(value, dict) else value


_SECTIONS: dict[str, Any] = {
    "spatial": SpatialRules,
    "slope": SlopeRules,
    "sum": SumRules,
    "quick": QuickRules,
    "heat": HeatRules,
    "voltage": VoltageRules,
    "gas": GasRules,
    "fault": FaultRules,
    "fusion": FusionRules,
}
assert set(_SECTIONS) < {field.name for field in fields(DetectorRules)}  # noqa: S101


@cache
def default_rules() -> DetectorRules:
    """The rules that ship with the detector."""
    return rules_from(tomllib.loads((files(__package__) / "rules.toml").read_text(encoding="utf-8")))
