"""Clock, receipts, configuration, positions, and the topics of the unit's link."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.errors import WireError
from telemetry.identifiers import IdentifierError
from telemetry.samples import PositionFix
from telemetry.unit_link import (
    ClockBeat,
    StoredReceipt,
    UnitConfig,
    clock_topic,
    config_topic,
    decode_clock_beat,
    decode_position,
    decode_stored_receipt,
    decode_unit_config,
    encode_clock_beat,
    encode_position,
    encode_stored_receipt,
    encode_unit_config,
    frames_topic,
    parse_unit_topic,
    position_topic,
    stored_topic,
)

identifiers = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
counts = st.integers(0, 2**53 - 1)
FIX = {"fixed_at_ms": 1, "latitude_deg": 41.5, "longitude_deg": -87.25}


@given(identifiers, counts)
def test_clock_and_receipt_survive_their_bytes(boot_id, count):
    beat = ClockBeat(boot_id=boot_id, tick_ms=count)
    assert decode_clock_beat(encode_clock_beat(beat)) == beat
    receipt = StoredReceipt(boot_id=boot_id, frame=count)
    assert decode_stored_receipt(encode_stored_receipt(receipt)) == receipt


@given(st.none() | st.floats(0.001, 86_400), st.none() | st.floats(0, 60), st.none() | st.floats(0.5, 60))
def test_a_configuration_survives_its_bytes(report_interval_s, hot_c, hot_rise_k):
    config = UnitConfig(report_interval_s=report_interval_s, hot_c=hot_c, hot_rise_k=hot_rise_k)
    assert decode_unit_config(encode_unit_config(config)) == config


@given(
    st.builds(
        PositionFix,
        fleet_id=st.just("fleet-1"),
        gateway_id=st.just("truck-1"),
        fixed_at_ms=counts,
        latitude_deg=st.floats(-90, 90),
        longitude_deg=st.floats(-180, 180),
        speed_m_s=st.none() | st.floats(0, 60),
        heading_deg=st.none() | st.floats(0, 360),
        accuracy_m=st.none() | st.floats(0, 500),
    )
)
def test_a_position_survives_its_bytes(fix):
    assert decode_position(encode_position(fix), "fleet-1", "truck-1") == fix


def position(payload):
    return decode_position(payload, "fleet-1", "truck-1")


@pytest.mark.parametrize(
    ("decode", "fields", "reason", "why"),
    [
        (decode_clock_beat, {"boot": "a"}, "field_missing", "no tick"),
        (decode_clock_beat, {"boot": "a", "tick_ms": 1.5}, "field_type", "half a tick"),
        (decode_clock_beat, {"boot": "", "tick_ms": 1}, "field_range", "an empty boot"),
        (decode_stored_receipt, {"frame": 1}, "field_missing", "no boot"),
        (decode_stored_receipt, {"boot": "a", "frame": -1}, "field_range", "a negative frame"),
        (decode_unit_config, {"report_interval_s": 0}, "field_range", "report without a pause"),
        (decode_unit_config, {"report_interval_s": float("nan")}, "field_range", "an interval that is no number"),
        (decode_unit_config, {"report_interval_s": float("inf")}, "field_range", "never report"),
        (decode_unit_config, {"report_interval_s": True}, "field_type", "true is not a second"),
        (decode_unit_config, {"hot_c": 60.5}, "field_range", "no heat before the warning"),
        (decode_unit_config, {"hot_rise_k": 0}, "field_range", "every reading is heat"),
        (decode_unit_config, [1], "cbor_malformed", "no map"),
        (position, {"fixed_at_ms": 1, "latitude_deg": 1.0}, "field_missing", "half a position"),
        (position, FIX | {"latitude_deg": 90.5}, "field_range", "beyond the pole"),
        (position, FIX | {"longitude_deg": float("nan")}, "field_range", "nowhere"),
        (position, FIX | {"speed_m_s": -1}, "field_range", "less than standing still"),
        (position, FIX | {"heading_deg": "north"}, "field_type", "a heading in words"),
        (position, FIX | {"fixed_at_ms": -1}, "field_range", "before 1970"),
        (position, FIX | {"note": "x" * 5_000}, "payload_oversize", "a position with an essay"),
    ],
)
def test_bad_messages_are_refused(decode, fields, reason, why):
    with pytest.raises(WireError) as caught:
        decode(cbor2.dumps(fields))
    assert caught.value.reason == reason, why


def test_whole_numbers_may_be_integers():
    assert decode_unit_config(cbor2.dumps({"report_interval_s": 10})).report_interval_s == 10.0


@pytest.mark.parametrize(
    ("topic", "parsed"),
    [
        (frames_topic("unit-1"), ("unit-1", "frames")),
        (clock_topic("unit-1"), ("unit-1", "clock")),
        (stored_topic("unit-1"), ("unit-1", "stored")),
        (config_topic("unit-1"), ("unit-1", "config")),
    ],
)
def test_a_unit_topic_is_parsed(topic, parsed):
    assert topic == f"packwatch/units/{parsed[0]}/{parsed[1]}"
    assert parse_unit_topic(topic) == parsed


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "packwatch/units/unit-1",
        "packwatch/units/unit-1/frames/more",
        "packwatch/units/unit-1/stored2",
        "packwatch/units//frames",
        "packwatch/units/unit 1/frames",
        "packwatch/units/" + "u" * 65 + "/frames",
        "packwatch/positions/truck-1",
        "Packwatch/units/unit-1/frames",
        "/packwatch/units/unit-1/frames",
    ],
)
def test_other_topics_are_refused(topic):
    with pytest.raises(WireError) as caught:
        parse_unit_topic(topic)
    assert caught.value.reason == "topic"


def test_an_id_that_is_a_wildcard_makes_no_topic():
    assert position_topic("truck-1") == "packwatch/positions/truck-1"
    for make in (frames_topic, clock_topic, stored_topic, config_topic, position_topic):
        with pytest.raises(IdentifierError):
            make("+")
