"""Where buckets lie."""

import pytest

from ingest.stores.buckets import Buckets


def test_buckets_cover_the_span_with_no_more_than_the_points() -> None:
    buckets = Buckets(start_ms=0, end_ms=1001, points=10)
    assert buckets.length_ms == 101
    assert buckets.at_ms[-1] + buckets.length_ms >= 1001


@pytest.mark.parametrize(("end_ms", "points"), [(0, 5), (-1, 5), (10, 0)])
def test_an_empty_span_has_no_buckets(end_ms: int, points: int) -> None:
    with pytest.raises(ValueError, match="no bucket"):
        Buckets(start_ms=0, end_ms=end_ms, points=points)
