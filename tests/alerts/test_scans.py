"""Running values along grouped rows."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.scans import group_ends, group_starts, last_true, row_before, running_max


def test_groups():
    starts = group_starts(np.array([3, 3, 5, 9, 9, 9]))
    assert starts.tolist() == [0, 0, 2, 3, 3, 3]
    assert group_ends(starts).tolist() == [1, 2, 5]


def test_the_last_row_where_something_held():
    mask = np.array([False, True, False, False, True])
    assert last_true(mask).tolist() == [-1, 1, 1, 1, 4]
    assert row_before(last_true(mask)).tolist() == [-1, -1, 1, 1, 1]


def test_a_running_maximum_starts_anew_in_each_group_from_what_was_carried():
    values, starts = np.array([5, 3, 7, 1, 2, 0]), np.array([0, 0, 0, 3, 3, 3])
    carried = np.array([6, 6, 6, 1, 1, 1])
    assert running_max(values, starts, carried).tolist() == [6, 6, 7, 1, 2, 2]
    both = np.column_stack([values, -values])
    assert running_max(both, starts, np.full((6, 2), -1)).T.tolist() == [[5, 5, 7, 1, 2, 2], [-1, -1, -1, -1, -1, 0]]
    assert running_max(values[:0], starts[:0], carried[:0]).tolist() == []


def test_a_range_that_does_not_fit_is_refused_rather_than_mixed_up():
    with pytest.raises(OverflowError, match="too many"):
        running_max(np.array([0, 2**62 - 1]), np.array([0, 1]), np.array([0, 0]))
