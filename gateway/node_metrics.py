"""The edge node's own metrics: every name it will ever publish, its datatype, and its value now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from telemetry.cab_report import CAB_ACTION
from telemetry.sparkplug.acknowledgement import (
    OUTBOX_DATATYPES,
    OUTBOX_REPLACED,
    OUTBOX_REPLACED_DETAIL,
    OUTBOX_SEQUENCE,
    Acknowledgement,
    acknowledgement_metrics,
)
from telemetry.sparkplug.payload import DataType, Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telemetry.samples import PositionFix

BD_SEQ: Final = "bdSeq"
REBIRTH: Final = "Node Control/Rebirth"
REFUSED: Final = "Health/Refused"
"""One refused local message as JSON: topic, reason, detail."""

NODE_DATATYPES: Final[Mapping[str, DataType]] = {
    BD_SEQ: DataType.INT64,
    REBIRTH: DataType.BOOLEAN,
    **OUTBOX_DATATYPES,
    "Position/Latitude": DataType.DOUBLE,
    "Position/Longitude": DataType.DOUBLE,
    "Position/Speed": DataType.DOUBLE,
    "Position/Heading": DataType.DOUBLE,
    "Position/Accuracy": DataType.DOUBLE,
    "Position/FixTime": DataType.DATE_TIME,
    "Health/OutboxFill": DataType.FLOAT,
    "Health/OutboxRecords": DataType.UINT64,
    "Health/FramesRefused": DataType.UINT64,
    "Health/FramesDeferred": DataType.UINT64,
    "Health/FramesUnmapped": DataType.UINT64,
    "Health/SamplesGivenUp": DataType.UINT64,
    "Health/UnitFramesLost": DataType.UINT64,
    "Health/FramesUnjudged": DataType.UINT64,
    "Health/EvaluationFailures": DataType.UINT64,
    "Health/DiskFull": DataType.BOOLEAN,
    "Health/ClockTrusted": DataType.BOOLEAN,
    "Health/InboxDropped": DataType.UINT64,
    "Health/UnitsTalking": DataType.UINT32,
    "Health/LocalLink": DataType.BOOLEAN,
    "Health/OnVehiclePower": DataType.BOOLEAN,
    "Health/BatteryCharge": DataType.FLOAT,
    "Health/BatterySince": DataType.DATE_TIME,
    "Health/BatteryHoursLeft": DataType.FLOAT,
    "Health/Siren": DataType.BOOLEAN,
    "Health/SirenLoop": DataType.BOOLEAN,
    "Health/CabFaults": DataType.STRING,
    REFUSED: DataType.STRING,
    CAB_ACTION: DataType.STRING,
}
"""The edge node's metrics go by name: only devices use aliases, and `Node Control/Rebirth` must have none."""

_MOMENTARY = frozenset({OUTBOX_SEQUENCE, OUTBOX_REPLACED, OUTBOX_REPLACED_DETAIL, REFUSED, CAB_ACTION})
"""They belong to one message; a birth tells them as null."""


class NodeMetrics:
    """Values as last reported, for births and for telling what changed."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {REBIRTH: False}

    def tell_outbox(self, known: Acknowledgement) -> None:
        """Which outbox this is, and what of it is settled, for the next birth."""
        self._values.update({str(metric.name): metric.value for metric in acknowledgement_metrics(known)})

    def remember(self, values: Mapping[str, Any]) -> None:
        """Take over values for the next birth. Raises KeyError for a name that no birth would tell."""
        for name in values:
            NODE_DATATYPES[name]
        self._values.update({name: value for name, value in values.items() if name not in _MOMENTARY})

    def changed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the (scalar) values that differ from what was remembered."""
        return {name: value for name, value in values.items() if self._values.get(name) != value}

    def birth(self, *, bd_seq: int, now_ms: int) -> tuple[Metric, ...]:
        """Every metric with its value now, or null."""
        return node_metrics({name: self._values.get(name) for name in NODE_DATATYPES} | {BD_SEQ: bd_seq}, now_ms)


def node_metrics(values: Mapping[str, Any], timestamp_ms: int, *, historical: bool = False) -> tuple[Metric, ...]:
    """Metrics of these names; None = null."""
    return tuple(
        Metric(
            name=name,
            datatype=NODE_DATATYPES[name],
            value=value,
            is_null=value is None,
            is_historical=historical,
            timestamp_ms=timestamp_ms,
        )
        for name, value in values.items()
    )


def position_values(fix: PositionFix) -> dict[str, Any]:
    """A fix as metric values."""
    return {
        "Position/Latitude": fix.latitude_deg,
        "Position/Longitude": fix.longitude_deg,
        "Position/Speed": fix.speed_m_s,
        "Position/Heading": fix.heading_deg,
        "Position/Accuracy": fix.accuracy_m,
        "Position/FixTime": fix.fixed_at_ms,
    }
