"""People: one name, one account; a link works once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from registry.errors import ConflictError, NotFoundError, RefusedError
from registry.records import Organisation

if TYPE_CHECKING:
    from registry.registry import Registry

HOUR = timedelta(hours=1)


def test_a_new_account_has_no_password(registry: Registry, now: datetime) -> None:
    registry.add(Organisation(organisation_id="carrier", name="Carrier"))
    made = registry.create_account(name="ana", display_name="Ana Ruiz", now=now, organisation_id="carrier")
    assert (made.role, made.password_hash, made.session_epoch, made.created_at) == ("administrator", None, 0, now)
    assert registry.account(made.account_id) == made
    assert registry.accounts() == (made,)


@pytest.mark.parametrize("typed", ["Ana", " ana ", "ANA", "\N{FULLWIDTH LATIN SMALL LETTER A}na"])
def test_a_name_is_found_as_people_type_it_and_is_taken_once(registry: Registry, now: datetime, typed: str) -> None:
    made = registry.create_account(name="ana", display_name="Ana", now=now)
    assert registry.account_by_name(typed) == made
    with pytest.raises(ConflictError, match="the name 'ana' is taken"):
        registry.create_account(name=typed, display_name="Another", now=now)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x00", "x" * 201])
def test_a_name_that_nobody_can_type_is_refused(registry: Registry, now: datetime, name: str) -> None:
    with pytest.raises(RefusedError):
        registry.create_account(name=name, display_name="Ana", now=now)


def test_unknown_people_and_organisations(registry: Registry, now: datetime) -> None:
    assert registry.account_by_name("nobody") is None
    for ask in (registry.account, lambda name: registry.set_password(name, "hash")):
        with pytest.raises(NotFoundError, match="knows no account 'nobody'"):
            ask("nobody")
    with pytest.raises(NotFoundError):
        registry.create_account(name="ana", display_name="Ana", now=now, organisation_id="nowhere")
    with pytest.raises(NotFoundError):
        registry.add_claim(token_hash="hash", account_id="nobody", expires_at=now)


def test_a_new_password_ends_the_sessions(registry: Registry, now: datetime) -> None:
    made = registry.create_account(name="ana", display_name="Ana", now=now)
    changed = registry.set_password(made.account_id, "$argon2id$new")
    assert (changed.password_hash, changed.session_epoch) == ("$argon2id$new", 1)
    assert registry.account_by_name("ana") == changed


def test_of_many_first_starts_one_makes_the_administrator(registry: Registry, now: datetime) -> None:
    def start(_: int) -> str:
        try:
            return registry.create_account(name="administrator", display_name="Administrator", now=now).account_id
        except ConflictError:
            return "taken"

    with ThreadPoolExecutor(6) as pool:
        outcomes = set(pool.map(start, range(6)))
    assert outcomes == {"taken", registry.accounts()[0].account_id}
    assert len(registry.accounts()) == 1


def test_a_link_works_once(registry: Registry, now: datetime) -> None:
    made = registry.create_account(name="administrator", display_name="Administrator", now=now)
    registry.add_claim(token_hash="hash", account_id=made.account_id, expires_at=now + HOUR)
    claimed = registry.use_claim("hash", now, name="Ana", display_name="Ana Ruiz", password_hash="$argon2id$new")
    assert (claimed.name, claimed.display_name, claimed.password_hash) == ("ana", "Ana Ruiz", "$argon2id$new")
    assert registry.account(made.account_id) == claimed
    assert registry.use_claim("hash", now) is None


def test_of_two_uses_of_a_link_one_wins(registry: Registry, now: datetime) -> None:
    made = registry.create_account(name="administrator", display_name="Administrator", now=now)
    registry.add_claim(token_hash="hash", account_id=made.account_id, expires_at=now + HOUR)
    with ThreadPoolExecutor(4) as pool:
        claimed = list(pool.map(lambda number: registry.use_claim("hash", now, password_hash=f"{number}"), range(4)))
    (winner,) = [account for account in claimed if account is not None]
    assert registry.account(made.account_id) == winner


@pytest.mark.parametrize("late", [timedelta(0), HOUR])
def test_an_expired_or_unknown_link_is_no_link(registry: Registry, now: datetime, late: timedelta) -> None:
    made = registry.create_account(name="ana", display_name="Ana", now=now)
    registry.add_claim(token_hash="hash", account_id=made.account_id, expires_at=now)
    assert registry.use_claim("hash", now + late) is None
    assert registry.use_claim("unheard-of", now) is None


def test_a_link_stays_good_when_the_wished_name_is_taken(registry: Registry, now: datetime) -> None:
    registry.create_account(name="ana", display_name="Ana", now=now)
    made = registry.create_account(name="administrator", display_name="Administrator", now=now)
    registry.add_claim(token_hash="hash", account_id=made.account_id, expires_at=now + HOUR)
    with pytest.raises(ConflictError, match="the name 'ana' is taken"):
        registry.use_claim("hash", now, name="ana", password_hash="x")
    assert registry.account(made.account_id).password_hash is None
    assert registry.use_claim("hash", now, name="luz").name == "luz"


def test_a_link_s_hash_is_used_for_one_link(registry: Registry, now: datetime) -> None:
    made = registry.create_account(name="ana", display_name="Ana", now=now)
    registry.add_claim(token_hash="hash", account_id=made.account_id, expires_at=now)
    with pytest.raises(ConflictError, match="exists already"):
        registry.add_claim(token_hash="hash", account_id=made.account_id, expires_at=now)
