"""`make escalations`: seeded escalations in which alert service and database are killed. SEED= and ROUNDS= choose."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HERE = Path(__file__).parent
PATHS = [str(HERE.parents[1]), str(HERE), str(HERE.parent / "paging"), str(HERE.parent / "faults")]
sys.path[:0] = PATHS
os.environ["PYTHONPATH"] = os.pathsep.join(PATHS)  # of the process from which the others are forked

from postgres import Postgres  # noqa: E402  found by the path above
from rounds import Verdict, run_round  # noqa: E402
from whole import LASTS_S, run_whole_round  # noqa: E402


def main() -> int:
    """Run the rounds; 0 when all held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each further round has the next")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--together", type=int, default=4, help="rounds at a time, each with a database server")
    parser.add_argument("--whole", action="store_true", help="kill the real `packwatch alerts`, by its own policy")
    parser.add_argument("--lasts", type=float, default=LASTS_S, help="s that a round of --whole lasts")
    parser.add_argument("--output", type=Path, help="where the result goes as JSON")
    options = parser.parse_args()
    began_s = time.monotonic()
    play = partial(run_whole_round, lasts_s=options.lasts) if options.whole else run_round
    verdicts = asyncio.run(_run(list(range(options.seed, options.seed + options.rounds)), options.together, play))
    report = summary(verdicts, time.monotonic() - began_s)
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report))
    return 0 if not report["failed"] else 1


async def _run(seeds: list[int], together: int, play: Callable[[int, Postgres], Awaitable[Verdict]]) -> list[Verdict]:
    verdicts: list[Verdict] = []

    async def work() -> None:
        postgres = await asyncio.to_thread(Postgres)
        try:
            while seeds:
                verdict = await play(seeds.pop(0), postgres)
                verdicts.append(verdict)
                told = "; ".join(verdict.wrong) or "held"
                print(f"seed {verdict.seed}: {verdict.pages} pages, {verdict.repeats} repeated: {told}", flush=True)
        finally:
            await asyncio.to_thread(postgres.end)

    await asyncio.gather(*(work() for _ in range(min(together, len(seeds)))))
    return verdicts


def summary(verdicts: list[Verdict], seconds: float) -> dict[str, object]:
    """What the rounds showed together."""
    return {
        "rounds": len(verdicts),
        "held": sum(not verdict.wrong for verdict in verdicts),
        "failed": [asdict(verdict) | {"acts": []} for verdict in verdicts if verdict.wrong],
        "kills": sum(act.what.startswith("kill") for verdict in verdicts for act in verdict.acts),
        "pages": sum(verdict.pages for verdict in verdicts),
        "deliveries": sum(verdict.deliveries for verdict in verdicts),
        "repeats_marked": sum(verdict.repeats for verdict in verdicts),
        "longest_quiet_s": round(max((verdict.longest_quiet_s for verdict in verdicts), default=0.0), 2),
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
