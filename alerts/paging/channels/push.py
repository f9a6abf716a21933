"""Web push: encrypted for the device (RFC 8291), signed with our key (VAPID, RFC 8292), urgent and short-lived."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson
from cryptography.hazmat.primitives import serialization
from py_vapid import Vapid02
from pywebpush import WebPusher, WebPushException

from alerts.paging.channels.contract import ChannelError, GiveUpError, Taken, TryAgainError
from alerts.paging.channels.http import Refused, checked_url, post
from registry.outbox import DeviceFailure
from registry.receipt_tokens import receipt_token

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from alerts.paging.channels.contract import Message
    from registry.outbox import Handover
    from registry.paging_records import PushDevice

LIVES_S = 120
"""**Assumed**: s that a push service keeps a message for a device that is away. Escalation has gone on by then, and an
old alarm that appears later would be taken for a new one."""
SIGNED_FOR_S = 12 * 3600
"""RFC 8292 allows 24 h at most."""
BODY_CHARACTERS = 1_500
"""A push service takes 4,096 bytes, of which encryption needs 103, and a character up to 2 in our languages."""
_GONE = frozenset({404, 410})
"""The subscription has ended (RFC 8030, 7.3)."""


class VapidKey:
    """The key by which push services know this installation. Its file is made when it is not there, mode 0600."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            fresh = Vapid02()
            fresh.generate_keys()
            path.touch(mode=0o600)
            path.write_bytes(fresh.private_pem())
        self._key = Vapid02.from_pem(path.read_bytes())
        self._signed: dict[str, tuple[float, dict[str, str]]] = {}

    @property
    def public(self) -> str:
        """What browsers are given to subscribe with: the uncompressed point in base64url."""
        form = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return base64.urlsafe_b64encode(self._key.public_key.public_bytes(*form)).rstrip(b"=").decode()

    def headers(self, endpoint: str, contact: str) -> dict[str, str]:
        """The Authorization for an endpoint's push service, signed anew twice in its life."""
        parts = urlsplit(endpoint)
        audience = f"{parts.scheme}://{parts.netloc}"
        until_s, headers = self._signed.get(audience, (0.0, {}))
        if until_s < time.time() + SIGNED_FOR_S / 2:
            until_s = time.time() + SIGNED_FOR_S
            headers = dict(self._key.sign({"aud": audience, "sub": contact, "exp": int(until_s)}))
            self._signed[audience] = until_s, headers
        return headers


class Push:
    """`hand_over` returns when a push service took the message for one device at least."""

    def __init__(self, client: httpx.AsyncClient, key: VapidKey, *, contact: str, secret: str) -> None:
        """`contact`: a mailto: or https: address where a push service reaches whoever runs this."""
        self._client, self._key, self._contact, self._secret = client, key, contact, secret

    async def hand_over(self, message: Message, handover: Handover) -> Taken:
        """As PageChannel. A device that is gone is told among the failures."""
        if not handover.devices:
            raise GiveUpError("no device is subscribed to web push, or each one failed")
        payload = self._payload(message)
        answers = await asyncio.gather(*(self._send(message, payload, device) for device in handover.devices))
        failures = tuple(answer for answer in answers if isinstance(answer, DeviceFailure))
        taken = [answer for answer in answers if isinstance(answer, str)]
        if taken:
            return Taken(detail="; ".join(taken), failures=failures)
        errors = [answer for answer in answers if isinstance(answer, ChannelError)]
        whys = [*(str(error) for error in errors), *(failure.why for failure in failures)]
        error = next((each for each in errors if isinstance(each, TryAgainError)), GiveUpError("; ".join(whys)))
        error.failures = failures
        raise error

    def _payload(self, message: Message) -> bytes:
        return orjson.dumps(
            {
                "id": message.message_id,
                "token": receipt_token(self._secret, message.message_id),
                "title": message.subject[:200],
                "body": message.body[:BODY_CHARACTERS],
                "level": message.level,
                "lang": message.language,
                "link": message.link,
            }
        )

    async def _send(self, message: Message, payload: bytes, device: PushDevice) -> str | DeviceFailure | ChannelError:
        keys = {"p256dh": device.p256dh, "auth": device.auth}
        try:
            url = checked_url(device.endpoint)
            body = WebPusher({"endpoint": url, "keys": keys}).encode(payload)["body"]
            headers = self._key.headers(url, self._contact) | {
                "content-encoding": "aes128gcm",
                "content-type": "application/octet-stream",
                "ttl": str(LIVES_S),
                "urgency": "high",
                "topic": message.message_id,  # a repeated message takes the place of one not yet delivered
            }
            answer = await post(self._client, url, content=body, headers=headers)
        except Refused as error:
            if error.status in _GONE:
                return DeviceFailure(device_id=device.device_id, why="the device has ended its subscription")
            return error
        except ChannelError as error:
            return error
        except (WebPushException, ValueError) as error:
            return DeviceFailure(device_id=device.device_id, why=f"its keys are none: {error}")
        return str(answer.headers.get("location", f"taken by {urlsplit(url).netloc}"))
