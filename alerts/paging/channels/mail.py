"""E-mail by SMTP. aiosmtplib and not apprise, since it tells what the server said to each message."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import TYPE_CHECKING

import aiosmtplib

from alerts.paging.channels.contract import GiveUpError, Taken, TryAgainError

if TYPE_CHECKING:
    from alerts.paging.channels.contract import Message
    from registry.outbox import Handover

CONNECTIONS = 4
"""**Assumed**: mails that are handed over at once; relays often allow ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """A relay."""

    host: str
    port: int
    sender: str
    """The address that mails come from."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    """TLS from the first byte (port 465)."""
    starttls: bool | None = None
    """TLS by STARTTLS: None when the server offers it."""


class Mail:
    """`hand_over` returns when the server took the mail with a 250: it is on its way, nobody need have read it."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def hand_over(self, message: Message, handover: Handover) -> Taken:
        """As PageChannel."""
        address = handover.way.address if handover.way else ""
        mail = written(message, sender=self._server.sender, to=address)
        async with self._free:
            return await self._send(mail)

    async def _send(self, mail: EmailMessage) -> Taken:
        server = self._server
        try:
            _, answer = await aiosmtplib.send(
                mail,
                hostname=server.host,
                port=server.port,
                username=server.username,
                password=server.password,
                use_tls=server.tls,
                start_tls=server.starttls,
                timeout=9,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            first = error.recipients[0]
            raise _refusal(first.code, f"{first.recipient}: {first.code} {first.message}") from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refusal(error.code, f"{error.code} {error.message}") from error
        except (aiosmtplib.SMTPTimeoutError, aiosmtplib.SMTPServerDisconnected) as error:
            raise TryAgainError(f"the mail server did not answer: {error}", uncertain=True) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise TryAgainError(f"the mail server cannot be reached: {error}") from error
        return Taken(detail=answer)


def written(message: Message, *, sender: str, to: str) -> EmailMessage:
    """The mail. Its Message-ID is the message's own: a mail program shows a repeated one once."""
    mail = EmailMessage()
    try:
        mail["From"] = sender
        mail["To"] = to
        mail["Subject"] = " ".join(message.subject.split())
    except ValueError as error:
        raise GiveUpError(f"the address {to!r} is none: {error}") from error
    domain = sender.rpartition("@")[2].strip("> ") or "packwatch.invalid"
    mail["Message-ID"] = f"<{message.message_id}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Priority"] = "1"
    mail["Importance"] = "high"
    mail["Content-Language"] = message.language
    mail.set_content(message.body)
    return mail


def _refusal(code: int, why: str) -> TryAgainError | GiveUpError:
    """A 4yz reply is for now, a 5yz for ever (RFC 5321, 4.2.1)."""
    return GiveUpError(f"the mail server refuses it: {why}") if code >= 500 else TryAgainError(why)
