"""A review is changed by version, loses no text, and is closed by two people of safety."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from registry.errors import ConflictError, NotFoundError, RefusedError
from registry.incident_records import Incident
from registry.kinds import IncidentState, Level, Role
from registry.review_records import Attachment, CauseClass, EntryKind, Rerun, ReviewState, TimeStamp
from registry.reviews import EntryText
from registry.roles import Hand
from telemetry.samples import Provenance

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def hands(registry):
    accounts = [
        registry.create_account(name=name, display_name=name, now=NOW, role="safety", password_hash="x")
        for name in ("ida", "omar")
    ]
    return [Hand(account_id=each.account_id, by=each.display_name, role=Role.SAFETY_LEAD, now=NOW) for each in accounts]


@pytest.fixture
def incident(registry):
    record = Incident(
        incident_id="i1",
        fleet_id="fleet-1",
        cause="ceiling",
        title="Truck 1",
        provenance=Provenance.MEASURED,
        state=IncidentState.OPEN,
        level=Level.CRITICAL,
        opened_at=NOW,
    )
    registry._write(lambda session: session.add(record))
    return "i1"


def finding(registry, incident, hand, entry_id="e1", text="probe 3 led by 9 degC"):
    return registry.write_entry(incident, hand, entry_id, EntryKind.FINDING, EntryText(text=text), version=None)


def signable(registry, incident, hand):
    whole = finding(registry, incident, hand)
    return registry.classify_cause(
        incident, hand, version=whole.review.version, cause=CauseClass.CELL_DEFECT, note="vented"
    )


def test_a_review_that_nobody_began_is_open_and_empty(registry, incident):
    whole = registry.review(incident)
    assert (whole.review.state, whole.review.version, whole.entries) == (ReviewState.OPEN, 1, ())
    with pytest.raises(NotFoundError):
        registry.review("other")


def test_two_people_of_safety_close_it(registry, incident, hands):
    ida, omar = hands
    whole = signable(registry, incident, ida)
    once = registry.sign_review(incident, ida, version=whole.review.version)
    assert (once.review.state, once.review.signed_by) == (ReviewState.SIGNED, "ida")
    with pytest.raises(RefusedError, match="somebody else of safety has to sign second"):
        registry.sign_review(incident, ida, version=once.review.version)
    twice = registry.sign_review(incident, omar, version=once.review.version)
    assert (twice.review.state, twice.review.countersigned_by) == (ReviewState.CLOSED, "omar")
    with pytest.raises(RefusedError, match="reopen it first"):
        finding(registry, incident, omar, "e2")
    with pytest.raises(RefusedError, match="both signatures"):
        registry.sign_review(incident, ida, version=twice.review.version)
    again = registry.reopen_review(incident, ida, version=twice.review.version, reason="smoke again")
    assert (again.review.state, again.review.signed_by, again.review.countersigned_by) == (ReviewState.OPEN, None, None)


@pytest.mark.parametrize(("lacks", "says"), [("cause", "cause is not classified"), ("finding", "no finding yet")])
def test_what_is_missing_is_not_signed(registry, incident, hands, lacks, says):
    ida, _ = hands
    if lacks == "cause":
        whole = finding(registry, incident, ida)
    else:
        whole = registry.classify_cause(incident, ida, version=1, cause=CauseClass.WATER, note="")
    with pytest.raises(RefusedError, match=says):
        registry.sign_review(incident, ida, version=whole.review.version)


def test_a_change_takes_the_first_signature_off(registry, incident, hands):
    ida, omar = hands
    whole = signable(registry, incident, ida)
    registry.sign_review(incident, ida, version=whole.review.version)
    changed = finding(registry, incident, omar, "e2", "water in the tray")
    assert (changed.review.state, changed.review.signed_by) == (ReviewState.OPEN, None)


def test_of_two_who_edit_at_once_the_second_is_told_what_stands_there(registry, incident, hands):
    ida, omar = hands
    (entry,) = finding(registry, incident, ida, text="first").entries
    change = replace(EntryText(text=""), text="ida's words")
    registry.write_entry(incident, ida, "e1", EntryKind.FINDING, change, version=entry.version)
    with pytest.raises(ConflictError, match=r"ida changed this entry meanwhile.*It now says: ida's words"):
        registry.write_entry(incident, omar, "e1", EntryKind.FINDING, EntryText(text="omar's"), version=entry.version)
    assert registry.review(incident).entries[0].text == "ida's words"
    kept = [row["detail"] for row in registry.audit_rows(subject="incident/i1")]
    assert [(each.get("text_before"), each["text"]) for each in kept] == [(None, "first"), ("first", "ida's words")]


def test_another_version_of_the_review_keeps_nothing(registry, incident, hands):
    ida, omar = hands
    registry.classify_cause(incident, ida, version=1, cause=CauseClass.WATER, note="wet")
    with pytest.raises(ConflictError, match="somebody changed it meanwhile"):
        registry.classify_cause(incident, omar, version=1, cause=CauseClass.FALSE_ALARM, note="")
    assert registry.review(incident).review.cause is CauseClass.WATER


def test_what_is_removed_stays_in_the_audit_log(registry, incident, hands):
    ida, _ = hands
    (entry,) = finding(registry, incident, ida).entries
    assert registry.remove_entry(incident, ida, "e1", version=entry.version).entries == ()
    assert registry.audit_rows(subject="incident/i1")[-1]["detail"]["text_before"] == entry.text
    with pytest.raises(NotFoundError, match="somebody may have removed it"):
        registry.remove_entry(incident, ida, "e1", version=entry.version)


def test_a_corrective_action_has_an_owner_and_is_done_once(registry, incident, hands):
    ida, omar = hands
    text = EntryText(text="ask the shop", due_at=NOW + timedelta(days=7))
    with pytest.raises(RefusedError, match="needs an owner"):
        registry.write_entry(incident, ida, "e1", EntryKind.ACTION, text, version=None)
    with pytest.raises(NotFoundError):
        registry.write_entry(incident, ida, "e1", EntryKind.ACTION, replace(text, owner_id="nobody"), version=None)
    owned = replace(text, owner_id=omar.account_id)
    registry.write_entry(incident, ida, "e1", EntryKind.ACTION, owned, version=None)
    done = registry.write_entry(incident, omar, "e1", EntryKind.ACTION, replace(owned, done=True), version=1)
    later = replace(ida, now=NOW + timedelta(hours=1))
    edited = registry.write_entry(incident, later, "e1", EntryKind.ACTION, replace(owned, done=True), version=2)
    assert [(each.entries[0].done_by, each.entries[0].done_at) for each in (done, edited)] == [("omar", NOW)] * 2
    with pytest.raises(RefusedError, match="only a corrective action"):
        registry.write_entry(incident, ida, "e2", EntryKind.FINDING, owned, version=None)


def test_the_same_file_again_changes_nothing(registry, incident, hands):
    file = Attachment(
        incident_id=incident,
        sha256="ab" * 32,
        name="a.jpg",
        media_type="image/jpeg",
        size=3,
        added_by="i",
        added_at=NOW,
    )
    registry.attach(file, hands[0])
    file.name = "b.jpg"
    assert [each.name for each in registry.attach(file, hands[1]).attachments] == ["a.jpg"]


def test_reruns_and_time_stamps_are_kept(registry, incident, hands):
    rerun = Rerun(
        rerun_id="r1", incident_id=incident, at=NOW, by="ida", rules_version=3, rules_hash="cd" * 32, rules="",
        from_at=NOW, to_at=NOW, outcome="{}",
    )  # fmt: skip
    assert [each.rules_version for each in registry.add_rerun(rerun, hands[0]).reruns] == [3]
    for sequence in (2, 5):
        registry.add_time_stamp(
            TimeStamp(sequence=sequence, hash="ef" * 32, authority="http://x", stamped_at=NOW, response=b"\x30")
        )
    assert [each.sequence for each in registry.time_stamps(from_sequence=3)] == [5]
