"""The rules in force: read from a file at the start, followed while it changes, and noted in the registry.

A file that cannot be used changes nothing: the rules before stay in force, also across a restart, since the registry
has the file of each change. It is logged and counted, and `trouble` says so until the file is mended.
"""

from __future__ import annotations

import asyncio
import pwd
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from alerts.rules_file import (
    FILE_AT_MOST_BYTES,
    LoadedRules,
    RulesError,
    changes_between,
    parse_rules,
    shipped_rules,
)
from registry.errors import RegistryError
from registry.records import RulesChange

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from registry.registry import Registry

LOOK_EVERY_S = 2.0
"""s between looks at the file."""
_SHIPPED_BY = "Packwatch"


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What lies at the path."""

    stamp: tuple[int, ...]
    """Changes when the file does; () = there is none."""
    content: bytes = b""
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesStatus:
    """What pages and logs say of the rules."""

    in_force: str
    """Version and hash, short."""
    trouble: str | None
    """Why the file is not in force; None: it is, or there is none."""
    refused: int
    """Files that could not be used since the start."""


class RulesKeeper:
    """`load` comes first, then `run`, beside which the rest may be read."""

    def __init__(
        self,
        *,
        path: Path,
        registry: Registry,
        now: Callable[[], datetime] = _utc_now,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        """`path` need not exist: the shipped rules hold until it does."""
        self._path = path
        self._registry = registry
        self._now = now
        self._look_every_s = look_every_s
        self._stamp: tuple[int, ...] = ()
        self._unnoted: deque[RulesChange] = deque()
        self._log = structlog.get_logger("packwatch.alerts")
        self.in_force = shipped_rules()
        self.trouble: str | None = None
        """Why the file is not in force; None: it is, or there is none."""
        self.refused = 0
        """Files that could not be used since the start."""

    async def load(self) -> LoadedRules:
        """The rules to begin with: the file's, else those of the latest change, else the shipped ones."""
        before = await asyncio.to_thread(self._noted_last)
        found = await asyncio.to_thread(self._look)
        if not found.stamp:
            self._put(shipped_rules(), actor=_SHIPPED_BY, before=before)
        elif not self._take(found, before=before or shipped_rules()):
            self._put(before or shipped_rules(), actor=_SHIPPED_BY, before=before)
        await self._note()
        return self.in_force

    def status(self) -> RulesStatus:
        """As it is now."""
        return RulesStatus(in_force=self.in_force.name, trouble=self.trouble, refused=self.refused)

    async def run(self, use: Callable[[LoadedRules], None]) -> None:
        """Follow the file until cancelled; `use` gets each new rules on the event loop."""
        while True:
            await asyncio.sleep(self._look_every_s)
            found = await asyncio.to_thread(self._look)
            if found.stamp != self._stamp and self._take(found, before=self.in_force):
                use(self.in_force)
            await self._note()

    def _take(self, found: _Found, *, before: LoadedRules) -> bool:
        """Put a file's rules in force; False when they cannot be, or are already."""
        self._stamp = found.stamp
        try:
            loaded = self._parse(found)
        except RulesError as error:
            self.refused += 1
            self.trouble = f"{error}. Rules {before.name} stay in force"
            self._log.error("rules_refused", file=str(self._path), reason=str(error), in_force=before.name)
            return False
        self.trouble = None
        self._put(loaded, actor=loaded.author or f"owner of the file: {found.owner}", before=before)
        return loaded.content_hash != before.content_hash

    def _parse(self, found: _Found) -> LoadedRules:
        if not found.stamp:
            raise RulesError(f"{self._path} is gone")
        return parse_rules(found.content, str(self._path))

    def _put(self, loaded: LoadedRules, *, actor: str, before: LoadedRules | None) -> None:
        changes = changes_between(before or shipped_rules(), loaded)
        self.in_force = loaded
        if before is not None and before.content_hash == loaded.content_hash:
            return
        self._log.warning("rules_changed", rules=loaded.name, file=loaded.source, by=actor, changes=changes)
        self._unnoted.append(
            RulesChange(
                at=self._now(),
                actor=actor,
                source=loaded.source,
                version=loaded.version,
                content_hash=loaded.content_hash,
                changes=changes,
                note=loaded.note,
                content=loaded.content,
            )
        )

    async def _note(self) -> None:
        """Note changes in the registry; while it is away they wait."""
        while self._unnoted:
            try:
                await asyncio.to_thread(self._registry.add_rules_change, self._unnoted[0])
            except RegistryError as error:
                self._log.warning("rules_change_not_noted", reason=str(error), waiting=len(self._unnoted))
                return
            self._unnoted.popleft()

    def _noted_last(self) -> LoadedRules | None:
        """The rules of the latest change; None when there is none, or this program cannot use them."""
        try:
            latest = self._registry.latest_rules_change()
            return None if latest is None else parse_rules(latest.content, latest.source)
        except (RegistryError, RulesError) as error:
            self._log.warning("noted_rules_not_usable", reason=str(error))
            return None

    def _look(self) -> _Found:
        try:
            with self._path.open("rb") as file:
                content = file.read(FILE_AT_MOST_BYTES + 1)
            status = self._path.stat()
        except OSError:
            return _Found(stamp=())
        try:
            owner = pwd.getpwuid(status.st_uid).pw_name
        except KeyError:
            owner = f"user {status.st_uid}"
        return _Found(stamp=(status.st_mtime_ns, status.st_size, status.st_ino), content=content, owner=owner)
