"""Paging, as the settings and credentials want it: a desk that plans, a sender that hands over, and its channels."""

from __future__ import annotations

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
from packwatch.data_dir import lease_holder
from registry.paging_kinds import Channel

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    import httpx

    from alerts.paging.channels.contract import PageChannel
    from packwatch.credentials import Credentials
    from packwatch.publishing import Publisher
    from packwatch.settings import Settings
    from registry.registry import Registry


async def build_paging(
    settings: Settings, credentials: Credentials, *, registry: Registry, publisher: Publisher, house: AsyncExitStack
) -> tuple[Desk, Sender]:
    """What `up` and `alerts` run alike."""
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
    sender = Sender(
        registry,
        channels,
        holder=lease_holder(settings.data_dir),
        base_url=settings.base_url(),
        receipt_secret=credentials.session_key,
        now=_now,
    )
    desk = Desk(registry, now=_now, queued=sender.wake, page_simulated=settings.paging.simulated)
    return desk, sender


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
