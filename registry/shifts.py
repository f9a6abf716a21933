"""Handing over a shift: it is offered, and with its acceptance all that its giver worked on changes hands at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from registry.audit import Action, append, person_or_rule
from registry.database import Database
from registry.errors import NotFoundError, RefusedError
from registry.gathering import note
from registry.incident_records import Incident, IncidentEvent
from registry.kinds import IncidentState
from registry.records import Account
from registry.roles import acting_role
from registry.shift_records import ShiftHandover

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from registry.roles import Hand


class Shifts(Database):
    """Offers and their answers. All steps raise NotFoundError, and RefusedError with the reason."""

    def offer_shift(self, hand: Hand, to: str, text: str) -> ShiftHandover:
        """Offer what you work on to somebody else, an account's id. One offer at a time."""

        def work(session: Session) -> ShiftHandover:
            person = session.get(Account, to)
            if person is None:
                raise NotFoundError(f"the registry knows no account {to!r}")
            if to == hand.account_id:
                raise RefusedError("a shift cannot be handed to yourself")
            if acting_role(person.role) is None:
                raise RefusedError(f"{person.display_name} is {person.role} here and cannot take a shift")
            waiting = select(ShiftHandover).where(
                ShiftHandover.from_account == hand.account_id, ShiftHandover.answered_at.is_(None)
            )
            if session.scalars(waiting.with_for_update()).first() is not None:
                raise RefusedError("your shift is offered already: take that back first")
            offer = ShiftHandover(from_account=hand.account_id, to_account=to, note=text, offered_at=hand.now)
            session.add(offer)
            session.flush()
            append(session, [_action("offer", offer, hand)])
            return offer

        return self._write(work)

    def accept_shift(self, handover_id: int, hand: Hand) -> tuple[ShiftHandover, tuple[Incident, ...]]:
        """Take it, with every open incident that its giver works on then; those are returned as they are afterwards."""

        def work(session: Session) -> tuple[ShiftHandover, tuple[Incident, ...]]:
            offer = _open(session, handover_id)
            if offer.to_account != hand.account_id:
                raise RefusedError("the shift was not offered to you")
            query = (
                select(Incident)
                .where(Incident.assigned_to == offer.from_account, Incident.state == IncidentState.OPEN)
                .order_by(Incident.incident_id)
                .with_for_update()
            )
            taken = tuple(session.scalars(query))
            actions = []
            for incident in taken:
                incident.assigned_to, incident.handover_to = hand.account_id, None
                incident.version += 1
                event = IncidentEvent(
                    incident_id=incident.incident_id,
                    at=hand.now,
                    action="accept",
                    level=incident.level,
                    actor=hand.by,
                    actor_role=hand.role,
                    regarding=hand.account_id,
                    comment="with the shift",
                )
                actions.append(note(session, incident, event))
            offer.answered_at, offer.accepted = hand.now, True
            append(session, [*actions, _action("accept", offer, hand)])
            return offer, taken

        return self._write(work)

    def decline_shift(self, handover_id: int, hand: Hand) -> ShiftHandover:
        """Refuse what was offered to you, or take your own offer back."""

        def work(session: Session) -> ShiftHandover:
            offer = _open(session, handover_id)
            if hand.account_id not in {offer.to_account, offer.from_account}:
                raise RefusedError("the shift is neither yours nor offered to you")
            offer.answered_at, offer.accepted = hand.now, False
            append(session, [_action("decline" if hand.account_id == offer.to_account else "take back", offer, hand)])
            return offer

        return self._write(work)

    def shifts_of(self, account_id: str) -> tuple[ShiftHandover, ...]:
        """What was offered to a person or by that person and is not answered yet, then the newest that was answered."""
        own = or_(ShiftHandover.from_account == account_id, ShiftHandover.to_account == account_id)
        waiting = select(ShiftHandover).where(own, ShiftHandover.answered_at.is_(None)).order_by(ShiftHandover.id)
        answered = (
            select(ShiftHandover)
            .where(own, ShiftHandover.answered_at.is_not(None))
            .order_by(ShiftHandover.answered_at.desc())
            .limit(1)
        )
        return self._read(lambda session: (*session.scalars(waiting), *session.scalars(answered)))


def _open(session: Session, handover_id: int) -> ShiftHandover:
    offer = session.get(ShiftHandover, handover_id, with_for_update=True)
    if offer is None:
        raise NotFoundError(f"the registry knows no offer of a shift {handover_id}")
    if offer.answered_at is not None:
        raise RefusedError("the offer was answered or taken back meanwhile")
    return offer


def _action(what: str, offer: ShiftHandover, hand: Hand) -> Action:
    return Action(
        actor=person_or_rule(hand.by, hand.role, rule=""),
        action=f"{what} shift",
        subject=f"shift/{offer.id}",
        at=hand.now,
        detail={"from": offer.from_account, "to": offer.to_account, "note": offer.note},
    )
