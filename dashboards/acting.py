"""Who acts, and in which role: what an account may do about alerts and incidents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import HTTPException

from registry.roles import Hand, acting_role, releasing_role

if TYPE_CHECKING:
    from dashboards.context import Context
    from registry.records import Account


def hand_of(account: Account, house: Context, *, releases: bool = False) -> Hand:
    """The person's hand; `releases`: in the role that may release a load, where the account has it.

    Raises 403 for an account that looks only.
    """
    role = (releasing_role(account.role) if releases else None) or acting_role(account.role)
    if role is None:
        raise HTTPException(
            403, f"You are signed in as {account.role}: you may look, and leave alerts to the dispatcher and to safety."
        )
    return Hand(account_id=account.account_id, by=signature(account), role=role, now=house.now())


def signature(account: Account) -> str:
    """Who did it, as evidence names a person: two may share a display name."""
    if account.display_name.casefold() == account.name:
        return account.display_name
    return f"{account.display_name} ({account.name})"
