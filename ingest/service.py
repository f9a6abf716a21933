"""Ingest at work: from the broker to listeners at once, to the store by the flush, and what is wrong aside."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from ingest.acknowledging import Acknowledger
from ingest.connection import HostConnection
from ingest.counters import IngestCollector, IngestCounters, Tally
from ingest.events import Refused
from ingest.host import SparkplugHost
from ingest.inbox import Inbox
from ingest.leases import ALL_GROUPS, LeaseKeeper, Right
from ingest.quarantine import QuarantineDesk
from ingest.stores.contract import StoreError
from ingest.turn import decode_turn, inspect_turn
from ingest.units import KnownUnits
from ingest.writer import StoreWriter, ranges_of
from registry.errors import RegistryError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client import CollectorRegistry

    from ingest.events import CabActed, RebirthWanted, SessionEvent
    from ingest.inbox import Arrival, LinkChange
    from ingest.leases import LeaseBook
    from ingest.quarantine import QuarantineSink, Waiting
    from ingest.stores.contract import OutboxRange, TelemetryStore
    from ingest.turn import Turn
    from ingest.units import UnitDirectory
    from telemetry.broker import BrokerAccess
    from telemetry.cab_report import CabTold
    from telemetry.on_board import OnBoardReport
    from telemetry.samples import PositionFix, ReceivedBatch

INBOX_BYTES = 64 * 1024 * 1024
"""Messages that wait to be decoded: what the broker itself would hold before it cuts a subscriber off."""
WRITER_BYTES = 128 * 1024 * 1024
"""Batches that wait for the store: a minute of 1,000 units at full detail. **assumed**"""
TURN_MESSAGES = 1024
"""Messages decoded before the event loop gets its turn: some 20 ms. **assumed**"""
BREATH_S = 0.001
"""What the loop gets between two turns. A flush that ended and the next that begins are several rounds of the loop:
with nothing but one round between turns, the store would wait for as many turns."""
GATHER_S = 0.02
"""How long messages gather once the inbox was emptied: bulk work costs less, and 20 ms are nothing to an alarm."""
DIRECTORY_EVERY_S = 2.0
LOOK_UP_EVERY_MS = 1_000
"""An unknown unit is looked up in the registry that often, and at once when it is first met."""
UNKNOWN_REMEMBERED = 10_000
REFRESH_WITHIN_S = 0.5
"""How long a look at the registry may hold up the stream: an alarm waits for no database."""
QUARANTINE_EVERY_S = 0.25
QUARANTINE_BATCH = 500
QUARANTINE_RETRY_S = 5.0
ACKNOWLEDGE_LOOK_S = 0.1
"""How often is looked which gateways have something to hear."""
PROGRESS_RETRY_S = 1.0
FINISH_WITHIN_S = 1.0
"""What an orderly stop gives the store to take what waits."""


class BatchListener(Protocol):
    """Gets the stream as it comes, before it is stored, duplicates included.

    Calls come from the event loop, one at a time, and must return at once and not raise.
    """

    def observe(self, batches: Sequence[ReceivedBatch]) -> None:
        """Batches, inspected: flags set, infinities removed, impossible times replaced."""

    def observe_positions(self, fixes: Sequence[PositionFix]) -> None:
        """Where vehicles were."""


class SessionListener(Protocol):
    """Gets births and deaths of gateways and their units, in order; as BatchListener otherwise."""

    def observe_sessions(self, events: Sequence[SessionEvent]) -> None:
        """Births and deaths."""


class OnBoardListener(Protocol):
    """Gets what vehicles' own engines say, as it comes; as BatchListener otherwise."""

    def observe_on_board(self, reports: Sequence[OnBoardReport]) -> None:
        """One a unit that was told of, in order."""


class CabListener(Protocol):
    """Gets what the boxes in the cabs did, as it comes, repeats included; as BatchListener otherwise."""

    def observe_cab(self, actions: Sequence[tuple[CabTold, Callable[[], None]]]) -> None:
        """Each with what to call once it is kept: the gateway keeps it until then, and sends it again."""


class IngestService:
    """One Sparkplug host. Construct it anywhere, `run` it once."""

    def __init__(
        self,
        access: BrokerAccess,
        *,
        host_id: str,
        groups: Sequence[str] = (),
        store: TelemetryStore | None,
        directory: UnitDirectory,
        quarantine: QuarantineSink,
        listeners: Sequence[BatchListener] = (),
        session_listeners: Sequence[SessionListener] = (),
        on_board_listeners: Sequence[OnBoardListener] = (),
        cab_listener: CabListener | None = None,
        leases: LeaseBook | None = None,
        holder: str | None = None,
        primary: bool = True,
        metrics: CollectorRegistry | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`groups`: the fleets to take, empty = all. `store` None: nothing is stored (another worker does).

        With `leases` it writes and acknowledges only for groups whose lease it holds; without, nobody else writes.
        `holder`: this worker's name there, the same after a restart if nobody else can have it meanwhile; None = new.
        Only a `primary` host tells its STATE: one a broker and fleet. Any host asks for the rebirths that it needs,
        since it may have started after the births.
        """
        self._directory = directory
        self._units = KnownUnits(directory)
        self._quarantine = quarantine
        self._listeners = listeners
        self._session_listeners = session_listeners
        self._on_board_listeners = on_board_listeners
        self._cab_listener = cab_listener
        self._now_ms = now_ms
        self._tally = Tally()
        self._host = SparkplugHost(host_id=host_id)
        self._desk = QuarantineDesk()
        self._inbox = Inbox(max_bytes=INBOX_BYTES)
        self._connection = HostConnection(
            access, host_id=host_id, groups=groups, primary=primary, inbox=self._inbox, now_ms=now_ms
        )
        self._store = store
        self._acknowledger = Acknowledger()
        self._progress_wanted = asyncio.Event()
        self._keeper = (
            LeaseKeeper(leases, groups, on_taken=self._progress_wanted.set, holder=holder)
            if leases is not None and store is not None
            else None
        )
        self._writer = (
            StoreWriter(
                store,
                max_bytes=WRITER_BYTES,
                on_stored=self._stored,
                on_refused=self._refused_by_store,
                on_settled=self._acknowledger.settled,
                rights=self._keeper,
            )
            if store is not None
            else None
        )
        self._asked_ms: dict[str, int] = {}
        self._broker_ok = False
        self._log = structlog.get_logger("ingest")
        self.ready = asyncio.Event()
        """Set once the broker took the subscriptions for the first time."""
        if metrics is not None:
            metrics.register(IngestCollector(lambda: self.counters))

    @property
    def counters(self) -> IngestCounters:
        """A snapshot; cheap."""
        tally, writer = self._tally, self._writer
        return IngestCounters(
            messages=tally.messages,
            batches=tally.batches,
            values=tally.values,
            positions=tally.positions,
            stored_rows=tally.stored_rows,
            duplicate_batches=tally.duplicate_batches,
            refused_by_reason=dict(tally.refused),
            flagged_by_reason=dict(tally.flagged),
            dropped=self._inbox.dropped + (writer.dropped if writer else 0),
            quarantine_dropped=self._desk.dropped,
            sequence_gaps=tally.sequence_gaps,
            rebirths_requested=tally.rebirths_requested,
            listener_failures=tally.listener_failures,
            acknowledgements=tally.acknowledgements,
            missing_stretches=tally.missing_stretches,
            left_to_another=writer.left_to_another if writer else 0,
            groups_held=self._keeper.held() if self._keeper else int(writer is not None),
            groups_waited_for=self._keeper.waiting() if self._keeper else 0,
            queue_fill=max(self._inbox.fill, self._desk.fill, writer.fill if writer else 0.0),
            store_ok=writer is None or writer.ok,
            broker_ok=self._broker_ok,
        )

    async def run(self) -> None:
        """Take in until cancelled; then say goodbye to the broker and store what is here already."""
        self._inbox.open()
        self._connection.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take_in(), name="ingest intake")
                tasks.create_task(self._keep_quarantine(), name="ingest quarantine")
                tasks.create_task(self._watch_link(), name="ingest link")
                tasks.create_task(self._keep_directory(), name="ingest directory")
                if self._writer is not None:
                    tasks.create_task(self._writer.run(), name="ingest writer")
                    tasks.create_task(self._acknowledge(), name="ingest acknowledgements")
                if self._keeper is not None:
                    tasks.create_task(self._keeper.run(), name="ingest leases")
        finally:
            await self._connection.stop()
            while left := self._inbox.take(TURN_MESSAGES):
                await self._digest(left)
            if self._writer is not None:
                await self._writer.finish(FINISH_WITHIN_S)
            await self._keep_entries()
            if self._keeper is not None:
                await self._keeper.release()

    async def _take_in(self) -> None:
        while True:
            await self._inbox.wait()
            items = self._inbox.take(TURN_MESSAGES)
            await self._digest(items)
            await asyncio.sleep(BREATH_S if len(items) == TURN_MESSAGES else GATHER_S)

    async def _digest(self, items: Sequence[Arrival | LinkChange]) -> None:
        turn = decode_turn(items, self._host, self._desk, self._tally)
        if turn.link_up is not None:
            self._broker_ok = turn.link_up
            if turn.link_up:
                self.ready.set()
        if turn.denied_ms is not None:
            self._connection.contradict(turn.denied_ms)
        for wanted in turn.rebirths:
            self._ask_rebirth(wanted)
        if unknown := turn.unknown_units(self._units):
            await self._look_up(unknown, self._now_ms())
        batches = inspect_turn(turn, self._units, self._desk, self._tally)
        self._tell_all(turn, batches)
        if self._writer is not None:
            self._writer.offer(batches)
            self._writer.offer([*turn.positions, *turn.settled])
            for outbox in turn.outboxes:
                self._acknowledger.born(outbox.fleet_id, outbox.gateway_id, outbox.outbox_id)
                # What its gateway has forgotten already will not come again.
                self._writer.offer(each for each in outbox.settled if not self._acknowledger.is_settled(each))

    def _tell_all(self, turn: Turn, batches: Sequence[ReceivedBatch]) -> None:
        fixes = [position.fix for position in turn.positions]
        if turn.sessions:
            for session_listener in self._session_listeners:
                self._tell(session_listener.observe_sessions, turn.sessions)
        for listener in self._listeners:
            if fixes:
                self._tell(listener.observe_positions, fixes)
            if batches:
                self._tell(listener.observe, batches)
        if turn.on_board:
            for on_board_listener in self._on_board_listeners:
                self._tell(on_board_listener.observe_on_board, turn.on_board)
        if turn.cab:
            self._tell_cab(turn.cab)

    def _tell_cab(self, acted: Sequence[CabActed]) -> None:
        """Without anybody here who keeps it, another worker's is told of the same message: it is settled at once."""
        if self._cab_listener is None:
            for each in acted:
                self._settle(each.settles)
        else:
            self._tell(
                self._cab_listener.observe_cab, [(each.told, partial(self._settle, each.settles)) for each in acted]
            )

    def _settle(self, record: OutboxRange | None) -> None:
        if record is not None and self._writer is not None:
            self._writer.offer([record])

    def _tell(self, listener: Callable[[Sequence[Any]], None], what: Sequence[Any]) -> None:
        """A listener that fails takes nothing away from the others, nor from the store."""
        try:
            listener(what)
        except Exception:  # noqa: BLE001 - whatever it is; it is logged and counted
            self._tally.listener_failures += 1
            self._log.exception("listener_failed", listener=repr(listener))

    def _ask_rebirth(self, wanted: RebirthWanted) -> None:
        self._tally.rebirths_requested += 1
        self._log.info("rebirth_asked", fleet=wanted.fleet_id, gateway=wanted.gateway_id, why=wanted.why)
        self._connection.ask_rebirth(wanted.fleet_id, wanted.gateway_id)

    async def _look_up(self, unknown: set[str], now_ms: int) -> None:
        """Ask again for units that seem unknown: a unit that was registered a moment ago must not be taken for one."""
        asked = self._asked_ms
        if all(unit_id in asked and 0 <= now_ms - asked[unit_id] < LOOK_UP_EVERY_MS for unit_id in unknown):
            return
        if len(asked) > UNKNOWN_REMEMBERED:
            asked.clear()
        asked.update(dict.fromkeys(unknown, now_ms))
        await self._refresh()

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(REFRESH_WITHIN_S):
                await self._directory.refresh()
        except (TimeoutError, RegistryError) as error:
            self._log.warning("directory_not_read", reason=str(error) or "it took too long")

    async def _keep_directory(self) -> None:
        """Changes of units that are known already are seen here."""
        while True:
            await self._refresh()
            await asyncio.sleep(DIRECTORY_EVERY_S)

    async def _keep_quarantine(self) -> None:
        while True:
            await asyncio.sleep(QUARANTINE_EVERY_S)
            if not await self._keep_entries():
                await asyncio.sleep(QUARANTINE_RETRY_S)

    async def _keep_entries(self) -> bool:
        """Hand what waits to the quarantine. False when it is away; the entries wait on."""
        while taken := self._desk.take(QUARANTINE_BATCH):
            waiting = [each for each in taken if not self._is_anothers(each.entry.fleet_id)]
            try:
                self._tally.missing_stretches += await asyncio.to_thread(self._keep, waiting)
            except UnavailableError as error:
                self._log.error("quarantine_away", reason=str(error))
                self._desk.put_back(waiting)
                return False
            except RegistryError as error:
                self._log.error("quarantine_refuses", reason=str(error), entries=len(waiting))
                self._desk.dropped += len(waiting)
                continue
            if self._writer is not None:
                self._writer.offer(settled for each in waiting for settled in each.settles)
        return True

    def _keep(self, waiting: Sequence[Waiting]) -> int:
        """Keep entries; how many stretches of missing samples are new."""
        # Missing samples first: they are kept once each, so that both may be tried again after a failure in between.
        new = self._quarantine.add_missing_samples([record for each in waiting for record in each.missing])
        self._quarantine.add_quarantine([each.entry for each in waiting])
        return new

    async def _acknowledge(self) -> None:
        """Tell gateways what is settled, as long as this worker is the one that writes."""
        await self._load_progress()
        while True:
            if self._progress_wanted.is_set():
                await self._load_progress()
            for due in self._acknowledger.due(self._now_ms(), self._may_write):
                self._connection.acknowledge(due)
                self._tally.acknowledgements += 1
            await asyncio.sleep(ACKNOWLEDGE_LOOK_S)

    async def _load_progress(self) -> None:
        """What is settled, from the store: at the start, and after another worker has written."""
        if self._store is None:
            return
        while True:
            self._progress_wanted.clear()
            try:
                self._acknowledger.load(await asyncio.to_thread(self._store.outbox_progress))
            except StoreError as error:
                self._log.warning("progress_not_read", reason=str(error))
                await asyncio.sleep(PROGRESS_RETRY_S)
            else:
                return

    def _is_anothers(self, fleet_id: str | None) -> bool:
        """Whether another worker keeps what this fleet sends, its faults included."""
        return self._keeper is not None and self._keeper.right(fleet_id or ALL_GROUPS) is Right.ANOTHERS

    def _may_write(self, fleet_id: str) -> bool:
        return self._keeper is None or self._keeper.right(fleet_id) is Right.HELD

    async def _watch_link(self) -> None:
        """The network thread has no owner in asyncio: its death must not go unseen."""
        while True:
            await asyncio.sleep(1.0)
            if not self._connection.alive:
                raise RuntimeError("the network thread of ingest has died; nothing would arrive any more")

    def _stored(self, rows: int, duplicates: int) -> None:
        self._tally.stored_rows += rows
        self._tally.duplicate_batches += duplicates

    def _refused_by_store(self, received: ReceivedBatch, reason: str) -> None:
        self._tally.refused["store_refused"] += 1
        self._desk.refuse(
            Refused(
                reason="store_refused",
                detail=reason,
                topic="",
                payload=b"",
                fleet_id=received.fleet_id,
                gateway_id=received.gateway_id,
                unit_id=received.batch.unit_id,
                settles=next(iter(ranges_of([received])), None),
            ),
            received.received_at_ms,
        )
