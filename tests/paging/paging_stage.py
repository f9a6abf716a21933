"""Real receivers and a registry with people and a hot pack, for tests of paging."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aiosmtpd.controller import UnthreadedController

from alerts.grouping import gathering
from alerts.paging.desk import Desk
from alerts.paging.sender import Sender
from registry.enrolment import Enrolment
from registry.kinds import AlertKind, AlertState, Chemistry, Level, PackClass, Role
from registry.paging_kinds import Channel
from registry.paging_records import Recipient
from registry.recipients import Way
from registry.records import Alert, AlertEvent
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from email.message import EmailMessage

    from alerts.paging.channels.contract import PageChannel
    from registry.registry import Registry

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "secret of the receipts"


@dataclass
class Clock:
    """The time, which a test moves."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Mailbox:
    """What a mail server took. `answer` decides what it says to each mail."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    answer: Callable[[str], str] = lambda _to: "250 taken"
    hang: asyncio.Event | None = None

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802  its own name
        if self.hang is not None:
            await self.hang.wait()
        said = self.answer(envelope.rcpt_tos[0])
        if said.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return said


@asynccontextmanager
async def mail_server(port: int) -> AsyncIterator[Mailbox]:
    """A real SMTP server on loopback."""
    box = Mailbox(port=port)
    controller = UnthreadedController(box, hostname="127.0.0.1", port=port, loop=asyncio.get_running_loop())
    controller.server_coro = controller._create_server()
    controller.server = await controller.server_coro
    try:
        yield box
    finally:
        controller.server.close()
        await controller.server.wait_closed()


class Road:
    """A truck with packs, whose alerts rise and are answered as the alert service and people do it."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self.registry, self.clock = registry, clock

    def enrol(self, pack: str, vehicle: str = "truck-1") -> None:
        self.registry.enrol(
            Enrolment(
                fleet_id="fleet-1",
                gateway_id=f"gw-{vehicle}",
                vehicle_id=vehicle,
                vehicle_name=vehicle.replace("-", " ").title(),
                pack_id=pack,
                chemistry=Chemistry.NMC,
                pack_class=PackClass.END_OF_LIFE,
                unit_id=f"unit-{pack}",
                temperature_channels=4,
                voltage_channels=0,
                simulated=False,
            ),
            self.clock() - timedelta(days=1),
        )

    def raised(
        self, pack: str = "pack-1", level: Level = Level.CRITICAL, vehicle: str = "truck-1", **given: Any
    ) -> Alert:
        now = self.clock()
        alert = Alert(
            **{
                "alert_id": uuid4().hex,
                "kind": AlertKind.THERMAL,
                "cause": "ceiling",
                "fleet_id": "fleet-1",
                "pack_id": pack,
                "unit_id": f"unit-{pack}",
                "gateway_id": f"gw-{vehicle}",
                "level": level,
                "peak_level": level,
                "state": AlertState.RAISED,
                "provenance": Provenance.MEASURED,
                "reasons": ["probe 2 is 91.0 degC, above 80 degC"],
                "sampled_at": now,
                "raised_at": now,
                **given,
            }
        )
        event = AlertEvent(
            alert_id=alert.alert_id, at=now, action="raise", to_state=alert.state, level=level, reasons=alert.reasons
        )
        self.registry.raise_alert(alert, event, gather=gathering)
        return alert

    def acknowledged(self, alert: Alert, role: Role = Role.DISPATCHER, by: str = "Ana") -> None:
        kept = self.registry.alert(alert.alert_id)
        event = AlertEvent(
            alert_id=kept.alert_id,
            at=self.clock(),
            action="acknowledge",
            from_state=kept.state,
            to_state=AlertState.ACKNOWLEDGED,
            level=kept.level,
            actor=by,
            actor_role=role,
        )
        version, kept.state = kept.version, AlertState.ACKNOWLEDGED
        self.registry.change_alert(kept, event, version)

    def closed(self, alert: Alert, by: str = "Sue") -> None:
        kept = self.registry.alert(alert.alert_id)
        event = AlertEvent(
            alert_id=kept.alert_id,
            at=self.clock(),
            action="close",
            from_state=kept.state,
            to_state=AlertState.CLOSED,
            level=kept.level,
            actor=by,
            actor_role=Role.SAFETY_LEAD,
            comment="released",
        )
        version, kept.state = kept.version, AlertState.CLOSED
        kept.closed_by, kept.closed_at, kept.close_reason = by, self.clock(), "released"
        kept.releasing_authority = "Fire service"
        self.registry.change_alert(kept, event, version)

    def person(self, name: str, role: Role | None, *ways: Way, **given: Any) -> Recipient:
        recipient = Recipient(recipient_id=name, name=name.title(), role=role, created_at=self.clock(), **given)
        self.registry.add_recipient(recipient, ways)
        return recipient


def mail_way(address: str, step: int = 0) -> Way:
    return Way(step=step, channel=Channel.EMAIL, address=address)


@asynccontextmanager
async def paging(
    registry: Registry, channels: Mapping[Channel, PageChannel], now: Callable[[], datetime], **given: Any
) -> AsyncIterator[tuple[Desk, Sender]]:
    """Desk and sender at work."""
    sender = Sender(
        registry, channels, holder="tests", base_url="https://packwatch.example", receipt_secret=SECRET, now=now
    )
    desk = Desk(registry, now=now, queued=sender.wake, **given)
    tasks = [asyncio.create_task(sender.run()), asyncio.create_task(desk.run())]
    try:
        yield desk, sender
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Poll, with a deadline."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)
