"""What every telemetry store promises, and the shapes that it takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from telemetry.samples import PositionFix, Provenance, ReceivedBatch


class StoreError(Exception):
    """A telemetry store did not do what was asked; the subclass says what the caller can do about it."""


class StoreInUseError(StoreError):
    """Another process holds the store: ask that process, or stop it."""


class StoreCorruptError(StoreError):
    """What lies there is no telemetry store, is damaged, or was written by a newer version."""


class StoreUnavailableError(StoreError):
    """The store cannot take or give data at the moment (disk full, closed, restarting): try again later."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        """`retry_after_s`: how long the store itself asks to be left alone; None = it did not say."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreRefusedError(StoreError):
    """The store will never take these batches in this form; others may still go in."""


class StoreFencedError(StoreError):
    """The right to write is lost: nothing was kept. The caller asks the registry who writes before it goes on."""

    def __init__(self, message: str, highest: int = 0) -> None:
        """`highest`: the fence that the store has seen, where it is that one which is in the way."""
        super().__init__(message)
        self.highest = highest


class ExportFormat(StrEnum):
    """The file formats of an export."""

    CSV = "csv"
    PARQUET = "parquet"


class UnitSpan(NamedTuple):
    """A unit's data from `start_ms` up to, not including, `end_ms` (UTC, ms since 1970)."""

    unit_id: str
    start_ms: int
    end_ms: int


class HotDay(NamedTuple):
    """The hottest temperature that a unit ever reported of one day (UTC)."""

    unit_id: str
    day_ms: int
    """When the day begins."""
    hottest_c: float


class OutboxRange(NamedTuple):
    """Records of a gateway's outbox that are settled: sequences `first` to `last`, both included."""

    fleet_id: str
    gateway_id: str
    outbox_id: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """The right to write for a group, as a lease of the registry gives it."""

    group: str
    """The fleet, or "*" for all of them."""
    number: int
    """Grows with every change of hands, over all groups of one registry."""
    held: Callable[[], bool]
    """Whether the lease still stands. Quick; asked from the thread that writes, just before a write takes hold."""


class RefusedBatch(NamedTuple):
    """A batch that did not go in whole, and never will; the batches around it did."""

    received: ReceivedBatch
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendResult:
    """What became of one `append`."""

    stored_rows: int
    duplicate_batches: int
    """Batches that brought nothing the store did not hold already."""
    refused: tuple[RefusedBatch, ...] = ()
    """From a store without transactions, whose server names what it refuses: to be quarantined, not repeated.

    Their outbox records are not settled, whatever `settled` said: that comes after the quarantine has them.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSummary:
    """What an export wrote."""

    rows: int
    columns: tuple[str, ...]
    provenances: frozenset[Provenance]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Band:
    """Lowest, mean and highest value in each bucket: (p, C) or (p,), float32; NaN = nothing measured there."""

    minimum: NDArray[np.float32]
    mean: NDArray[np.float32]
    maximum: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """One unit's history, as measured or reduced to buckets of equal length."""

    unit_id: str
    start_ms: int
    end_ms: int
    at_ms: NDArray[np.int64]
    """(p,) UTC: the samples' times when `raw`, otherwise where each bucket begins; empty buckets are listed too."""
    raw: bool
    """Every sample is here; minimum, mean and maximum are the same."""
    rows: int
    """How many samples the span holds."""
    temperatures_c: Band
    """(p, T); T is the widest that any sample of the span is."""
    voltages_v: Band
    """(p, V)."""
    singles: Mapping[str, Band]
    """(p,) by name of SINGLE_CHANNELS; only what was measured in the span."""
    quality: NDArray[np.uint32]
    """(p,) Quality bits of the bucket's samples, united."""
    provenances: frozenset[Provenance]


class TelemetryStore(Protocol):
    """Samples and positions, kept once each.

    Methods may be called from any thread and may overlap; they block. After `append` returns, what it took survives a
    SIGKILL. Nothing may be called after `close`. All raise StoreUnavailableError when the store cannot serve now.
    """

    def append(
        self, batches: Sequence[ReceivedBatch], settled: Sequence[OutboxRange] = (), fences: Sequence[Fence] = ()
    ) -> AppendResult:
        """Keep all batches in one transaction, or none. Raises StoreRefusedError when one of them can never go in.

        A batch with boot and frame is kept once by (unit, boot, frame); rows of a plain edge node are kept once by
        (unit, channel, time), so that a later message may add channels to a time that is stored.

        `settled` is kept in the same transaction; a store without transactions keeps it after the batches. There may
        be ranges without batches (what was quarantined or dropped is settled too), known ranges, and overlaps.

        `fences` are those of the groups written for. Just before the write takes hold (a store without transactions:
        before the batches, and again before the progress) the store asks each whether it is `held`, and compares its
        number with the highest that it has kept for that group or for "*" (for "*": for any group); where either says
        no it raises StoreFencedError and keeps nothing. Highest numbers are kept with the write. A number higher than
        in the last call means that another worker may have written meanwhile: what is remembered is read again.
        """

    def append_positions(
        self, fixes: Sequence[PositionFix], settled: Sequence[OutboxRange] = (), fences: Sequence[Fence] = ()
    ) -> int:
        """Keep positions, once each by gateway and time. Returns how many were new. Otherwise as `append`."""

    def outbox_progress(self) -> tuple[OutboxRange, ...]:
        """All that was ever settled, as the fewest ranges, ordered; ranges of one outbox neither overlap nor touch.

        Losing some of it after a crash is no error (the records come again and are found to be duplicates), naming
        what is not kept would be.
        """

    def read(self, unit_id: str, start_ms: int, end_ms: int, points: int) -> Series:
        """One unit's history in at most `points` buckets; as measured when it has no more rows than that."""

    def positions(self, gateway_id: str, start_ms: int, end_ms: int) -> tuple[PositionFix, ...]:
        """Where a vehicle was, oldest first."""

    def latest_at(self, unit_id: str) -> int | None:
        """The time of the unit's newest sample; None without any."""

    def export(self, spans: Sequence[UnitSpan], path: Path, file_format: ExportFormat) -> ExportSummary:
        """Write the spans' samples to `path`, ordered by time, in constant memory.

        Columns: `sampled_at` (UTC; ISO 8601 in CSV), then the trace format's names of the channels that were measured
        in the spans. An empty cell (null in Parquet) = not measured.
        """

    def roll_up(self, now_ms: int) -> bool:
        """Prepare what long reads and `hot_days` are made from, a portion at a time; every minute by who appends.

        Returns whether more waits. Reads give the same with or without it, only slower.
        """

    def hot_days(self, above_c: float, start_ms: int, end_ms: int, limit: int) -> tuple[HotDay, ...]:
        """Units' days that begin in the span and had a temperature above `above_c`, hottest first, at most `limit`.

        Days stay when their samples are deleted. What was appended since the last `roll_up` may be missing.
        """

    def hold(self, span: UnitSpan) -> None:
        """Keep the span's samples, and all positions of its time, beyond their retention."""

    def release(self, span: UnitSpan) -> None:
        """Take back a hold that was made with exactly this span; a hold that is not there is no error."""

    def holds(self) -> tuple[UnitSpan, ...]:
        """All holds."""

    def delete_before(self, cutoff_ms: int) -> int:
        """Delete samples and positions older than `cutoff_ms` that no hold covers. Returns how many samples went."""

    def close(self) -> None:
        """Finish what is under way and let go of the files."""
