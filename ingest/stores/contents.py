"""What a store found in a span before it read it, and the series that comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.stores.contract import Band, Series
from telemetry.samples import SINGLE_CHANNELS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ingest.stores.contract import UnitSpan
    from telemetry.samples import Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What some rows hold. Their columns, C in all: temperatures, voltages, then the singles."""

    rows: int = 0
    temperatures: int = 0
    """The widest row's."""
    voltages: int = 0
    singles: tuple[str, ...] = ()
    """Names of SINGLE_CHANNELS that were measured, in their order."""
    provenances: frozenset[Provenance] = frozenset()

    @property
    def channels(self) -> int:
        return self.temperatures + self.voltages + len(self.singles)

    def united(self, other: Contents) -> Contents:
        """Of both together."""
        return Contents(
            rows=self.rows + other.rows,
            temperatures=max(self.temperatures, other.temperatures),
            voltages=max(self.voltages, other.voltages),
            singles=tuple(name for name in SINGLE_CHANNELS if name in self.singles or name in other.singles),
            provenances=self.provenances | other.provenances,
        )

    def series(
        self, span: UnitSpan, *, at_ms: NDArray[np.int64], raw: bool, band: Band, quality: NDArray[np.uint32]
    ) -> Series:
        """The series of these rows. at_ms, quality: (p,); band: (p, C)."""
        first_single = self.temperatures + self.voltages
        return Series(
            unit_id=span.unit_id,
            start_ms=span.start_ms,
            end_ms=span.end_ms,
            at_ms=at_ms,
            raw=raw,
            rows=self.rows,
            temperatures_c=_columns(band, slice(0, self.temperatures)),
            voltages_v=_columns(band, slice(self.temperatures, first_single)),
            singles={name: _columns(band, column) for column, name in enumerate(self.singles, start=first_single)},
            quality=quality,
            provenances=self.provenances,
        )


def _columns(band: Band, which: slice | int) -> Band:
    return Band(minimum=band.minimum[:, which], mean=band.mean[:, which], maximum=band.maximum[:, which])
