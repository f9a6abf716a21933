"""What is settled lies in the transaction of what it settles, and a worker that lost its lease writes nothing."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ingest.stores.contract import Fence, OutboxRange, StoreFencedError
from telemetry.samples import PositionFix

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.stores.contract import TelemetryStore
    from telemetry.samples import ReceivedBatch

    Open = Callable[[], TelemetryStore]
    Make = Callable[..., ReceivedBatch]

NOW_MS = 1_800_000_000_000


def outbox(first: int, last: int, outbox_id: str = "a" * 8, gateway_id: str = "gateway-1") -> OutboxRange:
    return OutboxRange("fleet-1", gateway_id, outbox_id, first, last)


def fence(number: int, group: str = "*", *, held: bool = True) -> Fence:
    return Fence(group=group, number=number, held=lambda: held)


def fix(at_ms: int = NOW_MS) -> PositionFix:
    return PositionFix(
        fleet_id="fleet-1", gateway_id="gateway-1", fixed_at_ms=at_ms, latitude_deg=40.5, longitude_deg=-80.25
    )


def test_ranges_melt_and_outlive_the_process(open_store: Open, make_batch: Make) -> None:
    with closing(open_store()) as store:
        store.append([make_batch(frame=1)], [outbox(1, 3), outbox(7, 7)])
        store.append_positions([fix()], [outbox(5, 5)])
        store.append([], [outbox(4, 4), outbox(2, 6, "b" * 8), outbox(3, 3)])
        assert store.outbox_progress() == (outbox(1, 5), outbox(7, 7), outbox(2, 6, "b" * 8))
    with closing(open_store()) as store:
        store.append([], [outbox(6, 6), outbox(1, 1, gateway_id="gateway-2")])
        assert store.outbox_progress() == (
            outbox(1, 7),
            outbox(2, 6, "b" * 8),
            outbox(1, 1, gateway_id="gateway-2"),
        )


@pytest.mark.parametrize(
    ("written", "late", "why"),
    [
        (fence(2), fence(1), "an older fence of the same group"),
        (fence(2, "fleet-1"), fence(1, "fleet-1"), "the same for a single fleet"),
        (fence(2, "fleet-1"), fence(1), "all groups hold this one too"),
        (fence(2), fence(1, "fleet-1"), "a later holder of all groups held this one too"),
        (fence(1), fence(1, held=False), "the lease itself is lost"),
    ],
)
def test_who_lost_the_lease_writes_nothing(
    store: TelemetryStore, make_batch: Make, written: Fence, late: Fence, why: str
) -> None:
    store.append([make_batch(frame=1)], [outbox(1, 1)], [written])
    for write in (
        lambda: store.append([make_batch(frame=2)], [outbox(2, 2)], [late]),
        lambda: store.append_positions([fix()], [outbox(2, 2)], [late]),
    ):
        with pytest.raises(StoreFencedError):
            write()
    assert store.read("unit-1", 0, NOW_MS + 1, 10).rows == 2, why
    assert store.positions("gateway-1", 0, NOW_MS + 1) == ()
    assert store.outbox_progress() == (outbox(1, 1),)
    assert store.append([make_batch(frame=2)], [outbox(2, 2)], [written]).stored_rows == 2


def test_groups_do_not_fence_each_other(store: TelemetryStore, make_batch: Make) -> None:
    store.append([make_batch(frame=1)], (), [fence(5, "fleet-2")])
    assert store.append([make_batch(frame=2)], (), [fence(1, "fleet-1")]).stored_rows == 2
