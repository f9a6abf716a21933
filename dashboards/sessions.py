"""Who asks: a person by a signed cookie, or this machine's command line by the service token."""

import hmac
import ipaddress
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from dashboards.context import Context, context
from registry.errors import NotFoundError
from registry.records import Account

LIFETIME_S = 12 * 3600
"""A session ends twelve hours after it was last used: a dispatcher's shift."""
RENEW_AFTER_S = 600
"""The cookie is signed anew at most every ten minutes of use. **assumed**"""
SIGNED_OUT_MAX = 10_000
"""Sessions that were signed out and whose cookie has not run out; the oldest is forgotten first. **assumed**"""

_COOKIE = APIKeyCookie(
    name="packwatch-*",
    scheme_name="session",
    description="The signed cookie of a sign-in; its name ends differently at each installation.",
    auto_error=False,
)
_BEARER = HTTPBearer(
    scheme_name="serviceToken",
    description="The service token in the data directory's credentials. It reads; it acts for nobody.",
    auto_error=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Whoever may read: a person, or a program that holds the service token."""

    account: Account | None
    """None: a program."""


class SignedOut:
    """Ids of sessions that were ended by their person: a copy of their cookie opens nothing."""

    def __init__(self) -> None:
        self._until_s: OrderedDict[str, float] = OrderedDict()

    def add(self, session_id: str, now_s: float) -> None:
        self._until_s[session_id] = now_s + LIFETIME_S
        while self._until_s and (len(self._until_s) > SIGNED_OUT_MAX or next(iter(self._until_s.values())) < now_s):
            self._until_s.popitem(last=False)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._until_s


def begin_session(request: Request, account: Account, now_s: float) -> None:
    """Sign the person in: a new session, whatever was there before."""
    request.session.clear()
    request.session.update(
        {
            "id": secrets.token_urlsafe(16),
            "account": account.account_id,
            "epoch": account.session_epoch,
            "renewed_s": int(now_s),
        }
    )


def end_session(request: Request, house: Context) -> None:
    """Sign out; a copy of the cookie is worthless from now on."""
    if isinstance(session_id := request.session.get("id"), str):
        house.signed_out.add(session_id, house.now_ms() / 1000)
    request.session.clear()


def account_of(session: dict[str, object], house: Context) -> Account | None:
    """The account whose living session this is, or None. Blocks: it asks the registry."""
    account_id, session_id = session.get("account"), session.get("id")
    if not isinstance(account_id, str) or not isinstance(session_id, str) or session_id in house.signed_out:
        return None
    try:
        account = house.registry.account(account_id)
    except NotFoundError:
        return None
    return account if account.session_epoch == session.get("epoch") else None


def person(
    request: Request,
    house: Annotated[Context, Depends(context)],
    _described: Annotated[object, Security(_COOKIE)] = None,
) -> Account:
    """The person who is signed in; 401 when nobody is."""
    account = account_of(request.session, house)
    if account is None:
        raise HTTPException(401, "Nobody is signed in, or the session has ended: sign in.")
    now_s = house.now_ms() // 1000
    if now_s - request.session.get("renewed_s", 0) > RENEW_AFTER_S:
        request.session["renewed_s"] = now_s
    return account


def has_service_token(request: Request, house: Context) -> bool:
    """Whether the request carries the service token."""
    sent = request.headers.get("authorization", "").encode()
    return hmac.compare_digest(sent, f"Bearer {house.service_token}".encode())


def reader(
    request: Request,
    house: Annotated[Context, Depends(context)],
    _cookie: Annotated[object, Security(_COOKIE)] = None,
    _bearer: Annotated[object, Security(_BEARER)] = None,
) -> Viewer:
    """A person who is signed in, or a program with the service token; 401 for anybody else."""
    if has_service_token(request, house):
        return Viewer(account=None)
    return Viewer(account=person(request, house))


def local_program(
    request: Request, house: Annotated[Context, Depends(context)], _bearer: Annotated[object, Security(_BEARER)] = None
) -> None:
    """Only a program on this machine that can read the service token; 401 or 403 otherwise."""
    if not has_service_token(request, house):
        raise HTTPException(401, "The service token is missing or wrong: it lies in the data directory's credentials.")
    try:
        loopback = request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise HTTPException(403, "The local API answers programs on its own machine only.")


Person = Annotated[Account, Depends(person)]
Reader = Annotated[Viewer, Depends(reader)]
