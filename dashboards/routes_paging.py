"""Paging: receipts from devices and providers, whom to page, rosters, guardians, drills, and what is missing."""

from datetime import datetime
from functools import partial
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anyio import to_thread
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter

from dashboards.acting import signature
from dashboards.answers import json_answer, only_known_parameters, problems
from dashboards.context import Context, House
from dashboards.paging_bodies import (
    CallReport,
    Heartbeat,
    NewDuty,
    NewGuardian,
    NewRecipient,
    Receipt,
    WayBody,
)
from dashboards.paging_rows import gap_row, guardian_row, page_row, recipient_row
from dashboards.sessions import Person, reader
from registry.accounts import account_actor
from registry.errors import ConflictError, RefusedError
from registry.gathering import RISES
from registry.kinds import AlertState, Role
from registry.paging_kinds import Channel, PageKind, PageState
from registry.paging_records import Page, Recipient
from registry.receipt_tokens import is_receipt_token
from registry.recipients import KnownRecipient, Way
from registry.records import Account
from registry.roles import AccountRole
from registry.roster import drills_due, gaps

router = APIRouter(prefix="/api", tags=["paging"])

MessageId = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{32}$")]
RecipientId = Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_MANAGES = frozenset({AccountRole.ADMINISTRATOR, AccountRole.SAFETY})
"""Accounts that say whom to page."""


def of_message(message_id: MessageId, request: Request, house: House) -> None:
    """Only who was given the message's token; 401 otherwise, before the body is looked at."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not is_receipt_token(house.receipt_secret, message_id, token):
        raise HTTPException(401, "The token does not belong to this message.")


@router.post(
    "/receipts/{message_id}",
    operation_id="noteReceipt",
    responses=problems(404, 422),
    dependencies=[Depends(of_message)],
)
async def receipt(message_id: MessageId, body: Receipt, house: House) -> Response:
    """A device says that it showed a message, or that its person answered. The message's token is the bearer token."""
    pages = await to_thread.run_sync(_note, house, message_id, PageState(body.state), "device")
    if body.device is not None:
        await to_thread.run_sync(house.registry.note_device, message_id, body.device, house.now())
    if body.state == "acknowledged":
        await _acknowledge(house, pages)
    return Response(status_code=204)


@router.post(
    "/telephony/{message_id}",
    operation_id="noteCall",
    responses=problems(404, 422),
    dependencies=[Depends(of_message)],
)
async def telephony(message_id: MessageId, body: CallReport, house: House) -> Response:
    """A provider says what came of a call or text message: answered counts as shown, key 1 acknowledges."""
    if body.event == "failed":
        why = f"the provider says that it failed: {body.reason or 'it does not say why'}"
        await to_thread.run_sync(partial(house.registry.note_failure, message_id, house.now(), why=why))
        return Response(status_code=204)
    if body.event == "key" and body.key != "1":
        return Response(status_code=204)
    state = PageState.ACKNOWLEDGED if body.event == "key" else PageState.SHOWN
    pages = await to_thread.run_sync(_note, house, message_id, state, "telephony")
    if state is PageState.ACKNOWLEDGED:
        await _acknowledge(house, pages)
    return Response(status_code=204)


@router.get("/paging", operation_id="getPaging", responses=problems(), dependencies=[Depends(reader)])
def paging(house: House) -> Response:
    """Whether somebody would be paged now and in the next 24 h, and what stands in the way."""
    now = house.now()
    people = house.registry.recipients(now)
    return json_answer(
        {
            "anybody": any(each.recipient.role is not None and each.ways for each in people),
            "gaps": [gap_row(gap) for gap in gaps(people, house.registry.fleet_ids(), now)],
            "unreachable": [
                {"recipient_id": each.recipient.recipient_id, "why": each.recipient.unreachable_why}
                for each in people
                if each.recipient.unreachable_why is not None
            ],
            "silent_boards": [
                {"recipient_id": each.recipient_id, "why": each.why} for each in house.registry.silent_boards(now)
            ],
            "drills_due": drills_due(people, now),
            "notices": house.registry.paging_notices(),
            "push_key": house.push_key,
        }
    )


@router.get("/recipients", operation_id="listRecipients", responses=problems(), dependencies=[Depends(reader)])
def recipients(house: House) -> Response:
    """All who may be paged, and the systems that are told."""
    return json_answer([recipient_row(each) for each in house.registry.recipients(house.now())])


@router.post("/recipients", operation_id="addRecipient", status_code=201, responses=problems(403, 404, 409, 422))
def add_recipient(body: NewRecipient, account: Person, house: House) -> Response:
    """Page somebody from now on."""
    _manages(account)
    try:
        ZoneInfo(body.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise HTTPException(422, f"There is no time zone {body.time_zone!r}: one is America/Chicago.") from error
    person = None if body.account is None else house.registry.account_by_name(body.account)
    if body.account is not None and person is None:
        raise HTTPException(404, f"Nobody signs in as {body.account!r}.")
    recipient = Recipient(
        recipient_id=body.recipient_id,
        name=body.name,
        role=body.role,
        language=body.language,
        time_zone=body.time_zone,
        fleet_id=body.fleet_id,
        vehicle_id=body.vehicle_id,
        account_id=None if person is None else person.account_id,
        created_at=house.now(),
    )
    house.registry.add_recipient(recipient, [_way(way, house) for way in body.channels], by=account_actor(account))
    return json_answer(recipient_row(house.registry.recipient(body.recipient_id, house.now())), 201)


@router.put("/recipients/{recipient_id}/channels", operation_id="setChannels", responses=problems(403, 404, 422))
def set_channels(recipient_id: RecipientId, body: list[WayBody], account: Person, house: House) -> Response:
    """Replace the ways to somebody."""
    _manages(account)
    house.registry.set_ways(recipient_id, [_way(way, house) for way in body], by=account_actor(account))
    return json_answer(recipient_row(house.registry.recipient(recipient_id, house.now())))


@router.delete("/recipients/{recipient_id}", operation_id="retireRecipient", responses=problems(403, 404))
def retire(recipient_id: RecipientId, account: Person, house: House) -> Response:
    """Page somebody no more."""
    _manages(account)
    house.registry.retire_recipient(recipient_id, house.now(), by=account_actor(account))
    return Response(status_code=204)


@router.post("/recipients/{recipient_id}/drill", operation_id="startDrill", responses=problems(403, 404))
def drill(recipient_id: RecipientId, account: Person, house: House) -> Response:
    """Test every way to somebody. Who confirms a message has proved its way for a month."""
    known = house.registry.recipient(recipient_id, house.now())
    if known.recipient.account_id != account.account_id:
        _manages(account)
    pages = house.registry.start_drill(recipient_id, house.now(), by=account_actor(account))
    return json_answer([page_row(page) for page in pages])


@router.post("/recipients/{recipient_id}/duties", operation_id="addDuty", responses=problems(403, 404, 422))
def add_duty(recipient_id: RecipientId, body: NewDuty, account: Person, house: House) -> Response:
    """Put somebody on the roster: from then on that person is on duty by the roster only."""
    _manages(account)
    house.registry.add_duty(
        recipient_id, body.from_at, body.until_at, entered_by=signature(account), by=account_actor(account)
    )
    return json_answer(recipient_row(house.registry.recipient(recipient_id, house.now())))


@router.delete("/duties/{duty_id}", operation_id="removeDuty", responses=problems(403, 404))
def remove_duty(duty_id: int, account: Person, house: House) -> Response:
    """Take a time off the roster."""
    _manages(account)
    house.registry.remove_duty(duty_id, by=account_actor(account))
    return Response(status_code=204)


@router.get("/guardians", operation_id="listGuardians", responses=problems(), dependencies=[Depends(reader)])
def guardians(house: House) -> Response:
    """Who is called first about which vehicle, and who was asked."""
    return json_answer([guardian_row(each) for each in house.registry.guardians()])


@router.post("/guardians", operation_id="proposeGuardian", responses=problems(404, 422))
def propose_guardian(body: NewGuardian, account: Person, house: House) -> Response:
    """Ask somebody to take a vehicle. Whoever has it keeps it until that person accepts."""
    guardian = house.registry.propose_guardian(
        body.vehicle_id,
        body.recipient_id,
        house.now(),
        proposed_by=signature(account),
        by=account_actor(account),
    )
    return json_answer(guardian_row(guardian))


@router.post("/guardians/{guardian_id}/accept", operation_id="acceptGuardian", responses=problems(403, 404, 409))
def accept_guardian(guardian_id: int, account: Person, house: House) -> Response:
    """The person who was asked takes the vehicle. 409 without a phone that was proved within a month."""
    asked = next((each for each in house.registry.guardians() if each.id == guardian_id), None)
    if asked is None:
        raise HTTPException(404, "Nobody was asked by that number, or it was withdrawn.")
    if house.registry.recipient(asked.recipient_id, house.now()).recipient.account_id != account.account_id:
        raise HTTPException(403, "Only the person who was asked can accept.")
    try:
        return json_answer(
            guardian_row(house.registry.accept_guardian(guardian_id, house.now(), by=account_actor(account)))
        )
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error


@router.post("/board/heartbeat", operation_id="noteBoard", responses=problems(422))
def heartbeat(body: Heartbeat, account: Person, house: House) -> Response:
    """A dispatcher's page says, every 10 s, whether it would be heard. Answers what that person is paged with there."""
    house.registry.note_board(body.board_id, account.account_id, house.now(), sounding=body.sounding, why=body.why)
    person = house.registry.recipient_of_account(account.account_id)
    waiting = () if person is None else house.registry.pages(recipient_id=person.recipient_id, limit=100)
    return json_answer([page_row(page) for page in waiting if _waits_on_board(page)])


@router.post("/board/shown/{message_id}", operation_id="noteShownOnBoard", responses=problems(403, 404))
def shown_on_board(message_id: MessageId, account: Person, house: House) -> Response:
    """A dispatcher's page shows a message, and sounds."""
    person = _own(account, house)
    pages = house.registry.pages(recipient_id=person.recipient_id, limit=1000)
    if not any(page.message_id == message_id and page.channel is Channel.BOARD for page in pages):
        raise HTTPException(404, "There is no such message for you.")
    _note(house, message_id, PageState.SHOWN, "board")
    return Response(status_code=204)


@router.get(
    "/pages",
    operation_id="listPages",
    responses=problems(422),
    dependencies=[Depends(reader), Depends(only_known_parameters)],
)
def pages(
    house: House,
    incident_id: Annotated[str | None, Query(max_length=64)] = None,
    recipient_id: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Who was told what, on which way, and how far each message has come; the latest first."""
    found = house.registry.pages(case_id=incident_id, recipient_id=recipient_id, limit=limit)
    return json_answer([page_row(page) for page in found])


def _note(house: Context, message_id: str, state: PageState, device: str) -> tuple[Page, ...]:
    return house.registry.note_receipt(message_id, state, house.now(), device=device)


async def _acknowledge(house: Context, pages: tuple[Page, ...]) -> None:
    """The recipient answered: acknowledge, in the role of each page, what its message told of.

    What rose after that nobody has seen yet, however late the answer comes, or comes again.
    """
    told: dict[tuple[str, Role, str], datetime] = {}
    for page in pages:
        if page.kind is PageKind.ALERT and page.case_id and page.role and page.handed_over_at:
            key = (page.case_id, page.role, page.recipient_id)
            told[key] = max(page.handed_over_at, told.get(key, page.handed_over_at))
    for (case_id, role, recipient_id), told_at in told.items():
        story = await to_thread.run_sync(house.registry.story, case_id)
        known: KnownRecipient = await to_thread.run_sync(house.registry.recipient, recipient_id, house.now())
        for alert in story.alerts:
            if alert.state is AlertState.CLOSED or role in (alert.acknowledged_roles or ()):
                continue
            if await to_thread.run_sync(_rose_at, house, alert.alert_id) > told_at:
                continue
            try:
                await house.alert_desk.acknowledge(
                    alert.alert_id,
                    version=alert.version,
                    by=known.recipient.name,
                    comment="answered a page",
                    now=house.now(),
                    role=role,
                )
            except (RefusedError, ConflictError):
                continue  # it rose meanwhile, and is paged anew; or somebody was faster


def _rose_at(house: Context, alert_id: str) -> datetime:
    """When an alert was last raised, rose, or was hot again."""
    return max(event.at for event in house.registry.alert_events(alert_id) if event.action in RISES)


def _manages(account: Account) -> None:
    if account.role not in _MANAGES:
        raise HTTPException(403, f"You are signed in as {account.role}: safety and administrators say whom to page.")


def _own(account: Account, house: Context) -> Recipient:
    person = house.registry.recipient_of_account(account.account_id)
    if person is None:
        raise HTTPException(404, "You are nobody's recipient: ask safety or an administrator to enter you.")
    return person


def _way(body: WayBody, house: Context) -> Way:
    try:
        address = house.check_address(body.channel, body.address)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    if body.channel is Channel.WEBHOOK and body.secret is None:
        raise HTTPException(422, "A webhook needs a secret of at least 16 characters, to sign its messages with.")
    return Way(step=body.step, channel=body.channel, address=address, secret=body.secret)


def _waits_on_board(page: Page) -> bool:
    return page.channel is Channel.BOARD and page.shown_at is None and page.state is PageState.ACCEPTED
