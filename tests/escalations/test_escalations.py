"""A few rounds of `make escalations`: two with a kill of the database among them, two with the whole alert service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from postgres import Postgres
from rounds import Verdict, make_acts, run_round
from whole import LASTS_S, make_whole_acts, run_whole_round

if TYPE_CHECKING:
    from collections.abc import Iterator

WHOLE_SEEDS = (4, 7)


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


def test_the_whole_alert_service_killed_beside_broker_and_database_forgets_and_repeats_nothing(
    postgres: Postgres,
) -> None:
    async def rounds() -> list[Verdict]:
        return await asyncio.gather(*(run_whole_round(seed, postgres) for seed in WHOLE_SEEDS))

    acts = [act.what for seed in WHOLE_SEEDS for act in make_whole_acts(seed, LASTS_S)]
    assert {"kill alerts", "answer"} <= set(acts)
    for verdict in asyncio.run(rounds()):
        assert verdict.wrong == []
        assert verdict.deliveries > 0
