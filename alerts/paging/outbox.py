"""Between escalation and the registry: the records as a case, and a plan as pages to keep. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING

from alerts import escalation
from alerts.escalation_kinds import (
    CRITICAL_POLICY,
    Acknowledged,
    Acted,
    Case,
    Closed,
    Flagged,
    Raised,
    Recipient,
    Shown,
)
from registry.incidents import CaseEventKind
from registry.kinds import Level
from registry.paging_facts import FLAGGED, SHOWN, Decision, PageDraft
from registry.paging_kinds import Channel, PageKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alerts.escalation_kinds import Happening, Page, Policy
    from registry.kinds import Role
    from registry.paging_facts import CaseFacts
    from registry.paging_records import CaseHappening, CaseRecipient

TOLD_KINDS = frozenset({CaseEventKind.RAISED, CaseEventKind.ACKNOWLEDGED, CaseEventKind.ACTED, CaseEventKind.CLOSED})
"""Of these other systems are told."""
_TICK = timedelta(milliseconds=1)


def decide(facts: CaseFacts, policy: Policy = CRITICAL_POLICY, *, tell_systems: bool = True) -> Decision:
    """What is due, by the policy; and what other systems are to be told."""
    case = Case(
        id=facts.case_id,
        recipients=tuple(_recipient(each) for each in facts.recipients),
        happenings=tuple(_happening(each) for each in facts.happenings),
    )
    plan = escalation.plan(case, facts.now.timestamp(), policy)
    drafts = [_draft(page) for page in plan.pages]
    drafts += _told(facts, policy) if tell_systems else ()
    return Decision(
        pages=tuple(drafts),
        notices=tuple(notice.text for notice in plan.notices),
        next_at=None if plan.next_s is None else _instant(plan.next_s) + _TICK,
        answered=tuple(_answered(facts.fresh)),
        closed=_is_closed(facts, policy),
    )


def _recipient(row: CaseRecipient) -> Recipient:
    return Recipient(
        id=row.recipient_id,
        role=row.role,
        channels=tuple(tuple(Channel(word) for word in step.split(",")) for step in row.channels),
        from_s=-inf if row.from_at is None else row.from_at.timestamp(),
        until_s=inf if row.until_at is None else row.until_at.timestamp(),
    )


def _happening(row: CaseHappening) -> Happening:
    at_s = row.at.timestamp()
    level = row.level or Level.NORMAL
    match row.kind:
        case CaseEventKind.RAISED:
            return Raised(at_s=at_s, pack_id=row.regarding or "?", level=level)
        case CaseEventKind.CLOSED:
            return Closed(at_s=at_s)
        case _ if row.kind == SHOWN:
            return Shown(at_s=at_s, key=row.regarding or "")
        case _ if row.kind == FLAGGED:
            return Flagged(at_s=at_s, recipient_id=row.regarding or "", why=row.why)
    if row.role is None:
        raise ValueError(f"a happening of kind {row.kind!r} names no role")
    if row.kind == CaseEventKind.ACKNOWLEDGED:
        return Acknowledged(at_s=at_s, role=row.role, level=level)
    return Acted(at_s=at_s, role=row.role)


def _draft(page: Page) -> PageDraft:
    return PageDraft(
        key=page.key,
        kind=PageKind.ALERT,
        recipient_id=page.recipient_id,
        role=page.role,
        channel=page.channel,
        level=page.level,
        reason=page.reason,
        due_at=_instant(page.at_s),
    )


def _told(facts: CaseFacts, policy: Policy) -> Iterator[PageDraft]:
    """Each system hears each thing once, whatever restarts: the happening's number is in the key."""
    for happening in facts.fresh:
        if happening.kind not in TOLD_KINDS:
            continue
        level = happening.level or Level.NORMAL
        if happening.kind == CaseEventKind.RAISED and level.rank < policy.from_level.rank:
            continue
        for system in facts.systems:
            for channel in system.channels:
                yield PageDraft(
                    key=f"{facts.case_id}/told {happening.id}/{system.recipient_id}/{channel}",
                    kind=PageKind.TOLD,
                    recipient_id=system.recipient_id,
                    role=None,
                    channel=channel,
                    level=level,
                    reason=f"{happening.regarding or 'the incident'}: {happening.kind}",
                    due_at=happening.at,
                )


def _answered(fresh: tuple[CaseHappening, ...]) -> Iterator[tuple[Role, Level]]:
    """Roles that acknowledged just now, unless a pack rose after it."""
    last_rise = max((i for i, each in enumerate(fresh) if each.kind == CaseEventKind.RAISED), default=-1)
    for each in fresh[last_rise + 1 :]:
        if each.kind == CaseEventKind.ACKNOWLEDGED and each.role is not None:
            yield each.role, each.level or Level.NORMAL


def _is_closed(facts: CaseFacts, policy: Policy) -> bool:
    """Whether the case was closed, and nothing rose after that."""
    for each in reversed(facts.happenings):
        if each.kind == CaseEventKind.CLOSED:
            return True
        if each.kind == CaseEventKind.RAISED and (each.level or Level.NORMAL).rank >= policy.from_level.rank:
            return False
    return False


def _instant(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
