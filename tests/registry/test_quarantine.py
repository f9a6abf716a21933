"""The quarantine keeps the newest payloads and every count."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from registry.records import QuarantineEntry

if TYPE_CHECKING:
    from datetime import datetime

    from registry.registry import Registry


def entry(reason: str, now: datetime, payload: bytes = b"\x00\xff") -> QuarantineEntry:
    return QuarantineEntry(
        received_at=now,
        reason=reason,
        detail="the frame ends in the middle of an array",
        topic="packwatch/units/u-1/frames",
        unit_id="u-1",
        payload=payload,
        payload_size=len(payload),
    )


def test_an_entry_comes_back_with_its_payload(registry: Registry, now: datetime) -> None:
    registry.add_quarantine([entry("cbor_malformed", now, bytes(range(256)))])
    (kept,) = registry.quarantine()
    assert (kept.reason, kept.payload, kept.payload_size) == ("cbor_malformed", bytes(range(256)), 256)
    assert (kept.topic, kept.unit_id, kept.gateway_id) == ("packwatch/units/u-1/frames", "u-1", None)
    assert kept.received_at == now


def test_only_the_newest_stay_and_the_counts_go_on(registry: Registry, now: datetime) -> None:
    for start in range(0, 12, 4):
        registry.add_quarantine(
            [entry(f"reason_{number % 2}", now, bytes([number])) for number in range(start, start + 4)], keep=5
        )
    assert [kept.payload[0] for kept in registry.quarantine()] == [11, 10, 9, 8, 7]
    assert registry.quarantine_counts() == {"reason_0": 6, "reason_1": 6}


def test_pages(registry: Registry, now: datetime) -> None:
    registry.add_quarantine([entry("topic", now, bytes([number])) for number in range(10)])
    assert [kept.payload[0] for kept in registry.quarantine(limit=3, offset=2)] == [7, 6, 5]
    assert registry.quarantine(limit=3, offset=50) == ()


def test_nothing_to_keep_is_no_transaction(registry: Registry) -> None:
    registry.add_quarantine([])
    assert (registry.quarantine(), registry.quarantine_counts()) == ((), {})


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_writers_of_several_reasons_do_not_lose_a_count(
    registry: Registry, now: datetime, order: tuple[str, str]
) -> None:
    batches = [[entry(reason, now) for reason in (order if number % 2 else order[::-1])] for number in range(24)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(registry.add_quarantine, batches))
    assert registry.quarantine_counts() == {"a": 24, "b": 24}
    assert len(registry.quarantine()) == 48
