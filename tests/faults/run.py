"""`make faults`: seeded rounds of harm against all parts as real processes. `SEED=` and `ROUNDS=` choose.

A round that failed can be run again alone with its seed: `make faults SEED=17 ROUNDS=1`.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from faultline.disks import enter_own_mounts
from faultline.nursery import Nursery
from faultline.plan import Kind, Store, make_plan
from faultline.report import print_table, summary
from faultline.round import run_round
from faultline.sabotage import Sabotage, break_store
from faultline.stage import Nurseries, clocked_environment, make_registry

if TYPE_CHECKING:
    from faultline.plan import Plan
    from faultline.round import RoundResult


def main() -> int:
    """Run the rounds; 0 when all passed."""
    options = _options()
    stores = frozenset(options.stores)
    seeds = range(options.seed, options.seed + options.rounds)
    plans = [make_plan(seed, scale=options.scale, stores=stores) for seed in seeds]
    if options.calm:
        plans = [replace(plan, harms=()) for plan in plans]
    if options.plan_only:
        for plan in plans:
            print(plan)
        return 0
    enter_own_mounts([sys.executable, *sys.argv])
    began = time.monotonic()
    results = asyncio.run(_run(plans, options))
    print_table(results)
    report = summary(results, seconds=time.monotonic() - began)
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report))
    return 0 if all(result.passed for result in results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each further round has the next")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--stores", type=Store, nargs="+", choices=list(Store), default=list(Store))
    parser.add_argument("--jobs", type=int, default=2, help="rounds at a time")
    parser.add_argument("--scale", type=float, default=1.0, help="20 = outages and delays as long as in life")
    parser.add_argument("--output", type=Path, help="where the results go, as JSON")
    parser.add_argument("--folder", type=Path, help="where failed rounds leave their logs and stores")
    parser.add_argument("--calm", action="store_true", help="do no harm: what fails then is no fault's fault")
    parser.add_argument(
        "--sabotage",
        type=Sabotage,
        choices=list(Sabotage),
        nargs="+",
        default=[],
        help="break the stores of the first rounds before comparing: one kind a round",
    )
    parser.add_argument("--plan-only", action="store_true", help="only say what would be done")
    return parser.parse_args()


async def _run(plans: list[Plan], options: argparse.Namespace) -> list[RoundResult]:
    folder = Path(tempfile.mkdtemp(prefix="packwatch-faults-", dir=options.folder))
    template = folder / "registry.sqlite"
    await asyncio.to_thread(make_registry, template)
    nurseries = Nurseries(plain=Nursery(), clocked=Nursery(clocked_environment()))
    needed = [nurseries.plain]
    if any(plan.has(Kind.GATEWAY_CLOCK_STEP) for plan in plans):
        needed.append(nurseries.clocked)
    broken = zip(plans, options.sabotage, strict=False)
    sabotage = {plan.seed: functools.partial(break_store, how=how) for plan, how in broken}
    places = asyncio.Semaphore(options.jobs)

    async def play(plan: Plan) -> RoundResult:
        async with places:
            print(plan, flush=True)
            result = await run_round(
                plan,
                folder / f"seed-{plan.seed}",
                nurseries=nurseries,
                registry_template=template,
                sabotage=sabotage.get(plan.seed),
            )
            print(f"seed {plan.seed}: {'passed' if result.passed else 'FAILED'} in {result.seconds:.1f} s", flush=True)
            for finding in result.verdict.findings:
                print(f"  {finding}")
            if result.folder is not None:
                print(f"  its logs, ledgers and stores: {result.folder}", flush=True)
            return result

    # Ended from outside, it still leaves nothing behind.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    try:
        await asyncio.gather(*(nursery.open() for nursery in needed))
        results = await asyncio.gather(*(play(plan) for plan in plans))
    finally:
        await nurseries.plain.close()
        await nurseries.clocked.close()
        template.unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
    return results


if __name__ == "__main__":
    sys.exit(main())
