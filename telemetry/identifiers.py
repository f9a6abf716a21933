"""Identifiers of units, gateways, packs and fleets: they become topic levels, so they hold no separator or wildcard."""

import re

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")


class IdentifierError(ValueError):
    """A text that cannot name a unit, gateway, pack or fleet."""


def parse_identifier(text: str, kind: str) -> str:
    """Return `text` if it can name a `kind` ("unit", "gateway", ...). Raises IdentifierError, which says why not."""
    if not _IDENTIFIER.fullmatch(text):
        shown = text if len(text) <= 80 else text[:77] + "..."
        raise IdentifierError(f"{kind} id {shown!r} is not 1 to 64 of A-Z a-z 0-9 _ -")
    return text
