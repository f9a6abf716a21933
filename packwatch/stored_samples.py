"""The telemetry store as the alert engine reads it: whole samples in batches, oldest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alerts.history import HistoryUnavailableError
from ingest.stores.contract import StoreError
from telemetry.samples import SampleBatch

if TYPE_CHECKING:
    from ingest.stores.contract import Series, TelemetryStore
    from packwatch.history import RemoteHistory

SNAPSHOT_FILE = "alert-states.npz"
"""In the data directory: where the alert engine's own memory lies, which samples of the store complete."""
ROWS_AT_ONCE = 20_000
"""**Assumed**: rows of one read; at 1 s five and a half hours."""
_LONGEST_MS = 24 * 3_600_000


class StoredSamples:
    """As alerts' SampleHistory."""

    def __init__(self, store: TelemetryStore | RemoteHistory) -> None:
        self._store = store

    def batches(self, unit_id: str, start_ms: int, end_ms: int) -> list[SampleBatch]:
        """As SampleHistory.batches. A stretch is read in halves until it is whole, and of one provenance."""
        try:
            newest_ms = self._store.latest_at(unit_id)
            if newest_ms is None or newest_ms < start_ms:
                return []
            found: list[SampleBatch] = []
            end_ms = min(end_ms, newest_ms + 1)
            span_ms = min(end_ms - start_ms, _LONGEST_MS)
            while start_ms < end_ms:
                series = self._store.read(unit_id, start_ms, min(start_ms + span_ms, end_ms), ROWS_AT_ONCE)
                if (not series.raw or len(series.provenances) > 1) and span_ms > 1:
                    span_ms = (span_ms + 1) // 2
                    continue
                if series.rows and series.raw:
                    found.append(_batch(series))
                start_ms += span_ms
                span_ms = min(2 * span_ms, _LONGEST_MS)
        except StoreError as error:
            raise HistoryUnavailableError(str(error)) from error
        return found


def _batch(series: Series) -> SampleBatch:
    """Two boots may have samples of the same time: the first of them."""
    at_ms, first = np.unique(series.at_ms, return_index=True)
    singles: dict[str, Any] = {name: band.mean[first] for name, band in series.singles.items()}
    return SampleBatch(
        unit_id=series.unit_id,
        boot_id=None,
        frame=None,
        provenance=min(series.provenances),
        sampled_at_ms=at_ms,
        time_uncertainty_s=0.0,
        temperatures_c=series.temperatures_c.mean[first],
        voltages_v=series.voltages_v.mean[first],
        quality=series.quality[first],
        **singles,
    )
