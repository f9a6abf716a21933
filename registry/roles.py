"""What an account may do: the roles of accounts, and in which role of paging their people act."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from registry.kinds import Role

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """Who acts on an incident, in which role, when."""

    account_id: str
    by: str
    """As histories name the person."""
    role: Role
    now: datetime


class AccountRole(StrEnum):
    """What an account was made for. Any other name is that of a viewer."""

    ADMINISTRATOR = "administrator"
    DISPATCHER = "dispatcher"
    SAFETY = "safety"
    OPERATOR = "operator"
    """Installs and upgrades; looks at packs, and leaves alerts to those on duty."""
    VIEWER = "viewer"


ACTS_AS: Mapping[str, tuple[Role, ...]] = MappingProxyType(
    {
        AccountRole.ADMINISTRATOR: (Role.DISPATCHER, Role.SAFETY_LEAD),
        AccountRole.DISPATCHER: (Role.DISPATCHER,),
        AccountRole.SAFETY: (Role.SAFETY_LEAD,),
    }
)
"""In which roles the people of an account may acknowledge and act; the first one when they name none."""

MAY_RELEASE = frozenset({Role.SAFETY_LEAD})
"""Roles that close what was `critical`."""


def acting_role(account_role: str, wanted: Role | None = None) -> Role | None:
    """In which role somebody acts on an alert; None: not at all, or not in the wanted one."""
    roles = ACTS_AS.get(account_role, ())
    if wanted is not None:
        return wanted if wanted in roles else None
    return roles[0] if roles else None


def releasing_role(account_role: str) -> Role | None:
    """In which role somebody may close what was `critical`; None: in none."""
    return next((role for role in ACTS_AS.get(account_role, ()) if role in MAY_RELEASE), None)
