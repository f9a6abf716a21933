"""The outbox: pages are taken from it, handed over, and settled.

A page that was taken by a sender which then ended is taken again: its channel may have had it, so `may_repeat`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import or_, select, update

from registry.audit import Action, Actor, append
from registry.audit_records import ActorKind
from registry.database import Database
from registry.errors import NotFoundError
from registry.incident_records import Incident, IncidentAlert
from registry.paging_kinds import Channel, PageState
from registry.paging_records import BoardHeartbeat, Page, PageEvent, PushDevice, Recipient, RecipientChannel
from registry.records import Alert, Gateway, Vehicle

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

PAGES_TOGETHER = 100
"""**Assumed**: pages to one recipient on one channel that are handed over as one message."""
_WAITING = (PageState.QUEUED, PageState.HANDED_OVER)

Lane = tuple[str, Channel]
"""A recipient's id and a channel: one message at a time goes there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a case is about, for the text of a message."""

    incident: Incident
    alerts: tuple[Alert, ...]
    """Oldest first."""
    vehicles: tuple[Vehicle, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """Pages to one recipient on one channel, taken together."""

    recipient: Recipient
    channel: Channel
    way: RecipientChannel | None
    """None: the recipient has no such channel any more."""
    devices: tuple[PushDevice, ...]
    """That subscribed to web push and are not known to be gone."""
    boards: tuple[BoardHeartbeat, ...]
    """Of the recipient's account."""
    pages: tuple[Page, ...]
    """Oldest first; each as it is now, handed over."""
    stories: dict[str, Story]

    @property
    def lane(self) -> Lane:
        """Where it goes."""
        return self.recipient.recipient_id, self.channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one page's try."""

    key: str
    attempt: int
    """Which try: an answer to an older one changes nothing."""
    accepted: bool
    detail: str
    """What the channel said: its own number of the message, or why it failed."""
    again_at: datetime | None = None
    """When a failed one is tried again; None: never."""
    uncertain: bool = False
    """The channel may have taken a failed one all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFailure:
    """A push to one device failed."""

    device_id: str
    why: str


class Outbox(Database):
    """The outbox."""

    def recover_pages(self, holder: str, now: datetime) -> int:
        """At a sender's start: what it had in its hands when it ended is due again. Returns how many those are."""

        def work(session: Session) -> int:
            query = (
                update(Page)
                .where(Page.state == PageState.HANDED_OVER, Page.holder == holder)
                .values(next_at=now)
                .returning(Page.key)
                .execution_options(synchronize_session=False)
            )
            return len(session.scalars(query).all())

        return self._write(work)

    def next_page_at(self) -> datetime | None:
        """When the next page that waits is due."""
        query = select(Page.next_at).where(Page.state.in_(_WAITING)).order_by(Page.next_at).limit(1)
        return self._read(lambda session: session.scalar(query))

    def take_pages(
        self, holder: str, now: datetime, *, answer_within: timedelta, busy: Collection[Lane] = (), lanes: int = 64
    ) -> tuple[Handover, ...]:
        """Take what is due, oldest lanes first, for handing over; not for lanes that are busy.

        Each page is noted as handed over before anybody sees it, and falls due again when it is not settled in time.
        """
        due = (Page.state.in_(_WAITING), Page.next_at <= now)

        def work(session: Session) -> tuple[Handover, ...]:
            query = select(Page.recipient_id, Page.channel).where(*due).distinct()
            free = [lane for row in session.execute(query) if (lane := (row.recipient_id, row.channel)) not in busy]
            taken: list[tuple[str, Channel, tuple[Page, ...]]] = []
            with session.no_autoflush:  # pages change once, all in one statement
                for recipient_id, channel in sorted(free)[:lanes]:
                    pages = _next_message(session, [*due, Page.recipient_id == recipient_id, Page.channel == channel])
                    if pages:
                        taken.append((recipient_id, channel, tuple(pages)))
            every = [page for _, _, pages in taken for page in pages]
            actions = [_take(session, page, holder, now, now + answer_within) for page in every]
            stories = _stories(session, {page.case_id for page in every if page.case_id is not None})
            handovers = tuple(_handover(session, *each, stories) for each in taken)
            append(session, actions)
            return handovers

        return self._write(work)

    def settle_pages(self, outcomes: Sequence[Outcome], failures: Sequence[DeviceFailure], now: datetime) -> None:
        """Keep what became of tries. A page that was shown meanwhile stays shown."""

        def work(session: Session) -> None:
            actions: list[Action] = []
            keys = [outcome.key for outcome in outcomes]
            mine = select(Page).where(Page.key.in_(keys)).order_by(Page.key).with_for_update()
            pages = {page.key: page for page in session.scalars(mine)}
            query = select(RecipientChannel)
            ways = {(way.recipient_id, way.channel): way for way in session.scalars(query)}
            for outcome in outcomes:
                page = pages.get(outcome.key)
                if page is not None and page.attempts == outcome.attempt:
                    actions += _settle(session, page, outcome, now)
                    _note_health(ways.get((page.recipient_id, page.channel)), outcome, now)
            for failure in failures:
                device = session.get(PushDevice, failure.device_id)
                if device is not None and device.failed_at is None:
                    device.failed_at, device.failed_why = now, failure.why
                    actions.append(_device_action(device, "push failed", now))
            append(session, actions)

        self._write(work)

    def pages(
        self, *, case_id: str | None = None, recipient_id: str | None = None, limit: int = 1000
    ) -> tuple[Page, ...]:
        """Pages, the latest first."""
        query = select(Page).order_by(Page.created_at.desc(), Page.due_at.desc(), Page.key).limit(limit)
        if case_id is not None:
            query = query.where(Page.case_id == case_id)
        if recipient_id is not None:
            query = query.where(Page.recipient_id == recipient_id)
        return self._read(lambda session: tuple(session.scalars(query)))

    def page_events(self, key: str) -> tuple[PageEvent, ...]:
        """What happened to a page, in order."""
        query = select(PageEvent).where(PageEvent.key == key).order_by(PageEvent.id)
        return self._read(lambda session: tuple(session.scalars(query)))

    def story(self, case_id: str) -> Story:
        """What a case is about. Raises NotFoundError."""

        def work(session: Session) -> Story:
            if session.get(Incident, case_id) is None:
                raise NotFoundError(f"the registry knows no incident {case_id!r}")
            return _stories(session, {case_id})[case_id]

        return self._read(work)


def page_id_of(key: str) -> str:
    """What receivers call a page."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def page_action(
    session: Session,
    page: Page,
    state: PageState,
    at: datetime,
    detail: str | None,
    *,
    by: ActorKind = ActorKind.DELIVERY,
) -> Action:
    """Add a step to a page's history; the action for the audit log."""
    session.add(PageEvent(key=page.key, at=at, state=state, attempt=page.attempts, detail=detail))
    return Action(
        actor=Actor(kind=by, id=f"{page.channel}/{page.recipient_id}", role=page.role),
        action=state,
        subject=f"page/{page.page_id}",
        at=at,
        detail={
            "key": page.key,
            "kind": page.kind,
            "level": page.level,
            "attempt": page.attempts,
            "may_repeat": page.may_repeat,
            "detail": detail,
        },
    )


def _next_message(session: Session, mine: Sequence[ColumnElement[bool]]) -> Sequence[Page]:
    """The pages of a lane that go next: a message that is tried again as it was, or all that are new, as one.

    A message that has its own number never changes: a receiver that knows the number may pass it by.
    """
    ordered = select(Page).where(*mine).order_by(Page.next_at, Page.due_at, Page.key)
    first = session.scalars(ordered.limit(1)).one_or_none()
    if first is None:
        return ()
    together = ordered.where(
        Page.message_id.is_(None) if first.message_id is None else Page.message_id == first.message_id
    )
    pages = session.scalars(together.limit(PAGES_TOGETHER).with_for_update(skip_locked=True)).all()
    if first.message_id is None and pages:
        message_id = page_id_of("\n".join(sorted(page.key for page in pages)))
        for page in pages:
            page.message_id = message_id
    return pages


def _take(session: Session, page: Page, holder: str, now: datetime, until: datetime) -> Action:
    again = page.state is PageState.HANDED_OVER
    page.may_repeat = page.may_repeat or again
    page.state, page.holder, page.next_at = PageState.HANDED_OVER, holder, until
    page.attempts += 1
    page.handed_over_at = now
    return page_action(
        session, page, PageState.HANDED_OVER, now, "again: nobody knows what became of the last try" if again else None
    )


def _settle(session: Session, page: Page, outcome: Outcome, now: datetime) -> Iterator[Action]:
    if page.state is not PageState.HANDED_OVER and not (outcome.accepted and page.accepted_at is None):
        return
    over = page.state is not PageState.HANDED_OVER
    if outcome.accepted:
        page.accepted_at, page.why = now, None
        if not over:
            page.state, page.next_at = PageState.ACCEPTED, None
        state = PageState.ACCEPTED
    elif outcome.again_at is not None:
        page.state, page.next_at, page.why = PageState.QUEUED, outcome.again_at, outcome.detail
        state = PageState.QUEUED
    else:
        page.state, page.next_at, page.why = PageState.FAILED, None, outcome.detail
        state = PageState.FAILED
    if not outcome.accepted:
        page.may_repeat = page.may_repeat or outcome.uncertain
    yield page_action(session, page, state, now, outcome.detail)


def _note_health(way: RecipientChannel | None, outcome: Outcome, now: datetime) -> None:
    """A way works, or has failed since its first failure."""
    if way is None:
        return
    if outcome.accepted:
        way.failed_at = way.failed_why = None
    elif way.failed_at is None:
        way.failed_at, way.failed_why = now, outcome.detail


def _device_action(device: PushDevice, action: str, at: datetime) -> Action:
    return Action(
        actor=Actor(kind=ActorKind.DELIVERY, id=f"{Channel.PUSH}/{device.recipient_id}"),
        action=action,
        subject=f"recipient/{device.recipient_id}",
        at=at,
        detail={"device": device.label, "why": device.failed_why},
    )


def _handover(
    session: Session, recipient_id: str, channel: Channel, pages: tuple[Page, ...], stories: dict[str, Story]
) -> Handover:
    recipient = session.get_one(Recipient, recipient_id)
    way = session.scalars(
        select(RecipientChannel).where(
            RecipientChannel.recipient_id == recipient_id, RecipientChannel.channel == channel
        )
    ).one_or_none()
    devices: Sequence[PushDevice] = ()
    boards: Sequence[BoardHeartbeat] = ()
    if channel is Channel.PUSH:
        query = select(PushDevice).where(PushDevice.recipient_id == recipient_id, PushDevice.failed_at.is_(None))
        devices = session.scalars(query.order_by(PushDevice.device_id)).all()
    if channel is Channel.BOARD and recipient.account_id is not None:
        boards = session.scalars(select(BoardHeartbeat).where(BoardHeartbeat.account_id == recipient.account_id)).all()
    cases = {page.case_id for page in pages}
    return Handover(
        recipient=recipient,
        channel=channel,
        way=way,
        devices=tuple(devices),
        boards=tuple(boards),
        pages=pages,
        stories={case_id: story for case_id, story in stories.items() if case_id in cases},
    )


def _stories(session: Session, case_ids: Collection[str]) -> dict[str, Story]:
    """Of each case, by its id."""
    if not case_ids:
        return {}
    incidents = session.scalars(select(Incident).where(Incident.incident_id.in_(case_ids))).all()
    alerts: dict[str, list[Alert]] = {incident.incident_id: [] for incident in incidents}
    of_cases = (
        select(IncidentAlert.incident_id, Alert)
        .join(Alert, Alert.alert_id == IncidentAlert.alert_id)
        .where(IncidentAlert.incident_id.in_(case_ids))
        .order_by(Alert.raised_at, Alert.alert_id)
    )
    for incident_id, alert in session.execute(of_cases):
        alerts[incident_id].append(alert)
    gateways = {alert.gateway_id for mine in alerts.values() for alert in mine if alert.gateway_id is not None}
    about = {incident.vehicle_id for incident in incidents if incident.vehicle_id is not None}
    carrying = (
        select(Gateway.gateway_id, Vehicle)
        .select_from(Vehicle)
        .outerjoin(Gateway, Gateway.vehicle_id == Vehicle.vehicle_id)
        .where(or_(Gateway.gateway_id.in_(gateways), Vehicle.vehicle_id.in_(about)))
        .order_by(Vehicle.vehicle_id)
    )
    vehicles = [(gateway_id, vehicle) for gateway_id, vehicle in session.execute(carrying)]
    return {incident.incident_id: _story(incident, alerts[incident.incident_id], vehicles) for incident in incidents}


def _story(incident: Incident, alerts: Sequence[Alert], vehicles: Sequence[tuple[str | None, Vehicle]]) -> Story:
    gateways = {alert.gateway_id for alert in alerts if alert.gateway_id is not None}
    mine = {
        vehicle.vehicle_id: vehicle
        for gateway_id, vehicle in vehicles
        if gateway_id in gateways or vehicle.vehicle_id == incident.vehicle_id
    }
    return Story(incident=incident, alerts=tuple(alerts), vehicles=tuple(mine.values()))
