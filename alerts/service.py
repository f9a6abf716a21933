"""The alert service: evaluates batches as they come, keeps alerts and tells them, and takes people's steps.

`observe` is synchronous and evaluates at once: there is no queue of samples that could fill, and so no sample, and no
`critical`, that could be dropped. What waits is changes of alerts (`alerts.backlog`, `alerts.teller`), and the samples
of units met for the first time, for at most a second, until the registry was asked who they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from alerts.backlog import RETRY_S, Backlog, Entry
from alerts.book import AlertBook, AlertChange, ms_from_utc, subject_of
from alerts.cab import CabKeeper
from alerts.deafness import Hearing
from alerts.engine import UNREGISTERED_UNITS_KEPT, Engine
from alerts.instruments import InstrumentWatch
from alerts.levels import Settled, Transition
from alerts.lifecycle import Action
from alerts.on_board import OnBoardWatch
from alerts.reignition import watch_after
from alerts.resuming import Resumed, Resumer, is_level, reconcile, standing_of
from alerts.rules_file import shipped_rules
from alerts.silence import SilenceWatch
from alerts.teller import Teller
from alerts.told import ended_lately, histories, marked_late, told_until_ms
from registry.errors import ConflictError, NotFoundError, RegistryError, UnavailableError, UnusableError
from registry.kinds import AlertKind, AlertState, Role
from telemetry.on_board import encode_device_command
from telemetry.sparkplug.topics import MessageType, Topic, format_topic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from alerts.history import SampleHistory
    from alerts.paging.standby import Standby
    from alerts.rules_file import LoadedRules
    from registry.enrolment import Assignment
    from registry.kinds import PackClass
    from registry.records import Alert
    from registry.registry import Registry
    from telemetry.cab_report import CabTold
    from telemetry.on_board import OnBoardReport
    from telemetry.samples import PositionFix, ReceivedBatch

FOLLOW_EVERY_S = 0.5
"""s between looks at the registry's revision; so a new unit's samples wait half a second at most ..."""
HELD_FOR_S = 1.0
"""... and not longer than this, s, when the registry does not answer."""
ASK_EVERY_S = 0.5
"""s between looks at what vehicles should be told."""
CHECK_EVERY_S = 0.5
"""s between checks for silence."""
HELD_BATCHES_KEPT = 2_000
"""**Assumed**: batches of new units that wait for the registry; one more, and all are evaluated as unregistered."""
STORED_WITHIN_S = 2.0
"""s that a person waits for the registry; then the step is kept here, and saved later."""
INSTRUMENTS_EVERY_MS = 10_000
"""ms between looks at probes that are at fault: no notice about one is urgent."""
SNAPSHOT_EVERY_S = 60.0
"""s between snapshots of what the engine remembers."""
_WORSE = frozenset({Action.RAISE, Action.WORSEN, Action.RENEW})
_ENGINES_STEPS = _WORSE | {Action.EASE, Action.CLEAR}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertCounters:
    """What the service did since it started, and what waits now."""

    batches: int
    duplicate_batches: int
    held_overflows: int
    """How often new units' samples had to be evaluated before the registry was asked."""
    open_alerts: int
    unsaved_changes: int
    folded_changes: int
    refused_changes: int
    untold_alerts: int
    publish_failures: int
    listener_failures: int
    registry_away: bool
    snapshots_written: int
    snapshot_failures: int


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AlertService:
    """One for each process that watches; all calls are made on its event loop.

    `restore` comes first, then `run`, beside which everything else may be called. `publish` sends a retained message.
    `listeners` get each alert's newest state on the event loop and must not block.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        publish: Callable[[str, bytes], Awaitable[None]],
        listeners: Sequence[Callable[[Alert], None]] = (),
        fleets: Sequence[str] = (),
        now: Callable[[], datetime] = _utc_now,
        rules: LoadedRules | None = None,
        snapshot_path: Path | None = None,
        snapshot_every_s: float = SNAPSHOT_EVERY_S,
        history: SampleHistory | None = None,
        command: Callable[[str, bytes], Awaitable[None]] | None = None,
        standby: Standby | None = None,
    ) -> None:
        """`fleets`: those whose stream it gets, empty = all. Another worker watches the others, and their alerts.

        `rules` None: the shipped ones. `snapshot_path`: where the engine's state outlives the program; `history`: where
        samples are that came after it. `command` sends a Sparkplug command to a vehicle; None: they are told nothing.
        `standby` pages while the registry is away; None: nobody does.
        """
        self._registry = registry
        self._fleets = frozenset(fleets)
        self._now = now
        self._rules = shipped_rules() if rules is None else rules
        self._engine = Engine(self._rules.rules)
        self._resumer = Resumer(self._engine, path=snapshot_path, history=history, fleets=fleets)
        self._snapshot_every_s = snapshot_every_s
        self._book = AlertBook(lambda: uuid4().hex)
        self._silence = SilenceWatch()
        self._instruments = InstrumentWatch()
        self._instruments_due_ms = 0
        self._on_board = OnBoardWatch()
        self._command = command
        self._backlog = Backlog(registry, refused=self._look_again, standby=standby)
        self._teller = Teller(
            self._backlog, publish=publish, listeners=listeners, incidents_of=registry.incidents_of_alerts
        )
        self._cab = CabKeeper(registry, self._book, self._backlog, pass_on=self._pass_on, now=now)
        self.resumed = Resumed()
        """How it went on at the start."""
        self._revision = -1
        self._watched: list[Assignment] = []
        self._held: list[ReceivedBatch] = []
        self._held_since_ms = 0
        self._rows_wait = asyncio.Event()
        self._unknown: set[str] = set()
        """Units that the registry did not know when it was last asked."""
        self._batches = 0
        self._held_overflows = 0
        self._log = structlog.get_logger("packwatch.alerts")

    async def restore(self) -> None:
        """Take over assignments, open alerts, and what ended lately. Raises RegistryError."""
        await self._refresh()
        open_alerts = await asyncio.to_thread(self._registry.open_alerts)
        for alert, settled in await asyncio.to_thread(ended_lately, self._registry):
            if not self._watches(alert.fleet_id):
                continue
            self._engine.restore(subject_of(alert), settled=settled)
            if settled is not None:
                self._on_board.settle(subject_of(alert), settled)
            self._teller.publish_soon(alert)
        for alert in open_alerts:
            if not self._watches(alert.fleet_id):
                continue
            self._book.put(alert)
            if alert.kind is AlertKind.INSTRUMENT:
                self._instruments.restore(subject_of(alert))
            elif alert.kind in {AlertKind.SILENCE, AlertKind.COVERAGE}:
                self._silence.restore(subject_of(alert), alert.level)
            self._teller.tell_now(alert)
        for watch in await asyncio.to_thread(self._registry.reignition_watches, self._now()):
            self._book.watches.add(watch)
        await self._resume()

    async def _resume(self) -> None:
        """Go on from the snapshot, and evaluate what the store has after it. Only what is news is told."""
        now_ms = ms_from_utc(self._now())
        told_ms = told_until_ms(await asyncio.to_thread(histories, self._registry))
        self.resumed = resumed = await self._resumer.resume(self._watched, now_ms)
        news = [each for each in resumed.transitions if each.sampled_at_ms > told_ms.get(each.subject, -1)]
        self._take([marked_late(each, now_ms) for each in news])
        reconcile(self._engine, {subject_of(each): each for each in self._book.open_alerts() if is_level(each)})
        self._log.info(
            "resumed",
            snapshot=resumed.refused or "used",
            by_other_rules=resumed.rules_hash not in (None, self._rules.content_hash),
            samples=resumed.samples,
            news=len(news),
            gap=resumed.gap,
        )

    def forecast_s(self, unit_id: str) -> tuple[float, float] | None:
        """Earliest and latest s from the unit's newest live row to its next level; None = unknown."""
        return self._engine.forecast_s(unit_id)

    def observe(self, batches: Sequence[ReceivedBatch]) -> None:
        """Evaluate batches of any units, in their order of arrival. Never waits."""
        self._batches += len(batches)
        self._silence.hear(batches)
        ready = [received for received in batches if self._is_told_of(received.batch.unit_id)]
        if len(ready) < len(batches):
            if not self._held:
                self._held_since_ms = ms_from_utc(self._now())
            self._held += [received for received in batches if not self._is_told_of(received.batch.unit_id)]
            if len(self._held) > HELD_BATCHES_KEPT:
                self._held_overflows += 1
                self._evaluate_held()
        self._evaluate(ready)

    def observe_on_board(self, reports: Sequence[OnBoardReport]) -> None:
        """What vehicles' own engines say: what one alone sees is raised here too, and where they differ both stand."""
        for report in reports:
            self._silence.hear_vehicle(report.gateway_id, report.received_at_ms, guarded=True)
            try:
                self._take(self._on_board.hear(report, self._engine.standing()))
            except ValueError as error:
                self._log.warning("on_board_not_understood", unit=report.unit_id, reason=str(error))

    def observe_cab(self, actions: Sequence[tuple[CabTold, Callable[[], None]]]) -> None:
        """What boxes in cabs did; each with what is called once the registry has it."""
        self._cab.observe(actions)

    def use_rules(self, rules: LoadedRules) -> None:
        """Go by other rules from the next sample on."""
        self._engine.use_rules(rules.rules)
        self._rules = rules

    def observe_positions(self, fixes: Sequence[PositionFix]) -> None:
        """Where vehicles were; no level depends on it, but who tells that is reached."""
        now_ms = ms_from_utc(self._now())
        for fix in fixes:
            self._silence.hear_vehicle(fix.gateway_id, now_ms)

    async def run(self) -> None:
        """Save, tell, publish, follow the registry and watch for silence, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._backlog.run(), name="alerts: save")
                tasks.create_task(self._teller.run_telling(), name="alerts: tell")
                tasks.create_task(self._teller.run_publishing(), name="alerts: publish")
                tasks.create_task(self._follow_registry(), name="alerts: follow the registry")
                tasks.create_task(self._watch(), name="alerts: watch")
                tasks.create_task(self._take_waiting(), name="alerts: take what waits")
                tasks.create_task(self._ask_vehicles(), name="alerts: ask vehicles")
                tasks.create_task(self._cab.run(), name="alerts: cab")
                tasks.create_task(self._keep_snapshot(), name="alerts: snapshot")
        finally:
            while self._engine.waiting_rows:
                self._take(self._engine.take_waiting())
            await self._backlog.drain()
            await self._save_snapshot()

    async def acknowledge(
        self,
        alert_id: str,
        *,
        version: int,
        by: str,
        comment: str,
        now: datetime,
        role: Role = Role.DISPATCHER,
    ) -> Alert:
        """A person has seen the alert. Returns it as it is then, when it is in the registry and listeners know.

        With the registry away it returns all the same, and the step is saved later. Raises NotFoundError,
        ConflictError (`version` is not the newest), and RefusedError (a name is missing; its state does not allow it).
        """
        change = self._book.acknowledge(alert_id, version=version, by=by, comment=comment, now=now, role=role)
        return await self._settle(change)

    async def close_alert(
        self,
        alert_id: str,
        *,
        version: int,
        by: str,
        reason: str,
        now: datetime,
        role: Role = Role.DISPATCHER,
        authority: str = "",
    ) -> Alert:
        """A person ends the alert. Samples that are still hot raise a new one. As `acknowledge`.

        What was `critical` is closed by the safety role only, naming the authority that released the load.
        """
        subject = self._book.subject(alert_id)
        change = self._book.close(
            alert_id,
            version=version,
            by=by,
            reason=reason,
            now=now,
            settled_until_ms=self._engine.newest_ms(subject),
            role=role,
            authority=authority,
        )
        self._engine.release(subject)
        self._settle_on_board(change.alert)
        alert = await self._settle(change)
        self._note_release(alert)
        return alert

    async def shelve(
        self, alert_id: str, *, version: int, by: str, role: Role, reason: str, until: datetime, now: datetime
    ) -> Alert:
        """A person hears no more of the alert until then, unless it rises. As `acknowledge`; the limits' reasons."""
        change = self._book.shelve(
            alert_id,
            version=version,
            by=by,
            role=role,
            reason=reason,
            until=until,
            now=now,
            pack_class=self._pack_class(alert_id),
        )
        return await self._settle(change)

    async def unshelve(self, alert_id: str, *, version: int, by: str, role: Role, now: datetime) -> Alert:
        """A person takes the alert off its shelf. As `acknowledge`."""
        return await self._settle(self._book.unshelve(alert_id, version=version, by=by, role=role, now=now))

    def counters(self) -> AlertCounters:
        """A snapshot."""
        return AlertCounters(
            batches=self._batches,
            duplicate_batches=self._engine.duplicate_batches,
            held_overflows=self._held_overflows,
            open_alerts=len(self._book.open_alerts()),
            unsaved_changes=len(self._backlog),
            folded_changes=self._backlog.folded,
            refused_changes=self._backlog.refusals,
            untold_alerts=len(self._teller),
            publish_failures=self._teller.publish_failures,
            listener_failures=self._teller.listener_failures,
            registry_away=self._backlog.away,
            snapshots_written=self._resumer.written,
            snapshot_failures=self._resumer.failures,
        )

    def _pack_class(self, alert_id: str) -> PackClass | None:
        alert = self._book.open_alert(self._book.subject(alert_id))
        pack_id = None if alert is None else alert.pack_id
        return next((each.pack_class for each in self._watched if pack_id and each.pack_id == pack_id), None)

    def _note_release(self, closed: Alert) -> None:
        """From a release on the pack is watched for re-ignition."""
        watch = watch_after(closed)
        if watch is not None:
            self._book.watches.add(watch)

    def _watches(self, fleet_id: str | None) -> bool:
        return not self._fleets or fleet_id in self._fleets

    def _is_told_of(self, unit_id: str) -> bool:
        return self._engine.knows(unit_id) or unit_id in self._unknown

    def _evaluate(self, batches: Sequence[ReceivedBatch]) -> None:
        self._take(self._engine.observe(batches))
        if self._engine.waiting_rows:
            self._rows_wait.set()

    async def _take_waiting(self) -> None:
        """Evaluate backlogs in short turns, and leave the loop to what is live for as long as each took."""
        while True:
            await self._rows_wait.wait()
            self._rows_wait.clear()
            while self._engine.waiting_rows:
                began_s = time.monotonic()
                self._take(self._engine.take_waiting())
                await asyncio.sleep(time.monotonic() - began_s)

    def _evaluate_held(self) -> None:
        held, self._held = self._held, []
        if len(self._unknown) > UNREGISTERED_UNITS_KEPT:
            self._unknown.clear()  # a broken gateway may invent ids without end; who still sends is asked for again
        self._unknown |= {received.batch.unit_id for received in held if not self._engine.knows(received.batch.unit_id)}
        self._evaluate(held)

    def _take(self, transitions: Sequence[Transition]) -> None:
        now = self._now()
        for transition in transitions:
            merged, beside = self._on_board.merge(transition, self._book.open_alert(transition.subject))
            for change in self._book.take(merged, now, beside):
                self._pass_on(change)

    def _settle_on_board(self, alert: Alert) -> None:
        """A person closed the alert: what vehicles raised up to now says nothing more."""
        subject = subject_of(alert)
        from_ms, now_ms = ms_from_utc(alert.sampled_at), ms_from_utc(self._now())
        newest_ms = self._engine.newest_ms(subject)
        until_ms = max(from_ms, now_ms if newest_ms is None else newest_ms)
        self._on_board.settle(subject, Settled(from_ms=from_ms, until_ms=until_ms, peak=alert.peak_level))

    def _pass_on(self, change: AlertChange) -> Entry:
        alert, event = change.alert, change.event
        self._log.info(
            "alert",
            alert=alert.alert_id,
            action=event.action,
            kind=alert.kind,
            alert_level=event.level,
            state=alert.state,
            pack=alert.pack_id,
            unit=alert.unit_id,
            provenance=alert.provenance,
            reasons=event.reasons,
        )
        entry = self._backlog.add(change)
        self._teller.tell(entry)
        return entry

    async def _settle(self, change: AlertChange) -> Alert:
        """Pass on a person's step, and wait until it is kept."""
        entry = self._pass_on(change)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STORED_WITHIN_S):
                await entry.done.wait()
        if entry.refusal is not None:
            raise entry.refusal
        self._teller.tell_now(change.alert)
        return change.alert

    async def _look_again(self, entry: Entry) -> None:
        """Somebody else changed the alert in the registry: their step counts, and the engine's are taken after it.

        A person who closed it had not seen that it got worse: then the level stands, in an alert of its own.
        """
        try:
            kept = await self._kept(entry.change.alert.alert_id)
        except RegistryError:
            return
        refused = [each.change for each in self._backlog.withdraw(entry)]
        again: list[AlertChange] = []
        if isinstance(entry.refusal, ConflictError):  # whatever else was wrong would be wrong again
            again = [step for step in refused if step.event.action in _ENGINES_STEPS]
        if kept.state is AlertState.CLOSED and not any(step.event.action in _WORSE for step in again):
            again = []
        self._adopt(kept, release=not again)
        if kept.state is not AlertState.CLOSED and any(step.event.action == Action.CLOSE for step in refused):
            self._engine.restore(subject_of(kept), standing=standing_of(kept))  # the closing released it, and is void
        for step in again:
            for change in self._book.take(_transition(step), self._now()):
                self._pass_on(change)

    async def _kept(self, alert_id: str) -> Alert:
        """The alert as the registry has it, once it answers. Raises what will not change."""
        while True:
            try:
                return await asyncio.to_thread(self._registry.alert, alert_id)
            except (UnavailableError, UnusableError):
                await asyncio.sleep(RETRY_S)

    def _adopt(self, theirs: Alert, *, release: bool = True) -> None:
        """Take an alert over as somebody else left it."""
        known = self._book.version(theirs.alert_id) is not None
        self._book.put(theirs)
        if known and release and theirs.state is AlertState.CLOSED:
            self._engine.release(subject_of(theirs))
            self._settle_on_board(theirs)
            self._note_release(theirs)
        self._teller.tell_now(theirs)

    async def _follow_registry(self) -> None:
        while True:
            try:
                if await asyncio.to_thread(self._registry.revision) != self._revision:
                    await self._refresh()
                await self._name_vehicles()
                await self._follow_alerts()
            except RegistryError as error:
                self._log.warning("registry_not_followed", reason=str(error))
            self._evaluate_held()
            await asyncio.sleep(FOLLOW_EVERY_S)

    async def _refresh(self) -> None:
        revision = await asyncio.to_thread(self._registry.revision)
        assignments = await asyncio.to_thread(self._registry.assignments)
        self._revision = revision
        self._unknown.clear()
        self._engine.assign(assignments)
        self._on_board.assign(assignments)
        self._watched = [each for each in assignments if self._watches(each.fleet_id)]
        self._cab.assign(self._watched)
        self._silence.assign(self._watched, ms_from_utc(self._now()))

    async def _name_vehicles(self) -> None:
        """Of the gateways whose units nobody registered."""
        for gateway_id in {received.gateway_id for received in self._held}:
            vehicle = await asyncio.to_thread(self._registry.vehicle_of_gateway, gateway_id)
            if vehicle is not None:
                self._engine.name_vehicle(gateway_id, vehicle.name)

    async def _follow_alerts(self) -> None:
        """See what people did in another process: its pages write their steps into the registry."""
        kept = await asyncio.to_thread(self._registry.open_alert_versions)
        for ours in self._book.open_alerts():
            if kept.get(ours.alert_id, ours.version + 1) <= ours.version:
                continue
            try:
                theirs = await asyncio.to_thread(self._registry.alert, ours.alert_id)
            except NotFoundError:
                continue  # not saved yet
            version = self._book.version(theirs.alert_id)
            if version is not None and version < theirs.version and not self._backlog.holds(theirs.alert_id):
                self._adopt(theirs)

    async def _keep_snapshot(self) -> None:
        while True:
            await asyncio.sleep(self._snapshot_every_s)
            await self._save_snapshot()

    async def _save_snapshot(self) -> None:
        """While a change waits for the registry there is none: what a kill then loses is evaluated again."""
        if not len(self._backlog) and not self._held and not self._engine.waiting_rows:
            await self._resumer.save(ms_from_utc(self._now()), self._rules.content_hash)

    async def _ask_vehicles(self) -> None:
        """Until their reports show what they should know. A command that is lost is sent again."""
        while self._command is not None:
            await asyncio.sleep(ASK_EVERY_S)
            for report, values in self._on_board.wishes(self._engine.standing(), time.monotonic()):
                where = Topic(
                    fleet_id=report.fleet_id,
                    message_type=MessageType.DCMD,
                    gateway_id=report.gateway_id,
                    unit_id=report.unit_id,
                )
                payload = encode_device_command(values, ms_from_utc(self._now()))
                try:
                    await self._command(format_topic(where), payload)
                except Exception as error:  # noqa: BLE001  whatever the publisher's network raises: asked again
                    self._log.warning("vehicle_not_asked", unit=report.unit_id, reason=str(error))
                    break

    async def _watch(self) -> None:
        hearing = Hearing()
        while True:
            now_ms = ms_from_utc(self._now())
            if self._held and now_ms - self._held_since_ms > HELD_FOR_S * 1000:
                self._evaluate_held()
            suspicious = frozenset(
                alert.pack_id
                for alert in self._book.open_alerts()
                if alert.kind is AlertKind.THERMAL and alert.pack_id is not None
            )
            if hearing.counts(time.monotonic()):
                self._take(self._silence.check(now_ms, suspicious))
            if now_ms >= self._instruments_due_ms:
                self._instruments_due_ms = now_ms + INSTRUMENTS_EVERY_MS
                self._take(self._instruments.check(self._engine.faulty_units(), now_ms))
            self._take(self._engine.tick(now_ms))
            for change in self._book.end_shelves(self._now()):
                self._pass_on(change)
            self._teller.end_topics(now_ms)
            due_s = time.monotonic() + CHECK_EVERY_S
            await asyncio.sleep(CHECK_EVERY_S)
            hearing.woke(due_s=due_s, now_s=time.monotonic())


def _transition(change: AlertChange) -> Transition:
    """The change of level that the engine's step told of."""
    alert, event = change.alert, change.event
    return Transition(
        subject=subject_of(alert),
        before=alert.level,
        level=event.level,
        cause=alert.cause,
        reasons=tuple(event.reasons),
        sampled_at_ms=ms_from_utc(event.sampled_at or alert.sampled_at),
        pack_id=alert.pack_id,
        unit_id=alert.unit_id or "",
        gateway_id=alert.gateway_id,
        fleet_id=alert.fleet_id,
        renewed=event.action == Action.RENEW,
    )
