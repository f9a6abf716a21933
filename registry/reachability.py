"""Who cannot be reached, and why: found out before it matters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from registry.audit import Actor, append
from registry.audit_records import ActorKind
from registry.database import Database
from registry.drill_records import DrillState
from registry.paging_kinds import Channel
from registry.paging_records import BoardHeartbeat, Duty, Recipient, RecipientChannel
from registry.recipients import KnownRecipient, recipient_action, with_all

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

BOARD_HEARD_WITHIN = timedelta(seconds=30)
"""**Assumed**: a dispatcher's page that has said nothing for so long is not heard; it speaks every 10 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentBoard:
    """Somebody on duty whose board nobody would hear."""

    recipient_id: str
    why: str


class Reachability(Database):
    """Judging who can be reached."""

    def note_board(self, board_id: str, account_id: str, now: datetime, *, sounding: bool, why: str | None) -> None:
        """A dispatcher's page says whether it would be heard."""

        def work(session: Session) -> None:
            kept = session.get(BoardHeartbeat, board_id)
            if kept is None:
                session.add(
                    BoardHeartbeat(board_id=board_id, account_id=account_id, at=now, sounding=sounding, why=why)
                )
            else:
                kept.account_id, kept.at, kept.sounding, kept.why = account_id, now, sounding, why
            if sounding:
                mine = select(Recipient.recipient_id).where(Recipient.account_id == account_id)
                session.execute(
                    update(RecipientChannel)
                    .where(RecipientChannel.channel == Channel.BOARD, RecipientChannel.failed_at.is_not(None))
                    .where(RecipientChannel.recipient_id.in_(mine))
                    .values(failed_at=None, failed_why=None)
                    .execution_options(synchronize_session=False)
                )
            session.execute(delete(BoardHeartbeat).where(BoardHeartbeat.at < now - timedelta(days=1)))

        self._write(work)

    def judge_reachability(self, now: datetime) -> tuple[str, ...]:
        """Flag who cannot be reached on any way, and take the flag from who can; returns whose flag changed."""

        def work(session: Session) -> tuple[str, ...]:
            changed, actions = [], []
            query = select(Recipient).where(Recipient.retired_at.is_(None), Recipient.role.is_not(None))
            for person in session.scalars(query.order_by(Recipient.recipient_id)):
                why = unreachable(with_all(session, person, now), _boards(session, person), now)
                if (why is None) == (person.unreachable_why is None):
                    continue
                person.unreachable_why, person.unreachable_since = why, None if why is None else now
                changed.append(person.recipient_id)
                word = "reachable again" if why is None else "unreachable"
                actions.append(recipient_action(person.recipient_id, word, _JUDGE, at=now, why=why))
            append(session, actions)
            return tuple(changed)

        return self._write(work)

    def silent_boards(self, now: datetime) -> tuple[SilentBoard, ...]:
        """Who is to be paged on a board, is on duty, and has none open that sounds; with why."""
        people = (
            select(Recipient)
            .join(RecipientChannel, RecipientChannel.recipient_id == Recipient.recipient_id)
            .where(RecipientChannel.channel == Channel.BOARD, Recipient.retired_at.is_(None))
            .order_by(Recipient.recipient_id)
        )
        on_duty = select(Duty.recipient_id).where(Duty.from_at <= now, Duty.until_at > now)

        def work(session: Session) -> tuple[SilentBoard, ...]:
            there = set(session.scalars(on_duty))
            found = (
                (person.recipient_id, silence(_boards(session, person), now))
                for person in session.scalars(people)
                if person.always_on_duty or person.recipient_id in there
            )
            return tuple(SilentBoard(recipient_id=name, why=why) for name, why in found if why is not None)

        return self._read(work)


_JUDGE = Actor(kind=ActorKind.RULE, id="reachability")


def unreachable(known: KnownRecipient, boards: Sequence[BoardHeartbeat], now: datetime) -> str | None:
    """Why nothing would arrive at a recipient; None: something would, as far as is known."""
    if not known.ways:
        return "no channel is known"
    if missed := _missed_drill(known):
        return missed
    reasons = [_way_unreachable(way, known, boards, now) for way in known.ways]
    return None if None in reasons else "; ".join(reason for reason in reasons if reason)


def _way_unreachable(
    way: RecipientChannel, known: KnownRecipient, boards: Sequence[BoardHeartbeat], now: datetime
) -> str | None:
    match way.channel:
        case Channel.PUSH:
            if all(device.failed_at is not None for device in known.devices):
                return "push: no device is subscribed, or each one failed"
        case Channel.BOARD:
            why = silence(boards, now)
            return None if why is None else f"board: {why}"
    return None if way.failed_at is None else f"{way.channel}: {way.failed_why}"


def _missed_drill(known: KnownRecipient) -> str | None:
    """The drill that nobody answered, unless a message was answered since."""
    drill = known.last_drill
    if drill is None or drill.state is not DrillState.MISSED:
        return None
    if any(way.tested_at is not None and way.tested_at >= drill.started_at for way in known.ways):
        return None
    return f"the drill of {drill.started_at:%Y-%m-%d %H:%M} UTC: {drill.why}"


def heard(board: BoardHeartbeat, now: datetime) -> bool:
    """Whether a dispatcher's page would be heard."""
    return board.sounding and now - board.at <= BOARD_HEARD_WITHIN


def silence(boards: Sequence[BoardHeartbeat], now: datetime) -> str | None:
    """Why none of a person's boards would be heard; None: one would."""
    open_ones = [board for board in boards if now - board.at <= BOARD_HEARD_WITHIN]
    if any(board.sounding for board in open_ones):
        return None
    return next((board.why for board in open_ones if board.why), "it is not open, or does not sound")


def _boards(session: Session, person: Recipient) -> Sequence[BoardHeartbeat]:
    if person.account_id is None:
        return ()
    return session.scalars(select(BoardHeartbeat).where(BoardHeartbeat.account_id == person.account_id)).all()
