"""The paging half of the alert service as a process of its own, by a policy in which minutes are seconds."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import structlog

from alerts.escalation_kinds import Policy, Step
from alerts.paging import sender as sending
from alerts.paging.channels.http import http_client
from alerts.paging.channels.mail import Mail, MailServer
from alerts.paging.channels.webhook import Webhook
from alerts.paging.desk import Desk
from alerts.paging.sender import Sender
from registry.errors import RegistryError
from registry.kinds import Level, Role
from registry.paging_kinds import Channel
from registry.registry import Registry

QUICK = Policy(
    from_level=Level.CRITICAL,
    steps=(
        Step(role=Role.DRIVER, after_s=0.0),
        Step(role=Role.DISPATCHER, after_s=0.0),
        Step(role=Role.SAFETY_LEAD, after_s=1.0),
        Step(role=Role.EMERGENCY_CONTACT, after_s=2.0),
    ),
    receipt_within_s=0.7,
    again_after_s=3.0,
)
"""The product's policy, sixty times as fast."""


def run_pager(url: str, mail_port: int) -> None:
    """Page until killed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    asyncio.run(_run(url, mail_port))


async def _run(url: str, mail_port: int) -> None:
    registry = _opened(url)
    sending.LOOK_EVERY_S = 0.2
    async with http_client() as client:
        channels = {
            Channel.WEBHOOK: Webhook(client, _now),
            Channel.EMAIL: Mail(MailServer(host="127.0.0.1", port=mail_port, sender="packwatch@carrier.example")),
        }
        sender = Sender(
            registry, channels, holder="escalations", base_url="http://127.0.0.1", receipt_secret="secret", now=_now
        )
        desk = Desk(registry, now=_now, queued=sender.wake, policy=QUICK)
        await asyncio.gather(sender.run(), desk.run())


def _opened(url: str) -> Registry:
    """The database may be away just now: a service manager would start the program again."""
    while True:
        try:
            return Registry.open(url)
        except RegistryError:
            time.sleep(0.1)


def _now() -> datetime:
    return datetime.now(UTC)
