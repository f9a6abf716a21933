"""The open alerts, one for each subject: takes changes of level and people's steps, returns what to keep and tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from alerts.levels import Subject
from alerts.lifecycle import Action, IllegalTransitionError, check_close, latches, next_state
from alerts.reignition import Watches, watch_after
from alerts.shelving import check_shelf
from registry.errors import ConflictError, NotFoundError, RefusedError
from registry.kinds import AlertKind, AlertState, Level, Role
from registry.records import Alert, AlertEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alerts.levels import Transition
    from alerts.on_board import Beside
    from registry.incident_records import ReignitionWatch
    from registry.kinds import PackClass

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlertChange:
    """One step in an alert's life. `alert` is the alert after it, a copy that nobody changes any more."""

    alert: Alert
    event: AlertEvent
    expected_version: int | None
    """The version that it follows; None: the alert begins."""
    watch: ReignitionWatch | None = None
    """Begins with this step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What an event says besides its action and states."""

    sampled_at: datetime | None = None
    level: Level | None = None
    """None: the alert's own."""
    actor: str | None = None
    role: Role | None = None
    comment: str | None = None
    reasons: tuple[str, ...] = ()


_UNACKNOWLEDGED: dict[str, Any] = {
    "acknowledged_roles": [],
    "acknowledged_by": None,
    "acknowledged_at": None,
    "acknowledgement_comment": None,
}
_UNSHELVED: dict[str, Any] = {"shelved_by": None, "shelved_until": None, "shelf_reason": None}


def utc_from_ms(ms: int) -> datetime:
    """The instant so many ms after 1970, UTC, without the rounding of a float."""
    return _EPOCH + timedelta(milliseconds=ms)


def ms_from_utc(instant: datetime) -> int:
    """How many ms after 1970, rounded down."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def subject_of(alert: Alert) -> Subject:
    """Whom an alert is about."""
    match alert.kind:
        case AlertKind.THERMAL:
            name = alert.pack_id
        case AlertKind.COVERAGE | AlertKind.CAB:
            name = alert.gateway_id
        case AlertKind.UNREGISTERED | AlertKind.SILENCE | AlertKind.INSTRUMENT:
            name = alert.unit_id
    return Subject(alert.kind, name or "", alert.provenance)


class AlertBook:
    """All alerts that are not closed, in memory. Pure: times are arguments, ids come from `new_id`."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._open: dict[Subject, Alert] = {}
        self._subjects: dict[str, Subject] = {}
        self.watches = Watches()

    def open_alert(self, subject: Subject) -> Alert | None:
        """The subject's alert that is not closed."""
        return self._open.get(subject)

    def open_alerts(self) -> tuple[Alert, ...]:
        """All alerts that are not closed."""
        return tuple(self._open.values())

    def version(self, alert_id: str) -> int | None:
        """The version that an open alert is at; None when it is not open here."""
        subject = self._subjects.get(alert_id)
        return None if subject is None else self._open[subject].version

    def put(self, alert: Alert) -> None:
        """Take an alert as the registry has it: at the start, or when somebody else changed it."""
        subject = subject_of(alert)
        if alert.state is AlertState.CLOSED:
            if self._subjects.pop(alert.alert_id, None) is not None:  # else the subject's open one is another
                del self._open[subject]
        else:
            self._open[subject] = alert
            self._subjects[alert.alert_id] = subject

    def take(self, transition: Transition, now: datetime, beside: Beside | None = None) -> list[AlertChange]:
        """What a change of level does to the subject's alert; nothing when it says nothing new.

        `beside`: what both engines say, where the vehicle says something.
        """
        alert = self._open.get(transition.subject)
        told = _told(beside)
        transition = self._watched(transition, now)
        if alert is None:
            return [] if transition.level is Level.NORMAL else [self._raise(transition, now, told)]
        action = _action(alert, transition)
        if action is None and any(getattr(alert, name) != value for name, value in told.items()):
            action = Action.COMPARE
        if action is None:
            return []
        changed: dict[str, Any] = {"level": transition.level, "reasons": list(transition.reasons)} | told
        match action:
            case Action.COMPARE:
                changed = told
            case Action.CLEAR:
                changed = {"cleared_at": now} | told
                if alert.state is AlertState.ACKNOWLEDGED:
                    changed |= {"closed_at": now, "close_reason": "it cleared after it was acknowledged"}
            case Action.RAISE | Action.WORSEN | Action.RENEW:
                changed |= {"cleared_at": None, "peak_level": _worse(alert.peak_level, transition.level)}
                changed |= _UNACKNOWLEDGED | _UNSHELVED
        change = self._change(
            alert,
            action,
            now,
            changed,
            _Step(
                sampled_at=utc_from_ms(transition.sampled_at_ms),
                level=alert.level if action is Action.COMPARE else transition.level,
                reasons=(_comparison(beside),) if action is Action.COMPARE and beside else transition.reasons,
            ),
        )
        if action is Action.CLEAR and alert.kind.calm and change.alert.state is not AlertState.CLOSED:
            over = {"closed_at": now, "close_reason": "; ".join(transition.reasons)}
            return [change, self._change(change.alert, Action.CLOSE, now, over, _Step())]
        return [change]

    def acknowledge(
        self,
        alert_id: str,
        *,
        version: int,
        by: str,
        comment: str,
        now: datetime,
        role: Role = Role.DISPATCHER,
    ) -> AlertChange:
        """A person has seen it, in a role. The dispatcher's moves the state; the others' are kept beside it.

        Raises NotFoundError, ConflictError (it is at another version), and RefusedError (a name is missing, or its
        state does not allow it).
        """
        alert = self._at(alert_id, version)
        _require(by, "who acknowledges")
        if role in alert.acknowledged_roles:
            who = f", by {alert.acknowledged_by}" if role is Role.DISPATCHER else f" in the role of {role}"
            raise IllegalTransitionError(f"it is acknowledged already{who}")
        changed: dict[str, Any] = {"acknowledged_roles": [*alert.acknowledged_roles, role]}
        if role is Role.DISPATCHER:
            changed |= {"acknowledged_by": by, "acknowledged_at": now, "acknowledgement_comment": comment or None}
            if alert.state is AlertState.CLEARED:
                changed |= {"closed_by": by, "closed_at": now, "close_reason": "acknowledged after it had cleared"}
        step = _Step(actor=by, role=role, comment=comment or None)
        return self._change(alert, Action.ACKNOWLEDGE, now, changed, step)

    def note_cab(
        self, alert: Alert, *, at: datetime, told: str, comment: str, reasons: Sequence[str] | None = None
    ) -> AlertChange:
        """The box in the cab did something about it. `reasons`: the alert's own from now on; None: as before."""
        changed = {} if reasons is None else {"reasons": list(reasons)}
        return self._change(alert, Action.CAB, at, changed, _Step(sampled_at=at, comment=comment, reasons=(told,)))

    def close(
        self,
        alert_id: str,
        *,
        version: int,
        by: str,
        reason: str,
        now: datetime,
        settled_until_ms: int | None,
        role: Role = Role.DISPATCHER,
        authority: str = "",
    ) -> AlertChange:
        """A person ends it, with a reason; samples up to `settled_until_ms` are settled by that. Raises as above.

        What was `critical` is closed in a role that may release only, naming the authority that did; a re-ignition
        watch begins then.
        """
        alert = self._at(alert_id, version)
        _require(by, "who closes it")
        _require(reason, "the reason")
        check_close(alert.kind, alert.peak_level, role, authority)
        released = latches(alert.kind, alert.peak_level)
        changed: dict[str, Any] = {"closed_by": by, "closed_at": now, "close_reason": reason} | _UNSHELVED
        if released:
            changed["releasing_authority"] = authority.strip()
        step = _Step(
            actor=by,
            role=role,
            comment=reason,
            sampled_at=None if settled_until_ms is None else utc_from_ms(settled_until_ms),
        )
        change = self._change(alert, Action.CLOSE, now, changed, step)
        if not released:
            return change
        return replace(change, watch=watch_after(change.alert))

    def shelve(
        self,
        alert_id: str,
        *,
        version: int,
        by: str,
        role: Role,
        reason: str,
        until: datetime,
        now: datetime,
        pack_class: PackClass | None,
    ) -> AlertChange:
        """A person, who owns the shelf, hears no more of it until then. Raises as above, with the limit's reason."""
        alert = self._at(alert_id, version)
        _require(by, "who shelves it")
        _require(reason, "the reason")
        check_shelf(alert, pack_class, now=now, until=until)
        changed = {"shelved_by": by, "shelved_until": until, "shelf_reason": reason}
        step = _Step(actor=by, role=role, comment=reason)
        return self._change(alert, Action.SHELVE, now, changed, step)

    def unshelve(self, alert_id: str, *, version: int, by: str, role: Role, now: datetime) -> AlertChange:
        """A person takes it off its shelf. Raises as above."""
        alert = self._at(alert_id, version)
        _require(by, "who takes it off its shelf")
        if alert.shelved_until is None:
            raise IllegalTransitionError("it is on no shelf")
        return self._change(alert, Action.UNSHELVE, now, _UNSHELVED, _Step(actor=by, role=role))

    def end_shelves(self, now: datetime) -> list[AlertChange]:
        """Take off what has been on its shelf for long enough. To be called now and then."""
        over = [each for each in self._open.values() if each.shelved_until is not None and each.shelved_until <= now]
        step = _Step(reasons=("the time on the shelf is over",))
        return [self._change(each, Action.UNSHELVE, now, _UNSHELVED, step) for each in over]

    def subject(self, alert_id: str) -> Subject:
        """Whom an open alert is about. Raises NotFoundError."""
        subject = self._subjects.get(alert_id)
        if subject is None:
            raise NotFoundError(f"there is no open alert {alert_id!r}")
        return subject

    def _at(self, alert_id: str, version: int) -> Alert:
        alert = self._open[self.subject(alert_id)]
        if alert.version != version:
            raise ConflictError(
                f"alert {alert_id} is at version {alert.version}, not {version}: it changed meanwhile, look again"
            )
        return alert

    def _raise(self, transition: Transition, now: datetime, told: dict[str, Any]) -> AlertChange:
        subject = transition.subject
        alert = Alert(
            alert_id=self._new_id(),
            kind=subject.kind,
            cause=transition.cause,
            fleet_id=transition.fleet_id,
            pack_id=transition.pack_id,
            unit_id=transition.unit_id or None,
            gateway_id=transition.gateway_id,
            level=transition.level,
            peak_level=transition.level,
            state=next_state(None, Action.RAISE, kind=subject.kind, peak=transition.level),
            provenance=subject.provenance,
            reasons=list(transition.reasons),
            sampled_at=utc_from_ms(transition.sampled_at_ms),
            raised_at=now,
            **told,
        )
        self.put(alert)
        event = AlertEvent(
            alert_id=alert.alert_id,
            at=now,
            action=Action.RAISE,
            to_state=alert.state,
            level=alert.level,
            sampled_at=alert.sampled_at,
            reasons=list(transition.reasons),
        )
        return AlertChange(alert=alert, event=event, expected_version=None)

    def _watched(self, transition: Transition, now: datetime) -> Transition:
        """A rise of a pack that is watched for re-ignition says so."""
        subject = transition.subject
        if subject.kind.calm or transition.level is Level.NORMAL:
            return transition
        reason = self.watches.reason(subject.id, subject.provenance, now)
        return transition if reason is None else replace(transition, reasons=(*transition.reasons, reason))

    def _change(self, alert: Alert, action: Action, now: datetime, changed: dict[str, Any], step: _Step) -> AlertChange:
        role = step.role or Role.DISPATCHER
        state = next_state(alert.state, action, kind=alert.kind, peak=alert.peak_level, role=role)
        after = _with(alert, state=state, version=alert.version + 1, **changed)
        event = AlertEvent(
            alert_id=alert.alert_id,
            at=now,
            action=action,
            from_state=alert.state,
            to_state=state,
            level=alert.level if step.level is None else step.level,
            sampled_at=step.sampled_at,
            actor=step.actor,
            actor_role=step.role,
            comment=step.comment,
            reasons=list(step.reasons),
        )
        self.put(after)
        return AlertChange(alert=after, event=event, expected_version=alert.version)


def _action(alert: Alert, transition: Transition) -> Action | None:
    """What the subject's new level, or its renewed heat, means to its alert."""
    level = transition.level
    if level is Level.NORMAL:
        return None if alert.state is AlertState.CLEARED else Action.CLEAR
    if alert.state is AlertState.CLEARED:
        return Action.RAISE
    if level.rank == alert.level.rank:
        seen = alert.state is AlertState.ACKNOWLEDGED or alert.acknowledged_roles
        return Action.RENEW if transition.renewed and seen else None
    return Action.WORSEN if level.rank > alert.level.rank else Action.EASE


def _told(beside: Beside | None) -> dict[str, Any]:
    if beside is None:
        return {}
    since = None if beside.since_ms is None else utc_from_ms(beside.since_ms)
    return {"level_here": beside.here, "level_on_board": beside.on_board, "on_board_since": since}


def _comparison(beside: Beside) -> str:
    return f"on board: {beside.on_board or 'not told'}; here: {beside.here}"


def _worse(a: Level, b: Level) -> Level:
    return max(a, b, key=lambda level: level.rank)


def _require(text: str, what: str) -> None:
    if not text.strip():
        raise RefusedError(f"{what} is missing")


def _with(alert: Alert, **changed: Any) -> Alert:
    return Alert(**{each.key: getattr(alert, each.key) for each in inspect(Alert).column_attrs} | changed)
