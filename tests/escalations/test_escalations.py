"""A few rounds of `make escalations`: two with a kill of the database among them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from postgres import Postgres
from rounds import make_acts, run_round

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """One a test: a server ends with the thread that started it anew, and that thread with its test's event loop."""
    server = Postgres()
    yield server
    server.end()


@pytest.mark.parametrize("seed", [2, 5])
def test_every_page_is_kept_once_sent_and_marked_where_it_may_repeat(seed: int, postgres: Postgres) -> None:
    assert any(act.what == "kill database" for act in make_acts(seed))
    verdict = asyncio.run(run_round(seed, postgres))
    assert verdict.wrong == []
    assert verdict.deliveries > 0


def test_a_seed_makes_the_same_acts() -> None:
    assert make_acts(7) == make_acts(7)
    assert make_acts(7) != make_acts(8)
