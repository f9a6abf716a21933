"""What all rounds came to: a table for people, and one JSON object."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faultline.round import RoundResult


def summary(results: Sequence[RoundResult], *, seconds: float) -> dict[str, Any]:
    """The JSON object; it is printed last."""
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(result.counts)
    return {
        "rounds": len(results),
        "passed": sum(result.passed for result in results),
        "failed_seeds": [result.plan.seed for result in results if not result.passed],
        "first_seed": min((result.plan.seed for result in results), default=None),
        "seconds": round(seconds, 1),
        "rounds_by_store": dict(Counter(str(result.plan.store) for result in results)),
        "samples_taken": sum(result.verdict.samples_taken for result in results),
        "samples_stored": sum(result.verdict.samples_stored for result in results),
        "frames_reported_lost": sum(result.verdict.frames_lost for result in results),
        "samples_reported_given_up": sum(result.verdict.samples_given_up for result in results),
        "samples_of_thinned_frames": sum(result.verdict.samples_thinned for result in results),
        "kills": {name.removeprefix("kills of "): n for name, n in sorted(counts.items()) if name.startswith("kills")},
        "network": {name.removeprefix("network: "): n for name, n in sorted(counts.items()) if name.startswith("netw")},
        "harms": {name.removeprefix("harm: "): n for name, n in sorted(counts.items()) if name.startswith("harm")},
        "findings": {str(result.plan.seed): dict(result.verdict.counts) for result in results if not result.passed},
    }


def print_table(results: Sequence[RoundResult]) -> None:
    """One line a round."""
    print(f"\n{'seed':>5} {'store':8} {'samples':>8} {'lost':>5} {'quiet':>6} {'time':>6}  result  harm")
    for result in sorted(results, key=lambda result: result.plan.seed):
        verdict = result.verdict
        harms = ", ".join(str(harm.kind) for harm in result.plan.harms)
        outcome = "passed" if result.passed else "FAILED"
        print(
            f"{result.plan.seed:>5} {result.plan.store:8} {verdict.samples_stored:>8} {verdict.frames_lost:>5} "
            f"{result.quiet_s:>5.1f}s {result.seconds:>5.1f}s  {outcome}  {harms}"
        )
