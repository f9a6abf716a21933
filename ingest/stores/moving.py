"""What a store must tell so that everything in it can be moved to another, and the sums that show it arrived."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ingest.stores.contract import TelemetryStore
from telemetry.samples import SINGLE_CHANNELS, Quality

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from telemetry.samples import PositionFix, ReceivedBatch

_ALL_BITS = 2**64 - 1
_ODD = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio: multiples of it spread over 64 bits."""


class StoredUnit(NamedTuple):
    """A unit and how many samples it has."""

    unit_id: str
    rows: int


class StoredGateway(NamedTuple):
    """A gateway and the time of its positions, up to, not including, `end_ms`."""

    gateway_id: str
    start_ms: int
    end_ms: int


class MovableStore(TelemetryStore, Protocol):
    """A telemetry store that tells all that it has."""

    def stored_units(self) -> tuple[StoredUnit, ...]:
        """All units that have samples, by id."""

    def stored_gateways(self) -> tuple[StoredGateway, ...]:
        """All gateways that have positions, by id."""

    def stored_batches(self, unit_id: str) -> Iterator[ReceivedBatch]:
        """A unit's samples with all that is known of them; the rows of a frame come as one batch. `fleet_id` is empty.

        Rows without a frame number come in any portions; those whose time was made up apart from the others.
        """


class Digest(NamedTuple):
    """Rows and a sum over them that does not depend on their order."""

    rows: int = 0
    checksum: int = 0

    def plus(self, hashes: NDArray[np.uint64]) -> Digest:
        """With some rows more."""
        total = self.checksum + int(hashes.sum(dtype=np.uint64))
        return Digest(self.rows + len(hashes), total & _ALL_BITS)


def digest_of(batches: Iterable[ReceivedBatch]) -> Digest:
    """The digest of samples."""
    found = Digest()
    for received in batches:
        found = found.plus(row_hashes(received))
    return found


def row_hashes(received: ReceivedBatch) -> NDArray[np.uint64]:
    """(n,) one number a row, from all that a store keeps of it. Channels at the end that are NaN make no difference."""
    batch = received.batch
    uncertainty = np.float32(batch.time_uncertainty_s)
    origin = repr(
        (
            batch.unit_id,
            batch.boot_id,
            batch.frame,
            batch.provenance.value,
            received.gateway_id,
            received.received_at_ms,
            str(uncertainty) if np.isfinite(uncertainty) else None,
        )
    )
    seed = np.frombuffer(hashlib.blake2b(origin.encode(), digest_size=8).digest(), np.uint64)[0]
    total = _mixed(batch.sampled_at_ms.astype(np.uint64) + seed) + _mixed(batch.quality.astype(np.uint64))
    columns = [
        *((number, batch.temperatures_c[:, number]) for number in range(batch.temperatures_c.shape[1])),
        *((10_000 + number, batch.voltages_v[:, number]) for number in range(batch.voltages_v.shape[1])),
        *((20_000 + number, getattr(batch, name)) for number, name in enumerate(SINGLE_CHANNELS)),
    ]
    for number, values in columns:
        if values is None:
            continue
        # Adding zero makes one of the two zeros that a float has.
        bits = (values + np.float32(0)).view(np.uint32).astype(np.uint64)
        total += np.where(np.isnan(values), np.uint64(0), _mixed(bits + _channel(number)))
    return _mixed(total)


def position_digest(fixes: Iterable[PositionFix]) -> Digest:
    """The digest of positions."""
    texts = (repr(fix).encode() for fix in fixes)
    hashes = [np.frombuffer(hashlib.blake2b(text, digest_size=8).digest(), np.uint64)[0] for text in texts]
    return Digest().plus(np.array(hashes, np.uint64))


def is_made_up(received: ReceivedBatch) -> bool:
    """Whether the rows came without a frame number, at times that were made up: a store keeps each, and all repeats."""
    batch = received.batch
    return batch.frame is None and bool(batch.quality[:1].any() and batch.quality[0] & Quality.TIME_IMPOSSIBLE)


def _channel(number: int) -> np.uint64:
    return np.uint64((number + 1) * int(_ODD) & _ALL_BITS)


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of the result depends on every bit of the number. Source: splitmix64, Steele et al. (2014)."""
    mixed = numbers + _ODD
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
