"""One time line of an incident: everything that was measured to be wrong, told, seen and done, in one order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from dashboards.rows import to_ms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from registry.case_files import CaseFile
    from registry.records import AlertEvent


class ItemKind(StrEnum):
    """What an item of the time line is about."""

    LEVEL = "level"
    """A level, as the rules have it: raised, worsened, cleared."""
    ALERT = "alert"
    """What a person, or the cab, did about an alert."""
    INCIDENT = "incident"
    """What a person did about the incident."""
    DELIVERY = "delivery"
    """A message on its way to a person: handed over, accepted, shown, acknowledged, failed."""
    HEALTH = "health"
    """Units, gateways and probes that did not do what they should; samples that are missing."""
    CUSTODY = "custody"
    """Trips, shipments, bindings."""
    DUTY = "duty"
    """Reports to authorities."""
    REVIEW = "review"
    """What safety wrote down."""
    RULES = "rules"
    """The rules changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One happening."""

    at_ms: int
    kind: ItemKind
    what: str
    subject: str
    """Kind, slash, id, as the audit log names it."""
    pack_id: str | None = None
    level: str | None = None
    actor: str | None = None
    """The person, or who was told."""
    role: str | None = None
    text: str = ""
    """Reasons, comments, what failed; plain text."""
    source: str = ""
    """The record that says so."""


def timeline(case: CaseFile) -> tuple[Item, ...]:
    """Every item of the incident, oldest first; of one instant, in the order of ItemKind."""
    found = [
        *_of_alerts(case),
        *_of_incident(case),
        *_of_pages(case),
        *_of_missing(case),
        *_of_custody(case),
        *_of_duties(case),
        *_of_review(case),
        *_of_rules(case),
    ]
    order = {kind: place for place, kind in enumerate(ItemKind)}
    return tuple(sorted(found, key=lambda each: (each.at_ms, order[each.kind])))


def _of_alerts(case: CaseFile) -> Iterator[Item]:
    alerts = {alert.alert_id: alert for alert in case.alerts}
    for event in case.alert_events:
        alert = alerts[event.alert_id]
        by_rules = event.actor is None
        kind = ItemKind.HEALTH if alert.kind.calm else ItemKind.LEVEL if by_rules else ItemKind.ALERT
        yield Item(
            at_ms=_measured_ms(event),
            kind=kind,
            what=event.action,
            subject=f"alert/{alert.alert_id}",
            pack_id=alert.pack_id,
            level=event.level,
            actor=event.actor,
            role=event.actor_role,
            text="; ".join([*event.reasons, *([event.comment] if event.comment else [])]),
            source=f"alert event {event.id}",
        )


def _measured_ms(event: AlertEvent) -> int:
    """A level stands from its sample on, however late that was told."""
    return to_ms(event.sampled_at if event.sampled_at is not None and event.actor is None else event.at)


def _of_incident(case: CaseFile) -> Iterator[Item]:
    for event in case.incident_events:
        yield Item(
            at_ms=to_ms(event.at),
            kind=ItemKind.INCIDENT,
            what=event.action,
            subject=f"incident/{event.incident_id}",
            level=event.level,
            actor=event.actor,
            role=event.actor_role,
            text=event.comment or "",
            source=f"incident event {event.id}",
        )


def _of_pages(case: CaseFile) -> Iterator[Item]:
    pages = {page.key: page for page in case.pages}
    names = {person.recipient_id: person.name for person in case.recipients}
    for event in case.page_events:
        page = pages[event.key]
        yield Item(
            at_ms=to_ms(event.at),
            kind=ItemKind.DELIVERY,
            what=f"{page.channel}: {event.state}",
            subject=f"page/{page.page_id}",
            level=page.level,
            actor=names.get(page.recipient_id, page.recipient_id),
            role=page.role,
            text=event.detail or page.reason,
            source=f"page event {event.id}",
        )


def _of_missing(case: CaseFile) -> Iterator[Item]:
    packs = {binding.unit_id: binding.pack_id for binding in case.bindings}
    for record in case.missing:
        yield Item(
            at_ms=to_ms(record.from_at),
            kind=ItemKind.HEALTH,
            what="samples missing",
            subject=f"unit/{record.unit_id}",
            pack_id=packs.get(record.unit_id or ""),
            text=f"{record.samples_lost} samples up to {record.to_at.isoformat()}: {record.why}",
            source=f"missing samples {record.id}",
        )


def _of_custody(case: CaseFile) -> Iterator[Item]:
    for binding in case.bindings:
        text = f"unit {binding.unit_id} on pack {binding.pack_id}"
        for what, at in (("unit bound", binding.bound_from), ("unit unbound", binding.bound_to)):
            yield from _at(case, at, what, f"pack/{binding.pack_id}", text, pack_id=binding.pack_id)
    for trip in case.trips:
        yield from _at(case, trip.opened_at, "trip opened", f"trip/{trip.trip_id}", trip.driver_name)
        said = f"{trip.driver_name}: {trip.situation}"
        yield from _at(case, trip.situation_at, "driver said", f"trip/{trip.trip_id}", said)
        signed = trip.custody_signed_by or ""
        yield from _at(case, trip.custody_signed_at, "custody signed", f"trip/{trip.trip_id}", signed)
        yield from _at(case, trip.closed_at, "trip closed", f"trip/{trip.trip_id}", trip.driver_name)
    for shipment in case.shipments:
        way = f"{shipment.origin} to {shipment.destination}"
        subject = f"shipment/{shipment.shipment_id}"
        yield from _at(case, shipment.departed_at, "shipment departed", subject, way)
        yield from _at(case, shipment.closed_at, "shipment closed", subject, way)


def _at(
    case: CaseFile, at: datetime | None, what: str, subject: str, text: str, *, pack_id: str | None = None
) -> Iterator[Item]:
    """An item, if it happened, and within the case's time."""
    if at is not None and case.start <= at <= case.end:
        yield Item(
            at_ms=to_ms(at),
            kind=ItemKind.CUSTODY,
            what=what,
            subject=subject,
            pack_id=pack_id,
            text=text,
            source=subject,
        )


def _of_duties(case: CaseFile) -> Iterator[Item]:
    for event in case.duty_events:
        said = [event.item, event.value or "", event.comment or ""]
        yield Item(
            at_ms=to_ms(event.at),
            kind=ItemKind.DUTY,
            what=event.action,
            subject=f"incident/{event.incident_id}",
            actor=event.actor,
            role=event.actor_role,
            text=": ".join(part for part in said if part),
            source=f"duty event {event.id}",
        )


def _of_review(case: CaseFile) -> Iterator[Item]:
    for entry in case.review.entries:
        yield Item(
            at_ms=to_ms(entry.at or entry.written_at),
            kind=ItemKind.REVIEW,
            what=entry.kind,
            subject=f"entry/{entry.entry_id}",
            pack_id=entry.pack_id,
            actor=entry.written_by,
            text=entry.text,
            source=f"review entry {entry.entry_id}",
        )
    review = case.review.review
    for what, at, by in (
        ("review signed", review.signed_at, review.signed_by),
        ("review closed", review.countersigned_at, review.countersigned_by),
    ):
        if at is not None:
            yield Item(
                at_ms=to_ms(at),
                kind=ItemKind.REVIEW,
                what=what,
                subject=f"incident/{review.incident_id}",
                actor=by,
                source="review",
            )


def _of_rules(case: CaseFile) -> Iterator[Item]:
    for change in case.rules_changes:
        if change.at >= case.start:
            yield Item(
                at_ms=to_ms(change.at),
                kind=ItemKind.RULES,
                what=f"rules version {change.version}",
                subject=f"rules/{change.content_hash}",
                actor=change.actor,
                text="; ".join(change.changes),
                source=f"rules change {change.id}",
            )
