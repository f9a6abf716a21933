"""A copy that pages while the registry is away: what it takes over, and what the registry takes in from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from registry.audit import PROGRAM
from registry.copies import SentPage
from registry.errors import NotFoundError
from registry.kinds import Level, Role
from registry.paging_kinds import Channel, PageKind, PageState
from registry.paging_records import Page, PageEvent
from registry.registry import Registry
from registry.stand_in import StandIn

from paging_stage import Clock, Road, mail_way

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    registry = Registry.open(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    made = Road(registry, Clock())
    made.enrol("pack-1")
    made.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
    yield made
    registry.close()


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[StandIn]:
    opened = StandIn.open(f"sqlite:///{tmp_path / 'standby.sqlite'}")
    yield opened
    opened.close()


def learn(copy: StandIn, registry: Registry, now: datetime) -> None:
    cases = registry.cases_to_copy(now, ())
    copy.learn_directory(registry.directory_rows())
    copy.learn_cases(cases, registry.case_rows(cases, ()))


def sent(key: str = "i/1/dispatcher/ana/e-mail", recipient: str = "ana", *states: PageState) -> SentPage:
    states = states or (PageState.HANDED_OVER, PageState.ACCEPTED)
    page = Page(
        key=key,
        page_id=key.replace("/", "."),
        kind=PageKind.ALERT,
        case_id="i",
        recipient_id=recipient,
        role=Role.DISPATCHER,
        channel=Channel.EMAIL,
        level=Level.CRITICAL,
        reason="pack-1 is critical",
        due_at=NOW,
        created_at=NOW,
        state=states[-1],
        attempts=1,
        next_at=NOW if states[-1] is PageState.HANDED_OVER else None,
        handed_over_at=NOW,
        accepted_at=NOW if states[-1] is PageState.ACCEPTED else None,
    )
    events = [
        PageEvent(key=key, at=NOW + timedelta(seconds=i), state=state, attempt=1) for i, state in enumerate(states)
    ]
    return SentPage(page=page, events=tuple(events))


def history(registry: Registry) -> list[tuple[str, str | None]]:
    (page,) = registry.pages()
    return [(event.state, event.detail) for event in registry.page_events(page.key)]


def test_the_file_is_for_its_owner_only_and_knows_where_to_reach_people(
    road: Road, copy: StandIn, tmp_path: Path
) -> None:
    road.raised()
    learn(copy, road.registry, NOW)
    assert (tmp_path / "standby.sqlite").stat().st_mode & 0o777 == 0o600
    (known,) = copy.recipients(NOW)
    assert [way.address for way in known.ways] == ["ana@carrier.example"]
    assert [alert.pack_id for alert in copy.open_alerts()] == ["pack-1"]


def test_what_changed_since_is_told(road: Road) -> None:
    before = road.registry.copy_news(0, -1)
    assert before.directory
    assert not road.registry.copy_news(before.end, before.revision).directory
    alert = road.raised()
    news = road.registry.copy_news(before.end, before.revision)
    assert news.cases == (road.registry.incident_of_alert(alert.alert_id).incident_id,)
    assert not news.directory
    road.person("ben", Role.SAFETY_LEAD, mail_way("ben@carrier.example"))
    assert road.registry.copy_news(news.end, news.revision).directory


def test_a_vehicle_whose_trouble_began_anew_belongs_to_the_new_incident(road: Road, copy: StandIn) -> None:
    road.closed(road.raised())
    learn(copy, road.registry, road.clock())
    road.clock.forward(15 * 86_400 - 60)  # past the time in which it would open again, and still copied
    road.raised()
    learn(copy, road.registry, road.clock())
    old, new = sorted(copy.incidents(), key=lambda each: each.opened_at)
    again = road.registry.incident_of_alert(copy.open_alerts()[0].alert_id)
    assert (old.incident_id != new.incident_id, new.incident_id) == (True, again.incident_id)


def test_other_fleets_are_not_copied(road: Road, copy: StandIn) -> None:
    road.raised()
    assert road.registry.cases_to_copy(NOW, ["fleet-2"]) == ()
    cases = road.registry.cases_to_copy(NOW, ["fleet-1"])
    copy.learn_cases(cases, road.registry.case_rows(cases, ["fleet-2"]))
    assert not copy.knows_cases()


def test_what_a_copy_sent_is_entered_once_with_its_steps(road: Road) -> None:
    road.registry.enter_pages([sent()])
    road.registry.enter_pages([sent()])
    assert history(road.registry) == [("handed over", "registry away"), ("accepted", "registry away")]
    (page,) = road.registry.pages()
    assert (page.state, page.may_repeat) == (PageState.ACCEPTED, False)
    road.registry.verify_audit()


def test_what_is_in_a_channels_hands_gets_its_outcome_later(road: Road) -> None:
    road.registry.enter_pages([sent("k", "ana", PageState.HANDED_OVER)])
    assert road.registry.pages()[0].state is PageState.HANDED_OVER
    road.registry.enter_pages([sent("k", "ana", PageState.HANDED_OVER, PageState.ACCEPTED)])
    assert road.registry.pages()[0].state is PageState.ACCEPTED
    assert [state for state, _ in history(road.registry)] == ["handed over", "accepted"]


def test_what_went_out_on_both_sides_is_marked(road: Road) -> None:
    (drill,) = road.registry.start_drill("ana", NOW, by=PROGRAM)
    road.registry.take_pages("here", NOW + timedelta(seconds=3), answer_within=timedelta(seconds=30))
    road.registry.enter_pages([sent(drill.key)])
    (page,) = road.registry.pages()
    assert (page.holder, page.may_repeat) == ("here", True)


def test_a_page_to_nobody_is_refused(road: Road) -> None:
    with pytest.raises(NotFoundError):
        road.registry.enter_pages([sent("k", "nobody")])
