"""Which reports an incident needs, by what people answered, and the time that is left. Pure.

Answers only propose: a person confirms or rejects each report, and may do so against the answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from registry.errors import RefusedError
from registry.trip_records import DutyAction, DutyEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.us_rules import Condition, Report, UsRules

EARLIEST = timedelta(days=365)
"""**assumed**: what occurred longer before the incident opened is a slip of the pen."""


class Answer(StrEnum):
    """Whether a condition holds."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class DutyState(StrEnum):
    """Where a report stands."""

    ASK = "ask"
    """Some condition is not answered, or not known, and none holds."""
    PROPOSED = "proposed"
    """A condition holds: a person has to confirm or reject."""
    NOT_DUE = "not due"
    """No condition holds: a person has to confirm or reject that."""
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    REPORTED = "reported"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionRow:
    """A condition with its answer."""

    condition: Condition
    answer: Answer | None
    by: str | None
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """A report with where it stands."""

    report: Report
    state: DutyState
    due_at: datetime
    left_s: float
    """Until it is due; negative: overdue. Counts on until it was made or rejected."""
    by: str | None
    at: datetime | None
    comment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checklist:
    """What to ask, what to do, and until when."""

    occurred_at: datetime
    discovered_at: datetime
    conditions: tuple[ConditionRow, ...]
    reports: tuple[ReportRow, ...]


def checklist(
    rules: UsRules, events: Sequence[DutyEvent], *, occurred_at: datetime, discovered_at: datetime, now: datetime
) -> Checklist:
    """The checklist after `events`, in order. The instants are those of the alert, until a person sets them."""
    answers: dict[str, DutyEvent] = {}
    decisions: dict[str, DutyEvent] = {}
    for event in events:
        match event.action:
            case DutyAction.ANSWER:
                answers[event.item] = event
                if event.value == Answer.YES:
                    _reopen(decisions, [report.key for report in rules.reports if event.item in report.asks])
            case DutyAction.OCCURRED:
                occurred_at = datetime.fromisoformat(event.value or "")
            case DutyAction.DISCOVERED:
                discovered_at = datetime.fromisoformat(event.value or "")
            case _:
                decisions[event.item] = event
    given = {key: Answer(event.value or "") for key, event in answers.items()}
    conditions = tuple(
        ConditionRow(
            condition=each,
            answer=given.get(each.key),
            by=answers[each.key].actor if each.key in answers else None,
            at=answers[each.key].at if each.key in answers else None,
        )
        for each in rules.conditions
    )
    starts = {"occurrence": occurred_at, "discovery": discovered_at}
    reports = []
    for report in rules.reports:
        due_at = starts[report.runs_from] + timedelta(hours=report.within_hours)
        decision = decisions.get(report.key)
        reports.append(
            ReportRow(
                report=report,
                state=_state(report, given, decision),
                due_at=due_at,
                left_s=(due_at - now).total_seconds(),
                by=None if decision is None else decision.actor,
                at=None if decision is None else decision.at,
                comment=None if decision is None else decision.comment,
            )
        )
    return Checklist(
        occurred_at=occurred_at, discovered_at=discovered_at, conditions=conditions, reports=tuple(reports)
    )


def check_step(rules: UsRules, event: DutyEvent, *, opened_at: datetime, now: datetime) -> None:
    """Raises RefusedError, which says why, for a step that makes no sense."""
    match event.action:
        case DutyAction.ANSWER:
            if event.item not in {each.key for each in rules.conditions}:
                raise RefusedError(f"there is no condition {event.item!r}")
            if event.value not in set(Answer):
                raise RefusedError("an answer is yes, no or unknown")
        case DutyAction.OCCURRED | DutyAction.DISCOVERED:
            _check_instant(event.value, opened_at, now)
        case _:
            if event.item not in {each.key for each in rules.reports}:
                raise RefusedError(f"there is no report {event.item!r}")
            if event.action is DutyAction.REJECT and not (event.comment or "").strip():
                raise RefusedError("say why the report need not be made")


def _check_instant(value: str | None, opened_at: datetime, now: datetime) -> None:
    try:
        at = datetime.fromisoformat(value or "")
    except ValueError as error:
        raise RefusedError("write the time as 2026-11-24T14:02:00Z") from error
    if at.tzinfo is None:
        raise RefusedError("the time needs its zone: 2026-11-24T14:02:00Z")
    if not opened_at - EARLIEST <= at <= now:
        raise RefusedError("the time lies in the future, or more than a year before the incident")


def _reopen(decisions: dict[str, DutyEvent], reports: Sequence[str]) -> None:
    """What was rejected before a condition held has to be decided again."""
    for key in reports:
        if key in decisions and decisions[key].action is DutyAction.REJECT:
            del decisions[key]


def _state(report: Report, given: dict[str, Answer], decision: DutyEvent | None) -> DutyState:
    if decision is not None:
        match decision.action:
            case DutyAction.CONFIRM:
                return DutyState.CONFIRMED
            case DutyAction.REPORT:
                return DutyState.REPORTED
            case _:
                return DutyState.REJECTED
    asked = [given.get(key, Answer.UNKNOWN) for key in report.asks]
    if Answer.YES in asked:
        return DutyState.PROPOSED
    return DutyState.ASK if Answer.UNKNOWN in asked else DutyState.NOT_DUE
