"""The streaming reduction, against a plain formula over all samples at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.stores.buckets import Buckets


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_chunks_in_any_order_give_the_plain_formula(rows: int, points: int, chunks: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    at_ms = random.integers(1000, 1500, rows)
    values = random.normal(20, 50, (rows, 3)).astype(np.float32)
    values[random.random(values.shape) < 0.3] = np.nan
    quality = random.integers(0, 64, rows).astype(np.uint32)
    buckets = Buckets(start_ms=1000, end_ms=1500, points=points, channels=3)
    for part in np.array_split(np.arange(rows), chunks):
        buckets.add(at_ms[part], values[part], quality[part])
    band = buckets.band()
    assert len(buckets.at_ms) <= points
    for index, start_ms in enumerate(buckets.at_ms):
        inside = (at_ms >= start_ms) & (at_ms < start_ms + buckets.length_ms)
        assert buckets.quality[index] == np.bitwise_or.reduce(quality[inside], initial=0)
        for channel in range(3):
            measured = values[inside, channel][~np.isnan(values[inside, channel])].astype(np.float64)
            found = band.minimum[index, channel], band.mean[index, channel], band.maximum[index, channel]
            if len(measured):
                # float32 keeps 24 bits: half a unit in the last place of 200 is 8e-6
                assert found == pytest.approx((measured.min(), measured.mean(), measured.max()), rel=1e-6, abs=1e-5)
            else:
                assert np.isnan(found).all()


def test_buckets_cover_the_span_with_no_more_than_the_points() -> None:
    buckets = Buckets(start_ms=0, end_ms=1001, points=10, channels=1)
    assert buckets.length_ms == 101
    assert buckets.at_ms[-1] + buckets.length_ms >= 1001


@pytest.mark.parametrize(("end_ms", "points"), [(0, 5), (-1, 5), (10, 0)])
def test_an_empty_span_has_no_buckets(end_ms: int, points: int) -> None:
    with pytest.raises(ValueError, match="no bucket"):
        Buckets(start_ms=0, end_ms=end_ms, points=points, channels=1)
