"""Missing samples: told once each, by unit or altogether."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from registry.records import MissingSamples

if TYPE_CHECKING:
    from registry.registry import Registry


def missing(now: datetime, **given: Any) -> MissingSamples:
    fields: dict[str, Any] = {
        "reported_at": now,
        "fleet_id": "fleet-1",
        "gateway_id": "gateway-1",
        "outbox_id": "outbox-1",
        "outbox_sequence": 7,
        "entry": 0,
        "unit_id": "unit-1",
        "boot_id": "1-a",
        "first_frame": 1,
        "last_frame": 60,
        "samples_lost": 3600,
        "from_at": now - timedelta(hours=73),
        "to_at": now - timedelta(hours=72),
        "why": "the outbox is full",
        **given,
    }
    return MissingSamples(**fields)


def test_a_record_that_comes_again_is_kept_once(registry: Registry, now: datetime) -> None:
    both = [
        missing(now),
        missing(now, entry=1, unit_id=None, boot_id=None, kept_period_ms=60_000, first_frame=2**52, last_frame=2**53),
    ]
    assert registry.add_missing_samples(both) == 2
    again = [missing(now + timedelta(minutes=1)), missing(now, outbox_id="outbox-2")]
    assert registry.add_missing_samples(again) == 1
    assert registry.add_missing_samples([]) == 0
    assert len(registry.missing_samples()) == 3


def test_all_is_kept_as_it_was_told(registry: Registry, now: datetime) -> None:
    registry.add_missing_samples([missing(now, kept_period_ms=60_000), missing(now, entry=1, unit_id="unit-2")])
    (kept,) = registry.missing_samples("unit-1")
    assert (kept.first_frame, kept.last_frame, kept.samples_lost, kept.kept_period_ms) == (1, 60, 3600, 60_000)
    assert (kept.from_at, kept.to_at) == (now - timedelta(hours=73), now - timedelta(hours=72))
    assert kept.why == "the outbox is full"


def test_pages(registry: Registry, now: datetime) -> None:
    registry.add_missing_samples([missing(now, outbox_sequence=number) for number in range(5)])
    assert len(registry.missing_samples(limit=3, offset=3)) == 2
