"""Incidents planned together come to what each comes to alone: the pages, the history, and who may be told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

from alerts.escalation_kinds import CRITICAL_POLICY
from alerts.paging.outbox import decide
from registry.kinds import Level, Role
from registry.paging_kinds import Channel, PageState
from registry.recipients import Way
from registry.registry import Registry
from telemetry.samples import Provenance

from paging_stage import NOW, mail_way

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from paging_stage import Clock, Road

TRUCKS = [f"truck-{number}" for number in range(4)]


def plan(registry: Registry, cases: Sequence[str], clock: Clock) -> int:
    return registry.plan_cases(
        cases, clock(), decide, from_level=CRITICAL_POLICY.from_level, provenances=frozenset(Provenance)
    )


def kept(registry: Registry) -> dict[str, object]:
    """All that planning kept, but for the numbers of rows."""
    pages = registry.pages(limit=1000)
    cases = {page.case_id for page in pages if page.case_id is not None}
    facts = {case_id: registry.case_facts(case_id) for case_id in cases}
    return {
        "pages": sorted((page.key, page.state, page.due_at, page.reason, page.why) for page in pages),
        "history": {
            page.key: [(each.at, each.state, each.detail) for each in registry.page_events(page.key)] for page in pages
        },
        "happenings": {
            case_id: [(each.source, each.at, each.kind, each.why) for each in case.happenings]
            for case_id, case in facts.items()
        },
        "recipients": {
            case_id: sorted((each.recipient_id, each.role, each.source, each.from_at, each.until_at) for each in mine)
            for case_id, mine in ((case_id, case.recipients) for case_id, case in facts.items())
        },
    }


def act(registry: Registry, clock: Clock, road: Road) -> None:
    """One case hears an answer, one a receipt, one a new pack, and one a close; somebody's duty has begun."""
    alerts = {alert.pack_id: alert for alert in registry.open_alerts()}
    clock.forward(5)
    taken = registry.take_pages("sender", clock(), answer_within=timedelta(seconds=30))
    shown = taken[0].pages[0]
    registry.note_receipt(shown.message_id or "", PageState.SHOWN, clock(), device="phone")
    road.acknowledged(alerts["pack-0"])
    road.raised("pack-extra", vehicle=TRUCKS[2])
    road.closed(alerts["pack-3"])
    clock.forward(65)


def test_cases_planned_together_come_to_what_each_comes_to_alone(
    registry: Registry, clock: Clock, road: Road, tmp_path: Path
) -> None:
    for number, truck in enumerate(TRUCKS):
        road.enrol(f"pack-{number}", truck)
    road.enrol("pack-extra", TRUCKS[2])
    road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"), Way(step=1, channel=Channel.PUSH))
    road.person("sue", Role.SAFETY_LEAD, mail_way("sue@carrier.example"), always_on_duty=False)
    road.person("tms", None, Way(step=0, channel=Channel.MQTT))
    registry.add_duty("sue", NOW, NOW + timedelta(hours=8), entered_by="Ana")
    for number, truck in enumerate(TRUCKS):
        road.raised(f"pack-{number}", vehicle=truck)
    road.raised("pack-1", level=Level.WARNING, cause="rise", vehicle=TRUCKS[1])
    plan(registry, registry.cases_to_plan(), clock)
    act(registry, clock, road)

    with closing(sqlite3.connect(tmp_path / "registry.sqlite")) as connection:
        connection.execute("VACUUM INTO ?", [str(tmp_path / "alone.sqlite")])
    alone = Registry.open(f"sqlite:///{tmp_path / 'alone.sqlite'}")
    cases = sorted(registry.cases_to_plan())  # as rows are numbered, which keys of what systems are told name
    before = kept(registry)
    together = plan(registry, cases, clock)
    assert together == sum(plan(alone, [case_id], clock) for case_id in cases)
    assert together > 0
    assert kept(registry) == kept(alone) != before
    assert plan(registry, cases, clock) == 0
    alone.close()
