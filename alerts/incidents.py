"""What people do with an incident: take it on, hand it over, comment, close. Steps are pure; the desk keeps them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from alerts.lifecycle import check_close
from registry.errors import ConflictError, RefusedError
from registry.incident_records import IncidentEvent
from registry.kinds import AlertState, IncidentState, Role
from registry.roles import acting_role

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from registry.incident_records import Incident
    from registry.kinds import CallOutcome, CallTo
    from registry.records import Account, Alert
    from registry.registry import Registry
    from registry.roles import Hand


def take_on(incident: Incident, hand: Hand) -> IncidentEvent:
    """Who acts works on it from now on, whoever did before. Raises RefusedError when it is theirs already."""
    _check_open(incident)
    if incident.assigned_to == hand.account_id:
        raise RefusedError("it is yours already")
    before, incident.assigned_to, incident.handover_to = incident.assigned_to, hand.account_id, None
    return _event(incident, hand, "assign", regarding=hand.account_id, comment=None if before is None else "taken over")


def hand_over(incident: Incident, hand: Hand, to: Account) -> IncidentEvent:
    """Offer it to somebody else; who has it keeps it until that person accepts. Raises RefusedError."""
    _check_open(incident)
    if incident.assigned_to not in {None, hand.account_id}:
        raise RefusedError("only who works on it can hand it over; take it on first")
    if to.account_id == hand.account_id:
        raise RefusedError("it cannot be handed to yourself: take it on")
    if acting_role(to.role) is None:
        raise RefusedError(f"{to.display_name} is {to.role} here and cannot work on incidents")
    incident.handover_to = to.account_id
    return _event(incident, hand, "hand over", regarding=to.account_id)


def accept(incident: Incident, hand: Hand) -> IncidentEvent:
    """Who it was offered to takes it. Raises RefusedError for anybody else."""
    _check_open(incident)
    if incident.handover_to != hand.account_id:
        raise RefusedError("it was not handed to you, or was taken back meanwhile")
    incident.assigned_to, incident.handover_to = hand.account_id, None
    return _event(incident, hand, "accept", regarding=hand.account_id)


def decline(incident: Incident, hand: Hand) -> IncidentEvent:
    """Who it was offered to refuses it, or who offered it takes it back. Raises RefusedError for anybody else."""
    _check_open(incident)
    if incident.handover_to is None or hand.account_id not in {incident.handover_to, incident.assigned_to}:
        raise RefusedError("it was not handed to you, or was taken back meanwhile")
    offered_to, incident.handover_to = incident.handover_to, None
    return _event(incident, hand, "decline", regarding=offered_to)


def comment(incident: Incident, hand: Hand, text: str) -> IncidentEvent:
    """What was done, or seen: an action, as escalation counts them. On a closed incident too."""
    if not text.strip():
        raise RefusedError("the comment is missing")
    return _event(incident, hand, "comment", comment=text)


def call(incident: Incident, hand: Hand, to: CallTo, outcome: CallOutcome, note: str) -> IncidentEvent:
    """A call and what came of it, on a closed incident too: one that was answered is an action, others are none."""
    return _event(incident, hand, f"call {outcome}", regarding=to, comment=note or None)


def note_place(incident: Incident, hand: Hand, text: str) -> IncidentEvent:
    """Where it is, as somebody there says: road, direction, mile marker, tunnel, people near."""
    if not text.strip():
        raise RefusedError("the place is missing")
    return _event(incident, hand, "place", comment=text)


def _check_open(incident: Incident) -> None:
    if incident.state is IncidentState.CLOSED:
        raise RefusedError("the incident is closed; it opens again by itself when one of its packs rises")


def _event(
    incident: Incident, hand: Hand, action: str, *, regarding: str | None = None, comment: str | None = None
) -> IncidentEvent:
    return IncidentEvent(
        incident_id=incident.incident_id,
        at=hand.now,
        action=action,
        level=incident.level,
        actor=hand.by,
        actor_role=hand.role,
        regarding=regarding,
        comment=comment,
    )


class AlertCloser(Protocol):
    """Where alerts are closed: the alert service, or the registry when that runs elsewhere."""

    async def close_alert(
        self,
        alert_id: str,
        *,
        version: int,
        by: str,
        reason: str,
        now: datetime,
        role: Role = Role.DISPATCHER,
        authority: str = "",
    ) -> Alert: ...


class IncidentDesk:
    """Keeps people's steps. All raise NotFoundError, ConflictError (`version` is not the newest), RefusedError."""

    def __init__(self, registry: Registry, alerts: AlertCloser) -> None:
        self._registry = registry
        self._alerts = alerts

    async def take_on(self, incident_id: str, hand: Hand, *, version: int) -> Incident:
        """As the step."""
        return await self._change(incident_id, lambda incident: take_on(incident, hand), version)

    async def hand_over(self, incident_id: str, hand: Hand, *, version: int, to: str) -> Incident:
        """As the step; `to`: an account's id."""
        account = await asyncio.to_thread(self._registry.account, to)
        return await self._change(incident_id, lambda incident: hand_over(incident, hand, account), version)

    async def accept(self, incident_id: str, hand: Hand, *, version: int) -> Incident:
        """As the step."""
        return await self._change(incident_id, lambda incident: accept(incident, hand), version)

    async def decline(self, incident_id: str, hand: Hand, *, version: int) -> Incident:
        """As the step."""
        return await self._change(incident_id, lambda incident: decline(incident, hand), version)

    async def comment(self, incident_id: str, hand: Hand, text: str) -> Incident:
        """As the step; what came meanwhile does not matter."""
        return await self._change(incident_id, lambda incident: comment(incident, hand, text), None)

    async def call(self, incident_id: str, hand: Hand, *, to: CallTo, outcome: CallOutcome, note: str) -> Incident:
        """As the step; what came meanwhile does not matter."""
        return await self._change(incident_id, lambda incident: call(incident, hand, to, outcome, note), None)

    async def note_place(self, incident_id: str, hand: Hand, text: str) -> Incident:
        """As the step; what came meanwhile does not matter."""
        return await self._change(incident_id, lambda incident: note_place(incident, hand, text), None)

    async def close(self, incident_id: str, hand: Hand, *, version: int, reason: str, authority: str) -> Incident:
        """Close its alerts that are open, all of which the role may close, and the incident with the last of them.

        A kill in between leaves the rest, and so the incident, open.
        """
        incident = await asyncio.to_thread(self._registry.incident, incident_id)
        if incident.version != version:
            raise ConflictError(
                f"incident {incident_id} is at version {incident.version}, not {version}: it changed meanwhile, "
                "look again"
            )
        _check_open(incident)
        alerts = (await asyncio.to_thread(self._registry.incident_alerts, [incident_id]))[incident_id]
        standing = [alert for alert in alerts if alert.state is not AlertState.CLOSED]
        for alert in standing:
            check_close(alert.kind, alert.peak_level, hand.role, authority)
        for alert in standing:
            await self._alerts.close_alert(
                alert.alert_id,
                version=alert.version,
                by=hand.by,
                reason=reason,
                now=hand.now,
                role=hand.role,
                authority=authority,
            )
        return await asyncio.to_thread(self._registry.incident, incident_id)

    async def _change(
        self, incident_id: str, step: Callable[[Incident], IncidentEvent], version: int | None
    ) -> Incident:
        return await asyncio.to_thread(self._registry.change_incident, incident_id, step, expected_version=version)
