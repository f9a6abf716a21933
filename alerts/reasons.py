"""Why a level changed, in words and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alerts.rules import SUSPECT_ABOVE_C
from registry.kinds import Level
from telemetry.samples import Provenance, Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alerts.ceilings import Crossings
    from alerts.rules import Rules
    from telemetry.samples import ReceivedBatch

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
        return [_ending(rules, int(crossings.rank_before[k]))]
    if rank == Level.RUNAWAY.rank and crossings.runaway[k].any():
        return _runaway(crossings, k, rules=rules, labels=labels, max_operating_c=max_operating_c)
    ceiling = next(ceiling for ceiling in rules.ceilings if ceiling.level.rank == rank)
    return _hot(crossings.temperatures_c[k], ceiling.at_c, labels)


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


def _ending(rules: Rules, rank_before: int) -> str:
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
