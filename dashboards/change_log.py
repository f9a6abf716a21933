"""Which rows changed since a version: the memory behind coalesced deltas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["pack", "vehicle", "alert", "incidents", "intake"]
Key = tuple[Kind, str]


class ChangeLog:
    """Every touch gives the key the next version. A reader that asks late sees each key once, with its newest version.

    `forget` drops a key; a reader that had not seen its last change must start over (`readable_from`).
    """

    __slots__ = ("_versions", "readable_from", "version")

    def __init__(self) -> None:
        self._versions: dict[Key, int] = {}
        """Oldest change first: a touched key moves to the end."""
        self.version = 0
        self.readable_from = 0
        """A reader behind this version has missed something that is no longer here."""

    def touch(self, key: Key) -> None:
        self.version += 1
        self._versions.pop(key, None)
        self._versions[key] = self.version

    def forget(self, key: Key) -> None:
        """The key is gone from the page: every reader starts over from the whole board."""
        self._versions.pop(key, None)
        self.version += 1
        self.readable_from = self.version

    def drop_seen(self, key: Key) -> None:
        """The key's last change is old: only readers that have not seen it start over."""
        self.readable_from = max(self.readable_from, self._versions.pop(key, 0))

    def since(self, version: int) -> list[tuple[Key, int]]:
        """The keys that changed after `version`, oldest change first."""
        return list(self._newer(version))[::-1]

    def _newer(self, version: int) -> Iterator[tuple[Key, int]]:
        for key, changed in reversed(self._versions.items()):
            if changed <= version:
                return
            yield key, changed
