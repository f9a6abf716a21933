"""Signing in and out, and the one-time link."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, HTTPException, Request, Response

from dashboards.accounts import password_refusal, use_claim
from dashboards.answers import problems, too_many
from dashboards.bodies import Claim, SignIn
from dashboards.context import House
from dashboards.models import Person as PersonModel
from dashboards.sessions import Person, account_of, begin_session, end_session
from registry.accounts import sign_in_name
from registry.errors import RefusedError
from registry.records import Account

router = APIRouter(prefix="/api", tags=["session"])

_CLAIMING = "a one-time link"
"""What the throttle counts claims under; no account has such a name."""


def client_address(request: Request) -> str:
    """Where the request comes from, for the throttle."""
    return request.client.host if request.client else ""


Address = Annotated[str, Depends(client_address)]


@router.get("/me", operation_id="getMe", responses=problems())
def me(account: Person) -> PersonModel:
    """Who is signed in. Asking keeps the session alive."""
    return _person(account)


@router.post("/session", operation_id="signIn", responses=problems(422, 429))
async def sign_in(body: SignIn, request: Request, address: Address, house: House) -> PersonModel:
    """Sign in; the answer sets the session's cookie."""
    now_s = house.now_ms() / 1000
    if (wait_s := house.throttle.wait_s(body.name, address, now_s)) > 0:
        raise too_many(wait_s)
    house.throttle.tries(body.name, address, now_s)
    account = await to_thread.run_sync(_account, house, body.name)
    password_hash = None if account is None else account.password_hash
    if not await house.passwords.verify(body.password, password_hash) or account is None:
        await to_thread.run_sync(house.registry.note_session, account, "refuse sign-in", house.now(), address)
        raise HTTPException(401, "The name or the password is wrong: try again, or ask for a new one-time link.")
    house.throttle.succeeded(body.name, address)
    await to_thread.run_sync(house.registry.note_session, account, "sign in", house.now(), address)
    begin_session(request, account, now_s)
    return _person(account)


@router.delete("/session", operation_id="signOut", status_code=204)
def sign_out(request: Request, address: Address, house: House) -> Response:
    """Sign out. Without a session nothing happens."""
    if (account := account_of(request.session, house)) is not None:
        house.registry.note_session(account, "sign out", house.now(), address)
    end_session(request, house)
    return Response(status_code=204)


@router.post("/claim", operation_id="useClaimLink", responses=problems(409, 422, 429))
async def claim(body: Claim, request: Request, address: Address, house: House) -> PersonModel:
    """Use a one-time link: the account gets its name and password, and is signed in."""
    if refusal := password_refusal(body.password, body.name):
        raise HTTPException(422, refusal)
    sign_in_name(body.name)
    now_s = house.now_ms() / 1000
    if (wait_s := house.throttle.wait_s(_CLAIMING, address, now_s)) > 0:
        raise too_many(wait_s)
    house.throttle.tries(_CLAIMING, address, now_s)
    password_hash = await house.passwords.hash(body.password)

    def use() -> Account | None:
        return use_claim(house.registry, body.token, name=body.name, password_hash=password_hash, now=house.now())

    account = await to_thread.run_sync(use)
    if account is None:
        raise HTTPException(
            410,
            "The link is used, expired or mistyped: sign in with your password, or restart Packwatch for a new link.",
        )
    house.throttle.succeeded(_CLAIMING, address)
    begin_session(request, account, now_s)
    return _person(account)


def _account(house: House, name: str) -> Account | None:
    try:
        return house.registry.account_by_name(sign_in_name(name))
    except RefusedError:
        return None


def _person(account: Account) -> PersonModel:
    return PersonModel(
        name=account.name, display_name=account.display_name, role=account.role, account_id=account.account_id
    )
