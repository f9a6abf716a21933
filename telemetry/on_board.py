"""What a vehicle's own engine says of its units: on the vehicle's broker, and to the cloud. See docs/wire.md."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import orjson

from telemetry.errors import WireError
from telemetry.identifiers import parse_identifier
from telemetry.limits import MAX_INTEGER
from telemetry.samples import Provenance
from telemetry.sparkplug.batches import SAMPLE_ALIASES
from telemetry.sparkplug.payload import DataType, Metric, Payload, encode_payload, resolve_metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALARM_LEVEL: Final = "Alarm/Level"
ALARM_SINCE: Final = "Alarm/Since"
ALARM_REASONS: Final = "Alarm/Reasons"
ALARM_PROVENANCE: Final = "Alarm/Provenance"
ALARM_RELEASED: Final = "Alarm/Released"
REPORT_INTERVAL: Final = "Config/ReportInterval"
PACK: Final = "Config/Pack"

ON_BOARD_DATATYPES: Final[Mapping[str, DataType]] = MappingProxyType(
    {
        ALARM_LEVEL: DataType.STRING,
        ALARM_SINCE: DataType.DATE_TIME,
        ALARM_REASONS: DataType.STRING,
        ALARM_PROVENANCE: DataType.STRING,
        ALARM_RELEASED: DataType.DATE_TIME,
        REPORT_INTERVAL: DataType.FLOAT,
        PACK: DataType.STRING,
    }
)
"""A device's metrics beside its samples."""
ON_BOARD_ALIASES: Final[Mapping[str, int]] = MappingProxyType(
    {name: number for number, name in enumerate(ON_BOARD_DATATYPES, start=len(SAMPLE_ALIASES) + 1)}
)
"""As SAMPLE_ALIASES, which they follow: append only."""
COMMANDS: Final = frozenset({ALARM_RELEASED, REPORT_INTERVAL, PACK})
"""What a DCMD may set."""
FASTEST_REPORT_S = 0.1
SLOWEST_REPORT_S = 60.0
"""s. **Assumed**: slower, and a damaged pack's silence would not be seen within its 60 s."""
MAX_WORDS_BYTES = 16_384
"""Bytes of `Config/Pack`. **Assumed**: 512 channels with a label each."""
_REASONS_KEPT = 16
_REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBoard:
    """What the vehicle knows of one unit. Times are UTC, ms since 1970."""

    level: str
    """By the vehicle's own engine: a word of registry.kinds.Level."""
    since_ms: int | None = None
    """Event time; None: nothing was evaluated yet."""
    reasons: tuple[str, ...] = ()
    provenance: Provenance | None = None
    """Of the samples that the level is of."""
    released_ms: int | None = None
    """The newest release by a person that the vehicle took."""
    report_interval_s: float | None = None
    """What the cloud asked for; None = as the unit thinks best."""
    pack: str | None = None
    """What the cloud said of the unit's pack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBoardReport:
    """What a gateway told of one unit."""

    fleet_id: str
    gateway_id: str
    unit_id: str
    received_at_ms: int
    """The cloud's clock."""
    status: OnBoard


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCommand:
    """A DCMD to one unit: the values that it sets, None = null."""

    unit_id: str
    values: Mapping[str, Any]


def alarm_topic(gateway_id: str, unit_id: str) -> str:
    """Where a gateway tells the vehicle the level of a unit, retained. Raises IdentifierError."""
    return f"packwatch/vehicle/{parse_identifier(gateway_id, 'gateway')}/alarm/{parse_identifier(unit_id, 'unit')}"


def button_topic(gateway_id: str) -> str:
    """Where a cab's button tells that it was pressed, whatever the message holds. Raises IdentifierError."""
    return f"packwatch/vehicle/{parse_identifier(gateway_id, 'gateway')}/button"


def encode_alarm(status: OnBoard, *, clock_trusted: bool) -> bytes:
    """The level as UTF-8 JSON, for the driver's page and the siren."""
    return orjson.dumps(
        {
            "level": status.level,
            "since_ms": status.since_ms,
            "reasons": status.reasons,
            "provenance": status.provenance,
            "clock_trusted": clock_trusted,
        }
    )


def on_board_metrics(status: OnBoard, *, alias_base: int, timestamp_ms: int, born: bool) -> tuple[Metric, ...]:
    """All of them: with their names for a DBIRTH (`born`), by alias alone for a DDATA."""
    reasons = [reason[:_REASON_CHARACTERS].replace("\n", " ") for reason in status.reasons[:_REASONS_KEPT]]
    values: dict[str, Any] = {
        ALARM_LEVEL: status.level,
        ALARM_SINCE: None if status.since_ms is None else max(0, status.since_ms),
        ALARM_REASONS: "\n".join(reasons) if reasons else None,
        ALARM_PROVENANCE: None if status.provenance is None else status.provenance.value,
        ALARM_RELEASED: status.released_ms,
        REPORT_INTERVAL: status.report_interval_s,
        PACK: status.pack,
    }
    return tuple(
        Metric(
            name=name if born else None,
            alias=alias_base + ON_BOARD_ALIASES[name],
            datatype=datatype,
            value=values[name],
            is_null=values[name] is None,
            timestamp_ms=timestamp_ms,
        )
        for name, datatype in ON_BOARD_DATATYPES.items()
    )


def on_board_values(metrics: Iterable[Metric]) -> dict[str, Any]:
    """The values of those of a device's resolved metrics that are told here; None = null. Others are left alone.

    Raises WireError as `resolve_metric` does, and "datatype".
    """
    values: dict[str, Any] = {}
    for metric in metrics:
        datatype = ON_BOARD_DATATYPES.get(metric.name or "")
        if datatype is None or metric.name is None:
            continue
        if metric.datatype not in (None, datatype) and not metric.is_null:
            raise WireError("datatype", f"{metric.name} is not {datatype.name}")
        values[metric.name] = resolve_metric(metric, name=metric.name, datatype=datatype).value
    return values


def on_board_of(values: Mapping[str, Any]) -> OnBoard | None:
    """What a device's values by name say; None where no level is among them: its gateway has no engine.

    A provenance that is not known counts as measured.
    """
    level = values.get(ALARM_LEVEL)
    if not isinstance(level, str):
        return None
    reasons: str | None = values.get(ALARM_REASONS)
    provenance = values.get(ALARM_PROVENANCE)
    known = {each.value for each in Provenance}
    return OnBoard(
        level=level,
        since_ms=_instant(values.get(ALARM_SINCE)),
        reasons=()
        if reasons is None
        else tuple(line[:_REASON_CHARACTERS] for line in reasons.split("\n"))[:_REASONS_KEPT],
        provenance=None
        if provenance is None
        else Provenance(provenance)
        if provenance in known
        else Provenance.MEASURED,
        released_ms=_instant(values.get(ALARM_RELEASED)),
        report_interval_s=values.get(REPORT_INTERVAL),
        pack=values.get(PACK),
    )


def encode_device_command(values: Mapping[str, Any], now_ms: int) -> bytes:
    """The payload of a DCMD that sets these of COMMANDS; None = null."""
    metrics = tuple(
        Metric(
            name=name,
            datatype=ON_BOARD_DATATYPES[name],
            value=value,
            is_null=value is None,
            timestamp_ms=now_ms,
        )
        for name, value in values.items()
    )
    return encode_payload(Payload(timestamp_ms=now_ms, metrics=metrics))


def check_command(values: Mapping[str, Any]) -> None:
    """Raises WireError "value_range" for what no gateway takes over."""
    interval_s = values.get(REPORT_INTERVAL)
    if interval_s is not None and not FASTEST_REPORT_S <= interval_s <= SLOWEST_REPORT_S:  # NaN is not between them
        raise WireError(
            "value_range",
            f"{REPORT_INTERVAL} is {interval_s:g} s: allowed is {FASTEST_REPORT_S:g} to {SLOWEST_REPORT_S:g}",
        )
    pack = values.get(PACK)
    if pack is not None and len(pack.encode()) > MAX_WORDS_BYTES:
        raise WireError("value_range", f"{PACK} has {len(pack.encode())} bytes, more than {MAX_WORDS_BYTES}")


def _instant(value: int | None) -> int | None:
    return None if value is None else min(value, MAX_INTEGER)
