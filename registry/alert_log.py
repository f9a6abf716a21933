"""Alerts as records: kept with each step of their lives, changed by one caller at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import inspect, select, update

from registry.audit import Action, Actor, append
from registry.audit_records import ActorKind
from registry.database import Database
from registry.errors import ConflictError, NotFoundError
from registry.gathering import follow
from registry.incident_records import ReignitionWatch
from registry.kinds import AlertState
from registry.records import Alert, AlertEvent

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from registry.gathering import Gather

_Kept = TypeVar("_Kept", Alert, ReignitionWatch)

_CHANGING = (
    "level",
    "peak_level",
    "state",
    "reasons",
    "level_here",
    "level_on_board",
    "on_board_since",
    "cleared_at",
    "acknowledged_by",
    "acknowledged_at",
    "acknowledgement_comment",
    "acknowledged_roles",
    "shelved_by",
    "shelved_until",
    "shelf_reason",
    "closed_by",
    "closed_at",
    "close_reason",
    "releasing_authority",
)
"""What a change may alter. Whom an alert is about, and when it began, never changes."""


class AlertLog(Database):
    """The alerts and their history."""

    def raise_alert(self, alert: Alert, event: AlertEvent, *, gather: Gather | None = None) -> None:
        """Keep a new alert and its first event, in the incident that `gather` names. Raises ConflictError."""

        def work(session: Session) -> None:
            if session.get(Alert, alert.alert_id) is not None:
                raise ConflictError(f"there is an alert {alert.alert_id} already")
            session.add(_copy(alert))
            session.flush()
            session.add(_event(alert.alert_id, event))
            append(session, [_action(alert, event), *follow(session, alert, event, gather)])

        self._write(work)

    def change_alert(
        self,
        alert: Alert,
        event: AlertEvent,
        expected_version: int,
        *,
        gather: Gather | None = None,
        watch: ReignitionWatch | None = None,
    ) -> Alert:
        """Keep an alert's new values with the event that changed them; returns the alert as kept, one version on.

        Of two callers who read the same version one wins; the other gets ConflictError, and nothing is changed.
        `alert.version` does not matter, `expected_version` does. `gather`: as for `raise_alert`, for one that belonged
        nowhere yet. `watch`: begins with this step. A rise opens the alert's incident again, the last close closes it.
        Raises NotFoundError.
        """

        def work(session: Session) -> Alert:
            changed = session.execute(
                update(Alert)
                .where(Alert.alert_id == alert.alert_id, Alert.version == expected_version)
                .values({name: getattr(alert, name) for name in _CHANGING} | {"version": expected_version + 1})
                .execution_options(synchronize_session=False)
                .returning(Alert.alert_id)
            ).one_or_none()
            kept = _known(session, alert.alert_id)
            if changed is None:
                raise ConflictError(
                    f"alert {alert.alert_id} is at version {kept.version}, not {expected_version}: somebody changed it "
                    "meanwhile"
                )
            session.add(_event(alert.alert_id, event))
            if watch is not None:
                session.add(_copy(watch))
            append(session, [_action(kept, event), *follow(session, kept, event, gather)])
            return kept

        return self._write(work)

    def alert(self, alert_id: str) -> Alert:
        """One alert. Raises NotFoundError."""
        return self._read(lambda session: _known(session, alert_id))

    def open_alerts(self) -> tuple[Alert, ...]:
        """All alerts that are not closed, oldest first."""
        query = select(Alert).where(Alert.state != AlertState.CLOSED).order_by(Alert.raised_at, Alert.alert_id)
        return self._read(lambda session: tuple(session.scalars(query)))

    def open_alert_versions(self) -> dict[str, int]:
        """The version of each alert that is not closed, by its id. Cheap to ask."""
        query = select(Alert.alert_id, Alert.version).where(Alert.state != AlertState.CLOSED)
        return self._read(lambda session: {row.alert_id: row.version for row in session.execute(query)})

    def reignition_watches(self, now: datetime) -> tuple[ReignitionWatch, ...]:
        """Those that go on at `now`, the one that ends first at the front."""
        query = select(ReignitionWatch).where(ReignitionWatch.until_at > now).order_by(ReignitionWatch.until_at)
        return self._read(lambda session: tuple(session.scalars(query)))

    def alerts(self, pack_id: str | None = None, limit: int = 100, offset: int = 0) -> tuple[Alert, ...]:
        """Alerts, of one pack or of all, newest first."""
        query = select(Alert).order_by(Alert.raised_at.desc(), Alert.alert_id).limit(limit).offset(offset)
        if pack_id is not None:
            query = query.where(Alert.pack_id == pack_id)
        return self._read(lambda session: tuple(session.scalars(query)))

    def alert_events(self, alert_id: str) -> tuple[AlertEvent, ...]:
        """An alert's history, oldest first. Raises NotFoundError."""

        def work(session: Session) -> tuple[AlertEvent, ...]:
            _known(session, alert_id)
            query = select(AlertEvent).where(AlertEvent.alert_id == alert_id).order_by(AlertEvent.id)
            return tuple(session.scalars(query))

        return self._read(work)


def _known(session: Session, alert_id: str) -> Alert:
    alert = session.get(Alert, alert_id)
    if alert is None:
        raise NotFoundError(f"the registry knows no alert {alert_id!r}")
    return alert


def _copy(record: _Kept) -> _Kept:
    kind = type(record)
    return kind(**{attribute.key: getattr(record, attribute.key) for attribute in inspect(kind).column_attrs})


def _action(alert: Alert, event: AlertEvent) -> Action:
    """The step as the audit log keeps it. Every text in it has a bound, so that no alarm is ever refused for it."""
    if event.actor is None:
        actor = Actor(kind=ActorKind.RULE, id=alert.cause)
    else:
        actor = Actor(kind=ActorKind.PERSON, id=event.actor, role=event.actor_role)
    return Action(
        actor=actor,
        action=event.action,
        subject=f"alert/{alert.alert_id}",
        at=event.at,
        detail={
            "pack": alert.pack_id,
            "unit": alert.unit_id,
            "level": event.level,
            "from": event.from_state,
            "to": event.to_state,
            "sampled_at": event.sampled_at,
            "comment": event.comment,
            "reasons": event.reasons,
            "provenance": alert.provenance,
            "authority": alert.releasing_authority,
            "shelved_until": alert.shelved_until,
        },
    )


def _event(alert_id: str, event: AlertEvent) -> AlertEvent:
    if event.alert_id != alert_id:
        raise ValueError(f"the event is of alert {event.alert_id}, not of {alert_id}")
    columns = inspect(AlertEvent).column_attrs
    return AlertEvent(
        **{attribute.key: getattr(event, attribute.key) for attribute in columns if attribute.key != "id"}
    )
