"""Chat rooms and the rest through apprise, one address a recipient: Matrix, Teams, Slack, Signal, ...."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import apprise

from alerts.paging.channels.contract import GiveUpError, Taken, TryAgainError

if TYPE_CHECKING:
    from alerts.paging.channels.contract import Message
    from registry.outbox import Handover


def is_chat_address(address: str) -> bool:
    """Whether apprise knows addresses of this form."""
    return apprise.Apprise.instantiate(address, suppress_exceptions=True) is not None


THREADS = 16
"""**Assumed**: apprise waits in threads, 8 s at most each; those of this program must not be used up by it."""


class Chat:
    """`hand_over` returns when apprise says that the service took it: it tells no more than yes or no."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="chat")

    async def hand_over(self, message: Message, handover: Handover) -> Taken:
        """As PageChannel."""
        room = apprise.Apprise()
        if not room.add(handover.way.address if handover.way else ""):
            raise GiveUpError("apprise does not know an address of this form")
        loop = asyncio.get_running_loop()
        taken = await loop.run_in_executor(self._threads, lambda: room.notify(title=message.subject, body=message.body))
        if not taken:
            raise TryAgainError("the chat service did not take it", uncertain=True)
        return Taken(detail="taken")

    def close(self) -> None:
        """Wait for nothing."""
        self._threads.shutdown(wait=False, cancel_futures=True)
