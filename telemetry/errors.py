"""What goes wrong with the bytes of a peer: one error, whose reason is counted and whose text is shown."""

_MAX_DETAIL = 500
"""**Assumed** enough for a sentence; a metric's name may have a million letters."""


class WireError(ValueError):
    """Bytes, topics or values that the wires of `docs/wire.md` do not allow. The peer misbehaved; nothing changed.

    `reason` is a short stable slug for counters and the quarantine; `str(error)` is a sentence that says what is
    wrong.
    """

    def __init__(self, reason: str, detail: str) -> None:
        """Take the slug and the sentence; a sentence that quotes a long name of the peer's is cut."""
        super().__init__(detail if len(detail) <= _MAX_DETAIL else detail[: _MAX_DETAIL - 3] + "...")
        self.reason = reason

    def __reduce__(self) -> tuple[type["WireError"], tuple[str, str]]:
        """Pickle with both arguments; an exception remembers only what `super().__init__` got."""
        return type(self), (self.reason, str(self))
