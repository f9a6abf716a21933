"""Names and times as paths and queries of the API carry them."""

from typing import Annotated

from fastapi import Path, Query

TIME_MAX_MS = 4_102_444_800_000
"""2100-01-01: beyond it a time is a mistake, such as one in microseconds. **assumed**"""

_IDENTIFIER = r"^[A-Za-z0-9_-]{1,64}$"
AlertKey = Annotated[str, Path(pattern=_IDENTIFIER)]
IncidentKey = Annotated[str, Path(pattern=_IDENTIFIER)]
EntryKey = Annotated[str, Path(pattern=_IDENTIFIER)]
"""Of an entry in a review."""
Instant = Annotated[int, Query(ge=0, le=TIME_MAX_MS, description="ms UTC", examples=[1796112000000])]
PackKey = Annotated[
    str, Path(pattern=r"^(unit:)?[A-Za-z0-9_-]{1,64}$", description="A pack's id, or `unit:ID`", examples=["pack-07"])
]
