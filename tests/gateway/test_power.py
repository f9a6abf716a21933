"""On whose power the gateway runs, and for how long."""

from gateway.power import Power, PowerReading, read_power


def supply(folder, name, **files):
    (folder / name).mkdir(parents=True)
    for file, text in files.items():
        (folder / name / file).write_text(f"{text}\n")


def test_supplies_are_read_as_the_kernel_tells_them(tmp_path):
    assert read_power(tmp_path / "none") == PowerReading(on_vehicle=None, charge=None, energy_wh=None, draw_w=None)
    supply(tmp_path, "AC", type="Mains", online=1)
    supply(tmp_path, "mouse", type="Battery", scope="Device", capacity=1)
    assert read_power(tmp_path).on_vehicle is True
    assert read_power(tmp_path).charge is None
    supply(
        tmp_path, "BAT0", type="Battery", status="Discharging", capacity=80, energy_now=64_000_000, power_now=4_000_000
    )
    (tmp_path / "AC" / "online").write_text("0\n")
    assert read_power(tmp_path) == PowerReading(on_vehicle=False, charge=0.8, energy_wh=64.0, draw_w=4.0)
    (tmp_path / "BAT0" / "capacity").write_text("lots\n")
    (tmp_path / "BAT0" / "energy_now").unlink()
    (tmp_path / "BAT0" / "power_now").unlink()
    supply(tmp_path, "x", type="USB")
    assert read_power(tmp_path) == PowerReading(on_vehicle=False, charge=None, energy_wh=None, draw_w=None)


def test_a_battery_alone_tells_by_its_status_and_by_charge_and_current(tmp_path):
    supply(
        tmp_path,
        "bq",
        type="Battery",
        status="Discharging",
        capacity=50,
        charge_now=5_000_000,
        voltage_now=4_000_000,
        current_now=-500_000,
    )
    assert read_power(tmp_path) == PowerReading(on_vehicle=False, charge=0.5, energy_wh=20.0, draw_w=2.0)
    (tmp_path / "bq" / "status").write_text("Charging\n")
    assert read_power(tmp_path).on_vehicle is True
    assert read_power(tmp_path).draw_w is None


def battery(charge: float, **more) -> PowerReading:
    return PowerReading(**{"on_vehicle": False, "charge": charge, "energy_wh": None, "draw_w": None} | more)


def test_hours_are_measured_by_how_the_charge_falls_and_little_is_told_before():
    power = Power()
    state = power.take(battery(1.0), 0.0, 5)
    assert (state.battery_since_ms, state.hours_left, state.fault) == (5, None, None)
    assert power.take(battery(0.99), 60.0, 60_005).hours_left is None  # one step of the gauge is no rate
    state = power.take(battery(0.9), 3600.0, 3_600_005)
    assert state.hours_left is not None
    assert abs(state.hours_left - 9.0) < 0.01
    assert state.battery_since_ms == 5
    assert state.fault is not None
    assert "10.0 h" in state.fault
    back = power.take(battery(0.9, on_vehicle=True), 3700.0, 3_700_005)
    assert back.battery_since_ms is None
    assert back.fault is not None  # a full one lasts 10 h: before the next trip somebody should know
    assert "9.0 h" in back.fault


def test_what_lasts_is_no_fault_until_little_is_left():
    power = Power(24.0)
    assert power.take(battery(1.0, on_vehicle=True), 0.0, 1).fault is None
    assert power.take(battery(0.4, on_vehicle=True), 0.0, 1).fault is not None
    power = Power()
    said = {"energy_wh": 60.0, "draw_w": 4.0}
    state = power.take(battery(1.0, **said), 0.0, 1)
    assert (state.hours_left, state.fault) == (15.0, None)
    state = power.take(battery(0.1, energy_wh=6.0, draw_w=4.0), 48_600.0, 1)
    assert state.fault is not None
    assert "1.5 h of battery left" in state.fault


def test_a_gateway_that_knows_no_supply_says_nothing():
    state = Power().take(PowerReading(on_vehicle=None, charge=None, energy_wh=None, draw_w=None), 0.0, 1)
    assert (state.on_vehicle, state.hours_left, state.fault) == (None, None, None)
