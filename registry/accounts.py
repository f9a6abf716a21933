"""People who may sign in, and the one-time links by which they get their password."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import select, update

from registry.audit import PROGRAM, Action, Actor, append
from registry.audit_records import ActorKind
from registry.columns import as_utc
from registry.database import Database
from registry.errors import ConflictError, NotFoundError, RefusedError
from registry.records import Account, ClaimLink

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session


def folded_name(text: str) -> str:
    """`text` as account names are compared: a phone that writes "Ana " means "ana"."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def sign_in_name(text: str) -> str:
    """`text` as account names are kept. Raises RefusedError for what is none."""
    name = folded_name(text)
    if not name or not name.isprintable():
        raise RefusedError("a name to sign in with needs at least one letter or digit")
    return name


class Accounts(Database):
    """The accounts. Passwords come hashed; the registry never sees one."""

    def create_account(
        self,
        *,
        name: str,
        display_name: str,
        now: datetime,
        role: str = "administrator",
        organisation_id: str | None = None,
        password_hash: str | None = None,
        by: Actor = PROGRAM,
    ) -> Account:
        """A new account, which cannot sign in until it has a password. Raises ConflictError when the name is taken."""

        def work(session: Session) -> Account:
            _check_free(session, sign_in_name(name), account_id=None)
            account = Account(
                account_id=uuid4().hex,
                name=sign_in_name(name),
                display_name=display_name,
                created_at=now,
                role=role,
                organisation_id=organisation_id,
                password_hash=password_hash,
            )
            session.add(account)
            append(session, [_action(account, "create account", by, now)])
            return account

        return self._write(work)

    def account(self, account_id: str) -> Account:
        """One account. Raises NotFoundError."""
        return self._read(lambda session: _known(session, account_id))

    def account_by_name(self, name: str) -> Account | None:
        """The account that signs in as `name`, in any case of letters."""
        query = select(Account).where(Account.name == folded_name(name))
        return self._read(lambda session: session.scalars(query).one_or_none())

    def accounts(self) -> tuple[Account, ...]:
        """All accounts, oldest first."""
        query = select(Account).order_by(Account.created_at, Account.account_id)
        return self._read(lambda session: tuple(session.scalars(query)))

    def set_password(self, account_id: str, password_hash: str, *, by: Actor = PROGRAM) -> Account:
        """Set a password's hash and end all sessions of the account (its epoch grows). Raises NotFoundError."""

        def work(session: Session) -> Account:
            account = _known(session, account_id)
            _set_password(account, password_hash)
            append(session, [_action(account, "set password", by)])
            return account

        return self._write(work)

    def add_claim(self, *, token_hash: str, account_id: str, expires_at: datetime, by: Actor = PROGRAM) -> None:
        """Keep a one-time link's hash. Raises NotFoundError, ConflictError."""

        def work(session: Session) -> None:
            account = _known(session, account_id)
            session.add(ClaimLink(token_hash=token_hash, account_id=account_id, expires_at=expires_at))
            append(session, [_action(account, "make sign-in link", by, expires_at=expires_at)])

        self._write(work)

    def note_session(self, account: Account | None, action: str, now: datetime, address: str) -> None:
        """Keep in the audit log that a person signed in or out, or was refused, and from which address.

        None: a name that nobody has; it is not kept, since people type passwords there by mistake.
        """
        if account is None:
            stranger = Actor(kind=ActorKind.PERSON, id="unknown")
            noted = Action(
                actor=stranger, action=action, subject="account/unknown", at=now, detail={"address": address}
            )
        else:
            noted = _action(account, action, account_actor(account), now, address=address)
        self._write(lambda session: append(session, [noted]))

    def use_claim(
        self,
        token_hash: str,
        now: datetime,
        *,
        name: str | None = None,
        display_name: str | None = None,
        password_hash: str | None = None,
    ) -> Account | None:
        """Use a link up, and give its account what comes with it, in one transaction: of two callers one wins.

        None: the link is unknown, used or expired. Raises ConflictError when `name` is another's; the link stays good.
        """
        instant = as_utc(now)

        def work(session: Session) -> Account | None:
            used = session.execute(
                update(ClaimLink)
                .where(ClaimLink.token_hash == token_hash, ClaimLink.used_at.is_(None), ClaimLink.expires_at > instant)
                .values(used_at=instant)
                .execution_options(synchronize_session=False)
                .returning(ClaimLink.account_id)
            ).one_or_none()
            if used is None:
                return None
            account = _known(session, used.account_id)
            if name is not None:
                _check_free(session, sign_in_name(name), account_id=account.account_id)
                account.name = sign_in_name(name)
            if display_name is not None:
                account.display_name = display_name
            if password_hash is not None:
                _set_password(account, password_hash)
            append(session, [_action(account, "use sign-in link", account_actor(account), instant)])
            return account

        return self._write(work)


def account_actor(account: Account) -> Actor:
    """The person of an account, as the audit log names who acts."""
    return Actor(kind=ActorKind.PERSON, id=account.account_id, role=account.role)


def _action(account: Account, action: str, by: Actor, at: datetime | None = None, **detail: object) -> Action:
    """What happened to an account. No secret is in it."""
    named = {"name": account.name, "display_name": account.display_name, "role": account.role}
    return Action(actor=by, action=action, subject=f"account/{account.account_id}", at=at, detail=named | detail)


def _known(session: Session, account_id: str) -> Account:
    account = session.get(Account, account_id, with_for_update=True)
    if account is None:
        raise NotFoundError(f"the registry knows no account {account_id!r}")
    return account


def _check_free(session: Session, name: str, *, account_id: str | None) -> None:
    holder = session.scalars(select(Account).where(Account.name == name)).one_or_none()
    if holder is not None and holder.account_id != account_id:
        raise ConflictError(f"the name {name!r} is taken")


def _set_password(account: Account, password_hash: str) -> None:
    account.password_hash = password_hash
    account.session_epoch += 1
