"""Changes of alerts on their way to the registry: in order, kept through its outages, tried again until it has them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from alerts.book import AlertChange
from alerts.grouping import gathering
from registry.alert_log import AlertStep
from registry.errors import ConflictError, NotFoundError, RegistryError, UnavailableError, UnusableError
from registry.gathering import RISES
from registry.kinds import AlertState
from registry.records import AlertEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from alerts.paging.standby import Standby
    from registry.registry import Registry

UNSAVED_CHANGES_KEPT = 10_000
"""**Assumed**: changes that wait for the registry. When full, a change is folded into the one of the same alert that
still waits: its newest state is kept and a step of its history is lost. A new alert always fits, so what waits is
bounded by this and the number of packs."""
TOGETHER = 64
"""**Assumed**: changes that are saved in one transaction at most, some 0.1 s: a person's step waits for two of them."""
RETRY_S = 1.0
"""s between tries while the registry is away."""


@dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """A change that waits. `done` is set when the registry has it, or refused it for good: then `refusal` says why."""

    change: AlertChange
    done: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: RegistryError | None = None


class Backlog:
    """First in, first saved, many at once. `add` never waits; `run` saves.

    Of changes that are saved together, one that is refused takes no other along: they are tried one by one then.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        refused: Callable[[Entry], Awaitable[None]],
        standby: Standby | None = None,
        kept: int = UNSAVED_CHANGES_KEPT,
        retry_s: float = RETRY_S,
    ) -> None:
        """`standby`: who pages while the registry is away, and tells it first what was sent."""
        self._registry = registry
        self._refused = refused
        self._standby = standby
        self._kept = kept
        self._retry_s = retry_s
        self._waiting: deque[Entry] = deque()
        self._newest: dict[str, Entry] = {}
        """By alert: its last change that nobody has begun to save."""
        self._alone = 0
        """How many changes are to be saved one by one: one among them was refused when they were saved together."""
        self._woken = asyncio.Event()
        self._log = structlog.get_logger("packwatch.alerts")
        self.away = False
        """Whether the registry did not answer the last time."""
        self.saved = 0
        self.folded = 0
        """Changes that replaced one that still waited: steps missing in a history."""
        self.refusals = 0
        """Changes that the registry will never take."""

    def __len__(self) -> int:
        """How many changes wait."""
        return len(self._waiting)

    def add(self, change: AlertChange) -> Entry:
        """Take a change in."""
        alert_id = change.alert.alert_id
        waiting = self._newest.get(alert_id)
        if waiting is not None and len(self._waiting) >= self._kept:
            waiting.change = _folded(waiting.change, change)
            self.folded += 1
            return waiting
        entry = self._newest[alert_id] = Entry(change=change)
        self._waiting.append(entry)
        if self._standby is not None:
            self._standby.observe(entry)
        self._woken.set()
        return entry

    def holds(self, alert_id: str) -> bool:
        """Whether a change of the alert waits; if somebody else changed it too, the registry will refuse it."""
        return any(each.change.alert.alert_id == alert_id for each in self._waiting)

    def withdraw(self, first: Entry) -> list[Entry]:
        """`first`, which was refused, and all that waits behind it for the same alert: each was made upon the last."""
        alert_id = first.change.alert.alert_id
        later = [each for each in self._waiting if each is not first and each.change.alert.alert_id == alert_id]
        for entry in later:
            self._waiting.remove(entry)
            entry.refusal = first.refusal
            entry.done.set()
        self._newest.pop(alert_id, None)
        self._alone = max(0, self._alone - len(later))
        return [first, *later]

    async def run(self) -> None:
        """Save what waits, until cancelled. `refused` is awaited for each change that the registry will never take."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                if not await self._save_waiting():
                    await asyncio.sleep(self._retry_s)

    async def drain(self, within_s: float = 1.0) -> None:
        """Save what waits before the end, unless the registry is away; call it when `run` has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._waiting and await self._save_waiting():
                    pass
        if self._waiting:
            self._log.error("alert_changes_lost", changes=len(self._waiting))

    async def _save_waiting(self) -> bool:
        """Save the oldest changes, all in one transaction, or the oldest alone; whether the registry answered."""
        together = 1 if self._alone else TOGETHER
        entries = list(itertools.islice(self._waiting, together))
        for entry in entries:
            if self._newest.get(entry.change.alert.alert_id) is entry:
                del self._newest[entry.change.alert.alert_id]
        try:
            await self._save([entry.change for entry in entries])
        except (UnavailableError, UnusableError) as error:
            if not self.away:
                self._log.warning("registry_away", waiting=len(self._waiting), reason=str(error))
            self.away = True
            return False
        except RegistryError as error:
            if len(entries) > 1:
                self._alone, entries = len(entries), []
            else:
                await self._refuse(entries[0], error)
        if self.away:
            self._log.info("registry_back", waiting=len(self._waiting))
        self.away = False
        self._alone = max(0, self._alone - len(entries))
        for entry in entries:
            self._waiting.popleft()
            self.saved += entry.refusal is None
            entry.done.set()
        return True

    async def _save(self, changes: Sequence[AlertChange]) -> None:
        if self._standby is not None:
            await self._standby.ready()
        await asyncio.to_thread(_save, self._registry, changes)
        if self._standby is not None:
            self._standby.saved()

    async def _refuse(self, entry: Entry, error: RegistryError) -> None:
        self.refusals += 1
        alert = entry.change.alert
        self._log.error("alert_not_saved", alert=alert.alert_id, pack=alert.pack_id, reason=str(error))
        entry.refusal = error
        await self._refused(entry)


def _save(registry: Registry, changes: Sequence[AlertChange]) -> None:
    """Keep changes, all or none. One alone that the registry has already, from a try that failed, is kept."""
    try:
        registry.keep_steps([_step(each) for each in changes], gather=gathering)
    except ConflictError:
        if len(changes) > 1 or not _is_kept(registry, changes[0]):
            raise
    except NotFoundError:  # the registry lost it: better from here on than not at all
        if len(changes) > 1:
            raise
        registry.keep_steps([replace(_step(changes[0]), expected_version=None)], gather=gathering)


def _step(change: AlertChange) -> AlertStep:
    return AlertStep(
        alert=change.alert, event=change.event, expected_version=change.expected_version, watch=change.watch
    )


def _is_kept(registry: Registry, change: AlertChange) -> bool:
    """Whether the alert's history has this very step: its version may be a later one by now, of the same try."""
    return any(event_mark(event) == event_mark(change.event) for event in registry.alert_events(change.alert.alert_id))


def event_mark(event: AlertEvent) -> tuple[object, ...]:
    """What tells a step from any other of its alert."""
    return (event.at, event.action, event.from_state, event.to_state, event.level, event.actor, event.sampled_at)


def _folded(before: AlertChange, change: AlertChange) -> AlertChange:
    """Both as one step: the later state, from where the earlier began. It takes the earlier's version.

    A rise stays a rise unless the alert is closed by now: people are called for it, once more rather than never.
    """
    change.alert.version = before.alert.version
    event = change.event
    called = before.event.action in RISES and event.action not in RISES and event.to_state is not AlertState.CLOSED
    return AlertChange(
        alert=change.alert,
        event=AlertEvent(
            alert_id=event.alert_id,
            at=event.at,
            action=before.event.action if called else event.action,
            from_state=before.event.from_state,
            to_state=event.to_state,
            level=event.level,
            sampled_at=event.sampled_at or before.event.sampled_at,
            actor=event.actor or before.event.actor,
            actor_role=event.actor_role or before.event.actor_role,
            comment=event.comment or before.event.comment,
            reasons=[*before.event.reasons, *event.reasons],
        ),
        expected_version=before.expected_version,
        watch=change.watch or before.watch,
    )
