"""Handing over a shift, with acceptance."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, HTTPException, Response
from fastapi import Path as PathParameter

from dashboards.acting import hand_of
from dashboards.answers import json_answer, problems
from dashboards.bodies import ShiftOffer
from dashboards.context import Context, House
from dashboards.incident_models import PersonHere
from dashboards.models import Milliseconds, Model
from dashboards.rows import to_ms, to_ms_or_none
from dashboards.sessions import Person
from registry.errors import RefusedError
from registry.shift_records import ShiftHandover

router = APIRouter(prefix="/api/shifts", tags=["incidents"])

HandoverId = Annotated[int, PathParameter(ge=1, le=2**62)]
_STEP = problems(403, 404, 409, 422)


class Shift(Model):
    """A shift that is offered, or was."""

    id: int
    giver: PersonHere | None
    taker: PersonHere | None
    note: str
    offered_at_ms: Milliseconds
    answered_at_ms: int | None
    accepted: bool | None
    """null: not answered yet; false: declined, or taken back."""


@router.get("", operation_id="listShifts", response_model=list[Shift], responses=problems())
def shifts(account: Person, house: House) -> Response:
    """What waits for your answer or for somebody else's, and what was answered last."""
    return json_answer([_row(each, house) for each in house.registry.shifts_of(account.account_id)])


@router.post("", operation_id="offerShift", response_model=Shift, responses=_STEP)
def offer(body: ShiftOffer, account: Person, house: House) -> Response:
    """Offer what you work on; you keep it until that person accepts. 409 while another offer of yours waits."""
    hand = hand_of(account, house)
    try:
        return json_answer(_row(house.registry.offer_shift(hand, body.to, body.note.strip()), house))
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error


@router.post("/{handover_id}/accept", operation_id="acceptShift", response_model=Shift, responses=_STEP)
async def accept(handover_id: HandoverId, account: Person, house: House) -> Response:
    """Take the shift: every open incident that its giver works on is yours from now on."""
    hand = hand_of(account, house)
    try:
        taken, _ = await to_thread.run_sync(house.registry.accept_shift, handover_id, hand)
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error
    house.board.note_incident_change()
    return json_answer(await to_thread.run_sync(_row, taken, house))


@router.post("/{handover_id}/decline", operation_id="declineShift", response_model=Shift, responses=_STEP)
def decline(handover_id: HandoverId, account: Person, house: House) -> Response:
    """Refuse it, or take your own offer back."""
    hand = hand_of(account, house)
    try:
        return json_answer(_row(house.registry.decline_shift(handover_id, hand), house))
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error


def _row(each: ShiftHandover, house: Context) -> dict[str, object]:
    people = {account.account_id: account for account in house.registry.accounts()}

    def person(account_id: str) -> dict[str, str] | None:
        found = people.get(account_id)
        if found is None:
            return None
        return {"account_id": account_id, "display_name": found.display_name, "role": found.role}

    return {
        "id": each.id,
        "giver": person(each.from_account),
        "taker": person(each.to_account),
        "note": each.note,
        "offered_at_ms": to_ms(each.offered_at),
        "answered_at_ms": to_ms_or_none(each.answered_at),
        "accepted": each.accepted,
    }
