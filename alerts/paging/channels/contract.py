"""What a channel is asked, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from registry.kinds import Level
    from registry.outbox import DeviceFailure, Handover


class ChannelError(Exception):
    """A channel did not take a message. The text says why, for people."""

    failures: tuple[DeviceFailure, ...] = ()
    """Devices, among several, that it cannot reach any more."""


class TryAgainError(ChannelError):
    """It may go another time.

    uncertain: the channel may have taken it all the same. after_s: the channel asks for so much patience.
    """

    def __init__(self, why: str, *, uncertain: bool = False, after_s: float | None = None) -> None:
        super().__init__(why)
        self.uncertain, self.after_s = uncertain, after_s


class GiveUpError(ChannelError):
    """It will never go: the address is wrong, or the channel is not set up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a recipient is told, in the recipient's language and time zone."""

    message_id: str
    """Always the same for the same pages: by it a receiver tells a repeated message."""
    subject: str
    """One line."""
    body: str
    """Several lines; the first one says what to do."""
    spoken: str
    """One or two sentences for a call."""
    language: str
    level: Level
    link: str
    """Where to see more."""
    may_repeat: bool
    """An earlier try may have arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The channel took the message. Nobody need have seen it."""

    detail: str
    """The channel's own word or number for it."""
    failures: tuple[DeviceFailure, ...] = ()
    """Devices, among several, that it cannot reach any more."""


class PageChannel(Protocol):
    """Hands messages over. Calls for several recipients overlap; for one there is one at a time.

    A call that hangs is ended by its caller, and may have been taken all the same.
    """

    async def hand_over(self, message: Message, handover: Handover) -> Taken:
        """Raises TryAgainError and GiveUpError."""
