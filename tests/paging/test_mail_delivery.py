"""From a critical alert in the registry to a real mail server, and what is kept about it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from alerts.paging.channels.mail import Mail, MailServer
from registry.kinds import Level, Role
from registry.paging_kinds import Channel, PageState
from registry.recipients import Way
from telemetry.samples import Provenance

from faultline.ports import free_port
from paging_stage import Clock, Road, mail_server, mail_way, paging, until

if TYPE_CHECKING:
    from registry.paging_records import Page
    from registry.registry import Registry


def mail_to(port: int) -> dict[Channel, Mail]:
    return {Channel.EMAIL: Mail(MailServer(host="127.0.0.1", port=port, sender="packwatch@carrier.example"))}


def states(registry: Registry) -> list[PageState]:
    return [page.state for page in registry.pages()]


async def test_a_critical_reaches_the_dispatcher_by_mail_and_every_step_is_kept(
    registry: Registry, road: Road, clock: Clock
) -> None:
    road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"), language="es", time_zone="America/Chicago")
    alert = road.raised()
    async with mail_server(free_port()) as box, paging(registry, mail_to(box.port), clock):
        await until(lambda: states(registry) == [PageState.ACCEPTED])
    (mail,) = box.mails
    (page,) = registry.pages()
    assert mail["To"] == "ana@carrier.example"
    assert mail["Subject"] == "CRÍTICO: batería pack-1 en Truck 1"
    assert mail["Message-ID"].startswith(f"<{page.message_id}@")
    text = mail.get_content()
    assert "probe 2 is 91.0 degC, above 80 degC" in text
    assert "2026-03-01 06:00:00 CST (America/Chicago)" in text
    incident = registry.incident_of_alert(alert.alert_id)
    assert page.key == f"{incident.incident_id}/1/dispatcher/ana/e-mail"
    assert [event.state for event in registry.page_events(page.key)] == ["queued", "handed over", "accepted"]
    logged = [row["action"] for row in registry.audit_rows(subject=f"page/{page.page_id}")]
    assert logged == ["queued", "handed over", "accepted"]
    registry.verify_audit()


async def test_steps_follow_and_an_acknowledgement_stops_its_own_role(
    registry: Registry, road: Road, clock: Clock
) -> None:
    road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
    road.person("sue", Role.SAFETY_LEAD, mail_way("sue@carrier.example"))
    alert = road.raised()
    async with mail_server(free_port()) as box, paging(registry, mail_to(box.port), clock) as (desk, _):
        await until(lambda: len(box.mails) == 1)
        clock.forward(5)
        road.acknowledged(alert)
        await desk.look()
        clock.forward(56)
        desk.observe_alert(alert)
        await until(lambda: [mail["To"] for mail in box.mails] == ["ana@carrier.example", "sue@carrier.example"])
        clock.forward(400)
        desk.observe_alert(alert)
        await until(lambda: len(box.mails) >= 4)  # nobody recorded an action: both again
    assert {page.role for page in registry.pages()} == {Role.DISPATCHER, Role.SAFETY_LEAD}


async def test_packs_of_one_vehicle_that_fail_together_are_one_mail_behind_the_first(
    registry: Registry, road: Road, clock: Clock
) -> None:
    road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
    async with mail_server(free_port()) as box:
        box.hang = asyncio.Event()
        async with paging(registry, mail_to(box.port), clock) as (desk, _):
            road.raised("pack-1")
            desk.observe_alert(road.raised("pack-2"))
            await until(lambda: len(registry.pages()) == 2)
            box.hang.set()
            await until(lambda: set(states(registry)) == {PageState.ACCEPTED})
    assert len(box.mails) <= 2
    assert "1 more" in box.mails[-1]["Subject"]


async def test_what_was_not_measured_pages_nobody_unless_it_is_wanted_and_then_says_so(
    registry: Registry, road: Road, clock: Clock
) -> None:
    road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
    road.raised(provenance=Provenance.SIMULATED)
    async with mail_server(free_port()) as box:
        async with paging(registry, mail_to(box.port), clock) as (desk, _):
            assert await desk.look() == 0
        async with paging(registry, mail_to(box.port), clock, page_simulated=True):
            await until(lambda: len(box.mails) == 1)
    assert box.mails[0]["Subject"].startswith("SIMULATED ")


async def test_below_critical_nobody_is_paged(registry: Registry, road: Road, clock: Clock) -> None:
    road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
    road.raised(level=Level.WARNING)
    async with paging(registry, {}, clock) as (desk, _):
        assert await desk.look() == 0
    assert registry.pages() == ()


async def test_a_refused_address_is_given_up_and_named_and_a_busy_server_is_tried_again(
    registry: Registry, road: Road, clock: Clock
) -> None:
    road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))
    road.person("ben", Role.DISPATCHER, mail_way("ben@carrier.example"))
    road.raised()
    said = {"ana@carrier.example": ["550 no such mailbox"], "ben@carrier.example": ["451 try later", "250 taken"]}

    def page(name: str) -> Page | None:
        return next(iter(registry.pages(recipient_id=name)), None)

    def is_in(name: str, state: PageState, attempts: int) -> bool:
        found = page(name)
        return found is not None and (found.state, found.attempts) == (state, attempts)

    async with mail_server(free_port()) as box:
        box.answer = lambda to: said[to].pop(0)
        async with paging(registry, mail_to(box.port), clock):
            await until(lambda: is_in("ana", PageState.FAILED, 1))
            await until(lambda: is_in("ben", PageState.QUEUED, 1))
            clock.forward(2)
            await until(lambda: is_in("ben", PageState.ACCEPTED, 2))
    assert "550 no such mailbox" in page("ana").why
    assert [mail["To"] for mail in box.mails] == ["ben@carrier.example"]
    (way,) = registry.recipient("ana", clock()).ways
    assert "550" in (way.failed_why or "")


async def test_a_server_that_hangs_delays_nobody_else(registry: Registry, road: Road, clock: Clock) -> None:
    road.person("ana", Role.DISPATCHER, mail_way("ana@carrier.example"))

    class Never:
        async def hand_over(self, _message: object, _handover: object) -> None:
            await asyncio.Event().wait()

    road.person("ben", Role.DISPATCHER, Way(step=0, channel=Channel.CHAT))
    road.raised()
    async with mail_server(free_port()) as box, paging(registry, mail_to(box.port) | {Channel.CHAT: Never()}, clock):
        await until(lambda: len(box.mails) == 1)
        (page,) = registry.pages(recipient_id="ben")
        assert page.state is PageState.HANDED_OVER
