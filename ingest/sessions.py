"""What the host knows of an edge node and its devices: their births, and where their sequence numbers stand."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ingest.stencils import ArrayLayout, DeviceStencil
from telemetry.errors import WireError
from telemetry.sparkplug.batches import SAMPLE_DATATYPES, TEMPERATURE_CHANNELS, TIME, VOLTAGE_CHANNELS
from telemetry.sparkplug.payload import DataType, Metric, resolve_metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SCALAR = re.compile(r"(Temperature|Voltage)/([1-9][0-9]{0,2})", re.ASCII)
_COUNTS = {"Temperature": TEMPERATURE_CHANNELS, "Voltage": VOLTAGE_CHANNELS}


class BornMetric(NamedTuple):
    """A metric as its birth told it."""

    name: str
    datatype: DataType | None
    as_expected: bool
    """The sample codec gives it this datatype by itself."""


class Births:
    """The metrics that one birth certificate declared, by alias and by name."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        """Raises WireError "birth_name" for a metric without a name."""
        self.by_alias: dict[int, BornMetric] = {}
        self.by_name: dict[str, BornMetric] = {}
        for metric in metrics:
            if metric.name is None:
                raise WireError("birth_name", f"the birth's metric with alias {metric.alias} has no name")
            expected = SAMPLE_DATATYPES.get(metric.name)
            born = BornMetric(metric.name, metric.datatype, expected is not None and metric.datatype is expected)
            self.by_name[metric.name] = born
            if metric.alias is not None:
                self.by_alias[metric.alias] = born


def resolve(metrics: Iterable[Metric], births: Births | None) -> list[Metric]:
    """Give data metrics their names, and their raw values the datatypes, of their birth.

    Without a birth only metrics that carry a name pass. Raises WireError: "birth_missing", "alias_unknown", and what
    `resolve_metric` raises.
    """
    resolved = []
    by_alias: Mapping[int, BornMetric] = {} if births is None else births.by_alias
    by_name: Mapping[str, BornMetric] = {} if births is None else births.by_name
    for metric in metrics:
        if metric.name is not None:
            born = by_name.get(metric.name)
            resolved.append(metric if born is None else _as_born(metric, born))
            continue
        born = None if metric.alias is None else by_alias.get(metric.alias)
        if born is None:
            if births is None:
                raise WireError("birth_missing", f"alias {metric.alias} means nothing: its birth was not received")
            raise WireError("alias_unknown", f"alias {metric.alias} is in no birth of this session")
        resolved.append(_as_born(metric, born))
    return resolved


def _as_born(metric: Metric, born: BornMetric) -> Metric:
    if not born.as_expected or metric.datatype is not None:
        return resolve_metric(metric, name=born.name, datatype=born.datatype)
    return Metric(
        name=born.name,
        alias=metric.alias,
        value=metric.value,
        timestamp_ms=metric.timestamp_ms,
        is_historical=metric.is_historical,
        is_null=metric.is_null,
    )


@dataclass(slots=True, kw_only=True)
class DeviceSession:
    """A unit that its gateway has declared."""

    births: Births
    temperature_channels: int | None
    voltage_channels: int | None
    layout: ArrayLayout | None
    """How to read its data in bulk; None when it sends no arrays by alias."""
    on_board: dict[str, Any] = field(default_factory=dict)
    """What its vehicle says of it beside samples, by metric."""
    stencils: dict[int, DeviceStencil] = field(default_factory=dict)
    """What its messages look like, by their length."""

    @classmethod
    def born(cls, metrics: Iterable[Metric]) -> DeviceSession:
        """Take a device's birth. Channel counts come from it, or from the highest scalar channel that it declares.

        Raises WireError as Births does, and "datatype" for a channel count that is no whole number.
        """
        counts: dict[str, int] = {}
        metrics = list(metrics)
        births = Births(metrics)
        for metric in metrics:
            name = metric.name or ""
            if name in _COUNTS.values() and metric.value is not None:
                if type(metric.value) is not int:
                    raise WireError("datatype", f"{name} is a {type(metric.value).__name__}, not a whole number")
                counts[name] = metric.value
            elif (scalar := _SCALAR.fullmatch(name)) is not None and TIME not in births.by_name:
                kind = _COUNTS[scalar[1]]
                counts[kind] = max(counts.get(kind, 0), int(scalar[2]))
        temperatures, voltages = counts.get(TEMPERATURE_CHANNELS), counts.get(VOLTAGE_CHANNELS)
        return cls(
            births=births,
            temperature_channels=temperatures,
            voltage_channels=voltages,
            layout=ArrayLayout.of(births.by_alias, temperatures, voltages),
        )


@dataclass(slots=True, kw_only=True)
class NodeSession:
    """A gateway, from what it has published."""

    births: Births | None = None
    """None: no birth was received, or the session it began is over."""
    bd_seq: int | None = None
    outbox_id: str | None = None
    """Which outbox its records are of; None while no birth says so."""
    devices: dict[str, DeviceSession] = field(default_factory=dict)
    rebirth_asked_ms: int | None = None
    _seq: int | None = None

    def begin(self, births: Births, *, bd_seq: int | None, seq: int | None, outbox_id: str | None) -> None:
        """A node birth: everything before it is void."""
        self.births = births
        self.bd_seq = bd_seq
        self.outbox_id = outbox_id
        self.devices.clear()
        self._seq = seq

    def end(self) -> None:
        """The session is over, or nothing is known of it any more."""
        self.births = None
        self.bd_seq = None
        self.outbox_id = None
        self.devices.clear()
        self._seq = None

    def is_next(self, seq: int) -> bool:
        """Whether no message is missing before this one."""
        return self._seq is None or seq == (self._seq + 1) % 256

    def follow(self, seq: int | None) -> int:
        """Take a message's sequence number; how many messages are missing before it.

        A message without one is no gap: some nodes leave it out, and asking them again would not change it.
        """
        if seq is None:
            return 0
        expected = None if self._seq is None else (self._seq + 1) % 256
        self._seq = seq
        return 0 if expected is None else (seq - expected) % 256
