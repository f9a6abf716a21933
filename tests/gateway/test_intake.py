"""What local messages come to, without a broker."""

import numpy as np
import pytest

from gateway.intake import (
    BEAT_PATIENCE_MS,
    HELD_FRAMES,
    Foreign,
    FrameAgain,
    FrameHeld,
    FrameReady,
    Intake,
    PositionReady,
    Refusal,
)
from telemetry.frames import encode_frame, frame_from_values
from telemetry.samples import PositionFix, Provenance, Quality
from telemetry.unit_link import ClockBeat, clock_topic, encode_clock_beat, encode_position, frames_topic, position_topic

NOW_MS = 1_790_000_000_000


def intake(units: frozenset[str] | None = None) -> Intake:
    return Intake(gateway_id="truck", fleet_id="fleet", units=units)


def frame(number: int = 0, *, boot_id: str = "b1", utc: int | None = None, tick_ms: int | None = None) -> bytes:
    return encode_frame(
        frame_from_values(
            boot_id=boot_id,
            number=number,
            tick_ms=number * 10_000 if tick_ms is None else tick_ms,
            period_ms=1_000,
            provenance=Provenance.MEASURED,
            utc_at_tick_zero_ms=utc,
            temperatures_c=np.full((10, 3), 25.0),
        )
    )


def beat(tick_ms: int, boot_id: str = "b1") -> bytes:
    return encode_clock_beat(ClockBeat(boot_id=boot_id, tick_ms=tick_ms))


def test_a_frame_after_a_beat_gets_its_time():
    box = intake()
    assert box.receive(clock_topic("u1"), beat(9_500), NOW_MS) == []
    (ready,) = box.receive(frames_topic("u1"), frame(0), NOW_MS)
    assert isinstance(ready, FrameReady)
    batch = ready.record.batch
    assert batch.sampled_at_ms.tolist() == [NOW_MS - 9_500 + row * 1_000 for row in range(10)]
    assert (batch.boot_id, batch.frame, batch.quality.any()) == ("b1", 0, False)
    assert 0 < batch.time_uncertainty_s < 0.1


def test_a_frame_before_the_first_beat_waits_for_it():
    box = intake()
    assert box.receive(frames_topic("u1"), frame(0), NOW_MS) == [FrameHeld(unit_id="u1", kept=True)]
    assert box.receive(frames_topic("u1"), frame(0), NOW_MS + 1) == [FrameHeld(unit_id="u1", kept=True)]
    (ready,) = box.receive(clock_topic("u1"), beat(12_000), NOW_MS + 3_000)
    assert (ready.number, int(ready.record.batch.sampled_at_ms[0])) == (0, NOW_MS - 9_000)


def test_too_many_waiting_frames_are_left_to_their_unit():
    box = intake()
    for number in range(HELD_FRAMES):
        box.receive(frames_topic("u1"), frame(number), NOW_MS)
    assert box.receive(frames_topic("u1"), frame(HELD_FRAMES), NOW_MS) == [FrameHeld(unit_id="u1", kept=False)]
    assert box.receive(frames_topic("u2"), frame(0), NOW_MS) == [FrameHeld(unit_id="u2", kept=True)]


def test_a_boot_that_nobody_heard_live_is_let_through_after_a_while_and_marked():
    box = intake()
    box.receive(frames_topic("u1"), frame(3), NOW_MS)
    assert box.wait_over(NOW_MS + BEAT_PATIENCE_MS - 1) == []
    (ready,) = box.wait_over(NOW_MS + BEAT_PATIENCE_MS)
    assert set(ready.record.batch.quality.tolist()) == {int(Quality.TIME_BRACKETED)}
    assert int(ready.record.batch.sampled_at_ms[-1]) == NOW_MS
    assert box.wait_over(NOW_MS + 2 * BEAT_PATIENCE_MS) == []


def test_a_frame_that_declares_its_time_needs_no_beat():
    (ready,) = intake().receive(frames_topic("u1"), frame(2, utc=1_000_000), NOW_MS)
    assert int(ready.record.batch.sampled_at_ms[0]) == 1_020_000


def test_a_frame_is_a_duplicate_only_once_the_outbox_took_it():
    box = intake()
    for _ in range(2):
        (ready,) = box.receive(frames_topic("u1"), frame(0, utc=5), NOW_MS)
        assert isinstance(ready, FrameReady)
    box.taken(ready)
    (again,) = box.receive(frames_topic("u1"), frame(0, utc=5), NOW_MS)
    assert again == FrameAgain(unit_id="u1", boot_id="b1", number=0, last_tick_ms=9_000)
    assert isinstance(box.receive(frames_topic("u1"), frame(1, utc=5), NOW_MS)[0], FrameReady)
    assert isinstance(box.receive(frames_topic("u1"), frame(0, utc=5, boot_id="b2"), NOW_MS)[0], FrameReady)
    assert isinstance(box.receive(frames_topic("u2"), frame(0, utc=5), NOW_MS)[0], FrameReady)


def test_units_of_another_gateway_are_left_to_it():
    box = intake(frozenset({"u1"}))
    assert box.receive(frames_topic("u2"), frame(0, utc=5), NOW_MS) == [Foreign(unit_id="u2")]
    assert box.receive(frames_topic("u2"), b"junk", NOW_MS) == [Foreign(unit_id="u2")]


def test_a_position_of_this_vehicle_is_taken():
    fix = PositionFix(fleet_id="fleet", gateway_id="truck", fixed_at_ms=NOW_MS - 9, latitude_deg=1.5, longitude_deg=2.5)
    (ready,) = intake().receive(position_topic("truck"), encode_position(fix), NOW_MS)
    assert isinstance(ready, PositionReady)
    assert ready.record.fix == fix
    assert ready.record.accepted_at_ms == NOW_MS


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        (frames_topic("u1"), b"not cbor at all", "cbor_malformed"),
        (frames_topic("u1"), frame(0)[:-7], "frame_truncated"),
        (frames_topic("u1"), b"", "frame_truncated"),
        (frames_topic("u1"), bytes(300_000), "payload_oversize"),
        (clock_topic("u1"), b"\xa0", "field_missing"),
        ("packwatch/units/bad.unit/frames", frame(0), "topic"),
        ("packwatch/units/u1/framez", frame(0), "topic"),
        ("packwatch/units/u1/stored", b"", "topic"),
        ("elsewhere", b"", "topic"),
        (position_topic("truck"), b"\xff", "cbor_malformed"),
        (position_topic("other"), b"", "topic"),
    ],
)
def test_what_is_not_what_its_topic_says_is_refused_with_its_reason(topic, payload, reason):
    (refusal,) = intake().receive(topic, payload, NOW_MS)
    assert isinstance(refusal, Refusal)
    assert (refusal.topic, refusal.reason) == (topic, reason)
    assert refusal.detail
