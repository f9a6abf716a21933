"""Paging, as the settings and credentials want it: a desk that plans, a sender that hands over, and its channels."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from alerts.paging.channels.board import Board
from alerts.paging.channels.chat import Chat, is_chat_address
from alerts.paging.channels.contract import GiveUpError
from alerts.paging.channels.http import checked_url, http_client
from alerts.paging.channels.mail import Mail, MailServer
from alerts.paging.channels.mqtt import Mqtt
from alerts.paging.channels.push import Push, VapidKey
from alerts.paging.channels.telephony import HttpTelephony, Sms, Voice, parse_phone_number
from alerts.paging.channels.webhook import Webhook
from alerts.paging.desk import Desk
from alerts.paging.drilling import Drilling
from alerts.paging.drills import DrillPolicy
from alerts.paging.sender import Sender
from alerts.paging.standby import Standby
from packwatch.data_dir import lease_holder
from registry.errors import UnusableError
from registry.paging_kinds import Channel
from registry.stand_in import StandIn

if TYPE_CHECKING:
    from contextlib import AsyncExitStack
    from pathlib import Path

    import httpx

    from alerts.paging.channels.contract import PageChannel
    from packwatch.credentials import Credentials
    from packwatch.publishing import Publisher
    from packwatch.settings import Settings
    from registry.registry import Registry


STANDBY_FILE = "standby.sqlite"
"""The copy from which people are paged while the registry is away."""
THREADS = 64
"""**Assumed**: more calls than wait at once for a registry that does not answer; the copy needs some as well."""


async def build_paging(
    settings: Settings, credentials: Credentials, *, registry: Registry, publisher: Publisher, house: AsyncExitStack
) -> tuple[Desk, Sender, Standby]:
    """What `up` and `alerts` run alike."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="packwatch"))
    client = await house.enter_async_context(http_client())
    chat = Chat()
    house.callback(chat.close)
    channels: dict[Channel, PageChannel] = {
        Channel.CHAT: chat,
        Channel.BOARD: Board(_now),
        Channel.WEBHOOK: Webhook(client, _now),
        Channel.MQTT: Mqtt(publisher.publish),
        **_configured(settings, credentials, client),
    }
    copy = await asyncio.to_thread(_open_copy, settings.data_dir / STANDBY_FILE)
    house.callback(copy.close)
    holder, base_url, secret = lease_holder(settings.data_dir), settings.base_url(), credentials.session_key
    simulated = settings.paging.simulated
    standby = Standby(
        registry,
        copy,
        channels,
        now=_now,
        holder=holder,
        base_url=base_url,
        receipt_secret=secret,
        after_s=settings.paging.without_registry_after_s,
        fleets=settings.groups,
        page_simulated=simulated,
    )
    sender = Sender(
        registry, channels, holder=holder, base_url=base_url, receipt_secret=secret, now=_now, standby=standby
    )
    desk = Desk(registry, now=_now, queued=sender.wake, page_simulated=simulated, standby=standby)
    return desk, sender, standby


def _open_copy(path: Path) -> StandIn:
    """A file that is none is made anew: it is a copy."""
    url = f"sqlite:///{path}"
    try:
        return StandIn.open(url)
    except UnusableError:
        path.unlink(missing_ok=True)
        return StandIn.open(url)


def build_drilling(settings: Settings, *, registry: Registry, sender: Sender) -> Drilling | None:
    """Who holds the drills; None: nobody shall."""
    drills = settings.paging.drills
    if not drills.enabled:
        return None
    policy = DrillPolicy(
        every=timedelta(days=drills.every_days),
        from_hour=drills.from_hour,
        until_hour=drills.until_hour,
        proof_within=timedelta(seconds=drills.proof_within_s),
    )
    return Drilling(registry, policy, now=_now, queued=sender.wake)


def vapid_key(settings: Settings, credentials: Credentials) -> VapidKey | None:
    """The key for web push; None: it is not set up."""
    push = settings.paging.push
    if not push.contact:
        return None
    return VapidKey(push.key_file or credentials.folder / "vapid.pem")


def check_address(channel: Channel, address: str) -> str:
    """An address as it is kept. Raises ValueError, which says what is wrong with it."""
    match channel:
        case Channel.VOICE | Channel.SMS:
            return parse_phone_number(address)
        case Channel.WEBHOOK:
            try:
                return checked_url(address)
            except GiveUpError as error:
                raise ValueError(str(error)) from error
        case Channel.EMAIL if "@" not in address.strip("@ "):
            raise ValueError(f"{address!r} is no e-mail address")
        case Channel.CHAT if not is_chat_address(address):
            raise ValueError("apprise does not know a chat room of this form; one looks like slack://...")
        case Channel.SIREN:
            raise ValueError("the siren belongs to the vehicle, which sounds it by itself: it is nobody's channel")
    return address


def _configured(settings: Settings, credentials: Credentials, client: httpx.AsyncClient) -> dict[Channel, PageChannel]:
    """The channels that need settings, as far as they are set."""
    channels: dict[Channel, PageChannel] = {}
    mail, telephony, secret = settings.paging.mail, settings.paging.telephony, credentials.session_key
    if mail.host:
        server = MailServer(
            host=mail.host,
            port=mail.port,
            sender=mail.sender,
            username=mail.username,
            password=mail.password.get_secret_value() if mail.password else None,
            tls=mail.tls,
        )
        channels[Channel.EMAIL] = Mail(server)
    key = vapid_key(settings, credentials)
    if key is not None:
        channels[Channel.PUSH] = Push(client, key, contact=settings.paging.push.contact, secret=secret)
    if telephony.url:
        provider = HttpTelephony(client=client, url=telephony.url, token=telephony.token.get_secret_value())
        channels[Channel.VOICE] = Voice(telephony=provider, base_url=settings.base_url(), secret=secret)
        channels[Channel.SMS] = Sms(telephony=provider, base_url=settings.base_url(), secret=secret)
    return channels


def _now() -> datetime:
    return datetime.now(UTC)
