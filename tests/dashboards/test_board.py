"""The live board: what a row says, when it goes grey, and what a reader is told."""
# ruff: noqa: PLR0917 - fixtures and columns come by name

import math
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboards import board as board_module
from dashboards.board import UNBOUND_MAX, LiveBoard
from dashboards.models import Board as BoardModel
from registry.enrolment import Assignment
from registry.kinds import AlertKind, AlertState, ChannelKind, Chemistry, Level, PackClass
from telemetry.samples import PositionFix, Provenance, Quality

NOW_MS = 1_800_000_000_000
S = 1000
SINCE = datetime.fromtimestamp(NOW_MS / 1000 - 7, UTC)


def assignment(**given_fields) -> Assignment:
    fields = {
        "unit_id": "unit-1",
        "pack_id": "pack-1",
        "chemistry": Chemistry.NMC,
        "pack_class": PackClass.END_OF_LIFE,
        "series_count": 2,
        "capacity_ah": 50.0,
        "max_operating_temperature_c": None,
        "gateway_id": "gateway-1",
        "vehicle_id": "truck-1",
        "vehicle_name": "Truck 1",
        "fleet_id": "fleet-1",
        "report_interval_s": 10.0,
        "simulated": False,
        "temperature_labels": ("probe 1", "probe 2", "probe 3"),
        "voltage_kinds": (ChannelKind.CELL, ChannelKind.CELL, ChannelKind.PACK),
    }
    return Assignment(**{**fields, **given_fields})


@pytest.fixture
def watched(board) -> LiveBoard:
    """A board with unit-1 on pack-1."""
    board.refresh_assignments([assignment()], {}, now_ms=NOW_MS)
    return board


def the_row(board, now_ms=NOW_MS):
    (row,) = board.snapshot(now_ms).packs
    return row


def test_a_row_tells_the_newest_sample(watched, make_batch):
    watched.observe([make_batch([[20, 21, 22], [math.nan, 25.5, 21.25]], ambient_c=[12.0, 12.5])])
    row = the_row(watched)
    assert asdict(row) == {
        "pack_id": "pack-1",
        "chemistry": "nmc",
        "pack_class": "end_of_life",
        "vehicle_id": "truck-1",
        "vehicle_name": "Truck 1",
        "gateway_id": "gateway-1",
        "unit_id": "unit-1",
        "provenance": "measured",
        "level": "normal",
        "reasons": (),
        "hottest_c": 25.5,
        "hottest_probe": 2,
        "coldest_c": 21.25,
        "spread_c": 4.25,
        "rise_c_per_min": None,
        "ambient_c": 12.5,
        "min_voltage_v": 3.6,
        "pack_voltage_v": 7.3,
        "sampled_at_ms": NOW_MS,
        "received_at_ms": NOW_MS,
        "silent": False,
        "silent_since_ms": None,
        "temperatures_c": (None, 25.5, 21.25),
        "suspect": False,
        "spark": row.spark,
        "open_alert_id": None,
        "unregistered": False,
        "level_on_board": None,
        "on_board_since_ms": None,
        "level_here": None,
        "fleet_id": "fleet-1",
        "forecast_s": None,
    }
    assert row.spark[-1] == 25.5


@pytest.mark.parametrize(
    ("batches", "hottest_c"),
    [
        pytest.param([(0, 30), (10, 40)], 40, id="the newest sample is shown"),
        pytest.param([(10, 40), (0, 30)], 40, id="a late batch never overwrites a newer one"),
        pytest.param([(10, 40), (10, 40)], 40, id="a duplicate changes nothing"),
        pytest.param([(0, 30), (200, 90, 0), (10, 40)], 40, id="a unit whose clock runs ahead does not block itself"),
    ],
)
def test_the_newest_sample_is_the_one_sampled_last(watched, make_batch, batches, hottest_c):
    for at_s, temperature_c, *received_s in batches:
        received_ms = NOW_MS + (received_s[0] if received_s else at_s) * S
        watched.observe([make_batch([[temperature_c]], at_ms=NOW_MS + at_s * S, received_at_ms=received_ms)])
    assert the_row(watched, NOW_MS + 10 * S).hottest_c == hottest_c


REPORTING = [[20.0, 20.0, 20.0]]


@pytest.mark.parametrize(
    ("facts", "age_s", "level", "silent"),
    [
        pytest.param({}, 0, "normal", False, id="fresh"),
        pytest.param({}, 30, "normal", False, id="three intervals are allowed"),
        pytest.param({}, 31, "normal", True, id="after them the unit is silent"),
        pytest.param({}, 60, "normal", True, id="a minute is allowed"),
        pytest.param({}, 61, "no_data", True, id="after it nothing is green"),
        pytest.param({"report_interval_s": 60.0}, 61, "no_data", False, id="on battery: grey, but not yet silent"),
        pytest.param({"report_interval_s": 60.0}, 181, "no_data", True, id="on battery: silent after three minutes"),
        pytest.param(
            {"report_interval_s": 60.0, "pack_class": PackClass.DAMAGED}, 60, "normal", True, id="damaged: in a minute"
        ),
        pytest.param(
            {"report_interval_s": 5.0, "pack_class": PackClass.DAMAGED}, 16, "normal", True, id="or three intervals"
        ),
    ],
)
def test_silence_and_no_data(board, make_batch, facts, age_s, level, silent):
    board.refresh_assignments([assignment(**facts)], {}, now_ms=NOW_MS)
    board.observe([make_batch(REPORTING)])
    row = the_row(board, NOW_MS + age_s * S)
    assert (row.level, row.silent) == (level, silent)
    assert row.silent_since_ms == (NOW_MS if silent else None)
    assert any("silent" in reason for reason in row.reasons) == silent


def test_a_replay_never_stands_before_the_unit_that_measures(board, make_batch, make_alert):
    replays = assignment(unit_id="replay-pack-1", gateway_id=None, simulated=True)
    board.refresh_assignments([assignment(), replays], {}, now_ms=NOW_MS)
    replayed = {"unit_id": "replay-pack-1", "boot_id": "r-1", "provenance": Provenance.REPLAYED}
    board.observe([make_batch([[90, 90, 90]], **replayed)])
    board.observe_alert(make_alert(level=Level.CRITICAL, provenance=Provenance.REPLAYED))
    assert (the_row(board).provenance, the_row(board).level) == ("replayed", "critical")
    board.observe([make_batch([[21, 22, 23]])])
    row = the_row(board, NOW_MS + S)
    assert (row.provenance, row.hottest_c, row.level, row.open_alert_id) == ("measured", 23, "normal", None)
    assert len(board.snapshot(NOW_MS + S).alerts) == 1
    board.observe([make_batch([[25, 25, 25]], **replayed, at_ms=NOW_MS + 61 * S)])
    row = the_row(board, NOW_MS + 61 * S)
    assert (row.provenance, row.level, row.silent) == ("measured", "no_data", True)


@pytest.mark.parametrize("age_s", [31, 61])
def test_silence_reaches_a_reader_without_any_new_sample(watched, make_batch, age_s):
    watched.observe([make_batch(REPORTING)])
    watched.snapshot(NOW_MS)
    watched.changes_since(0, NOW_MS + (age_s - 1) * S)
    changes = watched.changes_since(watched.version, NOW_MS + age_s * S).rows
    (row,) = [change.row for change in changes if change.key[0] == "pack"]
    assert (row.silent, row.level) == (True, "normal" if age_s == 31 else "no_data")


def test_old_samples_that_arrive_now_are_no_green_light(watched, make_batch):
    watched.observe([make_batch(REPORTING, at_ms=NOW_MS - 120 * S, received_at_ms=NOW_MS)])
    assert the_row(watched).level == "no_data"
    assert "older than 60 s" in the_row(watched).reasons[0] or the_row(watched).silent


def test_a_replay_is_as_fresh_as_its_receipt(watched, make_batch):
    replayed = make_batch(REPORTING, at_ms=NOW_MS - 900 * S, received_at_ms=NOW_MS, provenance=Provenance.REPLAYED)
    watched.observe([replayed])
    assert the_row(watched).level == "normal"
    assert watched.snapshot(NOW_MS).simulation


@pytest.mark.parametrize(
    ("registered_simulated", "said", "shown"),
    [
        (False, Provenance.MEASURED, "measured"),
        (True, Provenance.SIMULATED, "simulated"),
        (True, Provenance.REPLAYED, "replayed"),
        pytest.param(True, Provenance.MEASURED, "simulated", id="a simulated unit never looks real"),
    ],
)
def test_provenance(board, make_batch, registered_simulated, said, shown):
    board.refresh_assignments([assignment(simulated=registered_simulated)], {}, now_ms=NOW_MS)
    board.observe([make_batch(REPORTING, provenance=said)])
    assert the_row(board).provenance == shown
    assert board.snapshot(NOW_MS).simulation == (shown != "measured")


def test_a_unit_that_never_reported_is_grey_and_says_so(watched):
    row = the_row(watched)
    assert (row.level, row.silent, row.hottest_c, row.provenance) == ("no_data", False, None, None)
    assert "has not reported" in row.reasons[0]
    assert the_row(watched, NOW_MS + 31 * S).silent_since_ms == NOW_MS


def test_dead_probes_are_no_green_light(watched, make_batch):
    watched.observe([make_batch([[math.nan] * 3])])
    row = the_row(watched)
    assert (row.level, row.hottest_c, row.temperatures_c) == ("no_data", None, (None, None, None))
    assert "none of its temperature probes" in row.reasons[0]


@pytest.mark.parametrize(
    ("alerts", "age_s", "level"),
    [
        pytest.param([{"level": Level.CRITICAL}], 0, "critical", id="the alert's level is the pack's"),
        pytest.param([{"level": Level.WATCH}, {"level": Level.RUNAWAY}], 0, "runaway", id="the worst one counts"),
        pytest.param([{"level": Level.CRITICAL}], 600, "critical", id="heat that was seen outlives the data"),
        pytest.param([{"level": Level.WATCH}], 600, "watch", id="even a little of it"),
        pytest.param([{"level": Level.WARNING, "state": AlertState.ACKNOWLEDGED}], 0, "warning", id="seen is not over"),
        pytest.param([{"level": Level.WARNING, "state": AlertState.CLEARED}], 0, "normal", id="over is over"),
        pytest.param([{"level": Level.WARNING, "state": AlertState.CLEARED}], 61, "no_data", id="and may go grey"),
        pytest.param([{"level": Level.WATCH, "kind": AlertKind.SILENCE}], 61, "no_data", id="a silence notice is grey"),
        pytest.param(
            [{"level": Level.WARNING, "kind": AlertKind.SILENCE}], 61, "warning", id="unless silence itself is a risk"
        ),
        pytest.param([{"pack_id": "pack-2"}], 0, "normal", id="another pack's alert is not this one's"),
    ],
)
def test_levels_come_from_the_open_alerts(watched, make_batch, make_alert, alerts, age_s, level):
    watched.observe([make_batch(REPORTING)])
    for fields in alerts:
        watched.observe_alert(make_alert(**fields))
    assert the_row(watched, NOW_MS + age_s * S).level == level


def test_a_closed_alert_leaves_the_board_and_its_pack(watched, make_batch, make_alert):
    watched.observe([make_batch(REPORTING)])
    alert = make_alert(alert_id="a1", level=Level.CRITICAL)
    watched.observe_alert(alert)
    assert the_row(watched).open_alert_id == "a1"
    version = watched.version
    watched.observe_alert(make_alert(alert_id="a1", state=AlertState.CLOSED, version=2))
    watched.observe_alert(alert)  # the older version arrives late
    changes = watched.changes_since(version, NOW_MS).rows
    assert [(change.key, getattr(change.row, "state", None)) for change in changes] == [
        (("alert", "a1"), "closed"),
        (("pack", "pack-1"), None),
    ]
    assert (the_row(watched).level, the_row(watched).open_alert_id) == ("normal", None)
    assert watched.snapshot(NOW_MS).alerts == ()


def test_a_suspect_value_is_shown_and_marked(watched, make_batch):
    quality = np.array([Quality.TEMPERATURE_SUSPECT], np.uint32)
    watched.observe([make_batch([[20, 511, 20]], quality=quality)])
    assert (the_row(watched).hottest_c, the_row(watched).suspect) == (511.0, True)


def test_an_unknown_unit_is_shown_under_its_own_name(board, make_batch, make_alert):
    board.refresh_assignments([assignment()], {"gateway-1": ("truck-1", "Truck 1")}, now_ms=NOW_MS)
    board.observe([make_batch([[70]], unit_id="stranger")])
    board.observe_alert(make_alert(pack_id=None, unit_id="stranger", kind=AlertKind.UNREGISTERED))
    row = next(row for row in board.snapshot(NOW_MS).packs if row.unregistered)
    assert (row.pack_id, row.vehicle_name, row.level) == ("unit:stranger", "Truck 1", "warning")
    assert "not registered" in row.reasons[-1]


def test_an_unknown_unit_without_an_alert_leaves_after_ten_minutes(watched, make_batch):
    watched.observe([make_batch([[20]], unit_id="stranger")])
    assert len(watched.snapshot(NOW_MS).packs) == 2
    version = watched.version
    assert len(watched.snapshot(NOW_MS + 601 * S).packs) == 1
    assert watched.changes_since(version, NOW_MS + 601 * S).start_over


def test_invented_unit_ids_do_not_fill_the_memory(watched, make_batch):
    for number in range(UNBOUND_MAX + 20):
        watched.observe([make_batch([[20]], unit_id=f"stranger-{number}")])
    names = {row.pack_id for row in watched.snapshot(NOW_MS).packs}
    assert len(names) == UNBOUND_MAX + 1
    assert {"pack-1", f"unit:stranger-{UNBOUND_MAX + 19}"} <= names
    assert "unit:stranger-0" not in names


def test_a_binding_that_ends_takes_the_row_away(watched, make_batch):
    watched.observe([make_batch(REPORTING)])
    watched.snapshot(NOW_MS)
    version = watched.version
    watched.refresh_assignments([assignment(pack_id="pack-2")], {}, now_ms=NOW_MS)
    assert watched.changes_since(version, NOW_MS).start_over
    assert [row.pack_id for row in watched.snapshot(NOW_MS).packs] == ["pack-2"]


def test_of_two_units_on_one_pack_the_hottest_fresh_one_speaks(board, make_batch):
    board.refresh_assignments([assignment(), assignment(unit_id="unit-2")], {}, now_ms=NOW_MS)
    board.observe([make_batch([[30]]), make_batch([[50]], unit_id="unit-2")])
    assert (the_row(board).unit_id, the_row(board).hottest_c) == ("unit-2", 50.0)
    board.observe([make_batch([[31]], at_ms=NOW_MS + 70 * S)])
    assert the_row(board, NOW_MS + 70 * S).unit_id == "unit-1"


def test_vehicles_move_and_go_offline(watched):
    def fix(at_s: int, latitude_deg: float) -> PositionFix:
        return PositionFix(
            fleet_id="fleet-1",
            gateway_id="gateway-1",
            fixed_at_ms=NOW_MS + at_s * S,
            latitude_deg=latitude_deg,
            longitude_deg=-80.0,
        )

    assert not watched.snapshot(NOW_MS).vehicles[0].online
    watched.observe_positions([fix(0, 40.0)])
    watched.observe_positions([fix(-5, 39.0)])
    (vehicle,) = watched.snapshot(NOW_MS).vehicles
    assert (vehicle.name, vehicle.latitude_deg, vehicle.online) == ("Truck 1", 40.0, True)
    assert not watched.snapshot(NOW_MS + 61 * S).vehicles[0].online


def test_the_board_is_what_openapi_says(watched, make_batch, make_alert):
    watched.observe([make_batch(REPORTING)])
    watched.observe_alert(make_alert())
    BoardModel.model_validate(asdict(watched.snapshot(NOW_MS)))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])  # the fixtures only make values
@given(data=st.data())
def test_a_reader_of_deltas_ends_with_the_snapshot(make_batch, make_alert, data):
    """Any mixture of batches, alerts, bindings and reads: deltas (or starting over) lead to what a snapshot says."""
    board = LiveBoard(now_ms=NOW_MS)
    board.refresh_assignments([assignment()], {}, now_ms=NOW_MS)
    now_ms, version, alert_version = NOW_MS, -1, 0
    packs: dict = {}
    alerts: dict = {}
    for _ in range(data.draw(st.integers(1, 25))):
        now_ms += data.draw(st.sampled_from([0, 100, 5_000, 31_000, 700_000]))
        match data.draw(st.sampled_from(["batch", "stranger", "alert", "bind", "read"])):
            case "batch":
                board.observe([make_batch([[data.draw(st.integers(0, 100))]], at_ms=now_ms)])
            case "stranger":
                board.observe([make_batch([[20]], at_ms=now_ms, unit_id=data.draw(st.sampled_from("xyz")))])
            case "alert":
                alert_version += 1
                state = data.draw(st.sampled_from(list(AlertState)))
                alert_id = data.draw(st.sampled_from("ab"))
                board.observe_alert(make_alert(alert_id=alert_id, state=state, version=alert_version))
            case "bind":
                pack_id = data.draw(st.sampled_from(["pack-1", "pack-2", None]))
                board.refresh_assignments([assignment(pack_id=pack_id)], {}, now_ms=now_ms)
            case "read":
                changes = board.changes_since(version, now_ms)
                if changes.start_over:
                    whole = board.snapshot(now_ms)
                    packs = {row.pack_id: row for row in whole.packs}
                    alerts = {row.alert_id: row for row in whole.alerts}
                    version = board.version
                else:
                    version = changes.version
                    _apply(changes, packs, alerts)
    now_ms += board_module.COALESCE_MS
    changes = board.changes_since(version, now_ms)
    if not changes.start_over:
        _apply(changes, packs, alerts)
        whole = board.snapshot(now_ms)
        assert packs == {row.pack_id: row for row in whole.packs}
        assert alerts == {row.alert_id: row for row in whole.alerts}


def _apply(changes, packs, alerts) -> None:
    for change in changes.rows:
        match change.key:
            case ("pack", pack_id):
                packs[pack_id] = change.row
            case ("alert", alert_id):
                alerts[alert_id] = change.row
                if change.row.state == "closed":
                    del alerts[alert_id]


def test_a_row_tells_what_the_vehicles_engine_says_beside_the_clouds(watched, make_batch, make_alert):
    watched.observe([make_batch(REPORTING)])
    watched.observe_alert(make_alert(level_on_board=Level.WARNING, level_here=Level.NORMAL, on_board_since=SINCE))
    row = the_row(watched)
    assert (row.level, row.level_on_board, row.level_here) == ("warning", "warning", "normal")
    assert row.on_board_since_ms == NOW_MS - 7 * S


def test_a_row_tells_its_carrier_and_the_forecast_as_long_as_there_is_data(clock, enrolment, registry, make_batch):
    registry.enrol(enrolment(), clock.now)
    board = LiveBoard(now_ms=NOW_MS, forecast_s={"unit-1": (600.0, 2400.0)}.get)
    board.refresh_assignments(registry.assignments(), {}, now_ms=NOW_MS)
    board.observe([make_batch([[20, 21, 40]])])
    row = board.pack("pack-1", NOW_MS)
    assert (row.fleet_id, row.forecast_s) == ("fleet-1", (600.0, 2400.0))
    assert board.pack("pack-1", NOW_MS + 61_000).forecast_s is None
