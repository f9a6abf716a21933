"""Batches for the tests of ingest, and a store in a folder of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ingest.stores.duckdb import DuckDBStore
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW_MS = 1_800_000_000_000


@pytest.fixture
def make_batch() -> Callable[..., ReceivedBatch]:
    """`make_batch(rows=2, frame=1)`: samples 1 s apart, ending at NOW_MS, unless told otherwise."""

    def make(**given: Any) -> ReceivedBatch:
        rows = given.pop("rows", 2)
        envelope = {
            "fleet_id": "fleet-1",
            "gateway_id": "gateway-1",
            "received_at_ms": NOW_MS,
            "outbox_sequence": None,
        }
        envelope = {name: given.pop(name, default) for name, default in envelope.items()}
        temperatures = np.asarray(given.pop("temperatures_c", np.full((rows, 3), 20.0)), np.float32)
        rows = len(temperatures)
        voltages = np.asarray(given.pop("voltages_v", np.full((rows, 2), 3.7)), np.float32)
        fields: dict[str, Any] = {
            "unit_id": "unit-1",
            "boot_id": "1-a",
            "frame": 1,
            "provenance": Provenance.MEASURED,
            "sampled_at_ms": NOW_MS - 1000 * np.arange(rows)[::-1],
            "time_uncertainty_s": 0.1,
            **given,
        }
        for name in ("ambient_c", "humidity_pct", "hydrogen_ppm", "carbon_monoxide_ppm", "voc_ppm", "shock_g"):
            if fields.get(name) is not None:
                fields[name] = np.asarray(fields[name], np.float32)
        fields["sampled_at_ms"] = np.asarray(fields["sampled_at_ms"], np.int64)
        return ReceivedBatch(batch=SampleBatch(temperatures_c=temperatures, voltages_v=voltages, **fields), **envelope)

    return make


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    opened = DuckDBStore(tmp_path / "telemetry.duckdb", threads=1, memory_limit_mb=256)
    yield opened
    opened.close()
