"""The dispatcher's page: it fetches its pages itself, and says when it shows them. It takes one while it sounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts.paging.channels.contract import Taken, TryAgainError
from registry.reachability import heard

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from alerts.paging.channels.contract import Message
    from registry.outbox import Handover


class Board:
    """`hand_over` returns when a board of the recipient's is open and would be heard."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    async def hand_over(self, _message: Message, handover: Handover) -> Taken:
        """As PageChannel."""
        sounding = [board for board in handover.boards if heard(board, self._now())]
        if not sounding:
            quiet = next((board.why for board in handover.boards if board.why), None)
            raise TryAgainError(f"no board of this person is open and sounds{f': {quiet}' if quiet else ''}")
        return Taken(detail=f"{len(sounding)} board(s) fetch it")
