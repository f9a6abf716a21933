"""Changes of alerts on their way to the registry: in order, kept through its outages, tried again until it has them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from alerts.book import AlertChange
from alerts.grouping import gathering
from registry.errors import ConflictError, NotFoundError, RegistryError, UnavailableError, UnusableError
from registry.gathering import RISES
from registry.kinds import AlertState
from registry.records import AlertEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from registry.records import Alert
    from registry.registry import Registry

UNSAVED_CHANGES_KEPT = 10_000
"""**Assumed**: changes that wait for the registry. When full, a change is folded into the one of the same alert that
still waits: its newest state is kept and a step of its history is lost. A new alert always fits, so what waits is
bounded by this and the number of packs."""
RETRY_S = 1.0
"""s between tries while the registry is away."""


@dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """A change that waits. `done` is set when the registry has it, or refused it for good: then `refusal` says why."""

    change: AlertChange
    done: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: RegistryError | None = None


class Backlog:
    """First in, first saved. `add` never waits; `run` saves."""

    def __init__(
        self,
        registry: Registry,
        *,
        refused: Callable[[Entry], Awaitable[None]],
        kept: int = UNSAVED_CHANGES_KEPT,
        retry_s: float = RETRY_S,
    ) -> None:
        self._registry = registry
        self._refused = refused
        self._kept = kept
        self._retry_s = retry_s
        self._waiting: deque[Entry] = deque()
        self._newest: dict[str, Entry] = {}
        """By alert: its last change that nobody has begun to save."""
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
        return [first, *later]

    async def run(self) -> None:
        """Save what waits, until cancelled. `refused` is awaited for each change that the registry will never take."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                if not await self._save_first():
                    await asyncio.sleep(self._retry_s)

    async def drain(self, within_s: float = 1.0) -> None:
        """Save what waits before the end, unless the registry is away; call it when `run` has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._waiting and await self._save_first():
                    pass
        if self._waiting:
            self._log.error("alert_changes_lost", changes=len(self._waiting))

    async def _save_first(self) -> bool:
        """Whether the oldest change is settled: saved, or refused for good."""
        entry = self._waiting[0]
        alert = entry.change.alert
        if self._newest.get(alert.alert_id) is entry:
            del self._newest[alert.alert_id]
        try:
            await asyncio.to_thread(_save, self._registry, entry.change)
            self.saved += 1
        except (UnavailableError, UnusableError) as error:
            if not self.away:
                self._log.warning("registry_away", waiting=len(self._waiting), reason=str(error))
            self.away = True
            return False
        except RegistryError as error:
            self.refusals += 1
            self._log.error("alert_not_saved", alert=alert.alert_id, pack=alert.pack_id, reason=str(error))
            entry.refusal = error
            await self._refused(entry)
        if self.away:
            self._log.info("registry_back", waiting=len(self._waiting))
        self.away = False
        self._waiting.popleft()
        entry.done.set()
        return True


def _save(registry: Registry, change: AlertChange) -> None:
    """Keep one change. A try that failed may have been kept all the same: then the registry has it already."""
    try:
        if change.expected_version is None:
            registry.raise_alert(change.alert, change.event, gather=gathering)
        else:
            registry.change_alert(
                change.alert, change.event, change.expected_version, gather=gathering, watch=change.watch
            )
    except ConflictError:
        if not _same(registry.alert(change.alert.alert_id), change.alert):
            raise
    except NotFoundError:  # the registry lost it: better from here on than not at all
        registry.raise_alert(change.alert, change.event, gather=gathering)


def _same(kept: Alert, wanted: Alert) -> bool:
    return (kept.version, kept.state, kept.level) == (wanted.version, wanted.state, wanted.level)


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
