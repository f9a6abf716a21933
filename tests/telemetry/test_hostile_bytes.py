"""Random and damaged bytes come to a value or a WireError: never to another exception, never to much memory."""

import pickle
import re
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry.errors import WireError
from telemetry.frames import Frame, decode_frame
from telemetry.sparkplug.batches import SAMPLE_ALIASES, SAMPLE_DATATYPES, batch_from_metrics
from telemetry.sparkplug.payload import DataType, Metric, Payload, decode_payload, encode_payload, resolve_metric
from telemetry.sparkplug.scalars import batches_from_scalars
from telemetry.sparkplug.topics import decode_state, parse_topic
from telemetry.unit_link import (
    decode_clock_beat,
    decode_position,
    decode_stored_receipt,
    decode_unit_config,
    parse_unit_topic,
)

SLUG = re.compile(r"[a-z_]{3,30}")
NAMES = {64 + alias: name for name, alias in SAMPLE_ALIASES.items()}
LINK = {
    "clock_beat": decode_clock_beat,
    "stored_receipt": decode_stored_receipt,
    "unit_config": decode_unit_config,
    "position": lambda payload: decode_position(payload, "fleet-1", "truck-1"),
    "state": decode_state,
}
SPARKPLUG = ("nbirth", "dbirth", "ddata_arrays", "ddata_scalars", "ncmd_rebirth", "arrays")


def attempt(decode, *arguments):
    """Return what comes out, or None where it was refused with a proper reason."""
    try:
        return decode(*arguments)
    except WireError as error:
        refusal = error
    assert SLUG.fullmatch(refusal.reason)
    assert 0 < len(str(refusal)) <= 500
    return None


def read_samples(payload_bytes):
    """Read what may hold samples all the way to batches."""
    payload = decode_payload(payload_bytes)
    resolved = [
        metric
        if (name := metric.name or NAMES.get(metric.alias)) is None
        else resolve_metric(metric, name=name, datatype=SAMPLE_DATATYPES.get(name))
        for metric in payload.metrics
    ]
    attempt(lambda: batch_from_metrics(resolved, unit_id="unit-1", temperature_channels=None, voltage_channels=None))
    attempt(
        lambda: batches_from_scalars(
            resolved,
            unit_id="unit-1",
            temperature_channels=None,
            voltage_channels=None,
            payload_timestamp_ms=payload.timestamp_ms,
        )
    )
    return payload


@st.composite
def damage(draw):
    """Return a function that damages bytes: some overwritten, a piece cut out or doubled, or the end cut off."""
    kind = draw(st.sampled_from(["overwrite", "cut", "double", "truncate", "insert"]))
    where = draw(st.integers(0, 1_000))
    length = draw(st.integers(1, 12))
    noise = draw(st.binary(min_size=1, max_size=12))

    def apply(whole):
        at = where % (len(whole) + 1)
        match kind:
            case "overwrite":
                return whole[:at] + noise + whole[at + len(noise) :]
            case "cut":
                return whole[:at] + whole[at + length :]
            case "double":
                return whole[: at + length] + whole[at:]
            case "truncate":
                return whole[:at]
            case "insert":
                return whole[:at] + noise + whole[at:]

    return apply


@given(st.binary(max_size=300))
@example(b"\xd9\xd9\xf7\xa0")
def test_random_bytes(payload):
    for decode in LINK.values():
        attempt(decode, payload)
    assert isinstance(attempt(decode_frame, payload), Frame | None)
    assert isinstance(attempt(read_samples, payload), Payload | None)


@given(st.lists(damage(), min_size=1, max_size=3))
def test_damaged_messages(golden, damages):
    def damaged(name):
        payload = golden[name]
        for apply in damages:
            payload = apply(payload)
        return payload

    assert isinstance(attempt(decode_frame, damaged("unit_frame")), Frame | None)
    for name, decode in LINK.items():
        attempt(decode, damaged(name))
    for name in SPARKPLUG:
        attempt(read_samples, damaged(name))


@given(st.text(max_size=100) | st.lists(st.text(max_size=10), max_size=6).map("/".join))
def test_random_topics(topic):
    attempt(parse_topic, topic)
    attempt(parse_topic, f"spBv1.0/{topic}")
    attempt(parse_unit_topic, topic)
    attempt(parse_unit_topic, f"packwatch/units/{topic}")


def test_every_truncation_of_a_payload(golden):
    for name in SPARKPLUG:
        for length in range(len(golden[name])):
            attempt(read_samples, golden[name][:length])


@pytest.mark.parametrize("name", SPARKPLUG)
def test_a_small_payload_takes_little_memory(golden, name):
    tracemalloc.start()
    attempt(read_samples, golden[name])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


def test_a_sentence_that_quotes_the_peer_is_cut():
    name = Metric(name="n" * 100_000, datatype=DataType.UINT32, value=-1)
    with pytest.raises(WireError) as caught:
        encode_payload(Payload(metrics=(name,)))
    assert len(str(caught.value)) == 500


def test_an_error_keeps_its_reason_when_it_is_pickled():
    error = pickle.loads(pickle.dumps(WireError("topic", "no topic")))  # noqa: S301  # our own bytes
    assert (error.reason, str(error)) == ("topic", "no topic")
