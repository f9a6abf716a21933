"""Drills by themselves: the decision as a table, and real ones through the outbox and a mail server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from alerts.paging.channels.mail import Mail, MailServer
from alerts.paging.drilling import Drilling
from alerts.paging.drills import DrillAct, DrillPolicy, decide_drill
from dashboards.trips import open_trip
from registry.audit import PROGRAM
from registry.drill_records import Drill, DrillState
from registry.drills import DrillFacts
from registry.kinds import Role
from registry.paging_kinds import Channel, PageState
from registry.paging_records import Duty, Recipient, RecipientChannel
from registry.receipt_tokens import is_receipt_token
from registry.recipients import KnownRecipient, Way
from registry.response_kinds import Language, Situation

from faultline.ports import free_port
from paging_stage import SECRET, mail_server, mail_way, paging, until

if TYPE_CHECKING:
    from registry.paging_records import Page
    from registry.registry import Registry

    from paging_stage import Clock, Road

POLICY = DrillPolicy()
NOON = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
"""12:00 in Chicago."""


def days(number: float) -> timedelta:
    return timedelta(days=number)


def facts(now: datetime = NOON, **given: Any) -> DrillFacts:
    """Ana, a dispatcher in Chicago: push first, then voice; entered long ago, last tested two months ago."""
    person = Recipient(
        recipient_id="ana",
        name="Ana",
        role=Role.DISPATCHER,
        time_zone=given.pop("zone", "America/Chicago"),
        created_at=given.pop("created_at", now - days(90)),
        always_on_duty="duties" not in given,
    )
    tested = given.pop("tested", {})
    ways = tuple(
        RecipientChannel(recipient_id="ana", step=step, channel=channel, tested_at=tested.get(channel))
        for step, channels in enumerate(given.pop("ways", [[Channel.PUSH], [Channel.VOICE]]))
        for channel in channels
    )
    duties = tuple(
        Duty(recipient_id="ana", from_at=from_at, until_at=until_at, entered_by="Sue")
        for from_at, until_at in given.pop("duties", ())
    )
    nothing = {"running": None, "last": None, "busy_with": None, "guards": False, "asked_at": None}
    nothing |= {"on_trip": False, "parked_at": None}
    known = KnownRecipient(recipient=person, ways=ways, devices=(), duties=duties)
    return DrillFacts(known=known, **nothing | given)


def drill(at: datetime, **given: Any) -> Drill:
    row: dict[str, Any] = {
        "started_by": "drills",
        "steps": ["push", "voice"],
        "step_at": at,
        "state": DrillState.PROVED,
    }
    return Drill(drill_id="ana/day", recipient_id="ana", started_at=at, **row | given)


def running(at: datetime, **given: Any) -> Drill:
    return drill(at, **{"state": DrillState.RUNNING} | given)


LAST = drill(NOON - days(28))
QUARTER = timedelta(minutes=15)
NIGHT = NOON + timedelta(hours=14)
"""02:00 in Chicago."""


@pytest.mark.parametrize(
    ("given", "now", "act", "why", "steps"),
    [
        ({"last": LAST}, NOON + QUARTER, "begin", "the last one was on 2026-02-02", "push / voice"),
        ({"last": drill(NOON - days(20))}, NOON, "wait", "due on 2026-03-10", ""),
        ({}, NOON + QUARTER, "begin", "the first one", "push / voice"),
        ({"created_at": NOON}, NOON, "wait", "the first one", ""),
        ({"created_at": NOON - days(8)}, NOON + QUARTER, "begin", "the first one", "push / voice"),
        ({"last": LAST, "busy_with": "i-1"}, NOON, "wait", "incident i-1 is open", ""),
        ({"last": LAST}, NIGHT, "wait", "off duty, or not awake", ""),
        ({"last": LAST, "zone": "Asia/Tokyo"}, NOON, "wait", "off duty, or not awake", ""),
        ({"last": LAST}, NOON + timedelta(hours=7, minutes=45), "wait", "begins between", ""),
        ({"last": LAST, "duties": [(NOON + days(1), NOON + days(2))]}, NOON, "wait", "off duty", ""),
        (
            {"last": LAST, "duties": [(NIGHT - timedelta(hours=10), NIGHT + timedelta(hours=5))]},
            NIGHT,
            "begin",
            "last one",
            "push / voice",
        ),
        ({"last": LAST, "ways": [[Channel.WEBHOOK]]}, NOON, "wait", "no way of this person can prove", ""),
        (
            {"last": LAST, "ways": [[Channel.PUSH, Channel.WEBHOOK], [Channel.EMAIL]]},
            NOON + QUARTER,
            "begin",
            "last one",
            "push / e-mail",
        ),
        (
            {"last": LAST, "tested": {Channel.PUSH: NOON - days(28)}},
            NOON + QUARTER,
            "begin",
            "last one",
            "voice / push",
        ),
        (
            {"last": LAST, "guards": True, "tested": {Channel.VOICE: NOON - days(1)}},
            NOON + QUARTER,
            "begin",
            "last one",
            "voice / push",
        ),
        (
            {"last": drill(NOON - days(5)), "guards": True, "asked_at": NOON - days(1)},
            NOON + QUARTER,
            "begin",
            "asked to guard a vehicle, and no phone was proved",
            "voice / push",
        ),
        (
            {"last": drill(NOON - days(1)), "guards": True, "asked_at": NOON - days(2)},
            NOON,
            "wait",
            "due on 2026-03-29",
            "",
        ),
        (
            {
                "last": drill(NOON - days(5)),
                "guards": True,
                "asked_at": NOON - days(1),
                "tested": {Channel.VOICE: NOON - days(5)},
            },
            NOON,
            "wait",
            "due on 2026-03-25",
            "",
        ),
        ({"running": running(NOON)}, NOON + QUARTER - timedelta(seconds=1), "wait", "a proof may come until", ""),
        ({"running": running(NOON)}, NOON + QUARTER, "go on", "no proof on push", ""),
        ({"running": running(NOON, step=1)}, NOON + QUARTER, "miss", "no proof on push, voice", ""),
        ({"running": running(NOON), "busy_with": "i-1"}, NOON, "put off", "incident i-1 is open", ""),
        ({"running": running(NOON)}, NOON + QUARTER * 3, "put off", "the alert service was away", ""),
        ({"last": LAST, "on_trip": True}, NOON, "wait", "may be driving", ""),
        ({"last": LAST, "on_trip": True, "parked_at": NOON - QUARTER * 3}, NOON, "wait", "may be driving", ""),
        (
            {"last": LAST, "on_trip": True, "parked_at": NOON + timedelta(hours=3)},
            NOON + QUARTER,
            "begin",
            "last one",
            "push / voice",
        ),
        ({"running": running(NOON), "on_trip": True}, NOON, "put off", "may be driving", ""),
        ({"running": running(NOON, started_by="sue"), "busy_with": "i-1"}, NOON, "wait", "a proof may come", ""),
    ],
    ids=[
        "28 days after the last one, the next begins in waking hours",
        "before 28 days are over nothing begins",
        "who never had one and was entered long ago gets one",
        "who was just entered gets it within a week, not at once",
        "after a week everybody's first is due",
        "while an incident of theirs is open none begins",
        "none begins at night in the person's own zone",
        "noon in Chicago is night in Tokyo",
        "none begins so late that its last way would be tried at night",
        "who is on the roster gets none off duty",
        "who is on the roster at night gets it then, since duty is awake",
        "who has no way that could prove anything gets none, and the reason says so",
        "ways that can prove nothing are left out",
        "the way that was proved the longest ago goes first",
        "of a guardian the phone goes first, however lately it was proved",
        "who was asked to guard and has no proved phone is tested soon",
        "but once only for that asking",
        "and not where the phone is proved",
        "until the time for a proof is over nothing happens",
        "without a proof the next way follows",
        "without a proof on the last way it is missed",
        "an incident that opens puts it off",
        "a service that was away does not go on hours later",
        "nobody is tested who may be driving",
        "a driver's word that the vehicle stands holds for half an hour",
        "a driver who has said so gets it",
        "one that runs is put off when the driver may be driving again",
        "one that a person asked for goes on beside an incident",
    ],
)
def test_what_is_due_and_why(given: dict[str, Any], now: datetime, act: str, why: str, steps: str) -> None:
    given = dict(given)
    if act == "begin":  # past a person's own share of the room in these hours
        now += timedelta(hours=3)
    decision = decide_drill(facts(**given), now, POLICY)
    assert (decision.act, " / ".join(",".join(step) for step in decision.steps)) == (act, steps)
    assert why in decision.why


def test_people_entered_together_are_spread_over_a_week_and_over_their_hours() -> None:
    first_on, begins = set(), set()
    for number in range(60):
        name = f"person-{number}"
        given = facts(created_at=NOON)
        given.known.recipient.recipient_id = name
        at = next(
            at
            for step in range(7 * 24 * 4 + 96)
            if decide_drill(given, at := NOON + QUARTER * step, POLICY).act is DrillAct.BEGIN
        )
        assert at <= NOON + days(8)
        first_on.add((at - timedelta(hours=6)).date())
        begins.add(at)
    assert len(first_on) >= 7
    assert len(begins) > 30


async def test_a_drill_goes_from_way_to_way_and_who_answers_none_is_flagged_until_a_late_answer(
    registry: Registry, road: Road, clock: Clock
) -> None:
    clock.at = NOON + timedelta(hours=3)
    ways = (mail_way("ana@carrier.example"), Way(step=1, channel=Channel.BOARD))
    road.person("ana", Role.DISPATCHER, *ways, time_zone="America/Chicago", language="es")
    clock.forward(8 * 86_400)
    async with mail_server(free_port()) as box:
        channels = {Channel.EMAIL: Mail(MailServer(host="127.0.0.1", port=box.port, sender="p@carrier.example"))}
        async with paging(registry, channels, clock) as (_, sender):
            drilling = Drilling(registry, POLICY, now=clock, queued=sender.wake)
            drilling.look()
            drilling.look()  # again, or another process: nothing twice
            await until(lambda: len(box.mails) == 1)
            assert box.mails[0]["Subject"].startswith("Simulacro: ")
            language, message_id, token = box.mails[0].get_content().partition("/d#")[2].strip().split(".")
            assert (language, is_receipt_token(SECRET, message_id, token)) == ("es", True)
            clock.forward(900)
            drilling.look()
            (kept,) = registry.drills("ana")
            assert (kept.step, kept.why) == (1, "no proof on e-mail")
            clock.forward(900)
            drilling.look()
            (kept,) = registry.drills("ana")
            assert (kept.state, kept.why) == (DrillState.MISSED, "no proof on e-mail, board")
            assert registry.judge_reachability(clock()) == ("ana",)
            assert "no proof on e-mail" in (registry.recipient("ana", clock()).recipient.unreachable_why or "")
            assert len(box.mails) == 1
    registry.note_receipt(message_id, PageState.ACKNOWLEDGED, clock(), device="link")
    (kept,) = registry.drills("ana")
    assert (kept.state, kept.proved_on) == (DrillState.PROVED, Channel.EMAIL)
    assert registry.judge_reachability(clock()) == ("ana",)
    assert registry.recipient("ana", clock()).recipient.unreachable_why is None
    told = [row["action"] for row in registry.audit_rows() if row["subject"].startswith("drill/")]
    assert told == ["begin drill", "go on with drill", "drill missed", "drill proved"]


def taken(registry: Registry, clock: Clock) -> tuple[Page, ...]:
    handovers = registry.take_pages("tests", clock(), answer_within=timedelta(seconds=30))
    return tuple(page for handover in handovers for page in handover.pages)


def test_a_call_that_a_machine_answers_proves_nothing_and_a_key_proves_a_guardian_s_phone(
    registry: Registry, road: Road, clock: Clock
) -> None:
    road.person("max", Role.DRIVER, Way(step=0, channel=Channel.VOICE, address="+13125550142"))
    guardian = registry.propose_guardian("truck-1", "max", clock(), proposed_by="Sue")
    registry.begin_drill("max", [[Channel.VOICE]], clock(), why="asked")
    (page,) = taken(registry, clock)
    registry.note_receipt(page.message_id or "", PageState.SHOWN, clock(), device="telephony")
    assert registry.drills("max")[0].state is DrillState.RUNNING
    with pytest.raises(Exception, match="no phone of this person was proved"):
        registry.accept_guardian(guardian.id, clock())
    registry.note_receipt(page.message_id or "", PageState.ACKNOWLEDGED, clock(), device="telephony")
    assert registry.drills("max")[0].state is DrillState.PROVED
    assert registry.accept_guardian(guardian.id, clock()).accepted_at == clock()
    clock.forward(86_400)
    registry.note_receipt(page.message_id or "", PageState.ACKNOWLEDGED, clock(), device="replayed")
    assert registry.recipient("max", clock()).ways[0].tested_at == clock() - days(1)


def test_an_incident_puts_a_drill_off_and_what_was_not_sent_is_not_sent(
    registry: Registry, road: Road, clock: Clock
) -> None:
    road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
    registry.begin_drill("ana", [[Channel.EMAIL]], clock(), why="due")
    assert registry.end_drill("ana/2026-03-01", DrillState.PUT_OFF, clock(), why="incident i-1 is open")
    assert not registry.end_drill("ana/2026-03-01", DrillState.MISSED, clock(), why="late")
    assert taken(registry, clock) == ()
    assert registry.drill_facts(clock())[0].last is None
    assert registry.begin_drill("ana", [[Channel.EMAIL]], clock(), why="due") == ()  # not twice on one day
    clock.forward(86_400)
    assert len(registry.begin_drill("ana", [[Channel.EMAIL]], clock(), why="due")) == 1


async def test_whoever_is_paged_about_an_open_incident_is_busy(registry: Registry, road: Road, clock: Clock) -> None:
    road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
    alert = road.raised()
    async with paging(registry, {}, clock):
        await until(lambda: bool(registry.pages()))
    assert registry.drill_facts(clock())[0].busy_with is not None
    road.closed(alert)
    assert registry.drill_facts(clock())[0].busy_with is None
    registry.start_drill("ana", clock(), by=PROGRAM)
    assert registry.drill_facts(clock())[0].running is not None


def test_a_driver_on_a_trip_is_tested_only_after_saying_that_the_vehicle_stands(
    registry: Registry, road: Road, clock: Clock
) -> None:
    trip = open_trip(registry, vehicle_id="truck-1", driver_name="Luz", language=Language.ES, now=clock())
    facts = {each.known.recipient.role: each for each in registry.drill_facts(clock())}[Role.DRIVER]
    assert (facts.on_trip, facts.parked_at) == (True, None)
    for situation, at in ((Situation.PARKED, clock()), (Situation.SLEEPING, None)):
        registry.set_trip_situation(trip.trip_id, situation, clock())
        assert registry.drill_facts(clock())[0].parked_at == at
