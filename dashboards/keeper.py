"""Keeps the live board in step with the registry and the counters, and fills it from the store after a restart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import structlog

from dashboards.short_history import SLOT_MS, SLOTS
from registry.errors import UnavailableError
from telemetry.samples import SINGLE_CHANNELS, Provenance, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dashboards.board import LiveBoard
    from dashboards.ports import HistoryReader, IntakeMeter, Series
    from registry.enrolment import Assignment
    from registry.registry import Registry

REFRESH_S = 1.0
"""How soon a new binding shows on the page. The registry's revision is one cheap query. **assumed**"""


class BoardKeeper:
    """`prepare` once, before pages are served; then `run` for as long as they are.

    Registry and history are read in threads; the board is touched on the event loop only.
    """

    def __init__(
        self,
        *,
        board: LiveBoard,
        registry: Registry,
        history: HistoryReader,
        meter: IntakeMeter,
        now_ms: Callable[[], int],
    ) -> None:
        self._board = board
        self._registry = registry
        self._history = history
        self._meter = meter
        self._now_ms = now_ms
        self._one_at_a_time = asyncio.Lock()
        self._revision: int | None = None
        self._assignments: tuple[Assignment, ...] = ()
        self._asked: set[str] = set()
        """Gateways without units whose vehicle was asked for at this revision."""
        self._vehicles: dict[str, tuple[str, str]] = {}
        self._audited = 0
        """How far the audit log was read for what happened to incidents."""
        self._log = structlog.get_logger("packwatch.dashboards")

    async def prepare(self) -> None:
        """Assignments and open alerts. Raises RegistryError."""
        self._audited, _ = await asyncio.to_thread(self._registry.audit_end)
        await self.refresh()
        for alert in await asyncio.to_thread(self._registry.open_alerts):
            self._board.observe_alert(alert)

    async def run(self) -> None:
        """Fill the board from the store, then refresh it every second, until cancelled."""
        await self._fill()
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.refresh()
                await self._look_for_incidents()
            except UnavailableError as error:
                self._log.warning("board_refresh_postponed", reason=str(error))
            self._board.observe_intake(self._meter.snapshot())

    async def refresh(self) -> None:
        """Take over who watches what, if that changed or a gateway is new. Calls may overlap. Raises RegistryError."""
        async with self._one_at_a_time:
            await self._refresh()

    async def _refresh(self) -> None:
        revision = await asyncio.to_thread(self._registry.revision)
        new_gateways = self._board.gateways_without_vehicle() - self._asked
        if revision == self._revision and not new_gateways:
            return
        if revision != self._revision:
            self._assignments = await asyncio.to_thread(self._registry.assignments)
            new_gateways |= self._asked
            self._asked, self._vehicles = set(), {}
        for gateway_id in new_gateways:
            vehicle = await asyncio.to_thread(self._registry.vehicle_of_gateway, gateway_id)
            self._asked.add(gateway_id)
            if vehicle is not None:
                self._vehicles[gateway_id] = (vehicle.vehicle_id, vehicle.name)
        self._revision = revision
        self._board.refresh_assignments(self._assignments, self._vehicles, now_ms=self._now_ms())

    async def _look_for_incidents(self) -> None:
        """What any process did to an incident; what this one does the pages are told at once."""
        self._audited, concerned = await asyncio.to_thread(self._registry.case_news, self._audited)
        if concerned:
            self._board.note_incident_change()

    async def _fill(self) -> None:
        """Each watched unit's last minutes from the store; what is live already stays."""
        for assignment in self._assignments:
            if assignment.pack_id is None:
                continue
            try:
                stored = await asyncio.to_thread(_last_minutes, self._history, assignment)
            except Exception as error:  # noqa: BLE001 - whatever the store raises, a board without a past still works
                self._log.warning("board_not_filled", unit=assignment.unit_id, reason=str(error))
                return
            self._board.observe(stored)


def _last_minutes(history: HistoryReader, assignment: Assignment) -> list[ReceivedBatch]:
    """The short history in buckets, then the newest sample as it was measured."""
    unit_id = assignment.unit_id
    latest_ms = history.latest_at(unit_id)
    if latest_ms is None:
        return []
    spans = ((latest_ms - SLOTS * SLOT_MS, latest_ms, SLOTS), (latest_ms, latest_ms + 1, 1))
    batches = (
        batch
        for start_ms, end_ms, points in spans
        for batch in _batches(history.read(unit_id, start_ms, end_ms, points), unit_id)
    )
    return [
        ReceivedBatch(
            batch=batch,
            fleet_id=assignment.fleet_id or "",
            gateway_id=assignment.gateway_id or "",
            received_at_ms=int(batch.sampled_at_ms[-1]),
        )
        for batch in batches
    ]


def _batches(series: Series, unit_id: str) -> Iterator[SampleBatch]:
    measured = ~np.all(np.isnan(series.temperatures_c.maximum), axis=1)
    if not measured.any():
        return
    provenances = sorted(series.provenances, key=list(Provenance).index)
    yield SampleBatch(
        unit_id=unit_id,
        boot_id=None,
        frame=None,
        provenance=provenances[-1],  # the least real one, were it several
        sampled_at_ms=series.at_ms[measured],
        time_uncertainty_s=0.0,
        temperatures_c=series.temperatures_c.maximum[measured],
        voltages_v=series.voltages_v.minimum[measured],
        quality=series.quality[measured],
        historical=True,
        **{name: series.singles[name].mean[measured] for name in SINGLE_CHANNELS if name in series.singles},
    )
