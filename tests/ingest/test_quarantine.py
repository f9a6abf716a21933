"""What waits for the quarantine, and how often the same is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.events import Refused
from ingest.quarantine import FINDING_EVERY_MS, PAYLOAD_KEPT_BYTES, QuarantineDesk
from ingest.validation import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

    from telemetry.samples import ReceivedBatch

    Make = Callable[..., ReceivedBatch]

NOW_MS = 1_800_000_000_000
HOT = Finding(reason="temperature_suspect", detail="temperature 1 is 511 c")


def refused(payload: bytes = b"x") -> Refused:
    return Refused(reason="topic", detail="no topic", topic="a/b", payload=payload)


def test_a_long_payload_is_cut_and_its_size_kept() -> None:
    desk = QuarantineDesk()
    desk.refuse(refused(bytes(PAYLOAD_KEPT_BYTES + 1)), NOW_MS)
    [(entry, *_)] = desk.take(10)
    assert (len(entry.payload), entry.payload_size) == (PAYLOAD_KEPT_BYTES, PAYLOAD_KEPT_BYTES + 1)
    assert entry.received_at.isoformat() == "2027-01-15T08:00:00+00:00"


def test_the_same_finding_at_a_unit_is_told_once_a_minute(make_batch: Make) -> None:
    desk = QuarantineDesk()
    for at_ms in (0, 1000, FINDING_EVERY_MS - 1, FINDING_EVERY_MS):
        desk.note(HOT, make_batch(received_at_ms=NOW_MS + at_ms), "topic", b"payload")
    desk.note(HOT, make_batch(unit_id="unit-2"), "topic", b"payload")
    desk.note(Finding(reason="infinity", detail=""), make_batch(), "topic", b"payload")
    assert [(entry.unit_id, entry.reason) for entry, *_ in desk.take(10)] == [
        ("unit-1", "temperature_suspect"),
        ("unit-1", "temperature_suspect"),
        ("unit-2", "temperature_suspect"),
        ("unit-1", "infinity"),
    ]


def test_a_flood_is_bounded_and_counted() -> None:
    desk = QuarantineDesk()
    for _ in range(300):
        desk.refuse(refused(bytes(PAYLOAD_KEPT_BYTES)), NOW_MS)
    assert desk.dropped == 300 - len(desk)
    assert 200 < len(desk) < 300
    assert 0.9 < desk.fill <= 1
    desk.take(1000)
    assert desk.fill == 0


def test_what_could_not_be_kept_comes_first_again() -> None:
    desk = QuarantineDesk()
    for payload in (b"1", b"2", b"3"):
        desk.refuse(refused(payload), NOW_MS)
    desk.put_back(desk.take(2))
    assert [entry.payload for entry, *_ in desk.take(10)] == [b"1", b"2", b"3"]
    assert desk.fill == 0
