"""What units took against what a store holds, sample by sample. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from firmware_sim.ledger import Lost, Took
from firmware_sim.pattern import pattern_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from firmware_sim.pattern import Rows

TEMPERATURE_TOLERANCE_C = 0.01
VOLTAGE_TOLERANCE_V = 0.0004
"""Below half a step of the wire, above what float32 loses."""
TIME_SLACK_MS = 1_500
"""Besides the uncertainty that travels with a sample: two busy cores hold up processes. **assumed**"""
TOLD = 5
"""Findings of a kind that are told one by one."""


class StoredRow(NamedTuple):
    """One sample as a store holds it."""

    unit_id: str
    boot_id: str | None
    frame: int | None
    sampled_at_ms: int
    uncertainty_s: float
    temperatures_c: tuple[float, ...]
    """NaN = not measured."""
    voltages_v: tuple[float, ...]


class GivenUp(NamedTuple):
    """Samples that a gateway told it gave up: so many, between these frames of a boot."""

    boot_id: str
    first_frame: int
    last_frame: int
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a unit was, and what may be wrong with its times for a reason."""

    seed: int
    unit_id: str
    temperatures: int
    voltages: int
    time_slack_ms: int = TIME_SLACK_MS
    clock_stepped: bool = False
    """A clock was set while it measured: its times are right only within `time_slack_ms`, in no certain order."""
    given_up: tuple[GivenUp, ...] = ()
    """What may be missing for want of room, wholly or in part."""


@dataclass(slots=True)
class Verdict:
    """What the comparison found. `findings` empty = all is right."""

    samples_taken: int = 0
    samples_stored: int = 0
    frames_lost: int = 0
    """Reported as lost by the unit, and not in the store."""
    samples_given_up: int = 0
    """Told as missing by a gateway, and not in the store."""
    samples_thinned: int = 0
    """Stored of frames that a gateway thinned."""
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def find(self, kind: str, sentence: str) -> None:
        """Note that something is wrong."""
        self.counts[kind] += 1
        if self.counts[kind] <= TOLD:
            self.findings.append(f"{kind}: {sentence}")


def compare(
    expected: Mapping[str, Expectation],
    ledgers: Mapping[str, Sequence[Took | Lost]],
    stored: Iterable[StoredRow],
) -> Verdict:
    """Hold the rows of the store against the ledgers; both maps go by unit."""
    verdict = Verdict()
    rows: dict[str, dict[tuple[str, int], list[StoredRow]]] = {unit_id: defaultdict(list) for unit_id in expected}
    for row in stored:
        verdict.samples_stored += 1
        if row.unit_id not in rows or row.boot_id is None or row.frame is None:
            verdict.find("stranger", f"{row.unit_id} boot {row.boot_id} frame {row.frame} belongs to nobody")
            continue
        rows[row.unit_id][(row.boot_id, row.frame)].append(row)
    for unit_id, expectation in expected.items():
        _compare_unit(expectation, ledgers[unit_id], rows[unit_id], verdict)
    return verdict


def _compare_unit(
    expectation: Expectation,
    ledger: Sequence[Took | Lost],
    rows: Mapping[tuple[str, int], list[StoredRow]],
    verdict: Verdict,
) -> None:
    unit_id = expectation.unit_id
    took = {(entry.boot_id, entry.frame): entry for entry in ledger if isinstance(entry, Took)}
    lost = {(entry.boot_id, entry.frame) for entry in ledger if isinstance(entry, Lost)}
    verdict.samples_taken += sum(entry.rows for entry in took.values())
    right: list[tuple[Took, list[StoredRow]]] = []
    given_up = 0
    for (boot_id, frame), entry in took.items():
        found = sorted(rows.get((boot_id, frame), ()), key=lambda row: row.sampled_at_ms)
        name = f"{unit_id} boot {boot_id} frame {frame}"
        if len(found) < entry.rows and _is_given_up(expectation, entry):
            given_up += entry.rows - len(found)
            verdict.samples_thinned += len(found)
            _compare_thinned(expectation, entry, found, name, verdict)
        elif not found and (boot_id, frame) in lost:
            verdict.frames_lost += 1
        elif len(found) < entry.rows:
            verdict.find("missing", f"{name}: {len(found)} of {entry.rows} samples are stored")
        elif len(found) > entry.rows:
            verdict.find("twice", f"{name}: {len(found)} samples are stored of {entry.rows} that were taken")
        elif _values_are_right(expectation, entry, found, name, verdict):
            right.append((entry, found))
    verdict.samples_given_up += given_up
    told = sum(each.samples for each in expectation.given_up)
    if given_up > told:
        verdict.find("missing", f"{unit_id}: {given_up} samples are not stored where its gateways gave up {told}")
    for boot_id, frame in rows.keys() - took.keys():
        verdict.find("stranger", f"{unit_id} boot {boot_id} frame {frame} is stored and was never taken")
    _compare_times(expectation, right, verdict)


def _is_given_up(expectation: Expectation, entry: Took) -> bool:
    return any(
        told.boot_id == entry.boot_id and told.first_frame <= entry.frame <= told.last_frame
        for told in expectation.given_up
    )


def _compare_thinned(
    expectation: Expectation, entry: Took, found: list[StoredRow], name: str, verdict: Verdict
) -> None:
    """What is left of a thinned frame: samples that were taken, each once, as far apart as they were."""
    pattern = _pattern(expectation, entry)
    first: tuple[int, int] | None = None
    at = -1
    for row in found:
        at = next((number for number in range(at + 1, entry.rows) if _is_row(row, pattern, number)), entry.rows)
        if at == entry.rows:
            verdict.find("values", f"{name} is thinned to samples that were not taken")
            return
        first = first or (row.sampled_at_ms, at)
        if row.sampled_at_ms - first[0] != (at - first[1]) * entry.period_ms:
            verdict.find("spacing", f"{name} is thinned, and what is left lies at other times")
            return


def _is_row(row: StoredRow, pattern: Rows, number: int) -> bool:
    return all(
        len(stored) == (0 if taken is None else taken.shape[1])
        and (taken is None or np.allclose(stored, taken[number], rtol=0.0, atol=tolerance, equal_nan=True))
        for stored, taken, tolerance in (
            (row.temperatures_c, pattern.temperatures_c, TEMPERATURE_TOLERANCE_C),
            (row.voltages_v, pattern.voltages_v, VOLTAGE_TOLERANCE_V),
        )
    )


def _pattern(expectation: Expectation, entry: Took) -> Rows:
    return pattern_rows(
        seed=expectation.seed,
        unit_id=expectation.unit_id,
        boot_id=entry.boot_id,
        frame=entry.frame,
        rows=entry.rows,
        temperatures=expectation.temperatures,
        voltages=expectation.voltages,
    )


def _values_are_right(
    expectation: Expectation, entry: Took, found: list[StoredRow], name: str, verdict: Verdict
) -> bool:
    pattern = _pattern(expectation, entry)
    for what, stored, taken, tolerance in (
        ("temperatures", [row.temperatures_c for row in found], pattern.temperatures_c, TEMPERATURE_TOLERANCE_C),
        ("voltages", [row.voltages_v for row in found], pattern.voltages_v, VOLTAGE_TOLERANCE_V),
    ):
        wanted = [()] * entry.rows if taken is None else taken.tolist()
        if {len(row) for row in stored} != {len(row) for row in wanted} or not np.allclose(
            np.array(stored, np.float64), np.array(wanted, np.float64), rtol=0.0, atol=tolerance, equal_nan=True
        ):
            verdict.find("values", f"{name}: its {what} are not the ones that were taken")
            return False
    return True


def _compare_times(expectation: Expectation, right: list[tuple[Took, list[StoredRow]]], verdict: Verdict) -> None:
    """Every sample at its time; in order within a boot, and boots one after the other."""
    unit_id = expectation.unit_id
    boots: dict[str, list[tuple[Took, list[StoredRow]]]] = defaultdict(list)
    for entry, found in right:
        name = f"{unit_id} boot {entry.boot_id} frame {entry.frame}"
        steps = {after.sampled_at_ms - before.sampled_at_ms for before, after in pairwise(found)}
        if steps - {entry.period_ms}:
            verdict.find("spacing", f"{name}: its samples are {sorted(steps)} ms apart, not {entry.period_ms}")
        if entry.taken_at_ms is not None:
            off_ms = found[0].sampled_at_ms - entry.taken_at_ms
            allowed_ms = expectation.time_slack_ms + 1000 * found[0].uncertainty_s
            if abs(off_ms) > allowed_ms:
                verdict.find("time", f"{name}: it is stored {off_ms:+d} ms off, and +-{allowed_ms:.0f} ms are told")
        boots[entry.boot_id].append((entry, found))
    if expectation.clock_stepped:
        return
    spans = []
    for boot_id, frames in boots.items():
        frames.sort(key=lambda pair: pair[0].frame)
        times = [row.sampled_at_ms for _, found in frames for row in found]
        if any(after <= before for before, after in pairwise(times)):
            verdict.find("order", f"{unit_id} boot {boot_id}: by time its samples have another order than by number")
        uncertainty_ms = 1000 * max(found[0].uncertainty_s for _, found in frames)
        spans.append((int(boot_id.partition("-")[0]), times[0], times[-1], uncertainty_ms))
    for (before, _, end_ms, before_ms), (after, start_ms, _, after_ms) in pairwise(sorted(spans)):
        if start_ms < end_ms - before_ms - after_ms - TIME_SLACK_MS:
            verdict.find("order", f"{unit_id}: boot {after} begins {end_ms - start_ms} ms before boot {before} ends")
