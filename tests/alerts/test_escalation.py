"""Escalation: who is paged when, as a table with reasons; and what must hold whatever happens."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import inf, nextafter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.escalation import plan
from alerts.escalation_kinds import (
    CRITICAL_POLICY,
    Acknowledged,
    Acted,
    Case,
    Channel,
    Closed,
    Flagged,
    Raised,
    Recipient,
    Shown,
)
from registry.kinds import Level, Role

DRIVER = Recipient(id="dora", role=Role.DRIVER, channels=((Channel.SIREN, Channel.VOICE), (Channel.PUSH,)))
DISPATCHER = Recipient(id="dan", role=Role.DISPATCHER, channels=((Channel.BOARD,), (Channel.VOICE,)))
SAFETY = Recipient(id="sam", role=Role.SAFETY_LEAD, channels=((Channel.VOICE,), (Channel.SMS,)))
EMERGENCY = Recipient(id="eve", role=Role.EMERGENCY_CONTACT, channels=((Channel.VOICE,),))
EVERYBODY = (DRIVER, DISPATCHER, SAFETY, EMERGENCY)
ROLES = {each.id: each.role for each in EVERYBODY}

AGAIN_S = CRITICAL_POLICY.again_after_s


def raised(at_s, pack_id="p-1", level=Level.CRITICAL):
    return Raised(at_s=at_s, pack_id=pack_id, level=level)


def acknowledged(at_s, role, level=Level.CRITICAL):
    return Acknowledged(at_s=at_s, role=role, level=level)


def all_acknowledged(at_s):
    return [acknowledged(at_s, role) for role in Role]


def shown(at_s, recipient, channel, number=1):
    return Shown(at_s=at_s, key=f"c/{number}/{recipient.role}/{recipient.id}/{channel}")


def flagged(recipient, at_s=-1):
    return Flagged(at_s=at_s, recipient_id=recipient.id, why="the last drill was missed")


def case(*happenings, recipients=EVERYBODY):
    return Case(id="c", recipients=recipients, happenings=happenings)


def told(planned):
    """Each instant and what was due then: "0: dora siren, dora voice, dan board"."""
    lines = {}
    for page in planned.pages:
        lines.setdefault(page.at_s, []).append(f"{page.recipient_id} {page.channel}")
    return [f"{at_s:g}: {', '.join(pages)}" for at_s, pages in lines.items()]


FIRST = "0: dora siren, dora voice, dan board"

TABLE = {
    "nobody answers: the next channel after 10 s, and who is next as soon as all channels failed": (
        [raised(0)],
        179,
        [FIRST, "10: dora push, dan voice", "20: sam voice", "30: sam sms", "40: eve voice"],
    ),
    "nobody answers for three minutes: everyone again": (
        [raised(0)],
        181,
        [FIRST, "10: dora push, dan voice", "20: sam voice", "30: sam sms", "40: eve voice",
         "180: dora siren, dora voice, dan board, sam voice, eve voice"],
    ),
    "devices show it, nobody acknowledges: safety lead at 60 s, emergency contact at 180 s": (
        [raised(0), shown(2, DRIVER, "voice"), shown(3, DISPATCHER, "board"), shown(62, SAFETY, "voice")],
        189,
        [FIRST, "60: sam voice", "180: dora siren, dora voice, dan board, sam voice, eve voice"],
    ),
    "a receipt after 10 s comes too late for the second channel, and in time for who is next": (
        [raised(0), shown(12, DISPATCHER, "board")],
        59,
        [FIRST, "10: dora push, dan voice"],
    ),
    "the driver's acknowledgement stops the driver's channels only": (
        [raised(0), acknowledged(5, Role.DRIVER)],
        45,
        [FIRST, "10: dan voice", "20: sam voice", "30: sam sms", "40: eve voice"],
    ),
    "the dispatcher's stops the dispatcher's only, and who is next comes at the planned time": (
        [raised(0), shown(1, DRIVER, "voice"), acknowledged(5, Role.DISPATCHER)],
        85,
        [FIRST, "60: sam voice", "70: sam sms", "80: eve voice"],
    ),
    "what is due at the very instant of an acknowledgement stays due": (
        [raised(0), acknowledged(10, Role.DISPATCHER)],
        45,
        [FIRST, "10: dora push, dan voice"],
    ),
    "an acknowledgement of less than critical stops nothing": (
        [raised(0), acknowledged(5, Role.DRIVER, Level.WARNING), acknowledged(6, Role.DISPATCHER, Level.WARNING)],
        15,
        [FIRST, "10: dora push, dan voice"],
    ),
    "a rise pages again who had acknowledged": (
        [raised(0), *all_acknowledged(5), raised(30, level=Level.RUNAWAY)],
        39,
        [FIRST, "30: dora siren, dora voice, dan board"],
    ),
    "another pack pages again who had acknowledged": (
        [raised(0), *all_acknowledged(5), raised(70, "p-2")],
        79,
        [FIRST, "70: dora siren, dora voice, dan board, sam voice"],
    ),
    "a stream of packs does not put off the safety lead": (
        [raised(0), shown(1, DRIVER, "siren"), shown(1, DISPATCHER, "board"), raised(50, "p-2"),
         shown(51, DRIVER, "siren", 2), shown(51, DISPATCHER, "board", 2)],
        65,
        [FIRST, "50: dora siren, dora voice, dan board", "60: sam voice"],
    ),
    "a pack that is hot again pages again": (
        [raised(0), *all_acknowledged(5), raised(30)],
        39,
        [FIRST, "30: dora siren, dora voice, dan board"],
    ),
    "all acknowledged, nobody did anything: all again three minutes after the last answer": (
        [raised(0), *all_acknowledged(5)],
        194,
        [FIRST, "185: dora siren, dora voice, dan board, sam voice, eve voice"],
    ),
    "all acknowledged and an action recorded: quiet": (
        [raised(0), *all_acknowledged(5), Acted(at_s=100, role=Role.DISPATCHER)],
        5000,
        [FIRST],
    ),
    "what the driver did is no action of the office": (
        [raised(0), *all_acknowledged(5), Acted(at_s=100, role=Role.DRIVER)],
        194,
        [FIRST, "185: dora siren, dora voice, dan board, sam voice, eve voice"],
    ),
    "an action recorded, the driver has not acknowledged: the driver again, nobody else": (
        [raised(0), shown(1, DRIVER, "voice"), *all_acknowledged(5)[1:], Acted(at_s=9, role=Role.SAFETY_LEAD)],
        185,
        [FIRST, "180: dora siren, dora voice"],
    ),
    "a dispatcher who is flagged is paged all the same, and the safety lead at once": (
        [flagged(DISPATCHER), raised(0), shown(1, DRIVER, "voice"), shown(1, SAFETY, "voice")],
        179,
        ["0: dora siren, dora voice, dan board, sam voice", "10: dan voice"],
    ),
    "who is reachable again is waited for again": (
        [flagged(DISPATCHER, -9), Flagged(at_s=-1, recipient_id="dan", why=None), raised(0)],
        5,
        [FIRST],
    ),
    "dispatcher and safety lead are flagged: the emergency contact at once": (
        [flagged(DISPATCHER), flagged(SAFETY), raised(0), shown(1, DRIVER, "voice")],
        5,
        ["0: dora siren, dora voice, dan board, sam voice, eve voice"],
    ),
    "nobody in the office is reachable: everyone, on every channel": (
        [flagged(DISPATCHER), flagged(SAFETY), flagged(EMERGENCY), raised(0), acknowledged(5, Role.DRIVER)],
        100,
        ["0: dora siren, dora voice, dora push, dan board, dan voice, sam voice, sam sms, eve voice"],
    ),
    "below critical nobody is paged by this policy": ([raised(0, level=Level.WARNING)], 1000, []),
    "closed: quiet; raised again: from the beginning": (
        [raised(0), Closed(at_s=5), raised(1000), shown(1001, DRIVER, "voice", 2), shown(1001, DISPATCHER, "board", 2)],
        1065,
        [FIRST, "1000: dora siren, dora voice, dan board", "1060: sam voice"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_who_is_paged_when(name):
    happenings, now_s, expected = TABLE[name]
    assert told(plan(case(*happenings), now_s)) == expected


REASONS = {
    "0 dora siren": "p-1 is critical",
    "10 dan voice": "p-1 is critical; no device answered within 10 s",
    "20 sam voice": "p-1 is critical; nobody before could be reached",
    "50 dan board": "another pack, p-2 is critical",
    "70 dan board": "p-1 rose to runaway",
    "90 dan board": "p-1 is hot again",
    "270 dan board": "no action was recorded within 180 s",
}


def test_each_page_says_why():
    happenings = [raised(0), raised(50, "p-2"), raised(70, level=Level.RUNAWAY), raised(90)]
    pages = plan(case(*happenings), 275).pages
    found = {f"{page.at_s:g} {page.recipient_id} {page.channel}": page.reason for page in pages}
    assert {key: found.get(key) for key in REASONS} == REASONS
    assert {page.level for page in pages if page.at_s > 70} == {Level.RUNAWAY}
    driver = [raised(0), *all_acknowledged(5)[1:], Acted(at_s=9, role=Role.SAFETY_LEAD)]
    assert plan(case(*driver), 180).pages[-1].reason == "not acknowledged within 180 s"


def test_when_nobody_is_left_it_is_said():
    flags = [flagged(each) for each in (DISPATCHER, SAFETY, EMERGENCY)]
    planned = plan(case(*flags, raised(0)), 1)
    text = "nobody in the office can be reached: everyone is paged on every channel"
    assert [notice.text for notice in planned.notices] == [text]
    assert all(page.reason == f"p-1 is critical; {text}" for page in planned.pages)
    nobody = plan(case(raised(0), recipients=()), 1)
    assert nobody.pages == ()
    assert nobody.notices[0].text.startswith("there is nobody to page")
    one = plan(case(flagged(DISPATCHER), raised(0)), 1)
    assert one.notices[0].text == "no dispatcher is on duty and reachable: the next role is paged at once"


def test_a_roster_that_changes_hands_pages_who_is_on_duty_then():
    early, late = replace(DISPATCHER, until_s=100.0), replace(DISPATCHER, id="lia", from_s=100.0)
    planned = plan(case(raised(0), recipients=(DRIVER, early, late, SAFETY, EMERGENCY)), 185)
    boards = [(page.at_s, page.recipient_id) for page in planned.pages if page.channel is Channel.BOARD]
    assert boards == [(0, "dan"), (180, "lia")]


def test_a_late_answer_takes_back_no_page_that_was_due_for_want_of_an_action():
    happenings = [raised(0), acknowledged(5, Role.DISPATCHER)]
    before = plan(case(*happenings), 250).pages
    assert "185: dora siren, dora voice, dan board, sam voice, eve voice" in told(plan(case(*happenings), 250))
    after = plan(case(*happenings, acknowledged(250, Role.SAFETY_LEAD)), 250).pages
    assert {page.key for page in before} <= {page.key for page in after}


def test_what_is_out_of_order_is_refused():
    with pytest.raises(ValueError, match="order of time"):
        plan(case(raised(5), raised(0)), 10)


@st.composite
def cases(draw):
    """A case in which anything happens, at the same instant too; receipts are of pages that were due."""
    recipients = tuple(each for each in EVERYBODY if each is DRIVER or draw(st.booleans()))
    happenings = [raised(0.0)]
    at_s = 0.0
    kinds = ["raise", "acknowledge", "act", "show", "flag", "close"]
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=10)):
        at_s += draw(st.sampled_from([0, 1, 5, 10, 15, 20, 60, 100, 180, 300]))
        role = draw(st.sampled_from(Role))
        match kind:
            case "raise":
                happening = raised(at_s, draw(st.sampled_from(["p-1", "p-2"])), draw(st.sampled_from(LEVELS)))
            case "acknowledge":
                happening = acknowledged(at_s, role, draw(st.sampled_from([Level.WARNING, *LEVELS])))
            case "act":
                happening = Acted(at_s=at_s, role=role)
            case "show":
                pages = plan(Case(id="c", recipients=recipients, happenings=tuple(happenings)), at_s).pages
                if not pages:
                    continue
                happening = Shown(at_s=at_s, key=draw(st.sampled_from(pages)).key)
            case "flag":
                why = draw(st.sampled_from([None, "the last test call failed"]))
                happening = Flagged(at_s=at_s, recipient_id=draw(st.sampled_from(recipients)).id, why=why)
            case _:
                happening = Closed(at_s=at_s)
        happenings.append(happening)
    return Case(id="c", recipients=recipients, happenings=tuple(happenings))


LEVELS = [Level.CRITICAL, Level.RUNAWAY]


def instants(made):
    """Around each happening, and on for ten minutes."""
    last_s = made.happenings[-1].at_s
    around = {each.at_s + offset for each in made.happenings for offset in (0, 9, 10, 20, 60, 179, 180, 181)}
    return sorted({*around, last_s + 360, last_s + 600})


@settings(deadline=None, max_examples=60)
@given(cases())
def test_nothing_is_sent_twice_and_nothing_that_was_due_is_taken_back(made):
    before = {}
    for at_s in instants(made):
        now = {page.key: page.at_s for page in plan(made, at_s).pages}
        assert len(now) == len(plan(made, at_s).pages)
        assert before.items() <= now.items()
        before = now


@settings(deadline=None, max_examples=60)
@given(cases())
def test_what_happens_at_an_instant_takes_back_nothing_that_was_due_then(made):
    for number in range(1, len(made.happenings)):
        at_s = made.happenings[number].at_s
        without = plan(replace(made, happenings=made.happenings[:number]), at_s).pages
        with_it = plan(replace(made, happenings=made.happenings[: number + 1]), at_s).pages
        assert {(page.key, page.at_s) for page in without} <= {(page.key, page.at_s) for page in with_it}


def is_unanswered(made, at_s):
    """Critical, open, nobody in the office answered within three minutes, nothing recorded since the last trigger."""
    known = [each for each in made.happenings if each.at_s <= at_s]
    closings = [number for number, each in enumerate(known) if isinstance(each, Closed)]
    episode = known[closings[-1] + 1 :] if closings else known
    triggers = [each.at_s for each in episode if isinstance(each, Raised)]
    if not triggers:
        return False
    office = [each for each in episode if isinstance(each, Acknowledged | Acted) and each.role is not Role.DRIVER]
    answered = [each.at_s for each in office if isinstance(each, Acknowledged)]
    acted = [each.at_s for each in office if isinstance(each, Acted) and each.at_s > triggers[-1]]
    return not acted and all(each <= at_s - AGAIN_S for each in answered)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_there_is_never_a_moment_in_which_nobody_is_paged_for_an_unanswered_critical(made):
    moments = [at_s for at_s in instants(made) if is_unanswered(made, at_s)]
    for at_s in moments:
        planned = plan(made, at_s)
        recent = [page for page in planned.pages if at_s - AGAIN_S < page.at_s <= at_s]
        assert recent, at_s
        office = {page.recipient_id for page in recent if page.role is not Role.DRIVER}
        said = [notice.text for notice in planned.notices if at_s - AGAIN_S < notice.at_s <= at_s]
        assert office or any("everyone is paged" in text for text in said), at_s


@settings(deadline=None, max_examples=60)
@given(cases())
def test_the_next_time_is_when_something_comes_due_and_not_before(made):
    for at_s in instants(made):
        planned = plan(made, at_s)
        later = replace(made, happenings=tuple(each for each in made.happenings if each.at_s <= at_s))
        if planned.next_s is None:
            assert plan(later, at_s + 1000).pages == planned.pages
        else:
            assert planned.next_s > at_s
            assert plan(later, nextafter(planned.next_s, -inf)).pages == planned.pages
            assert len(plan(later, planned.next_s).pages) > len(planned.pages)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_what_a_driver_says_or_does_never_changes_what_the_office_is_told(made):
    said = [each for each in made.happenings if not isinstance(each, Shown)]
    without = [each for each in said if not (isinstance(each, Acknowledged | Acted) and each.role is Role.DRIVER)]

    def office(happenings):
        pages = plan(replace(made, happenings=tuple(happenings)), made.happenings[-1].at_s + 600).pages
        return [(page.at_s, page.recipient_id, page.channel) for page in pages if page.role is not Role.DRIVER]

    assert office(said) == office(without)


def test_the_shipped_policy_is_what_is_promised():
    steps = [(step.role, step.after_s) for step in CRITICAL_POLICY.steps]
    assert steps == [
        (Role.DRIVER, 0), (Role.DISPATCHER, 0), (Role.SAFETY_LEAD, 60), (Role.EMERGENCY_CONTACT, 180),
    ]  # fmt: skip
    assert all(later.after_s >= step.after_s for step, later in pairwise(CRITICAL_POLICY.steps))
    assert (CRITICAL_POLICY.receipt_within_s, CRITICAL_POLICY.again_after_s) == (10, 180)
