"""What local messages come to, without a broker."""

import json

import numpy as np
import pytest
from structlog.testing import capture_logs

from gateway.intake import (
    BEAT_PATIENCE_MS,
    BRACKET_LONGEST_MS,
    BootHeard,
    Foreign,
    FrameReady,
    Intake,
    PositionReady,
    Refusal,
)
from gateway.outbox_file import UnmappedBoot, UnmappedFrame
from gateway.records import fixed_frame
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


def waiting(
    number: int = 0, *, unit_id: str = "u1", boot_id: str = "b1", accepted_at_ms: int = NOW_MS
) -> UnmappedFrame:
    """A frame like `frame(number)` that waits in the outbox."""
    return UnmappedFrame(number + 1, unit_id, boot_id, number * 10_000, number * 10_000 + 9_000, accepted_at_ms)


def test_a_frame_after_a_beat_gets_its_time():
    box = intake()
    assert box.receive(clock_topic("u1"), beat(9_500), NOW_MS) == BootHeard(unit_id="u1")
    assert box.receive(clock_topic("u1"), beat(9_600), NOW_MS + 100) is None
    ready = box.receive(frames_topic("u1"), frame(0), NOW_MS)
    assert isinstance(ready, FrameReady)
    arrival = ready.arrival
    batch = fixed_frame("u1", arrival.frame, arrival.fix, NOW_MS).batch
    assert batch.sampled_at_ms.tolist() == [NOW_MS - 9_500 + row * 1_000 for row in range(10)]
    assert (batch.boot_id, batch.frame, batch.quality.any()) == ("b1", 0, False)
    assert 0 < batch.time_uncertainty_s < 0.1
    assert arrival.payload == frame(0)


def test_a_frame_before_the_first_beat_gets_its_time_once_that_was_heard():
    box = intake()
    assert box.receive(frames_topic("u1"), frame(0), NOW_MS).arrival.fix is None
    assert box.fixes([waiting()]) == []
    assert box.receive(clock_topic("u1"), beat(12_000), NOW_MS + 3_000) == BootHeard(unit_id="u1")
    ((sequence, fix),) = box.fixes([waiting()])
    assert (sequence, fix.utc_at_tick_zero_ms, fix.quality) == (1, NOW_MS - 9_000, Quality.GOOD)


def boot_of(*frames: UnmappedFrame) -> UnmappedBoot:
    """What the outbox says of the boot of these frames."""
    return UnmappedBoot(
        frames[0].unit_id,
        frames[0].boot_id,
        min(frame.sequence for frame in frames),
        max(frame.last_tick_ms for frame in frames),
        min(frame.accepted_at_ms - frame.last_tick_ms for frame in frames),
        min(frame.accepted_at_ms for frame in frames),
        max(frame.accepted_at_ms for frame in frames),
    )


def test_a_boot_that_nobody_heard_live_is_bracketed_after_a_while_and_marked():
    box = intake()
    box.bracket([boot_of(waiting(3))], NOW_MS + BEAT_PATIENCE_MS - 1)
    assert box.fixes([waiting(3)]) == []
    box.bracket([boot_of(waiting(3))], NOW_MS + BEAT_PATIENCE_MS)
    ((sequence, fix),) = box.fixes([waiting(3)])
    assert (sequence, fix.quality) == (4, Quality.TIME_BRACKETED)
    assert fix.utc_at_tick_zero_ms + 39_000 == NOW_MS


def test_while_a_ring_comes_in_its_boots_wait_for_all_of_it_but_not_for_ever():
    box = intake()
    box.receive(clock_topic("u1"), beat(0, "3-c"), NOW_MS)
    pieces = [waiting(0, boot_id="1-a"), waiting(1, boot_id="1-a", accepted_at_ms=NOW_MS + 20_000)]
    box.bracket([boot_of(*pieces)], NOW_MS + 20_000 + BEAT_PATIENCE_MS - 1)
    assert box.fixes(pieces) == []
    pieces.append(waiting(2, boot_id="1-a", accepted_at_ms=NOW_MS + BRACKET_LONGEST_MS))
    box.bracket([boot_of(*pieces)], NOW_MS + BRACKET_LONGEST_MS)
    assert len({fix.utc_at_tick_zero_ms for _, fix in box.fixes(pieces)}) == 1


def test_what_a_time_was_fixed_by_is_kept_with_it_once():
    box = intake()
    assert box.unkept_clocks() == {}
    box.receive(clock_topic("u1"), beat(9_500), NOW_MS)
    assert box.unkept_clocks().keys() == {"u1"}
    assert box.unkept_clocks() == {}
    box.not_kept(["u1"])  # the disk was full
    assert box.unkept_clocks().keys() == {"u1"}
    box.receive(clock_topic("u1"), beat(19_500), NOW_MS + 10_000)  # a beat more is no news
    assert box.unkept_clocks() == {}
    box.bracket([boot_of(waiting(boot_id="b0"))], NOW_MS + BEAT_PATIENCE_MS)
    assert box.unkept_clocks().keys() == {"u1"}


def test_a_clock_that_is_not_trusted_fixes_nothing_but_what_a_unit_declares():
    box = intake()
    box.clock_trusted = False
    box.receive(clock_topic("u1"), beat(9_500), 9_500)  # the gateway thinks that it is 1970
    assert box.receive(frames_topic("u1"), frame(0), 10_000).arrival.fix is None
    assert box.receive(frames_topic("u1"), frame(0, utc=5), 10_000).arrival.fix.utc_at_tick_zero_ms == 5
    box.bracket([boot_of(waiting())], 10_000 + BEAT_PATIENCE_MS)
    assert box.fixes([waiting()]) == []
    assert box.unkept_clocks() == {}
    box.move_clock(NOW_MS)  # the network told it
    box.clock_trusted = True
    ((_, fix),) = box.fixes([waiting(accepted_at_ms=NOW_MS + 10_000)])
    assert (fix.utc_at_tick_zero_ms, fix.quality) == (NOW_MS, Quality.GOOD)


def test_what_is_known_of_the_clocks_survives_a_restart_of_the_gateway():
    before = intake()
    for tick_ms in range(0, 100_000, 10_000):
        before.receive(clock_topic("u1"), beat(tick_ms), NOW_MS + tick_ms)
    after = Intake(gateway_id="truck", fleet_id="fleet", units=None, clocks=json.loads(json.dumps(before.clocks())))
    # The unit rebooted meanwhile: frames of its old boot still have their time.
    after.receive(clock_topic("u1"), beat(0, "b2"), NOW_MS + 500_000)
    fix = after.receive(frames_topic("u1"), frame(9), NOW_MS + 510_000).arrival.fix
    assert fix.utc_at_tick_zero_ms == NOW_MS
    # And a boot between the two, which nobody heard, lies between them.
    between = waiting(0, boot_id="bx", accepted_at_ms=NOW_MS + 500_000)
    after.bracket([boot_of(between)], NOW_MS + 600_000)
    ((_, fix),) = after.fixes([between])
    assert fix.quality == Quality.TIME_BRACKETED
    assert NOW_MS + 90_000 <= fix.utc_at_tick_zero_ms <= NOW_MS + 500_000


def test_clocks_that_cannot_be_read_are_learnt_again():
    with capture_logs() as logs:
        box = Intake(gateway_id="truck", fleet_id="fleet", units=None, clocks={"u1": {"boots": 5}, "u2": None})
    assert [log["unit_id"] for log in logs] == ["u1", "u2"]
    assert box.receive(clock_topic("u1"), beat(1), NOW_MS) == BootHeard(unit_id="u1")


def test_a_frame_that_declares_its_time_needs_no_beat():
    arrival = intake().receive(frames_topic("u1"), frame(2, utc=1_000_000), NOW_MS).arrival
    assert arrival.fix.utc_at_tick_zero_ms == 1_000_000


def test_units_of_another_gateway_are_left_to_it():
    box = intake(frozenset({"u1"}))
    assert box.receive(frames_topic("u2"), frame(0, utc=5), NOW_MS) == Foreign(unit_id="u2")
    assert box.receive(frames_topic("u2"), b"junk", NOW_MS) == Foreign(unit_id="u2")


def test_a_position_of_this_vehicle_is_taken():
    fix = PositionFix(fleet_id="fleet", gateway_id="truck", fixed_at_ms=NOW_MS - 9, latitude_deg=1.5, longitude_deg=2.5)
    ready = intake().receive(position_topic("truck"), encode_position(fix), NOW_MS)
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
    refusal = intake().receive(topic, payload, NOW_MS)
    assert isinstance(refusal, Refusal)
    assert (refusal.topic, refusal.reason) == (topic, reason)
    assert refusal.detail
