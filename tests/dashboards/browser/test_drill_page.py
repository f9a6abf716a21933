"""The button behind a drill's link, the page of people, and a board that nobody would hear: in a real browser."""
# ruff: noqa: PLR0917 - fixtures come by name

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from dashboards.accounts import new_claim
from registry.audit import PROGRAM
from registry.drill_records import DrillState
from registry.kinds import Role
from registry.paging_kinds import Channel
from registry.paging_records import Recipient
from registry.receipt_tokens import receipt_token
from registry.recipients import Way

from stage import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSION_SECRET = "session-secret-of-the-tests"
PASSWORD = "four unrelated words here"


@pytest.fixture
def ana(registry: Any, clock: Any) -> Any:
    """A dispatcher with a board and an e-mail address."""
    account = registry.create_account(name="ana", display_name="Ana", role="dispatcher", now=clock.now)
    recipient = Recipient(
        recipient_id="ana", name="Ana", role=Role.DISPATCHER, created_at=clock.now, account_id=account.account_id
    )
    ways = [Way(step=0, channel=Channel.BOARD), Way(step=1, channel=Channel.EMAIL, address="ana@carrier.example")]
    registry.add_recipient(recipient, ways)
    return account


@pytest.fixture
def desk_page(browser: Any, truck: Any, registry: Any, clock: Any, ana: Any) -> Iterator[Any]:
    """Her board, signed in; its sound is off, as in every browser before the first click."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US", timezone_id="UTC")
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto(f"{truck.service.url}/claim?token={new_claim(registry, ana, clock.now)}")
    page.get_by_test_id("sign-in-name").fill("ana")
    page.get_by_test_id("sign-in-password").fill(PASSWORD)
    page.get_by_test_id("sign-in-submit").click()
    page.get_by_test_id("connection-state").wait_for()
    yield page
    context.close()


@pytest.mark.parametrize(
    ("language", "button", "done"), [("en", "Confirm", "Confirmed"), ("es", "Confirmar", "Confirmado")]
)
def test_the_button_behind_a_drill_s_link_is_the_proof_and_opening_it_is_none(
    truck, phone, registry, clock, ana, violations, picture, language, button, done
):
    registry.start_drill("ana", clock.now, by=PROGRAM)
    handovers = registry.take_pages("tests", clock.now, answer_within=timedelta(seconds=30))
    (mail,) = next(each for each in handovers if each.channel is Channel.EMAIL).pages
    page = phone()
    page.goto(f"{truck.service.url}/d#{language}.{mail.message_id}.{receipt_token(SESSION_SECRET, mail.message_id)}")
    press = page.get_by_role("button", name=button)
    expect(press).to_be_visible()
    assert registry.drills("ana")[0].state is DrillState.RUNNING
    assert violations(page) == []
    picture(page, f"drill-{language}")
    press.click()
    expect(page.get_by_role("status")).to_contain_text(done)
    expect(press).to_have_count(0)
    (held,) = registry.drills("ana")
    assert (held.state, held.proved_on) == (DrillState.PROVED, Channel.EMAIL)


def test_a_drill_s_link_with_another_token_confirms_nothing_and_says_so(truck, phone, registry, clock, ana):
    registry.start_drill("ana", clock.now, by=PROGRAM)
    handovers = registry.take_pages("tests", clock.now, answer_within=timedelta(seconds=30))
    page = phone()
    page.goto(f"{truck.service.url}/d#en.{handovers[0].pages[0].message_id}.forged")
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("status")).to_contain_text("This link confirms nothing")
    assert registry.drills("ana")[0].state is DrillState.RUNNING


def test_a_board_whose_sound_is_off_is_told_on_boards_and_one_that_sounds_is_not(desk_page, registry, clock):
    eventually(lambda: registry.silent_boards(clock.now)[0].why == "its sound is off", what="the board's own word")
    assert "ana" not in registry.judge_reachability(clock.now)  # an e-mail may still arrive
    desk_page.reload()
    expect(desk_page.get_by_text("The board of ana would not be heard: its sound is off.")).to_be_visible()
    desk_page.get_by_test_id("sound").click()
    expect(desk_page.get_by_test_id("sound")).to_have_attribute("data-armed", "true")
    eventually(lambda: registry.silent_boards(clock.now) == (), what="a board that sounds")


def test_the_page_of_people_shows_who_cannot_be_reached_and_each_drill(desk_page, truck, registry, clock, violations):
    registry.begin_drill("ana", [[Channel.EMAIL]], clock.now, why="the first one")
    registry.end_drill(f"ana/{clock.now:%Y-%m-%d}", DrillState.MISSED, clock.now, why="no proof on e-mail")
    registry.judge_reachability(clock.now)
    desk_page.goto(f"{truck.service.url}/people")
    person = desk_page.get_by_test_id("person").filter(has_text="Ana")
    expect(person).to_contain_text("Cannot be reached: the drill of")
    expect(person).to_contain_text("missed, no proof on e-mail")
    person.get_by_test_id("drills").click()
    expect(person.get_by_test_id("drill-list")).to_contain_text("e-mail: missed, no proof on e-mail")
    assert violations(desk_page) == []
