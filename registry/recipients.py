"""Whom to page, on which ways, when on duty, and about which vehicle first; and who cannot be reached."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from registry.audit import PROGRAM, Action, Actor, append
from registry.database import Database
from registry.drill_records import Drill, DrillState
from registry.errors import ConflictError, NotFoundError, RefusedError
from registry.paging_kinds import Channel
from registry.paging_records import (
    Duty,
    Guardian,
    PagingCase,
    PushDevice,
    Recipient,
    RecipientChannel,
)
from registry.records import Fleet, Vehicle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

TESTED_WITHIN = timedelta(days=31)
"""How old a proof may be: a drill a month."""
TALKING = (Channel.VOICE, Channel.SMS)
"""The ways that are a phone."""
BY_RULE = "drills"
"""Who starts the drills that nobody asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A channel of a recipient, to be kept."""

    step: int
    channel: Channel
    address: str = ""
    secret: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRecipient:
    """A recipient with all that belongs to it."""

    recipient: Recipient
    ways: tuple[RecipientChannel, ...]
    devices: tuple[PushDevice, ...]
    duties: tuple[Duty, ...]
    """Those that are not over."""
    last_drill: Drill | None = None
    """The latest one that told something: proved or missed."""


class Recipients(Database):
    """People and systems that are told."""

    def add_recipient(self, recipient: Recipient, ways: Sequence[Way], *, by: Actor = PROGRAM) -> None:
        """Keep a new recipient. Raises ConflictError (its id is taken), RefusedError (a way is there twice)."""

        def work(session: Session) -> None:
            if session.get(Recipient, recipient.recipient_id) is not None:
                raise ConflictError(f"there is a recipient {recipient.recipient_id} already")
            if recipient.vehicle_id is not None and session.get(Vehicle, recipient.vehicle_id) is None:
                raise NotFoundError(f"the registry knows no vehicle {recipient.vehicle_id!r}")
            columns = {key: getattr(recipient, key) for key in Recipient.__table__.columns.keys()}  # noqa: SIM118
            session.add(Recipient(**columns))
            session.flush()
            _set_ways(session, recipient.recipient_id, ways)
            append(session, [recipient_action(recipient.recipient_id, "add recipient", by, role=recipient.role)])

        self._write(work)

    def set_ways(self, recipient_id: str, ways: Sequence[Way], *, by: Actor = PROGRAM) -> None:
        """Replace a recipient's channels. One whose address stays keeps its proof. Raises NotFoundError."""

        def work(session: Session) -> None:
            _known(session, recipient_id)
            _set_ways(session, recipient_id, ways)
            told = [f"{way.step} {way.channel}" for way in ways]
            append(session, [recipient_action(recipient_id, "set channels", by, channels=told)])

        self._write(work)

    def retire_recipient(self, recipient_id: str, now: datetime, *, by: Actor = PROGRAM) -> None:
        """Page somebody no more; what was sent stays known. Raises NotFoundError."""

        def work(session: Session) -> None:
            _known(session, recipient_id).retired_at = now
            append(session, [recipient_action(recipient_id, "retire recipient", by, at=now)])

        self._write(work)

    def recipients(self, now: datetime) -> tuple[KnownRecipient, ...]:
        """All that are not retired, by id."""

        def work(session: Session) -> tuple[KnownRecipient, ...]:
            query = select(Recipient).where(Recipient.retired_at.is_(None)).order_by(Recipient.recipient_id)
            return tuple(with_all(session, each, now) for each in session.scalars(query))

        return self._read(work)

    def recipient(self, recipient_id: str, now: datetime) -> KnownRecipient:
        """One recipient. Raises NotFoundError."""
        return self._read(lambda session: with_all(session, _known(session, recipient_id), now))

    def recipient_of_account(self, account_id: str) -> Recipient | None:
        """Who somebody who signed in is, among those that are paged."""
        query = select(Recipient).where(Recipient.account_id == account_id, Recipient.retired_at.is_(None))
        return self._read(
            lambda session: session.scalars(query.order_by(Recipient.recipient_id).limit(1)).one_or_none()
        )

    def anybody_to_page(self) -> bool:
        """Whether there is a person with a channel."""
        query = (
            select(Recipient.recipient_id)
            .join(RecipientChannel, RecipientChannel.recipient_id == Recipient.recipient_id)
            .where(Recipient.role.is_not(None), Recipient.retired_at.is_(None))
            .limit(1)
        )
        return self._read(lambda session: session.scalar(query)) is not None

    def add_push_device(
        self, recipient_id: str, *, endpoint: str, p256dh: str, auth: str, label: str, now: datetime, by: Actor
    ) -> str:
        """Keep a browser's subscription to web push; the same one again mends it. Returns its id."""
        device_id = hashlib.sha256(endpoint.encode()).hexdigest()

        def work(session: Session) -> None:
            _known(session, recipient_id)
            session.execute(delete(PushDevice).where(PushDevice.device_id == device_id))
            device = PushDevice(
                device_id=device_id,
                recipient_id=recipient_id,
                endpoint=endpoint,
                p256dh=p256dh,
                auth=auth,
                label=label,
                added_at=now,
            )
            session.add(device)
            append(session, [recipient_action(recipient_id, "add device", by, at=now, device=label)])

        self._write(work)
        return device_id

    def add_duty(
        self, recipient_id: str, from_at: datetime, until_at: datetime, *, entered_by: str, by: Actor = PROGRAM
    ) -> Duty:
        """Put a time of duty on the roster. Raises NotFoundError, RefusedError (it ends before it begins)."""

        def work(session: Session) -> Duty:
            person = _known(session, recipient_id)
            if until_at <= from_at:
                raise RefusedError("a duty ends after it begins")
            person.always_on_duty = False
            duty = Duty(recipient_id=recipient_id, from_at=from_at, until_at=until_at, entered_by=entered_by)
            session.add(duty)
            session.flush()
            append(session, [recipient_action(recipient_id, "add duty", by, from_at=from_at, until_at=until_at)])
            return duty

        return self._write(work)

    def remove_duty(self, duty_id: int, *, by: Actor = PROGRAM) -> None:
        """Take a time of duty off the roster. Raises NotFoundError."""

        def work(session: Session) -> None:
            duty = session.get(Duty, duty_id)
            if duty is None:
                raise NotFoundError(f"there is no duty {duty_id} on the roster")
            session.delete(duty)
            told = {"from_at": duty.from_at, "until_at": duty.until_at}
            append(session, [recipient_action(duty.recipient_id, "remove duty", by, **told)])

        self._write(work)

    def propose_guardian(
        self, vehicle_id: str, recipient_id: str, now: datetime, *, proposed_by: str, by: Actor = PROGRAM
    ) -> Guardian:
        """Ask somebody to be called first about a vehicle. Nothing changes before that person accepts."""

        def work(session: Session) -> Guardian:
            if session.get(Vehicle, vehicle_id) is None:
                raise NotFoundError(f"the registry knows no vehicle {vehicle_id!r}")
            _known(session, recipient_id)
            session.execute(
                update(Guardian)
                .where(Guardian.vehicle_id == vehicle_id, Guardian.accepted_at.is_(None), Guardian.ended_at.is_(None))
                .values(ended_at=now)
                .execution_options(synchronize_session=False)
            )
            guardian = Guardian(
                vehicle_id=vehicle_id, recipient_id=recipient_id, proposed_by=proposed_by, proposed_at=now
            )
            session.add(guardian)
            session.flush()
            append(session, [_guarded(guardian, "propose guardian", now, by)])
            return guardian

        return self._write(work)

    def accept_guardian(self, guardian_id: int, now: datetime, *, by: Actor = PROGRAM) -> Guardian:
        """The person takes the vehicle over from whoever had it.

        Raises NotFoundError, and RefusedError when it was withdrawn, or no phone of the person was proved lately.
        """

        def work(session: Session) -> Guardian:
            guardian = session.get(Guardian, guardian_id, with_for_update=True)
            if guardian is None:
                raise NotFoundError(f"nobody was asked by the number {guardian_id}")
            if guardian.ended_at is not None or guardian.accepted_at is not None:
                raise RefusedError("it was withdrawn or accepted before")
            if not _has_proved_phone(session, guardian.recipient_id, now):
                raise RefusedError(
                    "no phone of this person was proved in the last 31 days: hold a drill on voice or SMS first"
                )
            session.execute(
                update(Guardian)
                .where(
                    Guardian.vehicle_id == guardian.vehicle_id,
                    Guardian.accepted_at.is_not(None),
                    Guardian.ended_at.is_(None),
                )
                .values(ended_at=now)
                .execution_options(synchronize_session=False)
            )
            guardian.accepted_at = now
            session.flush()
            append(session, [_guarded(guardian, "accept guardian", now, by)])
            return guardian

        return self._write(work)

    def guardians(self) -> tuple[Guardian, ...]:
        """Who is in charge of which vehicle, and who was asked and has not answered."""
        query = select(Guardian).where(Guardian.ended_at.is_(None)).order_by(Guardian.vehicle_id, Guardian.id)
        return self._read(lambda session: tuple(session.scalars(query)))

    def fleet_ids(self) -> tuple[str, ...]:
        """All fleets."""
        return self._read(lambda session: tuple(session.scalars(select(Fleet.fleet_id).order_by(Fleet.fleet_id))))

    def paging_notices(self) -> dict[str, tuple[str, ...]]:
        """What people must know about the paging of each case that is still being paged."""
        query = select(PagingCase).where(PagingCase.next_at.is_not(None))
        return self._read(
            lambda session: {each.case_id: tuple(each.notices) for each in session.scalars(query) if each.notices}
        )


def _has_proved_phone(session: Session, recipient_id: str, now: datetime) -> bool:
    query = select(RecipientChannel.id).where(
        RecipientChannel.recipient_id == recipient_id,
        RecipientChannel.channel.in_(TALKING),
        RecipientChannel.tested_at > now - TESTED_WITHIN,
    )
    return session.scalar(query.limit(1)) is not None


def _known(session: Session, recipient_id: str) -> Recipient:
    person = session.get(Recipient, recipient_id)
    if person is None or person.retired_at is not None:
        raise NotFoundError(f"there is no recipient {recipient_id!r}")
    return person


def with_all(session: Session, person: Recipient, now: datetime) -> KnownRecipient:
    """A recipient with all that belongs to it."""
    mine = person.recipient_id
    ways = select(RecipientChannel).where(RecipientChannel.recipient_id == mine)
    devices = select(PushDevice).where(PushDevice.recipient_id == mine).order_by(PushDevice.added_at)
    duties = select(Duty).where(Duty.recipient_id == mine, Duty.until_at > now).order_by(Duty.from_at)
    drills = select(Drill).where(Drill.recipient_id == mine, Drill.state.in_((DrillState.PROVED, DrillState.MISSED)))
    return KnownRecipient(
        recipient=person,
        ways=tuple(session.scalars(ways.order_by(RecipientChannel.step, RecipientChannel.id))),
        devices=tuple(session.scalars(devices)),
        duties=tuple(session.scalars(duties)),
        last_drill=session.scalars(drills.order_by(Drill.started_at.desc()).limit(1)).one_or_none(),
    )


def _set_ways(session: Session, recipient_id: str, ways: Sequence[Way]) -> None:
    if len({way.channel for way in ways}) < len(ways):
        raise RefusedError("a channel is there twice: each recipient has one address a channel")
    query = select(RecipientChannel).where(RecipientChannel.recipient_id == recipient_id)
    before = {each.channel: each for each in session.scalars(query)}
    for old in before.values():
        session.delete(old)
    session.flush()
    for way in ways:
        was = before.get(way.channel)
        same = was is not None and was.address == way.address
        session.add(
            RecipientChannel(
                recipient_id=recipient_id,
                step=way.step,
                channel=way.channel,
                address=way.address,
                secret=way.secret,
                tested_at=was.tested_at if was is not None and same else None,
            )
        )
    session.flush()


def recipient_action(
    recipient_id: str, action: str, by: Actor, *, at: datetime | None = None, **detail: object
) -> Action:
    """What was done to a recipient, for the audit log."""
    return Action(actor=by, action=action, subject=f"recipient/{recipient_id}", at=at, detail=detail)


def _guarded(guardian: Guardian, action: str, at: datetime, by: Actor) -> Action:
    return Action(
        actor=by,
        action=action,
        subject=f"guardian/{guardian.vehicle_id}",
        at=at,
        detail={"recipient": guardian.recipient_id, "proposed_by": guardian.proposed_by},
    )
