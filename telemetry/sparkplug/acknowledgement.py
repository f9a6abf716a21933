"""Acknowledgement from end to end: what a host stored of a gateway's outbox, and what the outbox itself gave up.

QoS guards one hop, and a broker may lose what it took. So every record of an outbox has a number, a host names the
numbers that its store has committed, and a gateway keeps and repeats the others. See docs/wire.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import orjson

from telemetry.errors import WireError
from telemetry.identifiers import IdentifierError, parse_identifier
from telemetry.limits import MAX_INTEGER
from telemetry.sparkplug.payload import DataType, Metric, typed_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

OUTBOX_ID: Final = "Outbox/Id"
OUTBOX_STORED: Final = "Outbox/Stored"
OUTBOX_STORED_RANGES: Final = "Outbox/StoredRanges"
OUTBOX_SEQUENCE: Final = "Outbox/Sequence"
OUTBOX_REPLACED: Final = "Outbox/Replaced"
OUTBOX_REPLACED_DETAIL: Final = "Outbox/ReplacedDetail"

OUTBOX_DATATYPES: Final[Mapping[str, DataType]] = MappingProxyType(
    {
        OUTBOX_ID: DataType.STRING,
        OUTBOX_STORED: DataType.UINT64,
        OUTBOX_STORED_RANGES: DataType.UINT64_ARRAY,
        OUTBOX_SEQUENCE: DataType.UINT64,
        OUTBOX_REPLACED: DataType.UINT64_ARRAY,
        OUTBOX_REPLACED_DETAIL: DataType.STRING,
    }
)
"""Every metric of the extension. They go by name."""

STORED_RANGES_LIMIT: Final = 64
"""Most pairs of `Outbox/StoredRanges`; a range that is left out is merely sent again. Origin: the wire contract."""
REPLACED_RANGES_LIMIT: Final = 4096
"""Most pairs of `Outbox/Replaced`: 64 KiB. **Assumed**; a gateway that gives up more writes another drop record."""
REPLACED_DETAILS_LIMIT: Final = 512
"""Most entries of `Outbox/ReplacedDetail`: some 100 KiB. **Assumed**, as above."""

Ranges = tuple[tuple[int, int], ...]
"""(first, last) pairs, both included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """A host's NCMD, and in NBIRTH what the gateway still knows of it."""

    outbox_id: str
    """Made at random with the outbox; another's acknowledgement says nothing."""
    floor: int
    """All up to it is settled: committed by the store, quarantined, or given up. Numbers begin at 1; 0 = nothing."""
    ranges: Ranges = ()
    """What is settled above the floor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """Samples that a gateway gave up for want of room."""

    unit_id: str | None
    """None = positions of the vehicle."""
    boot_id: str | None
    first_frame: int | None
    last_frame: int | None
    """Frames of the boot between which the samples lay; not all between them need be concerned."""
    kept: Literal["none", "thinned"]
    """`thinned`: frames of these numbers come with some of their samples, under their own sequence."""
    kept_period_ms: int | None
    """What is left of thinned data is this far apart."""
    samples_lost: int
    from_ms: int
    to_ms: int
    """UTC of the first and last sample concerned, ms since 1970."""
    why: str
    """For people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRecord:
    """A record of the outbox that stands for others, which will never come."""

    sequence: int
    """Its own number."""
    ranges: Ranges
    """The numbers it stands for: a host counts them as settled, and reports the samples as missing."""
    details: tuple[Replaced, ...]


def acknowledgement_metrics(ack: Acknowledgement, *, timestamp_ms: int | None = None) -> tuple[Metric, ...]:
    """Return the metrics of an NCMD. Of more than STORED_RANGES_LIMIT ranges the lowest are told."""
    return _metrics(
        {
            OUTBOX_ID: ack.outbox_id,
            OUTBOX_STORED: ack.floor,
            OUTBOX_STORED_RANGES: _flat(ack.ranges[:STORED_RANGES_LIMIT]),
        },
        timestamp_ms,
    )


def acknowledgement_from_metrics(metrics: Iterable[Metric]) -> Acknowledgement:
    """Return what an NCMD or NBIRTH says of an outbox; other metrics are left alone. No floor is 0, no ranges none.

    Raises WireError: "metric_missing" without an id, "metric_twice", "datatype", "value_range", "array_length".
    """
    found = _values(metrics)
    return Acknowledgement(
        outbox_id=_outbox_id(found),
        floor=_integer(OUTBOX_STORED, found.get(OUTBOX_STORED, 0)),
        ranges=_pairs(OUTBOX_STORED_RANGES, found.get(OUTBOX_STORED_RANGES), STORED_RANGES_LIMIT),
    )


def drop_metrics(drop: DropRecord, *, timestamp_ms: int | None = None, historical: bool = False) -> tuple[Metric, ...]:
    """Return the metrics of the NDATA that tells a drop.

    Raises WireError "array_length" for more ranges or details than one record may have.
    """
    _refuse_crowd(OUTBOX_REPLACED, len(drop.ranges), REPLACED_RANGES_LIMIT)
    _refuse_crowd(OUTBOX_REPLACED_DETAIL, len(drop.details), REPLACED_DETAILS_LIMIT)
    details = [{name: getattr(detail, name) for name in Replaced.__slots__} for detail in drop.details]
    return _metrics(
        {
            OUTBOX_SEQUENCE: drop.sequence,
            OUTBOX_REPLACED: _flat(drop.ranges),
            OUTBOX_REPLACED_DETAIL: orjson.dumps(details).decode(),
        },
        timestamp_ms,
        historical=historical,
    )


def drop_from_metrics(metrics: Iterable[Metric]) -> DropRecord:
    """Return the drop that an NDATA tells: it is one when `Outbox/Replaced` is there and not null.

    Raises WireError: "metric_missing" without the sequence or the ranges, "metric_twice", "datatype", "value_range",
    "array_length", "drop_detail" where the text is not the list that belongs there.
    """
    found = _values(metrics)
    for name in (OUTBOX_SEQUENCE, OUTBOX_REPLACED):
        if name not in found:
            raise WireError("metric_missing", f"a drop record lacks {name}")
    return DropRecord(
        sequence=_integer(OUTBOX_SEQUENCE, found[OUTBOX_SEQUENCE]),
        ranges=_pairs(OUTBOX_REPLACED, found[OUTBOX_REPLACED], REPLACED_RANGES_LIMIT),
        details=_details(found.get(OUTBOX_REPLACED_DETAIL, "[]")),
    )


def _metrics(values: Mapping[str, Any], timestamp_ms: int | None, *, historical: bool = False) -> tuple[Metric, ...]:
    return tuple(
        Metric(
            name=name,
            datatype=OUTBOX_DATATYPES[name],
            value=value,
            timestamp_ms=timestamp_ms,
            is_historical=historical,
        )
        for name, value in values.items()
    )


def _values(metrics: Iterable[Metric]) -> dict[str, Any]:
    """Values of the extension's metrics; null ones are left out."""
    found: dict[str, Any] = {}
    for metric in metrics:
        datatype = OUTBOX_DATATYPES.get(metric.name or "")
        if datatype is None or metric.name is None or metric.value is None:
            continue
        if metric.name in found:
            raise WireError("metric_twice", f"{metric.name} is there twice")
        if metric.datatype not in (None, datatype):
            raise WireError("datatype", f"{metric.name} is not {datatype.name}")
        found[metric.name] = typed_value(metric, datatype)
    return found


def _outbox_id(found: Mapping[str, Any]) -> str:
    if OUTBOX_ID not in found:
        raise WireError("metric_missing", f"{OUTBOX_ID} is missing")
    try:
        return parse_identifier(found[OUTBOX_ID], "outbox")
    except IdentifierError as error:
        raise WireError("value_range", str(error)) from error


def _integer(name: str, number: int) -> int:
    if number > MAX_INTEGER:
        raise WireError("value_range", f"{name} is {number}, above 2**53 - 1")
    return number


def _flat(ranges: Ranges) -> NDArray[np.uint64]:
    return np.array(ranges, np.uint64).reshape(-1)


def _pairs(name: str, flat: NDArray[np.uint64] | None, limit: int) -> Ranges:
    if flat is None:
        return ()
    if len(flat) % 2:
        raise WireError("array_length", f"{name} has {len(flat)} numbers, not pairs")
    _refuse_crowd(name, len(flat) // 2, limit)
    numbers = [_integer(name, number) for number in flat.tolist()]
    pairs = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    if any(first > last for first, last in pairs):
        raise WireError("value_range", f"a range of {name} ends before it begins")
    return pairs


def _refuse_crowd(name: str, count: int, limit: int) -> None:
    if count > limit:
        raise WireError("array_length", f"{name} has {count} entries, more than {limit}")


def _details(text: str) -> tuple[Replaced, ...]:
    try:
        entries = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise WireError("drop_detail", f"{OUTBOX_REPLACED_DETAIL} is no JSON: {error}") from error
    if not isinstance(entries, list):
        raise WireError("drop_detail", f"{OUTBOX_REPLACED_DETAIL} is no list")
    _refuse_crowd(OUTBOX_REPLACED_DETAIL, len(entries), REPLACED_DETAILS_LIMIT)
    return tuple(_replaced(entry) for entry in entries)


def _replaced(entry: Any) -> Replaced:
    match entry:
        case {
            "unit_id": str() | None as unit_id,
            "boot_id": str() | None as boot_id,
            "first_frame": int() | None as first_frame,
            "last_frame": int() | None as last_frame,
            "kept": "none" | "thinned" as kept,
            "kept_period_ms": int() | None as kept_period_ms,
            "samples_lost": int(samples_lost),
            "from_ms": int(from_ms),
            "to_ms": int(to_ms),
            "why": str(why),
        }:
            try:
                return Replaced(
                    unit_id=None if unit_id is None else parse_identifier(unit_id, "unit"),
                    boot_id=None if boot_id is None else parse_identifier(boot_id, "boot"),
                    first_frame=first_frame,
                    last_frame=last_frame,
                    kept=kept,
                    kept_period_ms=kept_period_ms,
                    samples_lost=samples_lost,
                    from_ms=from_ms,
                    to_ms=to_ms,
                    why=why,
                )
            except IdentifierError as error:
                raise WireError("drop_detail", str(error)) from error
    raise WireError("drop_detail", f"an entry of {OUTBOX_REPLACED_DETAIL} lacks a key, or one has another type")
