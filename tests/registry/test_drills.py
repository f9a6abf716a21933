"""Drills on both databases: each step once, however many processes take it, and who is busy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from registry.drill_records import DrillState
from registry.kinds import Role
from registry.paging_kinds import Channel, PageState
from registry.paging_records import Recipient
from registry.recipients import Way

if TYPE_CHECKING:
    from registry.registry import Registry

MINUTE = timedelta(minutes=1)


@pytest.fixture
def ana(registry: Registry, now: datetime) -> Registry:
    recipient = Recipient(recipient_id="ana", name="Ana", role=Role.DISPATCHER, created_at=now)
    ways = [Way(step=0, channel=Channel.PUSH), Way(step=1, channel=Channel.VOICE, address="+13125550142")]
    registry.add_recipient(recipient, ways)
    return registry


def test_of_several_processes_one_takes_each_step(ana: Registry, now: datetime) -> None:
    steps = [[Channel.PUSH], [Channel.VOICE]]

    def begin(_number: int) -> int:
        return len(ana.begin_drill("ana", steps, now, why="due"))

    def go_on(_number: int) -> int:
        return len(ana.go_on_with_drill(f"ana/{now:%Y-%m-%d}", 1, now + MINUTE, why="no proof on push"))

    def miss(_number: int) -> int:
        return ana.end_drill(f"ana/{now:%Y-%m-%d}", DrillState.MISSED, now + 2 * MINUTE, why="no proof")

    with ThreadPoolExecutor(4) as pool:
        assert [sum(pool.map(step, range(4))) for step in (begin, go_on, miss)] == [1, 1, 1]
    (drill,) = ana.drills("ana")
    assert (drill.state, drill.step, drill.steps) == (DrillState.MISSED, 1, ["push", "voice"])
    assert [page.channel for page in ana.pages(recipient_id="ana")] == [Channel.VOICE, Channel.PUSH]
    assert {page.state for page in ana.pages(recipient_id="ana")} == {PageState.FAILED}
    (facts,) = ana.drill_facts(now + 3 * MINUTE)
    assert facts.last is not None
    assert (facts.last.drill_id, facts.running, facts.busy_with) == (drill.drill_id, None, None)
    assert ana.recipient("ana", now).last_drill == facts.last
    assert ana.judge_reachability(now) == ("ana",)


def test_a_receipt_proves_the_way_once(ana: Registry, now: datetime) -> None:
    ana.begin_drill("ana", [[Channel.PUSH]], now, why="due")
    ((page,),) = (each.pages for each in ana.take_pages("tests", now, answer_within=MINUTE))
    for later in (1, 2):
        ana.note_receipt(page.message_id or "", PageState.SHOWN, now + later * MINUTE, device="phone")
    (drill,) = ana.drills()
    assert (drill.state, drill.proved_on, drill.ended_at) == (DrillState.PROVED, Channel.PUSH, now + MINUTE)
    assert ana.recipient("ana", now).ways[0].tested_at == now + MINUTE
    assert not ana.end_drill(drill.drill_id, DrillState.MISSED, now + 20 * MINUTE, why="late")
    ana.verify_audit()


def test_boards_that_nobody_hears_are_of_those_on_duty(ana: Registry, now: datetime) -> None:
    account = ana.create_account(name="ben", display_name="Ben", now=now)
    ben = Recipient(recipient_id="ben", name="Ben", role=Role.DISPATCHER, created_at=now, account_id=account.account_id)
    ana.add_recipient(ben, [Way(step=0, channel=Channel.BOARD)])
    assert [board.recipient_id for board in ana.silent_boards(now)] == ["ben"]
    ana.add_duty("ben", now + 10 * MINUTE, now + 20 * MINUTE, entered_by="Sue")
    assert ana.silent_boards(now) == ()
    assert [board.why for board in ana.silent_boards(now + 15 * MINUTE)] == ["it is not open, or does not sound"]
    ana.note_board("b-1", account.account_id, now + 15 * MINUTE, sounding=True, why=None)
    assert ana.silent_boards(now + 15 * MINUTE) == ()
