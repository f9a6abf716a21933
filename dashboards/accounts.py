"""Passwords and one-time links: who may sign in, and how an account gets its password."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from pwdlib import PasswordHash

from registry.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    from datetime import datetime

    from registry.records import Account
    from registry.registry import Registry

ADMINISTRATOR = "administrator"
CLAIM_LINK_LIFE = timedelta(hours=24)
PASSWORD_MIN = 12
"""Characters. **assumed**: longer than NIST SP 800-63B-3's eight, since there is no second factor yet."""
HASHES_AT_ONCE = 2
"""Argon2 takes 64 MiB and a core each time; a flood of sign-ins waits in line instead. **assumed**"""


class Passwords:
    """Argon2 off the event loop, a few at a time."""

    def __init__(self) -> None:
        self._scheme = PasswordHash.recommended()
        self._decoy = self._scheme.hash(secrets.token_urlsafe())
        self._turns = anyio.CapacityLimiter(HASHES_AT_ONCE)

    async def hash(self, password: str) -> str:
        return await to_thread.run_sync(self._scheme.hash, password, limiter=self._turns)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether it fits. No hash (no such account, or none set yet) takes as long as a wrong password."""
        fits = await to_thread.run_sync(
            self._scheme.verify, password, password_hash or self._decoy, limiter=self._turns
        )
        return fits and password_hash is not None


def password_refusal(password: str, name: str) -> str | None:
    """Why the password is not taken, or None."""
    if len(password) < PASSWORD_MIN:
        return f"The password has {len(password)} characters: choose one of at least {PASSWORD_MIN}."
    if password.casefold() in (name.casefold() * 10, "packwatch" * 2) or len(set(password)) < 4:
        return "The password is too easily guessed: choose another, for example four unrelated words."
    return None


def ensure_administrator(registry: Registry, now: datetime) -> str | None:
    """Path and query of a new one-time link while no administrator has a password; None once one has.

    Made anew at every start, since only its hash is kept and the one printed before may be lost. The first of them
    that is used ends the others. Blocks; call it before serving.
    """
    administrators = [account for account in registry.accounts() if account.role == ADMINISTRATOR]
    if any(account.password_hash for account in administrators):
        return None
    if administrators:
        account = administrators[0]
    else:
        account = registry.create_account(name=ADMINISTRATOR, display_name="Administrator", role=ADMINISTRATOR, now=now)
    return f"/claim?token={new_claim(registry, account, now)}"


def new_claim(registry: Registry, account: Account, now: datetime) -> str:
    """The token of a new one-time link for the account."""
    token = f"{account.account_id}.{secrets.token_urlsafe(32)}"
    registry.add_claim(
        token_hash=_token_hash(token, account), account_id=account.account_id, expires_at=now + CLAIM_LINK_LIFE
    )
    return token


def use_claim(registry: Registry, token: str, *, name: str, password_hash: str, now: datetime) -> Account | None:
    """The account that the link gave its name and password; None when the link is unknown, used or expired.

    Raises ConflictError when the name is another's, RefusedError when it is no name; the link stays good.
    """
    try:
        account = registry.account(token.partition(".")[0])
    except (NotFoundError, RefusedError):
        return None
    return registry.use_claim(
        _token_hash(token, account), now, name=name, display_name=name.strip(), password_hash=password_hash
    )


def _token_hash(token: str, account: Account) -> str:
    """A setting of the password grows the epoch, so every link made before it stops fitting."""
    return hashlib.sha256(f"{token}:{account.session_epoch}".encode()).hexdigest()
