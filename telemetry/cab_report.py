"""What the box in the cab did, as a record of its outbox: see docs/wire.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import orjson

from telemetry.errors import WireError
from telemetry.identifiers import IdentifierError, parse_identifier
from telemetry.limits import MAX_INTEGER

if TYPE_CHECKING:
    from collections.abc import Mapping

CAB_ACTION: Final = "Cab/Action"
"""A metric of the edge node: one action as JSON, with `Outbox/Sequence` beside it."""
MAX_UNITS: Final = 256
_DETAIL_CHARACTERS: Final = 300


class CabAction(StrEnum):
    """What happened in the cab."""

    SOUNDED = "siren sounded"
    ROSE = "siren goes on"
    """Another unit, or a higher level, while it sounded."""
    ACKNOWLEDGED = "acknowledged in the cab"
    """The siren is a chirp since then; the lamp stays."""
    RESTORED = "siren restored"
    ENDED = "siren ended"
    FAULT = "cab fault"
    """Something of the alarm's own equipment is broken; `detail` says what and what to do."""
    MENDED = "cab fault over"


@dataclass(frozen=True, slots=True, kw_only=True)
class CabReport:
    """One action. Times are UTC, ms since 1970, by the gateway's clock."""

    report_id: str
    """Made at random: a report that comes again is the same one."""
    action: CabAction
    at_ms: int
    units: Mapping[str, str]
    """The units that it was about, and their levels then: words of registry.kinds.Level."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CabTold:
    """What a gateway told."""

    fleet_id: str
    gateway_id: str
    received_at_ms: int
    report: CabReport


def encode_cab_report(report: CabReport) -> str:
    """The report as the metric's text."""
    return orjson.dumps(
        {
            "id": report.report_id,
            "action": report.action,
            "at_ms": report.at_ms,
            "units": dict(list(report.units.items())[:MAX_UNITS]),
            "detail": report.detail[:_DETAIL_CHARACTERS],
        }
    ).decode()


def decode_cab_report(text: str | bytes) -> CabReport:
    """The report of the metric's text. Raises WireError "cab_report"."""
    try:
        return _report(orjson.loads(text))
    except (orjson.JSONDecodeError, IdentifierError, ValueError, KeyError, TypeError) as error:
        raise WireError("cab_report", f"{CAB_ACTION} is no action of a cab: {error}") from error


def _report(fields: Any) -> CabReport:
    at_ms, units, detail = fields["at_ms"], fields["units"], fields["detail"]
    if type(at_ms) is not int or not 0 <= at_ms <= MAX_INTEGER:
        raise ValueError("at_ms is no time")
    if (
        not isinstance(units, dict)
        or len(units) > MAX_UNITS
        or not all(isinstance(each, str) for each in units.values())
    ):
        raise ValueError(f"units are no more than {MAX_UNITS} names with their levels")
    if not isinstance(detail, str):
        raise TypeError("detail is no text")
    return CabReport(
        report_id=parse_identifier(fields["id"], "report"),
        action=CabAction(fields["action"]),
        at_ms=at_ms,
        units={parse_identifier(unit_id, "unit"): level for unit_id, level in units.items()},
        detail=detail[:_DETAIL_CHARACTERS],
    )
