"""Escalation, pure: a case and the time -> who is paged on which channel, and why.

The plan is worked out anew each time from all that happened, so a restart forgets nothing; the caller sends the pages
whose keys are not in its outbox. What happened later never takes away a page that was due before.

A round begins when a pack is raised, worsens or is hot again, when a role has not acknowledged, or when nobody has
recorded an action. In a round each role is paged at its step, counted from the beginning of the case: a stream of new
packs pages everyone again and delays nobody. An acknowledgement stops its own role for the level that it names.
Roles besides the driver's are the office: what a driver does never stops them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise
from math import inf, nextafter
from typing import TYPE_CHECKING, NamedTuple

from alerts.escalation_kinds import (
    CRITICAL_POLICY,
    Acknowledged,
    Acted,
    Closed,
    Flagged,
    Notice,
    Page,
    Plan,
    Raised,
    Shown,
)
from registry.kinds import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alerts.escalation_kinds import Case, Happening, Policy, Recipient
    from registry.kinds import Level


class _Trigger(NamedTuple):
    """A pack was raised, rose, or is hot again."""

    at_s: float
    level: Level
    """The highest of the case."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """Roles are paged from `at_s` on, until the next round."""

    number: int
    at_s: float
    end_s: float
    """The first instant that is not its own."""
    began_s: float
    """When the episode began: steps count from there."""
    reset_s: float
    """Acknowledgements after it count."""
    level: Level
    reason: str


def plan(case: Case, now_s: float, policy: Policy = CRITICAL_POLICY) -> Plan:
    """What is due up to and at `now_s`; what happened after it does not count.

    Raises ValueError when happenings are not in the order of time.
    """
    if any(later.at_s < each.at_s for each, later in pairwise(case.happenings)):
        raise ValueError("what happened is not in the order of time")
    known = [each for each in case.happenings if each.at_s <= now_s]
    horizon_s = now_s + policy.again_after_s + policy.steps[-1].after_s
    pages: list[Page] = []
    notices: list[Notice] = []
    number = 0
    for happenings in _episodes(known):
        episode = _Episode(case, happenings, policy)
        for round_ in _rounds(episode, horizon_s, number):
            number = round_.number
            paging = _Paging(episode, known, round_)
            pages += paging.pages()
            notices += paging.notices
    pages.sort(key=lambda page: page.at_s)
    return Plan(
        pages=tuple(page for page in pages if page.at_s <= now_s),
        notices=tuple(notice for notice in notices if notice.at_s <= now_s),
        next_s=next((page.at_s for page in pages if page.at_s > now_s), None),
    )


def _episodes(known: Sequence[Happening]) -> Iterator[list[Happening]]:
    """What happened from one closing to the next."""
    episode: list[Happening] = []
    for happening in known:
        episode.append(happening)
        if isinstance(happening, Closed):
            yield episode
            episode = []
    yield episode


def _rounds(episode: _Episode, horizon_s: float, number: int) -> Iterator[_Round]:
    """The rounds of an episode up to the horizon, numbered on from `number`.

    Each trigger has a round of its own, two at one instant too: what was due before the second one came keeps its key.
    """
    triggers, policy, closed_s = list(episode.triggers), episode.policy, _after(episode.closed_s)
    if not triggers:
        return
    trigger = triggers.pop(0)
    began_s = trigger_s = reset_s = at_s = trigger.at_s
    level, reason = trigger.level, trigger.reason
    while at_s < min(closed_s, horizon_s):
        rise_s = triggers[0].at_s if triggers else inf
        silent_s = episode.without_action(trigger_s, reset_s, level)
        unanswered_s = episode.without_acknowledgement(at_s, reset_s, level)
        by_itself_s = min(silent_s, unanswered_s)
        number += 1
        yield _Round(
            number=number,
            at_s=at_s,
            end_s=min(by_itself_s, _after(rise_s), closed_s),
            began_s=began_s,
            reset_s=reset_s,
            level=level,
            reason=reason,
        )
        at_s = min(by_itself_s, rise_s)
        if rise_s < by_itself_s:
            trigger = triggers.pop(0)
            trigger_s = reset_s = at_s
            level, reason = trigger.level, trigger.reason
        elif silent_s <= unanswered_s:
            reset_s, reason = at_s, f"no action was recorded within {policy.again_after_s:g} s"
        else:
            reason = f"not acknowledged within {policy.again_after_s:g} s"


def _after(at_s: float) -> float:
    """The first instant after `at_s`: what was due at the instant of a happening stays due."""
    return nextafter(at_s, inf)


def _triggers(episode: Sequence[Happening], policy: Policy) -> list[_Trigger]:
    """What gave a reason to page, in order."""
    highest: dict[str, Level] = {}
    triggers = []
    for each in episode:
        if not isinstance(each, Raised) or each.level.rank < policy.from_level.rank:
            continue
        before = highest.get(each.pack_id)
        if before is None:
            reason = f"{'another pack, ' if highest else ''}{each.pack_id} is {each.level}"
        elif each.level.rank > before.rank:
            reason = f"{each.pack_id} rose to {each.level}"
        else:
            reason = f"{each.pack_id} is hot again"
        highest[each.pack_id] = max(each.level, before or each.level, key=_rank)
        triggers.append(_Trigger(each.at_s, max(highest.values(), key=_rank), reason))
    return triggers


def _rank(level: Level) -> int:
    return level.rank


class _Episode:
    """What happened from one closing to the next, asked for what matters."""

    def __init__(self, case: Case, happenings: Sequence[Happening], policy: Policy) -> None:
        self.case, self.happenings, self.policy = case, happenings, policy
        self.triggers = _triggers(happenings, policy)
        self.closed_s = next((each.at_s for each in happenings if isinstance(each, Closed)), inf)
        self.office = [step.role for step in policy.steps if step.role is not Role.DRIVER]
        present = {each.role for each in case.recipients}
        self._present = [step.role for step in policy.steps if step.role in present]

    def acknowledged(self, role: Role, reset_s: float, level: Level) -> float:
        """When the role acknowledged this level, after the reset; infinity: it did not."""
        times = (
            each.at_s
            for each in self.happenings
            if isinstance(each, Acknowledged) and each.role is role and each.level.rank >= level.rank
        )
        return next((at_s for at_s in times if at_s > reset_s), inf)

    def without_action(self, trigger_s: float, reset_s: float, level: Level) -> float:
        """When all are paged again since the office recorded no action; infinity: it did.

        Time runs from the reset, and anew from each role's first acknowledgement: who has just answered gets to act.
        """
        due_s = reset_s + self.policy.again_after_s
        for answered_s in sorted(self.acknowledged(role, reset_s, level) for role in self.office):
            if answered_s < due_s:
                due_s = answered_s + self.policy.again_after_s
        acted = (each.at_s for each in self.happenings if isinstance(each, Acted) and each.role is not Role.DRIVER)
        return inf if any(trigger_s < at_s < due_s for at_s in acted) else due_s

    def without_acknowledgement(self, at_s: float, reset_s: float, level: Level) -> float:
        """When the roles that have not acknowledged are paged again; infinity: all that are there have."""
        due_s = at_s + self.policy.again_after_s
        answered = (self.acknowledged(role, reset_s, level) < due_s for role in self._present)
        return inf if all(answered) else due_s


class _Paging:
    """Whom one round pages. `notices` is complete once `pages` was called."""

    def __init__(self, episode: _Episode, known: Sequence[Happening], round_: _Round) -> None:
        self.notices: list[Notice] = []
        self._episode, self._known, self._round = episode, known, round_
        self._case, self._policy = episode.case, episode.policy
        self._shown = {each.key: each.at_s for each in reversed(known) if isinstance(each, Shown)}

    def pages(self) -> list[Page]:
        """All pages of the round, those due later included."""
        round_, steps = self._round, self._policy.steps
        office = self._episode.office
        answered = any(self._acknowledged(role) < round_.at_s for role in office)
        if not answered and not any(self._reachable(role, round_.at_s) for role in office):
            return self._everyone()
        pages: list[Page] = []
        brought_s = inf
        for after_s, together in groupby(steps, key=lambda step: step.after_s):
            planned_s = max(round_.at_s, round_.began_s + after_s)
            at_s = min(planned_s, brought_s)
            why = "; nobody before could be reached" if at_s < planned_s else ""
            roles = [step.role for step in together]
            for role in roles:
                pages += self._role(role, at_s, why)
            failed_s = [self._failed(role, at_s) for role in roles if role is not Role.DRIVER]
            brought_s = max(failed_s, default=inf)
        return pages

    def _everyone(self) -> list[Page]:
        """Nobody in the office can be reached: who is flagged or off duty is paged as well, on every channel."""
        at_s = self._round.at_s
        if not self._case.recipients:
            self.notices.append(Notice(at_s=at_s, text="there is nobody to page: no recipient is known for this case"))
            return []
        text = "nobody in the office can be reached: everyone is paged on every channel"
        self.notices.append(Notice(at_s=at_s, text=text))
        return [
            self._page(recipient, group, number, at_s, f"{self._round.reason}; {text}")
            for recipient in self._case.recipients
            for group, channels in enumerate(recipient.channels)
            for number in range(len(channels))
        ]

    def _role(self, role: Role, at_s: float, brought: str) -> Iterator[Page]:
        """A role's pages: each recipient's channels, one group after the other until a device answers.

        Who is flagged is paged as well, in case it arrives all the same; nobody waits for that.
        """
        stop_s = self._acknowledged(role)
        if not self._is_due(at_s, stop_s):
            return
        if not self._reachable(role, at_s):
            text = f"no {role} is on duty and reachable: the next role is paged at once"
            self.notices.append(Notice(at_s=at_s, text=text))
        for recipient in self._on_duty(role, at_s):
            for group, channels in enumerate(recipient.channels):
                due_s = at_s + group * self._policy.receipt_within_s
                if not self._is_due(due_s, stop_s) or self._answered(recipient) < due_s:
                    break
                why = brought
                if group > 0:
                    why += f"; no device answered within {self._policy.receipt_within_s:g} s"
                for number in range(len(channels)):
                    yield self._page(recipient, group, number, due_s, self._round.reason + why)

    def _acknowledged(self, role: Role) -> float:
        return self._episode.acknowledged(role, self._round.reset_s, self._round.level)

    def _is_due(self, at_s: float, stop_s: float) -> bool:
        return at_s <= stop_s and at_s < self._round.end_s

    def _failed(self, role: Role, at_s: float) -> float:
        """When it is known that the role was not reached; infinity: it was, or acknowledged."""
        reachable = self._reachable(role, at_s)
        if not reachable:
            return at_s
        over_s = at_s + max(len(each.channels) for each in reachable) * self._policy.receipt_within_s
        stop_s = self._acknowledged(role)
        if stop_s < over_s or any(self._answered(each) < over_s for each in reachable):
            return inf
        return over_s

    def _answered(self, recipient: Recipient) -> float:
        """When a device of the recipient first showed a page of this round; infinity: none did."""
        keys = (self._key(recipient, channel) for channels in recipient.channels for channel in channels)
        return min((self._shown.get(key, inf) for key in keys), default=inf)

    def _on_duty(self, role: Role, at_s: float) -> list[Recipient]:
        return [each for each in self._case.recipients if each.role is role and each.from_s <= at_s < each.until_s]

    def _reachable(self, role: Role, at_s: float) -> list[Recipient]:
        flags = {each.recipient_id: each.why for each in self._known if isinstance(each, Flagged) and each.at_s < at_s}
        return [each for each in self._on_duty(role, at_s) if flags.get(each.id) is None]

    def _page(self, recipient: Recipient, group: int, number: int, at_s: float, reason: str) -> Page:
        channel = recipient.channels[group][number]
        return Page(
            key=self._key(recipient, channel),
            at_s=at_s,
            recipient_id=recipient.id,
            role=recipient.role,
            channel=channel,
            level=self._round.level,
            reason=reason,
        )

    def _key(self, recipient: Recipient, channel: str) -> str:
        return f"{self._case.id}/{self._round.number}/{recipient.role}/{recipient.id}/{channel}"
