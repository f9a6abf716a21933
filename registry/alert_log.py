"""Alerts as records: kept with each step of their lives, changed by one caller at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import inspect, select

from registry.audit import Action, append, person_or_rule
from registry.database import Database
from registry.errors import ConflictError, NotFoundError
from registry.gathering import follow
from registry.incident_records import ReignitionWatch
from registry.kinds import AlertState
from registry.records import Alert, AlertEvent

if TYPE_CHECKING:
    from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertStep:
    """One step in an alert's life, to be kept."""

    alert: Alert
    """As it is after the step. Its version does not matter once it is known: `expected_version` does."""
    event: AlertEvent
    expected_version: int | None
    """The version that the step follows; None: the alert begins."""
    watch: ReignitionWatch | None = None
    """Begins with this step."""


class AlertLog(Database):
    """The alerts and their history."""

    def keep_steps(self, steps: Sequence[AlertStep], *, gather: Gather | None = None) -> tuple[Alert, ...]:
        """Keep steps of alerts in one transaction, in order, all or none; returns each alert as it was after its step.

        Of two callers who read the same version of an alert one wins; the other gets ConflictError, as does who raises
        one that is there already. `gather` names the incident of an alert that belongs nowhere yet. A rise opens the
        alert's incident again, the last close closes it. Raises NotFoundError.
        """

        def work(session: Session) -> tuple[Alert, ...]:
            ids = {step.alert.alert_id for step in steps}
            locked = select(Alert).where(Alert.alert_id.in_(ids)).order_by(Alert.alert_id).with_for_update()
            known = {alert.alert_id: alert for alert in session.scalars(locked)}
            with session.no_autoflush:
                kept = [_kept(session, known, step) for step in steps]
            session.flush()  # what follows refers to the alerts
            session.add_all(_event(alert.alert_id, step.event) for alert, step in zip(kept, steps, strict=True))
            moves = [(alert, step.event) for alert, step in zip(kept, steps, strict=True)]
            followed = follow(session, moves, gather)
            append(
                session,
                [each for move, after in zip(moves, followed, strict=True) for each in (_action(*move), *after)],
            )
            return tuple(kept)

        return self._write(work)

    def raise_alert(self, alert: Alert, event: AlertEvent, *, gather: Gather | None = None) -> None:
        """Keep a new alert and its first event, as `keep_steps`. Raises ConflictError."""
        self.keep_steps([AlertStep(alert=alert, event=event, expected_version=None)], gather=gather)

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

        As `keep_steps`. Raises ConflictError, NotFoundError.
        """
        step = AlertStep(alert=alert, event=event, expected_version=expected_version, watch=watch)
        return self.keep_steps([step], gather=gather)[0]

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


def _kept(session: Session, known: dict[str, Alert], step: AlertStep) -> Alert:
    """Take a step; a copy of the alert after it, which later steps do not touch. `known` are the alerts, locked."""
    alert_id = step.alert.alert_id
    alert = known.get(alert_id)
    if step.expected_version is None:
        if alert is not None:
            raise ConflictError(f"there is an alert {alert_id} already")
        alert = known[alert_id] = _copy(step.alert)
        session.add(alert)
    elif alert is None:
        raise NotFoundError(f"the registry knows no alert {alert_id!r}")
    elif alert.version != step.expected_version:
        raise ConflictError(
            f"alert {alert_id} is at version {alert.version}, not {step.expected_version}: somebody changed it "
            "meanwhile"
        )
    else:
        for name in _CHANGING:
            setattr(alert, name, getattr(step.alert, name))
        alert.version += 1
    if step.watch is not None:
        session.add(_copy(step.watch))
    return _copy(alert)


def _copy(record: _Kept) -> _Kept:
    kind = type(record)
    return kind(**{attribute.key: getattr(record, attribute.key) for attribute in inspect(kind).column_attrs})


def _action(alert: Alert, event: AlertEvent) -> Action:
    """The step as the audit log keeps it. Every text in it has a bound, so that no alarm is ever refused for it."""
    return Action(
        actor=person_or_rule(event.actor, event.actor_role, rule=alert.cause),
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
