"""The paging half of the alert service with its standby.

As a program it is one that can be killed: `standby_stage.py REGISTRY_URL COPY_FILE MAIL_PORT [PACK]` raises PACK when a
line comes in, and runs until then.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from alerts.backlog import Backlog
from alerts.book import AlertBook, ms_from_utc
from alerts.levels import Subject, Transition
from alerts.paging import desk as desk_module
from alerts.paging import standby as standby_module
from alerts.paging.channels.http import http_client
from alerts.paging.channels.mail import Mail, MailServer
from alerts.paging.channels.webhook import Webhook
from alerts.paging.desk import Desk
from alerts.paging.sender import Sender
from alerts.paging.standby import Standby
from registry.kinds import AlertKind, Level, Role
from registry.paging_kinds import Channel
from registry.registry import Registry
from registry.stand_in import StandIn
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from alerts.backlog import Entry
    from alerts.paging.channels.contract import PageChannel
    from registry.records import Alert

desk_module.LOOK_EVERY_S = 0.1
standby_module.LOOK_EVERY_S = 0.05
standby_module.LEARN_EVERY_S = 0.05


class Watch:
    """What the alert service does about one pack after the other, with a backlog before a real registry."""

    def __init__(
        self,
        registry: Registry,
        copy: StandIn,
        channels: dict[Channel, PageChannel],
        *,
        now: Callable[[], datetime],
        after_s: float,
    ) -> None:
        self.registry, self.copy, self.now = registry, copy, now
        self.book = AlertBook(lambda: uuid4().hex)
        given = {"holder": "tests", "base_url": "https://packwatch.example", "receipt_secret": "a secret", "now": now}
        self.standby = Standby(registry, copy, channels, after_s=after_s, **given)
        self.sender = Sender(registry, channels, standby=self.standby, **given)
        self.desk = Desk(registry, now=now, queued=self.sender.wake, standby=self.standby)
        self.backlog = Backlog(registry, refused=self._refused, standby=self.standby, retry_s=0.05)

    def raised(self, pack: str, level: Level = Level.CRITICAL) -> Entry:
        at = self.now()
        transition = Transition(
            subject=Subject(AlertKind.THERMAL, pack, Provenance.MEASURED),
            before=Level.NORMAL,
            level=level,
            cause="ceiling",
            reasons=("probe 2 is 91.0 degC, above 80 degC",),
            sampled_at_ms=ms_from_utc(at),
            pack_id=pack,
            unit_id=f"unit-{pack}",
            gateway_id="gw-truck-1",
            fleet_id="fleet-1",
        )
        (change,) = self.book.take(transition, at)
        return self.backlog.add(change)

    def acknowledged(self, alert: Alert, role: Role) -> Entry:
        change = self.book.acknowledge(
            alert.alert_id,
            version=self.book.version(alert.alert_id),
            by="Ana",
            comment="",
            now=self.now(),
            role=role,
        )
        return self.backlog.add(change)

    def knows_people(self) -> bool:
        return self.copy.anybody_to_page()

    async def _refused(self, entry: Entry) -> None:
        raise AssertionError(entry.refusal)


@asynccontextmanager
async def watch(
    registry: Registry, path: Path, mail_port: int, now: Callable[[], datetime], after_s: float = 1.0
) -> AsyncIterator[Watch]:
    """All of it at work; the copy knows the people."""
    copy = StandIn.open(f"sqlite:///{path}")
    async with http_client() as client:
        channels = {
            Channel.WEBHOOK: Webhook(client, now),
            Channel.EMAIL: Mail(MailServer(host="127.0.0.1", port=mail_port, sender="packwatch@carrier.example")),
        }
        made = Watch(registry, copy, channels, now=now, after_s=after_s)
        await made.standby.recover()
        parts = (made.backlog.run(), made.sender.run(), made.desk.run(), made.standby.run())
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            while not made.knows_people():
                await asyncio.sleep(0.02)
            yield made
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(ended, asyncio.CancelledError):
                    raise ended
            copy.close()


async def _run(url: str, path: Path, mail_port: int, pack: str | None) -> None:
    registry = Registry.open(url)
    async with watch(registry, path, mail_port, lambda: datetime.now(UTC)) as made:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        if pack is not None:
            await asyncio.to_thread(sys.stdin.readline)
            made.raised(pack)
        await asyncio.Event().wait()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    where, file, port, *packs = sys.argv[1:]
    asyncio.run(_run(where, Path(file), int(port), packs[0] if packs else None))
