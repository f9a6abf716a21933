"""Reports to authorities: what the answers propose, what a person decides, and the time left."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboards.duties import DutyState, check_step, checklist
from dashboards.us_rules import UsRules, us_rules
from registry.errors import RefusedError
from registry.trip_records import DutyAction, DutyEvent

OCCURRED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DISCOVERED = OCCURRED + timedelta(minutes=5)
NOW = OCCURRED + timedelta(hours=2)
ANSWER, CONFIRM, REJECT, REPORT = DutyAction.ANSWER, DutyAction.CONFIRM, DutyAction.REJECT, DutyAction.REPORT


def event(action, item="", value=None, comment=None):
    return DutyEvent(incident_id="i", at=NOW, actor="ana", action=action, item=item, value=value, comment=comment)


def all_no():
    return [event(ANSWER, each.key, "no") for each in us_rules().conditions]


def states(events):
    found = checklist(us_rules(), events, occurred_at=OCCURRED, discovered_at=DISCOVERED, now=NOW)
    return {each.report.key: str(each.state) for each in found.reports}


TABLE = [
    ("nothing answered", [], "ask", "ask"),
    ("a person is in hospital", [event(ANSWER, "hospital", "yes")], "proposed", "proposed"),
    ("a battery burnt: that alone is written only", [event(ANSWER, "battery", "yes")], "ask", "proposed"),
    ("nobody knows yet", [event(ANSWER, "hospital", "unknown")], "ask", "ask"),
    ("all answered with no", all_no(), "not due", "not due"),
    ("an answer is corrected", [*all_no(), event(ANSWER, "closure", "yes")], "proposed", "proposed"),
    ("... and back", [event(ANSWER, "closure", "yes"), *all_no()], "not due", "not due"),
    ("a person confirms", [event(CONFIRM, "telephone")], "confirmed", "ask"),
    ("... and has called", [event(CONFIRM, "telephone"), event(REPORT, "telephone")], "reported", "ask"),
    ("a person rejects", [event(REJECT, "written", comment="no heat")], "ask", "rejected"),
    (
        "what was rejected before a condition held is to be decided again",
        [event(REJECT, "telephone", comment="-"), event(ANSWER, "killed", "yes")],
        "proposed",
        "proposed",
    ),
    (
        "a person may reject against the answers",
        [event(ANSWER, "killed", "yes"), event(REJECT, "telephone", comment="of another cause")],
        "rejected",
        "proposed",
    ),
]


@pytest.mark.parametrize(("why", "events", "telephone", "written"), TABLE, ids=[row[0] for row in TABLE])
def test_where_the_reports_stand(why, events, telephone, written):
    assert states(events) == {"telephone": telephone, "written": written}


def test_the_telephone_runs_from_the_occurrence_and_the_form_from_the_discovery():
    found = checklist(us_rules(), [], occurred_at=OCCURRED, discovered_at=DISCOVERED, now=NOW)
    due = {each.report.key: (each.due_at, each.left_s) for each in found.reports}
    assert due == {
        "telephone": (OCCURRED + timedelta(hours=12), 10 * 3600),
        "written": (
            DISCOVERED + timedelta(days=30),
            (timedelta(days=30, minutes=5) - timedelta(hours=2)).total_seconds(),
        ),
    }


def test_a_person_sets_when_it_occurred_and_was_discovered():
    events = [
        event(DutyAction.OCCURRED, value="2026-02-28T20:00:00+00:00"),
        event(DutyAction.DISCOVERED, value="2026-03-01T13:00:00+01:00"),
    ]
    found = checklist(us_rules(), events, occurred_at=OCCURRED, discovered_at=DISCOVERED, now=NOW)
    assert found.occurred_at == datetime(2026, 2, 28, 20, 0, tzinfo=UTC)
    assert found.discovered_at == OCCURRED
    telephone = next(each for each in found.reports if each.report.key == "telephone")
    assert telephone.left_s == -6 * 3600  # overdue is told, not hidden


REFUSED = [
    ("a condition that there is not", event(ANSWER, "weather", "yes"), "no condition"),
    ("an answer that is none", event(ANSWER, "killed", "perhaps"), "yes, no or unknown"),
    ("a report that there is not", event(CONFIRM, "fax"), "no report"),
    ("a rejection without a reason", event(REJECT, "written", comment="  "), "say why"),
    ("a time that is none", event(DutyAction.OCCURRED, value="yesterday"), "write the time"),
    ("a time without its zone", event(DutyAction.OCCURRED, value="2026-03-01T10:00:00"), "zone"),
    ("a time to come", event(DutyAction.DISCOVERED, value="2026-03-02T12:00:00Z"), "future"),
    ("a time long before", event(DutyAction.OCCURRED, value="2016-03-02T12:00:00Z"), "more than a year"),
]


@pytest.mark.parametrize(("why", "step", "refusal"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_step_that_makes_no_sense_is_refused(why, step, refusal):
    with pytest.raises(RefusedError, match=refusal):
        check_step(us_rules(), step, opened_at=OCCURRED, now=NOW)


def test_every_fact_names_its_paragraph_and_every_condition_of_both_sections_is_there():
    rules = us_rules()
    cited = {each.citation for each in (*rules.conditions, *rules.not_asked)}
    immediate = {f"49 CFR 171.15(b)(1)({roman})" for roman in ("i", "ii", "iii", "iv", "v")}
    immediate |= {f"49 CFR 171.15(b)({number})" for number in (2, 3, 4, 5, 6)}
    assert cited == immediate | {f"49 CFR 171.16(a)({number})" for number in (2, 3, 4, 5)}


def test_a_report_that_asks_what_there_is_not_is_refused():
    content = us_rules().model_dump()
    content["reports"][0]["asks"] = ("weather",)
    with pytest.raises(ValueError, match="weather"):
        UsRules.model_validate(content)


def test_the_states_are_those_that_the_api_names():
    assert {str(each) for each in DutyState} == {"ask", "proposed", "not due", "confirmed", "rejected", "reported"}
