"""Stored samples as the alert engine reads them: all of them, in order, as they were measured."""

import numpy as np
import pytest

from alerts.history import HistoryUnavailableError
from ingest.stores.duckdb import DuckDBStore
from packwatch import stored_samples
from packwatch.stored_samples import StoredSamples
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

START_MS = 1_800_000_000_000


@pytest.fixture
def store(tmp_path):
    opened = DuckDBStore(tmp_path / "telemetry.duckdb", threads=1, memory_limit_mb=64)
    yield opened
    opened.close()


def received(first, rows, frame, provenance=Provenance.MEASURED):
    values = np.arange(first, first + rows, dtype=np.float32)
    batch = SampleBatch(
        unit_id="unit", boot_id="1-a", frame=frame, provenance=provenance, time_uncertainty_s=0.0,
        sampled_at_ms=START_MS + 1000 * np.arange(first, first + rows),
        temperatures_c=np.stack([values, values + 1], 1),
        voltages_v=np.zeros((rows, 0)), ambient_c=values / 2,
    )  # fmt: skip
    return ReceivedBatch(batch=batch, fleet_id="f", gateway_id="g", received_at_ms=START_MS)


def read(store, start_s, end_s):
    batches = StoredSamples(store).batches("unit", START_MS + 1000 * start_s, START_MS + 1000 * end_s)
    return batches, [value for batch in batches for value in batch.temperatures_c[:, 0].tolist()]


def test_every_sample_of_the_span_comes_once_in_order_in_bounded_pieces(store, monkeypatch):
    monkeypatch.setattr(stored_samples, "ROWS_AT_ONCE", 7)
    store.append([received(50, 50, 1), received(0, 50, 0)])
    batches, values = read(store, 10, 90)
    assert values == list(range(10, 90))
    assert max(len(batch) for batch in batches) <= 7
    assert batches[0].ambient_c[0] == 5.0
    assert read(store, 60, 10**7)[1] == list(range(60, 100))
    assert read(store, 100, 200) == ([], [])


def test_each_batch_has_one_provenance(store):
    store.append([received(0, 10, 0), received(10, 10, 1, Provenance.REPLAYED), received(20, 10, 2)])
    batches, values = read(store, 0, 30)
    assert values == list(range(30))
    assert batches[0].provenance is Provenance.MEASURED
    assert {batch.provenance for batch in batches} == {Provenance.MEASURED, Provenance.REPLAYED}


def test_a_store_that_is_away_says_so(tmp_path):
    closed = DuckDBStore(tmp_path / "closed.duckdb", threads=1, memory_limit_mb=64)
    closed.close()
    with pytest.raises(HistoryUnavailableError):
        StoredSamples(closed).batches("unit", 0, 1)
