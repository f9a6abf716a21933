"""The pages' share in alerts when the engine runs elsewhere: what the registry says, and people's steps into it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from alerts.book import AlertBook, AlertChange
from registry.errors import NotFoundError, RegistryError
from registry.kinds import Role

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from registry.kinds import PackClass
    from registry.records import Alert
    from registry.registry import Registry

POLL_S = 1.0
"""How soon a change shows; one cheap query each."""


class RegistryAlerts:
    """Follows alerts through the registry, and acts on them there (dashboards' AlertDesk)."""

    def __init__(self, registry: Registry, listener: Callable[[Alert], None]) -> None:
        self._registry = registry
        self._listener = listener
        self._versions: dict[str, int] = {}
        self._log = structlog.get_logger("packwatch.alert_feed")

    async def run(self) -> None:
        """Tell the listener of every change, until cancelled."""
        while True:
            try:
                await self._look()
            except RegistryError as error:
                self._log.warning("alerts_not_read", reason=str(error))
            await asyncio.sleep(POLL_S)

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
        """As AlertDesk.acknowledge."""
        return await self._act(
            alert_id,
            version,
            lambda book: book.acknowledge(alert_id, version=version, by=by, comment=comment, now=now, role=role),
        )

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
        """As AlertDesk.close_alert."""
        return await self._act(
            alert_id,
            version,
            lambda book: book.close(
                alert_id,
                version=version,
                by=by,
                reason=reason,
                now=now,
                settled_until_ms=round(now.timestamp() * 1000),
                role=role,
                authority=authority,
            ),
        )

    async def shelve(
        self, alert_id: str, *, version: int, by: str, role: Role, reason: str, until: datetime, now: datetime
    ) -> Alert:
        """As AlertDesk.shelve."""
        pack_class = await asyncio.to_thread(self._pack_class, alert_id)
        return await self._act(
            alert_id,
            version,
            lambda book: book.shelve(
                alert_id,
                version=version,
                by=by,
                role=role,
                reason=reason,
                until=until,
                now=now,
                pack_class=pack_class,
            ),
        )

    async def unshelve(self, alert_id: str, *, version: int, by: str, role: Role, now: datetime) -> Alert:
        """As AlertDesk.unshelve."""
        return await self._act(
            alert_id, version, lambda book: book.unshelve(alert_id, version=version, by=by, role=role, now=now)
        )

    def _pack_class(self, alert_id: str) -> PackClass | None:
        pack_id = self._registry.alert(alert_id).pack_id
        if pack_id is None:
            return None
        try:
            return self._registry.pack(pack_id).pack_class
        except NotFoundError:
            return None

    async def _act(self, alert_id: str, version: int, step: Callable[[AlertBook], AlertChange]) -> Alert:
        book = AlertBook(lambda: uuid4().hex)
        book.put(await asyncio.to_thread(self._registry.alert, alert_id))
        change = step(book)
        alert = await asyncio.to_thread(
            self._registry.change_alert, change.alert, change.event, version, watch=change.watch
        )
        self._listener(alert)
        return alert

    async def _look(self) -> None:
        alerts = {alert.alert_id: alert for alert in await asyncio.to_thread(self._registry.open_alerts)}
        for alert_id in self._versions.keys() - alerts.keys():
            del self._versions[alert_id]
            self._listener(await asyncio.to_thread(self._registry.alert, alert_id))
        for alert in alerts.values():
            if self._versions.get(alert.alert_id) != alert.version:
                self._versions[alert.alert_id] = alert.version
                self._listener(alert)
