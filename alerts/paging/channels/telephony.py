"""Calls and text messages through a provider of telephony. A key pressed in a call acknowledges (see its callback)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import orjson
import phonenumbers

from alerts.paging.channels.contract import GiveUpError, Taken
from alerts.paging.channels.http import post
from registry.receipt_tokens import receipt_token

if TYPE_CHECKING:
    import httpx

    from alerts.paging.channels.contract import Message
    from registry.outbox import Handover

TEXT_CHARACTERS = 459
"""Three parts of a text message in the GSM alphabet; phones join them (3GPP TS 23.040)."""


class PhoneNumberError(ValueError):
    """A text that is no phone number. The message says what is wrong and how one looks."""


def parse_phone_number(text: str) -> str:
    """The number as E.164. Raises PhoneNumberError, also for 911 and the like, which no machine may call."""
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as error:
        raise PhoneNumberError(f"{text!r} is no phone number with its country, such as +1 312 555 0142") from error
    if not phonenumbers.is_valid_number(number):
        raise PhoneNumberError(f"{text!r} is no number that its country gives out; one looks like +1 312 555 0142")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is said to a number, and what it is for."""

    message_id: str
    to: str
    """E.164."""
    text: str
    language: str
    callback: str
    """Where the provider tells what came of it: answered, key pressed, failed."""
    token: str = field(repr=False)
    """What it sends there as a bearer token."""


class Telephony(Protocol):
    """A provider. A call and a text message with one `message_id` are made once, where the provider can tell."""

    async def call(self, call: Call) -> str:
        """Begin a call; returns the provider's number for it. Raises TryAgainError and GiveUpError."""

    async def text(self, call: Call) -> str:
        """Send a text message; returns as `call`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTelephony:
    """A provider, or a small adapter before one, that takes JSON at URL/calls and URL/messages."""

    client: httpx.AsyncClient
    url: str
    token: str = field(repr=False)

    async def call(self, call: Call) -> str:
        """As Telephony."""
        return await self._post("calls", call, {"say": call.text, "repeat": 2, "gather": 1})

    async def text(self, call: Call) -> str:
        """As Telephony."""
        return await self._post("messages", call, {"text": call.text[:TEXT_CHARACTERS]})

    async def _post(self, what: str, call: Call, words: dict[str, object]) -> str:
        body: dict[str, object] = {"id": call.message_id, "to": call.to, "language": call.language}
        body |= {"callback": call.callback, "callback_token": call.token} | words
        answer = await post(
            self.client,
            f"{self.url.rstrip('/')}/{what}",
            content=orjson.dumps(body),
            headers={
                "authorization": f"Bearer {self.token}",
                "content-type": "application/json",
                "idempotency-key": call.message_id,
            },
        )
        return f"{what}: {answer.status_code} {answer.text[:200]}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A call that speaks, and takes a key for an acknowledgement."""

    telephony: Telephony
    base_url: str
    secret: str = field(repr=False)

    async def hand_over(self, message: Message, handover: Handover) -> Taken:
        """As PageChannel."""
        call = _call(message, handover, message.spoken, base_url=self.base_url, secret=self.secret)
        return Taken(detail=await self.telephony.call(call))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sms:
    """A text message. Its link shows more, and acknowledges."""

    telephony: Telephony
    base_url: str
    secret: str = field(repr=False)

    async def hand_over(self, message: Message, handover: Handover) -> Taken:
        """As PageChannel."""
        text = f"{message.subject}. {message.body.partition(chr(10))[0]} {message.link}"
        call = _call(message, handover, text, base_url=self.base_url, secret=self.secret)
        return Taken(detail=await self.telephony.text(call))


def _call(message: Message, handover: Handover, text: str, *, base_url: str, secret: str) -> Call:
    try:
        to = parse_phone_number(handover.way.address if handover.way else "")
    except PhoneNumberError as error:
        raise GiveUpError(str(error)) from error
    return Call(
        message_id=message.message_id,
        to=to,
        text=text,
        language=message.language,
        callback=f"{base_url}/api/telephony/{message.message_id}",
        token=receipt_token(secret, message.message_id),
    )
