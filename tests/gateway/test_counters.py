"""Refusals: all counted, few told; and the inbox's bounds."""

import json

import aiomqtt
import pytest

from gateway.counters import REFUSALS_BURST, REFUSALS_KEPT, GatewayCounters, Refusals
from gateway.intake import Refusal
from gateway.link import Inbox
from gateway.settings import GatewaySettings
from telemetry.identifiers import IdentifierError


def refusal(number: int = 0) -> Refusal:
    return Refusal(topic=f"topic/{number}", reason="cbor_malformed", detail="x" * 1_000)


def test_a_flood_of_refusals_is_counted_but_only_told_at_a_bearable_rate():
    counters = GatewayCounters()
    refusals = Refusals(counters)
    told = [refusals.add(refusal(number), now_s=100.0) for number in range(1_000)]
    assert sum(told) == REFUSALS_BURST
    assert counters.refused == {"cbor_malformed": 1_000}
    assert [refusals.add(refusal(), now_s=101.0) for _ in range(5)] == [True, True, False, False, False]


def test_refusals_are_told_as_short_json_oldest_first_and_once():
    refusals = Refusals(GatewayCounters())
    for number in range(2):
        refusals.add(refusal(number), now_s=0.0)
    first, second = (json.loads(text) for text in refusals.drain())
    assert (first["topic"], second["topic"]) == ("topic/0", "topic/1")
    assert first["reason"] == "cbor_malformed"
    assert len(first["detail"]) == 300
    assert refusals.drain() == []


def test_of_refusals_that_cannot_be_told_the_oldest_give_way():
    refusals = Refusals(GatewayCounters())
    for number in range(100):
        refusals.add(refusal(number), now_s=float(number * 10))
    texts = refusals.drain()
    assert len(texts) == REFUSALS_KEPT
    assert json.loads(texts[-1])["topic"] == "topic/99"


def message(size: int) -> aiomqtt.Message:
    return aiomqtt.Message("t", bytes(size), 0, False, 1, None)


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ([10, 10, 10], 3),
        ([10, 10, 10, 10], 3),  # three messages are the bound
        ([60, 60], 1),  # a hundred bytes are
        ([60, 60, 40], 2),  # a smaller one still fits
        ([101], 0),
    ],
)
def test_an_inbox_is_bounded_in_messages_and_bytes_and_counts_what_it_drops(sizes, kept):
    inbox = Inbox(max_messages=3, max_bytes=100)
    for size in sizes:
        inbox.put_nowait(message(size))
    assert (inbox.qsize(), inbox.dropped) == (kept, len(sizes) - kept)
    while not inbox.empty():
        inbox.get_nowait()
    inbox.put_nowait(message(100))
    assert inbox.qsize() == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"gateway_id": "a b"}, IdentifierError),
        ({"fleet_id": ""}, IdentifierError),
        ({"units": ("u/1",)}, IdentifierError),
        ({"host_id": "#"}, IdentifierError),
        ({"outbox_max_bytes": 0}, ValueError),
        ({"health_interval_s": 0.0}, ValueError),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, error):
    with pytest.raises(error):
        GatewaySettings(**({"gateway_id": "g", "fleet_id": "f"} | changes))
