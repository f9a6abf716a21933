"""Messages that look alike, decoded together by where their bytes lie. Pure.

A gateway's messages differ in values, numbers and times only: tags, lengths and names stay where they were. A stencil
is learned from one message that the general path has read, and then reads many of the same length with a few
numpy operations.
What does not fit to the byte takes the general path; both say the same (`tests/ingest/test_stencils.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from telemetry.limits import MAX_CHANNELS, MAX_INTEGER
from telemetry.samples import SINGLE_CHANNELS, SampleBatch
from telemetry.sparkplug.batches import (
    BOOT,
    FRAME,
    OUTBOX_SEQUENCE,
    PROVENANCE,
    SINGLES,
    TEMPERATURE,
    TIME,
    TIME_UNCERTAINTY,
    VOLTAGE,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ingest.sessions import BornMetric
    from telemetry.samples import Provenance

_STENCILS_KEPT = 4096
"""Layouts differ by channel counts, rows, and the sizes of a few numbers; a flood of others begins anew. **assumed**"""
_PER_DEVICE = 64
_LONGEST_VARINT = 8
"""Bytes; 56 bits, more than any number of ours."""

_VARINT, _BYTES = 0, 2
_TOP_TIMESTAMP, _TOP_METRICS, _TOP_SEQ = 1, 2, 3
_ALIAS, _TIMESTAMP, _HISTORICAL = 2, 3, 5
_LONG, _FLOAT, _STRING, _RAW = 11, 12, 15, 16

_FIELDS: Final[Mapping[str, tuple[str, int]]] = {
    TIME: ("times", _RAW),
    TEMPERATURE: ("temperatures", _RAW),
    VOLTAGE: ("voltages", _RAW),
    **{name: (column, _RAW) for column, name in SINGLES.items()},
    TIME_UNCERTAINTY: ("uncertainty", _FLOAT),
    BOOT: ("boot", _STRING),
    FRAME: ("frame", _LONG),
    PROVENANCE: ("provenance", _STRING),
    OUTBOX_SEQUENCE: ("record", _LONG),
}
"""The metrics of a data message that is in order, and the protobuf field of each one's value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayLayout:
    """What the aliases of a device that sends arrays mean."""

    slots: Mapping[int, tuple[str, int]]
    """Alias to what it is, and the protobuf field of its value."""
    temperature_channels: int
    voltage_channels: int

    @classmethod
    def of(
        cls, by_alias: Mapping[int, BornMetric], temperature_channels: int | None, voltage_channels: int | None
    ) -> ArrayLayout | None:
        """The layout that a birth declares; None when it is not one of ours."""
        slots = {
            alias: _FIELDS[born.name]
            for alias, born in by_alias.items()
            if born.as_expected and born.name in _FIELDS and alias  # 0 is also what a metric without an alias shows
        }
        counts = (temperature_channels, voltage_channels)
        if any(count is None or not 0 <= count <= MAX_CHANNELS for count in counts) or not any(
            what == "times" for what, _ in slots.values()
        ):
            return None
        return cls(slots=slots, temperature_channels=counts[0] or 0, voltage_channels=counts[1] or 0)


class Span(NamedTuple):
    """Bytes `start` up to `end` of a message."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stencil:
    """Where everything lies in messages of one length."""

    length: int
    fixed: NDArray[np.intp]
    """Places of bytes that say the shape: tags, lengths, and those of numbers for the bit that says "more follows"."""
    mask: NDArray[np.uint8]
    expected: NDArray[np.uint8]
    """Of the bytes at `fixed`, after `mask`."""
    own: NDArray[np.intp]
    """Places of bytes that are the device's own: its aliases and its boot."""
    seq: Span
    frame: Span | None
    record: Span | None
    uncertainty: Span | None
    times: Span
    temperatures: Span | None
    voltages: Span | None
    singles: tuple[tuple[str, Span], ...]
    rows: int
    temperature_channels: int
    voltage_channels: int
    provenance: Provenance
    historical: bool


class DeviceStencil(NamedTuple):
    """A stencil as one device uses it."""

    stencil: Stencil
    own: bytes
    boot_id: str | None


class Candidate(NamedTuple):
    """A message that may fit."""

    payload: bytes
    unit_id: str
    by: DeviceStencil


class Read(NamedTuple):
    """What a message that fits says."""

    seq: int
    batch: SampleBatch
    record: int | None
    """Its number in the gateway's outbox."""


@dataclass(slots=True)
class Stencils:
    """All stencils that were learned, shared among devices."""

    _known: dict[tuple[Any, ...], Stencil] = field(default_factory=dict)

    def learn(
        self, payload: bytes, batch: SampleBatch, layout: ArrayLayout, of_device: dict[int, DeviceStencil]
    ) -> None:
        """Learn from a message that the general path made `batch` of; what is out of the ordinary teaches nothing."""
        found = _walk(payload, layout, batch)
        if found is None:
            return
        key, stencil = found
        if len(self._known) >= _STENCILS_KEPT:
            self._known.clear()
        stencil = self._known.setdefault(key, stencil)
        if len(of_device) >= _PER_DEVICE:
            of_device.clear()
        own = bytes([payload[place] for place in stencil.own])
        of_device[len(payload)] = DeviceStencil(stencil, own, batch.boot_id)


def read_all(candidates: Sequence[Candidate]) -> list[Read | None]:
    """What each says; None = it does not fit, which says nothing about it."""
    found: list[Read | None] = [None] * len(candidates)
    groups: dict[int, list[int]] = {}
    for index, candidate in enumerate(candidates):
        groups.setdefault(id(candidate.by.stencil), []).append(index)
    for indices in groups.values():
        _read_alike(candidates[indices[0]].by.stencil, [candidates[index] for index in indices], indices, found)
    return found


def _read_alike(stencil: Stencil, candidates: list[Candidate], indices: list[int], found: list[Read | None]) -> None:
    n, rows = len(candidates), stencil.rows
    joined = b"".join([candidate.payload for candidate in candidates])
    matrix = np.frombuffer(joined, np.uint8).reshape(n, stencil.length)
    fits = ((matrix[:, stencil.fixed] & stencil.mask) == stencil.expected).all(axis=1)
    own = np.frombuffer(b"".join([candidate.by.own for candidate in candidates]), np.uint8).reshape(n, -1)
    fits &= (matrix[:, stencil.own] == own).all(axis=1)
    times = _column(matrix, stencil.times, "<i8", (n, rows))
    fits &= (times[:, 0] >= -MAX_INTEGER) & (times[:, -1] <= MAX_INTEGER)
    if rows > 1:
        fits &= (times[:, 1:] > times[:, :-1]).all(axis=1)
    frames = _numbers(matrix, stencil.frame, n)
    records = _numbers(matrix, stencil.record, n)
    fits &= np.array([frame is None or frame <= MAX_INTEGER for frame in frames], np.bool_)
    seqs = _numbers(matrix, stencil.seq, n)
    temperatures = _table(matrix, stencil.temperatures, (n, rows, stencil.temperature_channels))
    voltages = _table(matrix, stencil.voltages, (n, rows, stencil.voltage_channels))
    singles = [(name, _column(matrix, span, "<f4", (n, rows))) for name, span in stencil.singles]
    uncertainties: list[float] = (
        [float("nan")] * n
        if stencil.uncertainty is None
        else _column(matrix, stencil.uncertainty, "<f4", (n,)).tolist()
    )
    quality = np.zeros(rows, np.uint32)
    quality.flags.writeable = False
    absent: dict[str, Any] = dict.fromkeys(SINGLE_CHANNELS)
    for at, (candidate, fit) in enumerate(zip(candidates, fits.tolist(), strict=True)):
        if not fit:
            continue
        batch = SampleBatch.of_sound_columns(
            unit_id=candidate.unit_id,
            boot_id=candidate.by.boot_id,
            frame=frames[at],
            provenance=stencil.provenance,
            sampled_at_ms=times[at],
            time_uncertainty_s=uncertainties[at],
            temperatures_c=temperatures[at],
            voltages_v=voltages[at],
            quality=quality,
            historical=stencil.historical,
            singles=absent if not singles else absent | {name: column[at] for name, column in singles},
        )
        found[indices[at]] = Read(seqs[at] or 0, batch, records[at])


def _column(matrix: NDArray[np.uint8], span: Span, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    values = np.ascontiguousarray(matrix[:, span.start : span.end]).reshape(-1).view(dtype).reshape(shape)
    values.flags.writeable = False
    return values


def _table(matrix: NDArray[np.uint8], span: Span | None, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    if span is not None:
        return _column(matrix, span, "<f4", shape)
    values = np.full(shape, np.nan, np.float32)
    values.flags.writeable = False
    return values


def _numbers(matrix: NDArray[np.uint8], span: Span | None, n: int) -> list[int | None]:
    """Varints of one size, little end first, seven bits a byte."""
    if span is None:
        return [None] * n
    total = np.zeros(n, np.int64)
    for shift, place in enumerate(range(span.start, span.end)):
        total |= (matrix[:, place].astype(np.int64) & 0x7F) << (7 * shift)
    return [*total.tolist()]


class _StrangeError(Exception):
    """Bytes that no stencil describes."""


@dataclass(slots=True)
class _Places:
    """What a walk through a message finds: places whose bytes are fixed, free, or the device's own."""

    mask: bytearray
    own: list[int] = field(default_factory=list)
    spans: dict[str, Span] = field(default_factory=dict)
    shape: list[str] = field(default_factory=list)

    def name(self, what: str, span: Span) -> None:
        if what in self.spans:
            raise _StrangeError
        self.spans[what] = span
        self.shape.append(what)

    def free(self, span: Span, mask: int = 0) -> None:
        self.mask[span.start : span.end] = bytes([mask]) * (span.end - span.start)


def _walk(payload: bytes, layout: ArrayLayout, batch: SampleBatch) -> tuple[tuple[Any, ...], Stencil] | None:
    places = _Places(mask=bytearray(b"\xff" * len(payload)))
    try:
        at = 0
        while at < len(payload):
            number, kind, at = _tag(payload, at)
            if number == _TOP_METRICS and kind == _BYTES:
                at, end = _length(payload, at)
                _walk_metric(payload, Span(at, end), layout, places)
                at = end
            elif kind == _VARINT and number in (_TOP_TIMESTAMP, _TOP_SEQ):
                span = _varint(payload, at)
                places.free(span, 0x80)
                places.name("seq" if number == _TOP_SEQ else "timestamp", span)
                at = span.end
            else:
                return None
    except (_StrangeError, IndexError):
        return None
    spans = places.spans
    if "seq" not in spans or "times" not in spans:
        return None
    fixed = np.flatnonzero(np.frombuffer(bytes(places.mask), np.uint8)).astype(np.intp)
    mask = np.frombuffer(bytes(places.mask), np.uint8)[fixed]
    stencil = Stencil(
        length=len(payload),
        fixed=fixed,
        mask=mask,
        expected=np.frombuffer(payload, np.uint8)[fixed] & mask,
        own=np.array(places.own, np.intp),
        seq=spans["seq"],
        frame=spans.get("frame"),
        record=spans.get("record"),
        uncertainty=spans.get("uncertainty"),
        times=spans["times"],
        temperatures=spans.get("temperatures"),
        voltages=spans.get("voltages"),
        singles=tuple((name, spans[name]) for name in SINGLE_CHANNELS if name in spans),
        rows=(spans["times"].end - spans["times"].start) // 8,
        temperature_channels=layout.temperature_channels,
        voltage_channels=layout.voltage_channels,
        provenance=batch.provenance,
        historical=batch.historical,
    )
    key = (
        len(payload), stencil.expected.tobytes(), bytes(places.mask), tuple(places.own), tuple(places.shape),
        layout.temperature_channels, layout.voltage_channels,
    )  # fmt: skip
    return key, stencil


def _walk_metric(payload: bytes, within: Span, layout: ArrayLayout, places: _Places) -> None:
    at = within.start
    what, wanted = "", 0
    seen: set[int] = set()
    while at < within.end:
        number, kind, at = _tag(payload, at)
        span = _content(payload, at, number, kind)
        if number in seen or (number >= _LONG) != (number == wanted):
            raise _StrangeError
        seen.add(number)
        if number == _ALIAS:
            what, wanted = layout.slots.get(_value(payload, span), ("", 0))
        elif number == wanted:
            places.name(what, span)
        if number == _ALIAS or (what == "boot" and number == wanted):
            places.own += range(span.start, span.end)
        places.free(span, _freedom(number, what))
        at = span.end
    if at != within.end or wanted not in seen:
        raise _StrangeError


def _content(payload: bytes, at: int, number: int, kind: int) -> Span:
    """Where a field of a metric has its content; raises _StrangeError for fields that no data of ours has."""
    match number, kind:
        case ((2 | 3 | 11), 0):
            return _varint(payload, at)
        case 5, 0:
            return Span(at, at + 1)
        case 12, 5:
            return Span(at, at + 4)
        case ((15 | 16), 2):
            return Span(*_length(payload, at))
    raise _StrangeError


def _freedom(number: int, what: str) -> int:
    """Which bits of a field's bytes are fixed."""
    if number == _HISTORICAL or (number == _STRING and what == "provenance"):
        return 0xFF
    return 0x80 if number in (_TIMESTAMP, _LONG) else 0


def _tag(payload: bytes, at: int) -> tuple[int, int, int]:
    span = _varint(payload, at)
    tag = _value(payload, span)
    return tag >> 3, tag & 7, span.end


def _length(payload: bytes, at: int) -> tuple[int, int]:
    span = _varint(payload, at)
    end = span.end + _value(payload, span)
    if end > len(payload):
        raise _StrangeError
    return span.end, end


def _varint(payload: bytes, at: int) -> Span:
    end = at
    while payload[end] & 0x80:
        end += 1
    if end + 1 - at > _LONGEST_VARINT:
        raise _StrangeError
    return Span(at, end + 1)


def _value(payload: bytes, span: Span) -> int:
    value = 0
    for shift, place in enumerate(range(span.start, span.end)):
        value |= (payload[place] & 0x7F) << (7 * shift)
    return value
