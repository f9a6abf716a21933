"""One round: start all parts, do harm, end it, wait until things are quiet, and compare."""

from __future__ import annotations

import asyncio
import shutil
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from firmware_sim.ledger import Lost, Took
from firmware_sim.one_unit import JUMP_S

from faultline.comparison import TIME_SLACK_MS, Expectation, GivenUp, Verdict, compare
from faultline.harms import do_harm
from faultline.plan import LAST_KINDS, OVERFLOW_MB, Kind, Plan
from faultline.stage import Nurseries, Stage, UnitPart
from faultline.stored import duckdb_rows, influxdb_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from faultline.comparison import StoredRow

FIRST_ROWS_S = 30.0
"""From the start of the processes to the first sample of every unit in the store."""
AFTERWARDS_S = 1.0
"""Units sample on for so long after all harm has ended: life goes on."""
QUIET_S = 130.0
"""Until all that was taken is stored, and no unit keeps anything any more. A gateway sends again after 30 s what nobody
acknowledged, and after 60 s more the next time."""
POLL_S = 0.1


@dataclass(slots=True)
class RoundResult:
    """What came of a round."""

    plan: Plan
    seconds: float = 0.0
    quiet_s: float = 0.0
    """From the end of the sampling until everything was there."""
    verdict: Verdict = field(default_factory=Verdict)
    counts: Counter[str] = field(default_factory=Counter)
    folder: Path | None = None
    """Logs, ledgers and stores of a round that failed."""

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.verdict.findings


async def run_round(
    plan: Plan,
    folder: Path,
    *,
    nurseries: Nurseries,
    registry_template: Path,
    sabotage: Callable[[Stage], None] | None = None,
) -> RoundResult:
    """Run one round in `folder`, which is gone afterwards unless something was found.

    `sabotage` is called when all has stopped, before the comparison: with it the harness is shown to be able to fail.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    result = RoundResult(plan=plan)
    folder.mkdir(parents=True)
    stage = Stage(plan, folder, nurseries, registry_template)
    try:
        try:
            await _play(stage, result)
            for finding in await stage.stop():
                result.verdict.find(*finding.split(": ", 1))
            if sabotage is not None:
                sabotage(stage)
            await asyncio.to_thread(_judge, stage, result)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is this round's result, and others go on
            result.verdict.find("round", "".join(traceback.format_exception(error)))
        finally:
            await stage.close()
        result.counts = stage.counts
        if result.passed:
            stage.unmount()
            shutil.rmtree(folder)
        else:
            _keep_disks(stage)
            result.folder = folder
    finally:
        stage.unmount()
    result.seconds = loop.time() - began_s
    return result


async def _play(stage: Stage, result: RoundResult) -> None:
    loop = asyncio.get_running_loop()
    for harm in stage.plan.harms:
        if harm.kind is Kind.GATEWAY_CLOCK_STEP:
            gateway = stage.gateways[1 + harm.target]
            gateway.clock_can_step = True
            gateway.set_clock(harm.amount)
        if harm.kind is Kind.OUTBOX_OVERFLOW:
            stage.gateways[1 + harm.target].outbox_max_mb = OVERFLOW_MB
    await stage.open()
    await _until(lambda: _all_have_rows(stage), FIRST_ROWS_S, "samples of every unit in the store")
    began_s = loop.time()
    async with asyncio.TaskGroup() as tasks:
        for harm in stage.plan.harms:
            if harm.kind not in LAST_KINDS:
                tasks.create_task(_at(began_s + harm.at_s, stage, harm), name=str(harm.kind))
    await stage.heal()
    for harm in stage.plan.harms:
        if harm.kind in LAST_KINDS:
            await do_harm(stage, harm)
    await asyncio.sleep(AFTERWARDS_S)
    for unit in stage.units:
        unit.stop_sampling()
    stopped_s = loop.time()
    if not await _is_quiet_within(stage, QUIET_S):
        result.verdict.find("unquiet", f"{QUIET_S:g} s after the end of all harm {await _what_waits(stage)}")
    result.quiet_s = loop.time() - stopped_s


async def _at(when_s: float, stage: Stage, harm: object) -> None:
    await asyncio.sleep(max(0.0, when_s - asyncio.get_running_loop().time()))
    await do_harm(stage, harm)


async def _all_have_rows(stage: Stage) -> bool:
    stage.expect_alive()
    rows = await stage.stored_rows()
    return rows is not None and all(rows.values())


async def _is_quiet_within(stage: Stage, seconds: float) -> bool:
    try:
        await _until(lambda: _is_quiet(stage), seconds, "quiet")
    except TimeoutError:
        return False
    return True


async def _is_quiet(stage: Stage) -> bool:
    """Every unit's ring is empty, and the store has as many samples as were taken and not lost or given up."""
    if any(unit.waiting() for unit in stage.units):
        return False
    rows = await stage.stored_rows()
    if rows is None:
        return False
    given_up = dict.fromkeys(rows, 0)
    if stage.plan.has(Kind.OUTBOX_OVERFLOW):
        # What is told as given up may have been on its way: the store is complete once no outbox has anything left.
        if any(gateway.records() != 0 for gateway in stage.gateways.values()):
            return False
        given_up = {unit_id: sum(told.samples_lost for told in stage.missing(unit_id)) for unit_id in rows}
    return all(rows[unit.plan.unit_id] + given_up[unit.plan.unit_id] >= _owed(unit.ledger()) for unit in stage.units)


async def _what_waits(stage: Stage) -> str:
    rows = await stage.stored_rows() or {}
    parts = [
        f"{unit.plan.unit_id} keeps {len(unit.waiting())} frames, "
        f"{rows.get(unit.plan.unit_id)} of {_owed(unit.ledger())} samples are stored"
        for unit in stage.units
    ]
    return "; ".join(parts)


def _owed(ledger: list[Took | Lost]) -> int:
    lost = {(entry.boot_id, entry.frame) for entry in ledger if isinstance(entry, Lost)}
    return sum(e.rows for e in ledger if isinstance(e, Took) and (e.boot_id, e.frame) not in lost)


async def _until(true: Callable[[], object], seconds: float, what: str) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await true():
        if loop.time() > deadline:
            raise TimeoutError(f"{what} did not come within {seconds:g} s")
        await asyncio.sleep(POLL_S)


def _judge(stage: Stage, result: RoundResult) -> None:
    """Fill in the verdict."""
    expected = {unit.plan.unit_id: _expectation(stage, unit) for unit in stage.units}
    ledgers = {unit.plan.unit_id: unit.ledger() for unit in stage.units}
    found = compare(expected, ledgers, _stored(stage))
    if any(harm.power_fails for harm in stage.plan.harms) and not found.samples_given_up:
        found.find("round", "an outbox overflowed before its gateway was killed, and yet nothing is missing")
    found.findings = [*result.verdict.findings, *found.findings]
    found.counts.update(result.verdict.counts)
    result.verdict = found


def _stored(stage: Stage) -> list[StoredRow]:
    """All rows, of both workers' files where each has its own."""
    if stage.database is not None:
        widths = {unit.unit_id: (unit.temperatures, unit.voltages) for unit in stage.plan.units}
        return list(influxdb_rows(stage.database.port, widths))
    paths = [worker.disk.folder / "telemetry.duckdb" for worker in stage.workers()]
    return [row for path in paths if path.exists() for row in duckdb_rows(path)]


def _expectation(stage: Stage, unit: UnitPart) -> Expectation:
    """What may be off with the unit's times, for a reason that the plan knows; and what its gateways gave up."""
    plan = stage.plan
    slack_ms, stepped = float(TIME_SLACK_MS), False
    for harm in plan.harms:
        match harm.kind:
            case Kind.GATEWAY_CLOCK_STEP if 1 + harm.target in unit.gateways_met:
                slack_ms += 1000 * abs(harm.amount)
                stepped = True
            case Kind.UNIT_CLOCK_STEP if plan.units[harm.target] == unit.plan:
                slack_ms += 1000 * JUMP_S
                stepped = True
    return Expectation(
        seed=plan.seed,
        unit_id=unit.plan.unit_id,
        temperatures=unit.plan.temperatures,
        voltages=unit.plan.voltages,
        time_slack_ms=round(slack_ms),
        clock_stepped=stepped,
        given_up=tuple(
            GivenUp(told.boot_id, told.first_frame, told.last_frame, told.samples_lost)
            for told in stage.missing(unit.plan.unit_id)
        ),
    )


def _keep_disks(stage: Stage) -> None:
    """Copy what lies on disks that are about to be unmounted."""
    for disk in stage.disks:
        kept = disk.folder.with_name(f"{disk.folder.name}.kept")
        shutil.copytree(disk.folder, kept, ignore=shutil.ignore_patterns("ballast"))
