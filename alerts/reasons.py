"""Why a level changed, in words and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alerts.detector import EvidenceKind, gas_name
from alerts.rules import SUSPECT_ABOVE_C
from registry.kinds import Level
from telemetry.samples import Provenance, Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alerts.ceilings import Crossings
    from alerts.detector import Evidence
    from alerts.rules import Rules
    from telemetry.samples import ReceivedBatch

_RISING_C_PER_MIN = 0.02
"""Below it a probe stands rather than rises: **assumed**."""
_SINKING_MIN = 30.0
"""Sinking for less may be a step: **assumed**."""
PROBES_NAMED = 4
"""How many probes are named one by one; the rest is counted."""


def reasons_of(
    crossings: Crossings, k: int, *, rules: Rules, labels: Sequence[str], max_operating_c: float
) -> list[str]:
    """Why crossing k happened. `labels` name the probes; missing ones are called by their number."""
    rank = int(crossings.rank[k])
    if crossings.renewed[k]:
        return _renewal(crossings, k, rules=rules, labels=labels, max_operating_c=max_operating_c)
    if rank <= int(crossings.rank_before[k]):
        return [_ending(rules, int(crossings.rank_before[k]), int(crossings.fixed_rank_before[k]))]
    if rank == Level.RUNAWAY.rank and crossings.runaway[k].any():
        return _runaway(crossings, k, rules=rules, labels=labels, max_operating_c=max_operating_c)
    evidence = words_of(crossings.evidences[k], labels)
    reached = [ceiling.at_c for ceiling in rules.ceilings if ceiling.level.rank <= int(crossings.fixed_rank[k])]
    if not reached:
        return evidence or ["the evidence that stood before is still there"]
    return [*_hot(crossings.temperatures_c[k], max(reached), labels), *evidence]


def circumstances_of(received: ReceivedBatch, late_by_ms: int, *, registered_real: bool) -> list[str]:
    """What to know beside: that a sample came late, or is none of a pack now.

    `registered_real`: the registry knows the unit as one that measures. Then its own word does not make heat unreal.
    """
    circumstances = []
    if late_by_ms > 0:
        circumstances.append(f"late: sampled {duration_words(late_by_ms / 1000)} before the newest sample of its unit")
    elif received.batch.historical:
        delay_s = (received.received_at_ms - int(received.batch.sampled_at_ms[-1])) / 1000
        circumstances.append(f"late: kept by the gateway, and sent {duration_words(delay_s)} after it was sampled")
    if np.any(received.batch.quality & Quality.TIME_IMPOSSIBLE):
        circumstances.append("its unit's clock was impossibly wrong: taken as sampled when it was received")
    match received.batch.provenance:
        case Provenance.MEASURED:
            pass
        case provenance if registered_real:
            circumstances.append(f"its unit calls it {provenance}, but is registered as real: take it for real")
        case Provenance.SIMULATED:
            circumstances.append("simulated: no real pack")
        case Provenance.REPLAYED:
            circumstances.append("replayed: a recording, not measured now")
        case Provenance.SYNTHETIC:
            circumstances.append("synthetic: made up, not measured")
    return circumstances


def words_of(evidences: Sequence[Evidence], labels: Sequence[str]) -> list[str]:
    """The detector's evidences in words and numbers, strongest first. `labels` name the probes, as in `reasons_of`."""
    return _named([_evidence(each, labels) for each in evidences])


def _evidence(evidence: Evidence, labels: Sequence[str]) -> str:  # noqa: PLR0911 - a sentence a kind
    numbers, channel = evidence.numbers, -1 if evidence.channel is None else evidence.channel
    match evidence.kind:
        case EvidenceKind.SPATIAL:
            rising = (
                f" and rising {numbers['rate_c_per_min']:.2f} degC/min for {max(numbers['rising_min'], 1):.0f} min"
                if numbers["rate_c_per_min"] >= _RISING_C_PER_MIN
                else ""
            )
            return f"{_label(labels, channel)} is {numbers['above_others_c']:.1f} degC above its neighbours{rising}"
        case EvidenceKind.QUICK:
            return (
                f"{_label(labels, channel)} rose {numbers['risen_c']:.1f} degC above its neighbours within "
                f"{numbers['window_s']:.0f} s, to {numbers['reading_c']:.1f} degC"
            )
        case EvidenceKind.SUM:
            return (
                f"{_label(labels, channel)} has stood {numbers['above_others_c']:.1f} degC above its neighbours for "
                f"long; {numbers['usual_c']:.1f} degC is usual"
            )
        case EvidenceKind.DIED:
            return (
                f"{_label(labels, channel)} stopped measuring {duration_words(numbers['silent_s'])} ago, at "
                f"{numbers['reading_c']:.1f} degC, while its pack was suspicious"
            )
        case EvidenceKind.VOLTAGE | EvidenceKind.COLLAPSE:
            below_pct, sinking_min = numbers["below_others_permille"] / 10, numbers["sinking_min"]
            sinking = f" and has been sinking for {sinking_min:.0f} min" if sinking_min >= _SINKING_MIN else ""
            return (
                f"voltage {channel + 1} is {below_pct:.{1 if below_pct >= 1 else 2}f} % below its neighbours{sinking}; "
                f"{numbers['usual_permille'] / 10:.2f} % is usual"
            )
        case EvidenceKind.GAS:
            return (
                f"{gas_name(channel)} is {numbers['now_ppm']:.0f} ppm; "
                f"{numbers['usual_ppm']:.0f} ppm is usual for this pack"
            )
        case EvidenceKind.RISE:
            return (
                f"the whole pack is {numbers['now_c']:.1f} degC, {numbers['risen_c']:.1f} degC more than on average "
                f"over the last {numbers['window_min']:.0f} min"
            )
        case EvidenceKind.HEAT:
            return (
                f"the whole pack warms {numbers['unexplained_c_per_h']:.1f} degC/h more than its surroundings explain; "
                f"{numbers['usual_c_per_h']:.1f} degC/h is usual"
            )


def duration_words(seconds: float) -> str:
    """Rounded, for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _hot(temperatures_c: NDArray[np.float32], at_c: float, labels: Sequence[str]) -> list[str]:
    return _named(
        [
            f"{_label(labels, probe)} is {temperatures_c[probe]:.1f} degC, "
            f"{'above' if temperatures_c[probe] > at_c else 'at'} {at_c:g} degC{_doubt(temperatures_c[probe])}"
            for probe in _hottest_first(temperatures_c)
            if temperatures_c[probe] >= at_c
        ]
    )


def again(sentences: Sequence[str], cooled_to_c: float) -> list[str]:
    """Why what was hot, and cooled, is hot: the first sentence says so. NaN = how far it cooled is not known."""
    cooled = f"; it had cooled to {cooled_to_c:.1f} degC" if np.isfinite(cooled_to_c) else "; it had cooled"
    return [f"hot again: {sentences[0]}{cooled}", *sentences[1:]]


def _renewal(crossings: Crossings, k: int, *, rules: Rules, labels: Sequence[str], max_operating_c: float) -> list[str]:
    temperatures_c, coolest_c = crossings.temperatures_c[k], crossings.coolest_c[k]
    if crossings.runaway[k].any():
        leader = int(np.argmax(np.where(crossings.runaway[k], crossings.rate_c_per_s[k], -np.inf)))
        words = _runaway(crossings, k, rules=rules, labels=labels, max_operating_c=max_operating_c)
        return again(words, float(coolest_c[leader]))
    hottest_c = float(np.nanmax(temperatures_c))
    passed = [ceiling.at_c for ceiling in rules.ceilings if hottest_c >= ceiling.at_c]
    if not passed:
        words = words_of(crossings.evidences[k], labels) or ["its evidence alarms again"]
        return again(words, float(np.nanmin(coolest_c)) if np.isfinite(coolest_c).any() else np.nan)
    leader = _hottest_first(temperatures_c)[0]
    return again(_hot(temperatures_c, max(passed), labels), float(coolest_c[leader]))


def _hottest_first(temperatures_c: NDArray[np.float32]) -> list[int]:
    return [int(probe) for probe in np.argsort(-np.nan_to_num(temperatures_c, nan=-np.inf), kind="stable")]


def _runaway(crossings: Crossings, k: int, *, rules: Rules, labels: Sequence[str], max_operating_c: float) -> list[str]:
    rates = crossings.rate_c_per_s[k]
    probes = sorted(np.flatnonzero(crossings.runaway[k]).tolist(), key=lambda probe: -rates[probe])
    sentences = _named(
        [
            f"{_label(labels, probe)} is {crossings.temperatures_c[k, probe]:.1f} degC and rises "
            f"{rates[probe]:.1f} degC/s, {rules.runaway.rate_c_per_s:g} degC/s or more for "
            f"{crossings.rise_s[k, probe]:.1f} s{_doubt(crossings.temperatures_c[k, probe])}"
            for probe in probes
        ]
    )
    hottest_c = float(np.max(crossings.temperatures_c[k, probes]))
    if hottest_c >= max_operating_c:
        sentences.append(f"that is hotter than the pack may get in use, {max_operating_c:g} degC")
    for channel in np.flatnonzero(crossings.fallen[k])[:PROBES_NAMED]:
        volts, reference = crossings.voltages_v[k, channel], crossings.references_v[k, channel]
        sentences.append(
            f"voltage {channel + 1} fell from {reference:.2f} V to {volts:.2f} V, {1 - volts / reference:.0%} down"
            if np.isfinite(volts) and np.isfinite(reference)
            else f"voltage {channel + 1} had collapsed when it was last measured"
        )
    return [*sentences, "thermal runaway by GB 38031-2025, C.5.3.7"]


def _ending(rules: Rules, rank_before: int, fixed_rank_before: int) -> str:
    if fixed_rank_before < rank_before:
        return "the evidence has been gone for long enough"
    for ceiling in rules.ceilings:
        if ceiling.clears is not None and ceiling.level.rank == rank_before:
            hysteresis = ceiling.clears
            return f"all probes that were hot stayed below {hysteresis.below_c:g} degC for {hysteresis.after_s:g} s"
    return "what raised it no longer holds"


def _named(sentences: list[str]) -> list[str]:
    if len(sentences) <= PROBES_NAMED:
        return sentences
    return [*sentences[:PROBES_NAMED], f"and {len(sentences) - PROBES_NAMED} more probes"]


def _label(labels: Sequence[str], probe: int) -> str:
    return labels[probe] if probe < len(labels) else f"probe {probe + 1}"


def _doubt(temperature_c: float) -> str:
    return ": a fire, or a broken sensor" if temperature_c > SUSPECT_ABOVE_C else ""
