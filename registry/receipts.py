"""What comes back about messages: receipts of devices and people, and failures that a channel tells of later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from registry.audit import Action, Actor, append
from registry.audit_records import ActorKind
from registry.database import Database
from registry.drill_records import Drill, DrillState, drill_of_page, proves
from registry.errors import NotFoundError
from registry.outbox import page_action
from registry.paging_kinds import PageKind, PageState
from registry.paging_records import Page, RecipientChannel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy.orm import Session


class Receipts(Database):
    """What comes back."""

    def note_receipt(self, message_id: str, state: PageState, now: datetime, *, device: str) -> tuple[Page, ...]:
        """A recipient's device says that it showed a message, or that the recipient answered it.

        Returns the message's pages. The same again changes nothing. Raises NotFoundError.
        """

        def work(session: Session) -> tuple[Page, ...]:
            mine = select(Page).where(Page.message_id == message_id).order_by(Page.key)
            pages = session.scalars(mine.with_for_update()).all()
            if not pages:
                raise NotFoundError("there is no such message")
            actions = [action for page in pages for action in _receive(session, page, state, now, device)]
            append(session, actions)
            return tuple(pages)

        return self._write(work)

    def note_failure(self, message_id: str, now: datetime, *, why: str) -> None:
        """A channel says that a message which it took did not arrive: it is tried no more. Raises NotFoundError.

        One that was shown stays shown. The recipient's way counts as failed, until something arrives there.
        """

        def work(session: Session) -> None:
            mine = select(Page).where(Page.message_id == message_id).order_by(Page.key)
            pages = session.scalars(mine.with_for_update()).all()
            if not pages:
                raise NotFoundError("there is no such message")
            actions = []
            for page in pages:
                if page.shown_at is None and page.state in {PageState.HANDED_OVER, PageState.ACCEPTED}:
                    page.state, page.next_at, page.why = PageState.FAILED, None, why
                    actions.append(page_action(session, page, PageState.FAILED, now, why))
            way = _way(session, pages[0])
            if actions and way is not None and way.failed_at is None:
                way.failed_at, way.failed_why = now, why
            append(session, actions)

        self._write(work)


def _receive(session: Session, page: Page, state: PageState, now: datetime, device: str) -> Iterator[Action]:
    before = (page.shown_at, page.acknowledged_at)
    if page.shown_at is None:
        page.shown_at = now
        if page.state is not PageState.ACKNOWLEDGED:
            page.state, page.next_at = PageState.SHOWN, None
        yield page_action(session, page, PageState.SHOWN, now, device, by=ActorKind.DEVICE)
    if state is PageState.ACKNOWLEDGED and page.acknowledged_at is None:
        page.acknowledged_at, page.state = now, PageState.ACKNOWLEDGED
        yield page_action(session, page, PageState.ACKNOWLEDGED, now, device, by=ActorKind.DEVICE)
    if before != (page.shown_at, page.acknowledged_at) and proves(page.channel, page.state):
        yield from _prove(session, page, now)


def _way(session: Session, page: Page) -> RecipientChannel | None:
    query = select(RecipientChannel).where(
        RecipientChannel.recipient_id == page.recipient_id, RecipientChannel.channel == page.channel
    )
    return session.scalars(query).one_or_none()


def _prove(session: Session, page: Page, now: datetime) -> Iterator[Action]:
    """It arrived: the way works, and the drill, where it was one, has told what it was to tell."""
    way = _way(session, page)
    if way is not None:
        way.tested_at, way.failed_at, way.failed_why = now, None, None
    drill = session.get(Drill, drill_of_page(page.key)) if page.kind is PageKind.DRILL else None
    if drill is None or drill.state is DrillState.PROVED:
        return
    late = "" if drill.state is DrillState.RUNNING else f", after it was {drill.state}"
    drill.state, drill.ended_at, drill.proved_on = DrillState.PROVED, now, page.channel
    drill.why = f"answered on {page.channel}{late}"
    yield Action(
        actor=Actor(kind=ActorKind.DEVICE, id=f"{page.channel}/{page.recipient_id}", role=page.role),
        action="drill proved",
        subject=f"drill/{drill.drill_id}",
        at=now,
        detail={"why": drill.why},
    )
