"""The firmware: when it samples, what it says, and what it makes of receipts and wishes."""

import numpy as np
import pytest

from firmware_sim.boots import BootCounter
from firmware_sim.ring import FrameRing
from firmware_sim.unit import Firmware, Rows, TickClock
from telemetry.frames import decode_frame
from telemetry.samples import Provenance
from telemetry.unit_link import StoredReceipt, UnitConfig


def unit(**changes: object) -> Firmware:
    settings: dict[str, object] = {
        "unit_id": "u1",
        "boot_id": "7-abc",
        "provenance": Provenance.SIMULATED,
        "clock": TickClock(booted_at_s=1000.0),
        "report_interval_s": 10.0,
    }
    return Firmware(**(settings | changes))


def row(*temperatures_c: float) -> Rows:
    return Rows(
        temperatures_c=np.array([temperatures_c]),
        voltages_v=np.array([[44.16, np.nan]]),
        pack_voltage_v=np.array([353.27]),
        ambient_c=np.array([21.02]),
        hydrogen_ppm=np.array([70_000.0]),
    )


def test_a_sample_becomes_a_frame_with_all_it_has():
    frame = decode_frame(unit().sample(row(25.04, np.nan), 1012.5).payload)
    assert (frame.boot_id, frame.number, frame.tick_ms, frame.period_ms) == ("7-abc", 0, 12_500, 10_000)
    assert frame.provenance is Provenance.SIMULATED
    assert frame.utc_at_tick_zero_ms is None
    assert frame.temperatures_raw.tolist() == [[501, -32768]]
    assert frame.voltages_mv.tolist() == [[44_160, 65_535]]
    assert frame.pack_voltage_dv.tolist() == [3533]
    assert frame.ambient_raw.tolist() == [420]
    assert frame.hydrogen_raw.tolist() == [65_534]
    assert frame.humidity_raw is None


@pytest.mark.parametrize(
    ("drift_ppm", "tick_ms"), [(0.0, 1_000_000), (50.0, 1_000_050), (-50.0, 999_950)], ids=["right", "fast", "slow"]
)
def test_the_quartz_drifts(drift_ppm, tick_ms):
    # A float may fall a hair below the whole millisecond.
    assert TickClock(booted_at_s=500.0, drift_ppm=drift_ppm).tick_ms(1500.0) == pytest.approx(tick_ms, abs=1)


def test_it_samples_at_once_and_then_on_the_grid_of_its_interval():
    firmware = unit()
    assert firmware.due_at_s() is None
    firmware.sample(row(25.0), 1000.0)
    assert firmware.due_at_s() == 1010.0
    firmware.sample(row(25.0), 1010.3)
    assert firmware.due_at_s() == 1020.0
    firmware.sample(row(25.0), 1019.8)
    assert firmware.due_at_s() == 1030.0


def test_after_a_long_sleep_it_starts_a_new_grid_instead_of_a_burst():
    firmware = unit()
    firmware.sample(row(25.0), 1000.0)
    firmware.sample(row(25.0), 4567.0)
    assert firmware.due_at_s() == 4577.0


def test_heat_makes_it_report_every_second_until_it_has_been_cool_for_a_while():
    firmware = unit()
    firmware.sample(row(25.0, 49.9), 1000.0)
    assert firmware.report_interval_s == 10.0
    firmware.sample(row(25.0, 50.0), 1010.0)
    assert firmware.report_interval_s == 1.0
    firmware.sample(row(25.0, 46.0), 1100.0)
    firmware.sample(row(25.0, 30.0), 1399.0)
    assert firmware.report_interval_s == 1.0
    firmware.sample(row(25.0, 30.0), 1401.0)
    assert firmware.report_interval_s == 10.0


def test_a_hot_unit_whose_probes_die_stays_fast():
    firmware = unit()
    firmware.sample(row(90.0), 1000.0)
    for second in range(1, 1000, 100):
        firmware.sample(row(np.nan), 1000.0 + second)
    assert firmware.report_interval_s == 1.0


def test_heat_between_two_reports_makes_the_next_one_due_at_once():
    firmware = unit()
    firmware.sample(row(25.0, 25.0, 25.0), 1000.0)
    firmware.sense(np.array([25.0, 25.1, 28.0]), 1002.0)
    assert firmware.due_at_s() == 1010.0
    firmware.sense(np.array([25.0, 25.1, 29.0]), 1003.0)
    assert firmware.due_at_s() == 1001.0


def test_what_counts_as_heat_comes_over_the_wire_and_goes_again():
    firmware = unit()
    firmware.configure(UnitConfig(hot_c=30.0))
    firmware.sample(row(31.0), 1000.0)
    assert firmware.report_interval_s == 1.0
    firmware = unit()
    firmware.configure(UnitConfig(hot_c=30.0))
    firmware.configure(UnitConfig())
    firmware.sample(row(31.0), 1000.0)
    assert firmware.report_interval_s == 10.0


def test_the_cloud_may_ask_for_another_pace_and_give_it_back():
    firmware = unit()
    firmware.configure(UnitConfig(report_interval_s=60.0))
    assert firmware.report_interval_s == 60.0
    firmware.sample(row(70.0), 1000.0)
    assert firmware.report_interval_s == 1.0
    firmware.configure(UnitConfig(report_interval_s=None))
    assert unit().report_interval_s == 10.0


def test_receipts_of_another_boot_are_not_ours():
    firmware = unit()
    firmware.sample(row(25.0), 1000.0)
    assert not firmware.acknowledge(StoredReceipt(boot_id="6-abc", frame=0))
    assert firmware.acknowledge(StoredReceipt(boot_id="7-abc", frame=0))
    assert not firmware.acknowledge(StoredReceipt(boot_id="7-abc", frame=0))


def test_frames_say_how_many_were_lost_before_them():
    firmware = unit(ring=FrameRing(capacity=2, window=2))
    lost = [decode_frame(firmware.sample(row(25.0), 1000.0 + second).payload).lost_frames for second in range(5)]
    assert lost == [0, 0, 1, 2, 3]


def test_the_clock_is_told_at_once_every_ten_seconds_and_after_each_reconnect():
    firmware = unit()
    assert firmware.clock_beat(1003.0).tick_ms == 3000
    assert firmware.clock_beat(1012.9) is None
    assert firmware.next_beat_s(1012.9) == 1013.0
    assert firmware.clock_beat(1013.0).tick_ms == 13_000
    firmware.connected()
    assert firmware.clock_beat(1014.0).boot_id == "7-abc"


def test_a_unit_with_trusted_time_declares_it_and_tells_no_clock():
    firmware = unit(utc_at_tick_zero_ms=1_790_000_000_000)
    assert firmware.clock_beat(1003.0) is None
    assert firmware.next_beat_s(1003.0) is None
    assert decode_frame(firmware.sample(row(25.0), 1001.0).payload).utc_at_tick_zero_ms == 1_790_000_000_000


def test_boots_count_on_across_restarts(tmp_path):
    first = BootCounter(tmp_path / "units").boot(["a", "b"])
    again = BootCounter(tmp_path / "units").boot(["a"])
    assert first["a"].startswith("1-")
    assert first["b"].startswith("1-")
    assert again["a"].startswith("2-")
    assert BootCounter(tmp_path / "units").boot(["b"])["b"].startswith("2-")


def test_without_a_directory_only_the_nonce_tells_boots_apart():
    one, other = BootCounter(None).boot(["a"])["a"], BootCounter(None).boot(["a"])["a"]
    assert one.startswith("1-")
    assert one != other
