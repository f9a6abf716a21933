"""What an InfluxDB was lately asked to keep, to be asked again after it was started anew.

InfluxDB 1 cuts a torn end off its write-ahead log when it starts, and goes on writing behind where that end was. At its
next start it takes the gap for torn, too, and drops all that it had confirmed in between: measured with Debian's 1.6.7,
after a full disk and after a kill in the middle of a write. Until it has moved them into a TSM file, confirmed samples
are therefore as safe as this copy: see docs/acknowledgement.md for what remains possible.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT_BYTES = 48 * 1024 * 1024
"""InfluxDB moves a shard's cache into a file at 25 MB, of 16 bytes a value (its `cache-snapshot-memory-size`); a value
is some 10 bytes of our text. So this holds what two such caches have, and what is known of it. **assumed**: more shards
are not written at a time."""
PIECE_BYTES = 5_000_000
"""One write of what is asked again. Origin: as the largest write of an append."""
_OVERHEAD_BYTES = 150
"""What an entry occupies beside its text."""


class Asked(NamedTuple):
    """Something that the server confirmed: lines that it wrote, or InfluxQL that it carried out."""

    database: str
    what: bytes | str


class Lately:
    """The newest KEPT_BYTES of what was asked, in order. Repeating all of it changes nothing that is still there."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._asked: deque[Asked] = deque()
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._asked)

    def add(self, asked: Asked) -> None:
        """The server confirmed it; what is older than the bound allows is forgotten."""
        self._asked.append(asked)
        self._bytes += len(asked.what) + _OVERHEAD_BYTES
        while self._bytes > self._kept_bytes:
            self._bytes -= len(self._asked.popleft().what) + _OVERHEAD_BYTES

    def pieces(self) -> Iterator[Asked]:
        """All of it in order, neighbouring lines of a database together."""
        lines: list[bytes] = []
        size, into = 0, ""
        for database, what in self._asked:
            if lines and (isinstance(what, str) or database != into or size + len(what) > PIECE_BYTES):
                yield Asked(into, b"".join(lines))
                lines, size = [], 0
            if isinstance(what, str):
                yield Asked(database, what)
            else:
                lines.append(what)
                size, into = size + len(what), database
        if lines:
            yield Asked(into, b"".join(lines))
