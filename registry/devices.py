"""A person's own devices for web push, the test of them, and what that person answers when asked to be guardian."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from registry.audit import PROGRAM, Action, Actor, append
from registry.audit_records import ActorKind
from registry.database import Database
from registry.errors import NotFoundError, RefusedError
from registry.kinds import Level
from registry.outbox import page_action, page_id_of
from registry.paging_kinds import Channel, PageKind, PageState
from registry.paging_records import Guardian, Page, PageEvent, PushDevice, Recipient, RecipientChannel
from registry.records import Vehicle

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy.orm import Session

_DEVICE = "device "
"""Before a device's id, in the history of a page that it showed."""


class Devices(Database):
    """What people do about their own devices."""

    def accept_push(self, recipient_id: str, now: datetime, *, by: Actor = PROGRAM) -> None:
        """Push becomes one of a person's ways, beside the first step: it holds no other way up. Once is enough."""

        def work(session: Session) -> None:
            query = select(RecipientChannel.channel).where(RecipientChannel.recipient_id == recipient_id)
            if Channel.PUSH in session.scalars(query).all():
                return
            session.add(RecipientChannel(recipient_id=recipient_id, step=0, channel=Channel.PUSH))
            append(session, [_action(recipient_id, "add channel", by, now, channel=Channel.PUSH)])

        self._write(work)

    def remove_push_device(self, recipient_id: str, device_id: str, now: datetime, *, by: Actor = PROGRAM) -> None:
        """Send nothing to a device any more. Raises NotFoundError when the recipient has no such device."""

        def work(session: Session) -> None:
            device = session.get(PushDevice, device_id)
            if device is None or device.recipient_id != recipient_id:
                raise NotFoundError("there is no such device among yours: it was removed before")
            session.delete(device)
            append(session, [_action(recipient_id, "remove device", by, now, device=device.label)])

        self._write(work)

    def send_push_test(self, recipient_id: str, now: datetime, *, not_within: timedelta, by: Actor = PROGRAM) -> Page:
        """Send a test to a person's devices: a drill on web push alone, of which nothing hangs.

        Raises NotFoundError, and RefusedError without a device, or `not_within` the time of the last one.
        """

        def work(session: Session) -> Page:
            person = session.get(Recipient, recipient_id, with_for_update=True)
            if person is None or person.retired_at is not None:
                raise NotFoundError(f"there is no recipient {recipient_id!r}")
            if session.scalar(select(PushDevice.device_id).where(PushDevice.recipient_id == recipient_id)) is None:
                raise RefusedError("no device of yours is subscribed")
            tests = select(Page.key).where(
                Page.recipient_id == recipient_id, Page.kind == PageKind.DRILL, Page.created_at > now - not_within
            )
            if session.scalar(tests.where(Page.channel == Channel.PUSH).limit(1)) is not None:
                raise RefusedError("a test was sent a moment ago: wait for it")
            key = f"test/{recipient_id}/{now:%Y%m%dT%H%M%S.%f}/{Channel.PUSH}"
            page = Page(
                key=key,
                page_id=page_id_of(key),
                kind=PageKind.DRILL,
                recipient_id=recipient_id,
                role=person.role,
                channel=Channel.PUSH,
                level=Level.NORMAL,
                reason="a test of web push",
                due_at=now,
                created_at=now,
                next_at=now,
            )
            session.add(page)
            append(session, [page_action(session, page, PageState.QUEUED, now, f"a test, by {by.id}")])
            return page

        return self._write(work)

    def note_device(self, message_id: str, device_id: str, now: datetime) -> None:
        """One of the recipient's devices showed a message, be it the first or not. A foreign device says nothing."""

        def work(session: Session) -> None:
            actions = []
            for page in session.scalars(select(Page).where(Page.message_id == message_id).order_by(Page.key)):
                device = session.get(PushDevice, device_id)
                if device is None or device.recipient_id != page.recipient_id:
                    continue
                detail = f"{_DEVICE}{device_id}"
                told = select(PageEvent.id).where(PageEvent.key == page.key, PageEvent.detail == detail)
                if session.scalar(told.limit(1)) is None:
                    by = ActorKind.DEVICE
                    actions.append(page_action(session, page, PageState.SHOWN, now, detail, by=by))
            append(session, actions)

        self._write(work)

    def device_proofs(self, recipient_id: str) -> dict[str, datetime]:
        """When each of a person's devices last showed a message, by the device's id."""
        query = (
            select(PageEvent.detail, func.max(PageEvent.at))
            .join(Page, Page.key == PageEvent.key)
            .where(Page.recipient_id == recipient_id, PageEvent.detail.startswith(_DEVICE))
            .group_by(PageEvent.detail)
        )
        return self._read(
            lambda session: {row[0].removeprefix(_DEVICE): row[1] for row in session.execute(query) if row[0]}
        )

    def guardianships_asked(self, recipient_id: str) -> tuple[tuple[Guardian, str], ...]:
        """What a person was asked to guard, and has not answered, each with the vehicle's name."""
        query = (
            select(Guardian, Vehicle.name)
            .join(Vehicle, Vehicle.vehicle_id == Guardian.vehicle_id)
            .where(Guardian.recipient_id == recipient_id, Guardian.accepted_at.is_(None), Guardian.ended_at.is_(None))
            .order_by(Guardian.id)
        )
        return self._read(lambda session: tuple((row[0], row[1]) for row in session.execute(query)))

    def decline_guardian(self, guardian_id: int, now: datetime, *, by: Actor = PROGRAM) -> Guardian:
        """The person who was asked says no; whoever has the vehicle keeps it.

        Raises NotFoundError, and RefusedError when it was withdrawn or answered before.
        """

        def work(session: Session) -> Guardian:
            guardian = session.get(Guardian, guardian_id, with_for_update=True)
            if guardian is None:
                raise NotFoundError(f"nobody was asked by the number {guardian_id}")
            if guardian.ended_at is not None or guardian.accepted_at is not None:
                raise RefusedError("it was withdrawn or answered before")
            guardian.ended_at = now
            detail = {"recipient": guardian.recipient_id, "proposed_by": guardian.proposed_by}
            subject = f"guardian/{guardian.vehicle_id}"
            append(session, [Action(actor=by, action="decline guardian", subject=subject, at=now, detail=detail)])
            return guardian

        return self._write(work)


def _action(recipient_id: str, action: str, by: Actor, at: datetime, **detail: object) -> Action:
    return Action(actor=by, action=action, subject=f"recipient/{recipient_id}", at=at, detail=detail)
