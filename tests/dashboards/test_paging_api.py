"""Paging over the API: receipts by token only, people by their roles, and what is missing is said."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from alerts.grouping import gathering
from alerts.paging.outbox import decide
from registry.audit import PROGRAM
from registry.kinds import AlertState, Level, Role
from registry.paging_kinds import Channel, PageState
from registry.paging_records import Recipient
from registry.receipt_tokens import receipt_token
from registry.recipients import Way
from registry.records import AlertEvent
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from registry.enrolment import Enrolment
    from registry.paging_records import Page
    from registry.records import Alert
    from registry.registry import Registry

SECRET = "session-secret-of-the-tests"


@pytest.fixture
def paged(
    registry: Registry, make_alert: Callable[..., Alert], enrolment: Callable[..., Enrolment], clock: Any
) -> tuple[Alert, Page]:
    """A critical alert, and the page about it that the dispatcher was sent."""
    registry.enrol(enrolment(), clock.now)
    ana = Recipient(recipient_id="ana", name="Ana", role=Role.DISPATCHER, created_at=clock.now)
    registry.add_recipient(ana, [Way(step=0, channel=Channel.VOICE, address="+13125550142")])
    alert = make_alert(level=Level.CRITICAL)
    event = AlertEvent(
        alert_id=alert.alert_id, at=alert.raised_at, action="raise", to_state=alert.state, level=alert.level
    )
    registry.raise_alert(alert, event, gather=gathering)
    registry.plan_cases(
        registry.cases_to_plan(),
        clock.now,
        decide,
        from_level=Level.CRITICAL,
        provenances=frozenset({Provenance.MEASURED}),
    )
    registry.take_pages("tests", clock.now, answer_within=timedelta(seconds=30))
    (page,) = registry.pages()
    return alert, page


def bearer_of(message_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {receipt_token(SECRET, message_id)}"}


async def test_a_key_pressed_in_a_call_shows_and_acknowledges_in_the_role_of_its_person(
    stranger: httpx.AsyncClient, registry: Registry, paged: tuple[Alert, Page]
) -> None:
    alert, page = paged
    url, headers = f"/api/telephony/{page.message_id}", bearer_of(page.message_id or "")
    assert (await stranger.post(url, json={"event": "answered"}, headers=headers)).status_code == 204
    assert registry.pages()[0].state is PageState.SHOWN
    answer = await stranger.post(url, json={"event": "key", "key": "9"}, headers=headers)
    assert (answer.status_code, registry.pages()[0].acknowledged_at) == (204, None)
    for _ in range(2):  # a replayed answer changes nothing
        answer = await stranger.post(url, json={"event": "key", "key": "1"}, headers=headers)
        assert answer.status_code == 204
    assert registry.pages()[0].state is PageState.ACKNOWLEDGED
    steps = [event for event in registry.alert_events(alert.alert_id) if event.action.startswith("acknowledge")]
    assert [(step.actor, step.comment) for step in steps] == [("Ana", "answered a page")]


@pytest.mark.parametrize("before", [True, False], ids=["replayed", "pressed late"])
async def test_an_answer_acknowledges_what_its_message_told_of_and_nothing_that_rose_since(
    stranger: httpx.AsyncClient, registry: Registry, paged: tuple[Alert, Page], clock: Any, *, before: bool
) -> None:
    alert, page = paged
    url, headers, pressed = (
        f"/api/telephony/{page.message_id}",
        bearer_of(page.message_id or ""),
        {"event": "key", "key": "1"},
    )
    if before:
        assert (await stranger.post(url, json=pressed, headers=headers)).status_code == 204
        assert registry.alert(alert.alert_id).acknowledged_roles == ["dispatcher"]
    clock.ms += 60_000
    kept = registry.alert(alert.alert_id)
    version, kept.level, kept.peak_level = kept.version, Level.RUNAWAY, Level.RUNAWAY
    kept.state, kept.acknowledged_roles = AlertState.RAISED, []
    event = AlertEvent(
        alert_id=kept.alert_id, at=clock.now, action="worsen", to_state=AlertState.RAISED, level=Level.RUNAWAY
    )
    registry.change_alert(kept, event, version)
    assert (await stranger.post(url, json=pressed, headers=headers)).status_code == 204
    assert registry.alert(alert.alert_id).acknowledged_roles == []


async def test_a_call_that_failed_is_kept_with_its_reason_and_its_way_counts_as_failed(
    stranger: httpx.AsyncClient, registry: Registry, paged: tuple[Alert, Page], clock: Any
) -> None:
    _, page = paged
    url, headers = f"/api/telephony/{page.message_id}", bearer_of(page.message_id or "")
    failed = {"event": "failed", "reason": "no such number"}
    assert (await stranger.post(url, json=failed, headers=headers)).status_code == 204
    (kept,) = registry.pages()
    assert (kept.state, kept.why) == (PageState.FAILED, "the provider says that it failed: no such number")
    assert registry.judge_reachability(clock.now) == ("ana",)
    assert "no such number" in (registry.recipient("ana", clock.now).recipient.unreachable_why or "")
    assert (await stranger.post(url, json={"event": "key", "key": "1"}, headers=headers)).status_code == 204
    assert registry.judge_reachability(clock.now) == ("ana",)  # it arrived all the same
    assert (await stranger.post(url, json=failed, headers=headers)).status_code == 204
    assert registry.pages()[0].state is PageState.ACKNOWLEDGED


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic {token}"])
async def test_a_receipt_without_the_message_s_own_token_is_refused(
    stranger: httpx.AsyncClient, registry: Registry, paged: tuple[Alert, Page], token: str
) -> None:
    _, page = paged
    other = receipt_token(SECRET, "0" * 32)
    headers = {"Authorization": token.format(token=other)} if token else {}
    for url in (f"/api/receipts/{page.message_id}", f"/api/telephony/{page.message_id}"):
        body = {"state": "shown"} if "receipts" in url else {"event": "answered"}
        answer = await stranger.post(url, json=body, headers=headers)
        assert answer.status_code == 401
    answer = await stranger.post(
        f"/api/receipts/{page.message_id}", json={"state": "shown"}, headers={"Authorization": f"Bearer {other}"}
    )
    assert answer.status_code == 401
    assert registry.pages()[0].shown_at is None


async def test_a_message_that_nobody_sent_has_no_receipt(stranger: httpx.AsyncClient) -> None:
    unknown = "f" * 32
    answer = await stranger.post(f"/api/receipts/{unknown}", json={"state": "shown"}, headers=bearer_of(unknown))
    assert answer.status_code == 404


async def test_nobody_to_page_is_said_and_so_are_gaps_of_the_next_day(
    person: httpx.AsyncClient, registry: Registry, enrolment: Callable[..., Enrolment], clock: Any
) -> None:
    registry.enrol(enrolment(), clock.now)
    assert (await person.get("/api/paging")).json()["anybody"] is False
    new = {"recipient_id": "ana", "name": "Ana", "role": "dispatcher", "time_zone": "America/Chicago"}
    new["channels"] = [{"channel": "e-mail", "address": "ana@carrier.example"}]
    assert (await person.post("/api/recipients", json=new)).status_code == 201
    told = (await person.get("/api/paging")).json()
    assert told["anybody"] is True
    assert told["drills_due"] == ["ana"]
    assert {gap["role"] for gap in told["gaps"]} == {"safety lead", "emergency contact"}
    duty = {
        "from_at": (clock.now + timedelta(hours=2)).isoformat(),
        "until_at": (clock.now + timedelta(hours=10)).isoformat(),
    }
    assert (await person.post("/api/recipients/ana/duties", json=duty)).status_code == 200
    hours = [
        ((gap["from_ms"] - clock.ms) / 3_600_000, (gap["until_ms"] - clock.ms) / 3_600_000)
        for gap in (await person.get("/api/paging")).json()["gaps"]
        if gap["role"] == "dispatcher"
    ]
    assert hours == [(0, 2), (10, 24)]


async def test_a_guardian_takes_over_by_accepting_with_a_phone_that_was_proved(
    person: httpx.AsyncClient, registry: Registry, enrolment: Callable[..., Enrolment], clock: Any
) -> None:
    registry.enrol(enrolment(), clock.now)
    (account,) = registry.accounts()
    for name in ("ana", "ben"):
        recipient = Recipient(
            recipient_id=name,
            name=name.title(),
            role=Role.DISPATCHER,
            created_at=clock.now,
            account_id=account.account_id if name == "ana" else None,
        )
        registry.add_recipient(recipient, [Way(step=0, channel=Channel.VOICE, address="+13125550142")])
    asked = {"vehicle_id": "truck-1", "recipient_id": "ben"}
    of_ben = (await person.post("/api/guardians", json=asked)).json()["id"]
    assert (await person.post(f"/api/guardians/{of_ben}/accept")).status_code == 403
    of_ana = (await person.post("/api/guardians", json=asked | {"recipient_id": "ana"})).json()["id"]
    answer = await person.post(f"/api/guardians/{of_ana}/accept")
    assert (answer.status_code, "hold a drill" in answer.json()["detail"]) == (409, True)
    assert (await person.post("/api/recipients/ana/drill")).status_code == 200
    registry.take_pages("tests", clock.now, answer_within=timedelta(seconds=30))
    (drill,) = registry.pages(recipient_id="ana")
    registry.note_receipt(drill.message_id or "", PageState.ACKNOWLEDGED, clock.now, device="telephony")
    assert (await person.post(f"/api/guardians/{of_ana}/accept")).status_code == 200
    (kept,) = (await person.get("/api/guardians")).json()
    assert (kept["recipient_id"], kept["accepted_at_ms"]) == ("ana", clock.ms)
    assert "ana" not in (await person.get("/api/paging")).json()["drills_due"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"time_zone": "Mars/Olympus"}, 422),
        ({"account": "nobody"}, 404),
        ({"vehicle_id": "no-truck"}, 404),
        ({"channels": [{"channel": "webhook", "address": "https://x.example"}]}, 422),
        ({"channels": [{"channel": "sms", "address": "+1"}, {"channel": "sms", "address": "+2"}]}, 422),
    ],
)
async def test_what_makes_no_sense_is_refused(
    person: httpx.AsyncClient, registry: Registry, clock: Any, change: dict[str, Any], status: int
) -> None:
    new: dict[str, Any] = {"recipient_id": "ana", "name": "Ana", "role": "dispatcher", "channels": []}
    answer = await person.post("/api/recipients", json=new | change)
    assert answer.status_code == status, answer.text
    assert registry.recipients(clock.now) == ()


async def test_the_board_says_that_it_sounds_and_gets_what_its_person_is_paged_with(
    person: httpx.AsyncClient, registry: Registry, clock: Any
) -> None:
    (account,) = registry.accounts()
    ana = Recipient(
        recipient_id="ana", name="Ana", role=Role.DISPATCHER, created_at=clock.now, account_id=account.account_id
    )
    registry.add_recipient(ana, [Way(step=0, channel=Channel.BOARD)])
    beat: dict[str, Any] = {"board_id": "b1", "sounding": False, "why": "its sound is off"}

    async def told() -> tuple[list[str], list[str]]:
        registry.judge_reachability(clock.now)
        said = (await person.get("/api/paging")).json()
        return [one["why"] for one in said["unreachable"]], [one["why"] for one in said["silent_boards"]]

    shut = "it is not open, or does not sound"
    assert await told() == ([f"board: {shut}"], [shut])
    await person.post("/api/board/heartbeat", json=beat)
    assert (await told())[1] == ["its sound is off"]
    beat = {"board_id": "b1", "sounding": True}
    assert (await person.post("/api/board/heartbeat", json=beat)).json() == []
    assert await told() == ([], [])
    registry.set_ways("ana", [Way(step=0, channel=Channel.BOARD), Way(step=1, channel=Channel.EMAIL, address="a@b.c")])
    clock.ms += 31_000
    assert await told() == ([], [shut])  # an e-mail may still arrive; that nobody hears the board is said all the same
    assert (await person.post("/api/board/heartbeat", json=beat)).json() == []
    registry.set_ways("ana", [Way(step=0, channel=Channel.BOARD)])
    registry.start_drill("ana", clock.now, by=PROGRAM)
    (handover,) = registry.take_pages("tests", clock.now, answer_within=timedelta(seconds=30))
    assert [board.sounding for board in handover.boards] == [True]
    assert (await person.post(f"/api/board/shown/{'0' * 32}")).status_code == 404
    (page,) = handover.pages
    assert (await person.post(f"/api/board/shown/{page.message_id}")).status_code == 204
    assert registry.pages()[0].state is PageState.SHOWN
    (held,) = (await person.get("/api/recipients/ana/drills")).json()
    assert (held["state"], held["proved_on"], held["steps"]) == ("proved", "board", [["board"]])
    (row,) = (await person.get("/api/recipients")).json()
    assert row["last_drill"] == held
    assert (await person.get("/api/recipients/nobody/drills")).status_code == 404
