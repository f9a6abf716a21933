"""What the benchmark of the detector makes: which families, how many packs of each, from which seeds, how worsened."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from detection_figures import BENIGN, PROMPT, SLOW

from firmware_sim.families import FAMILIES, generate, worsen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from firmware_sim.families import Recordings

TRACES = Path(__file__).parents[1] / "tests" / "traces"
LOGGERS = (TRACES / "parcel_1.csv", TRACES / "sunlit_panel.csv")
"""Measured air, for the families that take their weather from it."""
FIRST_SEED = 20_260
ROWS_AT_ONCE = 6_000_000
"""Pack-samples of a batch at most: 24 channels of them are 600 MB, and all that is made of them stays below 4 GB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worsening:
    """What is done to the reports of a pack."""

    name: str
    interval_s: float | None = None
    drop: float = 0.0
    dead_probes: int = 0
    stuck_probes: int = 0
    noise_c: float = 0.0

    def of(self, recordings: Recordings, seed: int) -> Recordings:
        return worsen(
            recordings,
            interval_s=self.interval_s,
            drop=self.drop,
            dead_probes=self.dead_probes,
            stuck_probes=self.stuck_probes,
            noise_c=self.noise_c,
            seed=seed,
        )


WORST = Worsening(name="all four at once", interval_s=60.0, drop=0.2, dead_probes=1, stuck_probes=1)
WORSENED = (
    Worsening(name="one probe dead", dead_probes=1),
    Worsening(name="one probe stuck", stuck_probes=1),
    Worsening(name="20 % of frames lost", drop=0.2),
    Worsening(name="a report every 60 s", interval_s=60.0),
    WORST,
    Worsening(name="a report every 300 s", interval_s=300.0),
    Worsening(name="a report every 60 s, 0.3 degC more noise", interval_s=60.0, noise_c=0.3),
)


_KINDS = {"growing_short": SLOW, "self_heating": SLOW, "fast_short": PROMPT}


def kind_of(family: str) -> str:
    """What a family's failures are judged as; "benign" where nothing fails."""
    ailment = FAMILIES[family].ailment
    return BENIGN if ailment is None else _KINDS.get(ailment.kind, ailment.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call of the simulator."""

    family: str
    packs: int
    seed: int
    interval_s: float

    def recordings(self) -> Recordings:
        return generate(self.family, packs=self.packs, seed=self.seed, interval_s=self.interval_s, loggers=LOGGERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is made."""

    packs_of_event_family: int
    packs_of_benign_family: int
    slow_interval_s: float = 10.0
    """s between reports of families that do not report every second."""
    split: str = "test"
    families: tuple[str, ...] = ()
    """Only these; none named = all of the split."""

    def batches(self) -> Iterator[list[Job]]:
        """Every family of the split; each job's seed is its own. Those of a batch are judged in one go.

        A batch's packs have the same clock and channels, and fit into memory together: the detector takes a step of
        many packs in little more time than one of a few.
        """
        batches: dict[tuple[object, ...], list[Job]] = defaultdict(list)
        for number, (name, family) in enumerate(FAMILIES.items()):
            if family.split != self.split or (self.families and name not in self.families):
                continue
            interval_s = 1.0 if family.interval_s == 1 else self.slow_interval_s
            samples = int(family.hours * 3600 / interval_s) + 1
            alike = (family.event, samples, interval_s, family.design.probes, family.design.taps)
            left = self.packs_of_event_family if family.event else self.packs_of_benign_family
            while left:
                room = ROWS_AT_ONCE // samples - sum(job.packs for job in batches[alike])
                if room < 1:
                    yield batches.pop(alike)
                    continue
                packs = min(left, room)
                seed = FIRST_SEED + 1000 * number + left
                batches[alike].append(Job(family=name, packs=packs, seed=seed, interval_s=interval_s))
                left -= packs
        yield from batches.values()


FULL = Plan(packs_of_event_family=24, packs_of_benign_family=140)
QUICK = Plan(packs_of_event_family=2, packs_of_benign_family=2, slow_interval_s=60.0)


def together(recordings: Sequence[Recordings]) -> Recordings:
    """All packs of recordings with the same clock and channels, as one; gas that one does not measure is NaN."""
    first = recordings[0]
    packs = [len(each.chemistry) for each in recordings]

    def column(name: str) -> Any:
        columns = [getattr(each, name) for each in recordings]
        if all(each is None for each in columns):
            return None
        blank = [np.full((number, len(first.time_s)), np.nan, np.float32) for number in packs]
        return np.concatenate([nothing if each is None else each for each, nothing in zip(columns, blank, strict=True)])

    return replace(
        first,
        family="several",
        chemistry=tuple(chain.from_iterable(each.chemistry for each in recordings)),
        pack_class=tuple(chain.from_iterable(each.pack_class for each in recordings)),
        **{
            name: column(name)
            for name in (
                "temperatures_c",
                "voltages_v",
                "ambient_c",
                "hydrogen_ppm",
                "carbon_monoxide_ppm",
                "voc_ppm",
                "onset_s",
                "plus5_s",
                "runaway_s",
            )
        },
    )
