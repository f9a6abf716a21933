"""Moves everything from one telemetry store to another, and shows that it arrived.

What is there already is not moved again, so a move that was stopped goes on where it was. Nothing is taken away from
the store that it comes from.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ingest.stores.contract import StoreError
from ingest.stores.duckdb import DuckDBStore
from ingest.stores.moving import Digest, digest_of, is_made_up, position_digest, row_hashes
from packwatch.data_dir import running_service
from packwatch.settings import SettingsError, StoreKind
from packwatch.stores import influx_access, open_store, store_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ingest.stores.moving import MovableStore, StoredUnit
    from packwatch.settings import Settings
    from telemetry.samples import PositionFix, ReceivedBatch

_PORTION_ROWS = 20_000
"""Samples that are written at once: 24 channels are 2 MB. **assumed**"""
_POSITIONS_MS = 7 * 86_400_000
"""Positions are moved in stretches of this length. **assumed**"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a move found in both stores at its end."""

    units: int
    samples: int
    checksum: int
    """Over all samples and positions; the same for both stores, or the move fails."""
    positions: int
    holds: int
    settled_ranges: int


def open_pair(settings: Settings, source: str, target: str) -> tuple[MovableStore, MovableStore]:
    """The stores of these names, as `open_named` takes them. Raises SettingsError for one store under two names too."""
    if _place(settings, source) == _place(settings, target):
        raise SettingsError(f"{source} and {target} are the same store: name another to move to")
    old = open_named(settings, source)
    try:
        return old, open_named(settings, target)
    except BaseException:
        old.close()
        raise


def open_named(settings: Settings, name: str) -> MovableStore:
    """`duckdb`, `influxdb`, an address http://HOST:PORT/DATABASE, or a DuckDB file. Accounts come from the settings.

    Raises SettingsError or StoreError.
    """
    chosen = _chosen(settings, name)
    if isinstance(chosen, Path):
        return DuckDBStore(chosen, threads=settings.store.threads, memory_limit_mb=settings.store.memory_limit_mb)
    return open_store(chosen)


def _chosen(settings: Settings, name: str) -> Settings | Path:
    """The settings with that store, or the DuckDB file."""
    if name in set(StoreKind):
        chosen: dict[str, Any] = {"kind": StoreKind(name)}
    elif name.startswith(("http://", "https://")):
        address, _, database = name.rpartition("/")
        if not database or "//" not in address:
            raise SettingsError(f"{name} names no database: write http://HOST:PORT/DATABASE")
        chosen = {"kind": StoreKind.INFLUXDB, "url": address, "database": database}
    elif name.endswith(".duckdb"):
        return Path(name)
    else:
        raise SettingsError(f"{name} is no store: write duckdb, influxdb, http://HOST:PORT/DATABASE or FILE.duckdb")
    return settings.model_copy(update={"store": settings.store.model_copy(update=chosen)})


def _place(settings: Settings, name: str) -> object:
    """Where the store lies: the same for all names of one store, as far as names tell."""
    chosen = _chosen(settings, name)
    if isinstance(chosen, Path):
        return chosen.resolve()
    if chosen.store.kind is StoreKind.DUCKDB:
        return store_path(chosen).resolve()
    access = influx_access(chosen)
    url = urlsplit(access.url)
    host = "127.0.0.1" if url.hostname in {"localhost", "::1"} else url.hostname
    return host, url.port, url.path.rstrip("/"), access.database


def require_idle(settings: Settings) -> None:
    """Raises SettingsError while a Packwatch runs on the data directory: what it adds would be left behind."""
    running = running_service(settings.data_dir)
    if running is not None:
        raise SettingsError(f"Packwatch runs on {settings.data_dir} ({running.url}): stop it, then move the store")


def move_store(source: MovableStore, target: MovableStore, on_progress: Callable[[int, int], None]) -> Moved:
    """Move everything. `on_progress` gets samples moved and samples in all. Raises StoreError when the two differ."""
    units = source.stored_units()
    if not units:
        raise StoreError("the store to move from holds no samples: is it the right one?")
    there = {unit.unit_id: unit.rows for unit in target.stored_units()}
    total, done = sum(unit.rows for unit in units), 0
    on_progress(0, total)
    checksum = 0
    for unit in units:
        step = _Step(unit, done, total, on_progress)
        checksum += _move_unit(source, target, step, already=there.get(unit.unit_id, 0)).checksum
        done += unit.rows
    positions = _move_positions(source, target)
    holds = source.holds()
    for span in holds:
        if span not in target.holds():
            target.hold(span)
    settled = source.outbox_progress()
    if settled:
        target.append([], settled)
    return Moved(
        units=len(units),
        samples=total,
        checksum=(checksum + positions.checksum) & 0xFFFF_FFFF_FFFF_FFFF,
        positions=positions.rows,
        holds=len(holds),
        settled_ranges=len(settled),
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """One unit's part of the way."""

    unit: StoredUnit
    before: int
    total: int
    on_progress: Callable[[int, int], None]

    def told(self, rows: int) -> None:
        self.on_progress(self.before + min(rows, self.unit.rows), self.total)


def _move_unit(source: MovableStore, target: MovableStore, step: _Step, *, already: int) -> Digest:
    unit_id = step.unit.unit_id
    if already == step.unit.rows:
        whole = digest_of(source.stored_batches(unit_id))
        if whole == digest_of(target.stored_batches(unit_id)):
            step.told(whole.rows)
            return whole
    repeats = _made_up_rows(target, unit_id) if already else Counter()
    digest = Digest()
    for portion in _portions(source.stored_batches(unit_id)):
        for received in portion:
            digest = digest.plus(row_hashes(received))
        result = target.append(list(_without(portion, repeats)))
        if result.refused:
            raise StoreError(f"the new store refuses samples of unit {unit_id}: {result.refused[0].reason}")
        step.told(digest.rows)
    found = digest_of(target.stored_batches(unit_id))
    if found != digest:
        raise StoreError(
            f"unit {unit_id} differs after the move: {digest.rows} samples with sum {digest.checksum:016x} were read, "
            f"{found.rows} with {found.checksum:016x} are there. The new store held other samples of this unit, or a "
            "running Packwatch writes to one of the two"
        )
    return digest


def _made_up_rows(target: MovableStore, unit_id: str) -> Counter[int]:
    """Rows that a store would keep a second time, by their hashes."""
    found: Counter[int] = Counter()
    for received in target.stored_batches(unit_id):
        if is_made_up(received):
            found.update(row_hashes(received).tolist())
    return found


def _without(portion: Sequence[ReceivedBatch], repeats: Counter[int]) -> Iterator[ReceivedBatch]:
    """The batches, less made-up rows that are there; each of `repeats` is used up once."""
    for received in portion:
        if not repeats or not is_made_up(received):
            yield received
            continue
        wanted = []
        for row, number in enumerate(row_hashes(received).tolist()):
            if repeats[number] > 0:
                repeats[number] -= 1
            else:
                wanted.append(row)
        for row in wanted:
            yield replace(received, batch=received.batch.part(row, row + 1))


def _move_positions(source: MovableStore, target: MovableStore) -> Digest:
    moved = Digest()
    for gateway_id, start_ms, end_ms in source.stored_gateways():
        for first in range(start_ms, end_ms, _POSITIONS_MS):
            last = min(first + _POSITIONS_MS, end_ms)
            fixes = source.positions(gateway_id, first, last)
            if not fixes:
                continue
            target.append_positions(fixes)
            digest = position_digest(fixes)
            if position_digest(_of(target.positions(gateway_id, first, last), fixes)) != digest:
                raise StoreError(f"positions of gateway {gateway_id} differ after the move")
            moved = Digest(moved.rows + digest.rows, moved.checksum + digest.checksum)
    return moved


def _of(found: Sequence[PositionFix], wanted: Sequence[PositionFix]) -> list[PositionFix]:
    """Those of the wanted times: the new store may have had others."""
    times = {fix.fixed_at_ms for fix in wanted}
    return [fix for fix in found if fix.fixed_at_ms in times]


def _portions(batches: Iterator[ReceivedBatch]) -> Iterator[list[ReceivedBatch]]:
    portion: list[ReceivedBatch] = []
    size = 0
    for received in batches:
        portion.append(received)
        size += len(received.batch)
        if size >= _PORTION_ROWS:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
