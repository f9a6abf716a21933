"""While the registry is away people are paged from the copy, and once it is back it knows what they got."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alerts.paging import standby
from registry.kinds import Role
from registry.paging_kinds import Channel, PageState
from registry.recipients import Way
from registry.stand_in import StandIn

from faultline.ports import free_port
from paging_stage import Clock, Road, mail_server, mail_way, until
from postgres import Postgres, opened
from receivers import http_receiver
from standby_stage import watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.registry import Registry

STAGE = Path(__file__).parent / "standby_stage.py"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()
    server.end()


@pytest.fixture
def away(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Registry]:
    """A registry on a PostgreSQL that a test may stop."""
    registry = opened(postgres.database(f"t{abs(hash(request.node.name))}"))
    yield registry
    registry.close()


def hook(port: int) -> Way:
    return Way(step=0, channel=Channel.WEBHOOK, address=f"http://127.0.0.1:{port}/hook", secret="of the hook")


def details(registry: Registry, key: str) -> list[str | None]:
    return [event.detail for event in registry.page_events(key)]


async def test_a_new_critical_is_paged_from_the_copy_and_entered_once_when_the_registry_is_back(
    postgres: Postgres, away: Registry, clock: Clock, tmp_path: Path
) -> None:
    road = Road(away, clock)
    road.enrol("pack-1")
    async with mail_server(free_port()) as box, http_receiver(free_port()) as receiver:
        road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
        road.person("sue", Role.SAFETY_LEAD, hook(receiver.port))
        async with watch(away, tmp_path / "copy.sqlite", box.port, clock) as house:
            postgres.stop()
            entry = house.raised("pack-1")
            await until(lambda: len(box.mails) == 1)
            clock.forward(61)
            await until(lambda: len(receiver.arrivals) == 1)
            assert not entry.done.is_set()
            assert "registry" not in box.mails[0].get_content().lower()
            postgres.start()
            await until(lambda: entry.done.is_set() and not house.standby.paging)
            pages = {page.recipient_id: page for page in away.pages()}
            incident = away.incident_of_alert(entry.change.alert.alert_id)
            assert {page.key for page in pages.values()} == {
                f"{incident.incident_id}/1/dispatcher/ana/e-mail",
                f"{incident.incident_id}/1/safety lead/sue/webhook",
            }
            assert {(page.state, page.may_repeat) for page in pages.values()} == {(PageState.ACCEPTED, False)}
            assert details(away, pages["ana"].key) == ["registry away", "registry away: taken"]
            clock.forward(180)  # nobody has answered: the registry's own desk and sender go on
            await until(lambda: {page.key.split("/")[1] for page in away.pages()} == {"1", "2"})
            await until(lambda: (len(box.mails), len(receiver.arrivals)) == (2, 2))
    away.verify_audit()


async def test_an_escalation_under_way_goes_on_and_an_acknowledgement_counts(
    postgres: Postgres, away: Registry, clock: Clock, tmp_path: Path
) -> None:
    road = Road(away, clock)
    road.enrol("pack-1")
    async with mail_server(free_port()) as box, http_receiver(free_port()) as receiver:
        road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
        road.person("sue", Role.SAFETY_LEAD, hook(receiver.port))
        async with watch(away, tmp_path / "copy.sqlite", box.port, clock) as house:
            alert = house.raised("pack-1").change.alert
            await until(lambda: [page.state for page in house.copy.pages()] == [PageState.ACCEPTED])
            postgres.stop()
            clock.forward(61)
            await until(lambda: len(receiver.arrivals) == 1)
            house.acknowledged(alert, Role.DISPATCHER)
            clock.forward(125)  # three minutes: who has not answered is paged again
            await until(lambda: len(receiver.arrivals) == 2)
            postgres.start()
            await until(lambda: not house.standby.paging)
        assert (len(box.mails), len(receiver.arrivals)) == (1, 2)
        assert [page.may_repeat for page in away.pages()] == [False, False, False]
        assert away.alert(alert.alert_id).acknowledged_by == "Ana"


async def test_what_the_registrys_sender_had_taken_is_not_sent_again_by_a_copy_that_is_behind(
    postgres: Postgres, away: Registry, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    road = Road(away, clock)
    road.enrol("pack-1")
    async with mail_server(free_port()) as box, http_receiver(free_port()) as receiver:
        road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
        road.person("sue", Role.SAFETY_LEAD, hook(receiver.port))
        monkeypatch.setattr(standby, "LEARN_EVERY_S", 60)
        async with watch(away, tmp_path / "copy.sqlite", box.port, clock) as house:
            house.raised("pack-1")
            await until(lambda: [page.state for page in away.pages()] == [PageState.ACCEPTED])
            postgres.stop()
            clock.forward(61)
            await until(lambda: len(receiver.arrivals) == 1)
            postgres.start()
            await until(lambda: not house.standby.paging)
        assert [page.may_repeat for page in away.pages()] == [False, False]
    assert len(box.mails) == 1


async def test_a_registry_that_hangs_counts_as_away(
    registry: Registry, road: Road, clock: Clock, tmp_path: Path
) -> None:
    road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
    async with mail_server(free_port()) as box, watch(registry, tmp_path / "copy.sqlite", box.port, clock) as house:
        other = sqlite3.connect(tmp_path / "registry.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        entry = house.raised("pack-1")
        await until(lambda: len(box.mails) == 1)
        assert not entry.done.is_set()
        other.execute("ROLLBACK")
        other.close()
        await until(lambda: entry.done.is_set() and not house.standby.paging)
        (page,) = registry.pages()
        assert (page.state, page.may_repeat) == (PageState.ACCEPTED, False)
    assert len(box.mails) == 1


async def test_a_registry_that_is_only_quiet_pages_nobody_from_the_copy(
    registry: Registry, road: Road, clock: Clock, tmp_path: Path
) -> None:
    road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
    copy = tmp_path / "copy.sqlite"
    async with mail_server(free_port()) as box, watch(registry, copy, box.port, clock, after_s=60) as house:
        house.raised("pack-1")
        await until(lambda: [page.state for page in registry.pages()] == [PageState.ACCEPTED])
        await until(lambda: [page.state for page in house.copy.pages()] == [PageState.ACCEPTED])
        assert house.copy.sent_pages() == ()
        assert not house.standby.paging


async def test_what_a_kill_cut_off_is_sent_again_and_marked_and_what_was_taken_is_not(
    postgres: Postgres, clock: Clock, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = postgres.database("killed")
    registry = opened(url)
    road = Road(registry, clock)
    road.enrol("pack-1")
    copy = tmp_path / "copy.sqlite"
    async with mail_server(free_port()) as box, http_receiver(free_port()) as receiver:
        road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
        road.person("ben", Role.DISPATCHER, hook(receiver.port))
        registry.close()
        box.hang = asyncio.Event()
        words = (sys.executable, str(STAGE), url, str(copy), str(box.port))
        pipe = asyncio.subprocess.PIPE
        first = await asyncio.create_subprocess_exec(*words, "pack-1", stdin=pipe, stdout=pipe)
        assert await first.stdout.readline() == b"ready\n"
        postgres.stop()
        first.stdin.write(b"\n")
        seen = StandIn.open(f"sqlite:///{copy}")
        await until(lambda: {page.state for page in seen.pages()} == {PageState.HANDED_OVER, PageState.ACCEPTED})
        seen.close()
        first.kill()
        await first.wait()
        box.hang.set()
        postgres.start()
        second = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
        registry = opened(url)
        await until(lambda: {page.state for page in registry.pages()} == {PageState.ACCEPTED})
        pages = {page.recipient_id: page for page in registry.pages()}
        second.kill()
        await second.wait()
        assert len({page.case_id for page in pages.values()}) == len(registry.open_alerts()) == 1
        assert registry.incident(pages["ana"].case_id).level == "critical"
        assert (pages["ana"].may_repeat, pages["ben"].may_repeat) == (True, False)
        assert len({mail["Message-ID"] for mail in box.mails}) == 1
        assert "You may have received this message before." in box.mails[-1].get_content()
        assert len(receiver.arrivals) == 1
    registry.close()
