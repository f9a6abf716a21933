"""The board keeps step with the registry, and is not empty after a restart."""
# ruff: noqa: PLR0917 - fixtures and columns come by name

import asyncio
from datetime import timedelta

import pytest

from alerts.grouping import gathering
from dashboards.board import LiveBoard
from dashboards.keeper import BoardKeeper
from dashboards.rows import Intake
from registry.errors import UnavailableError
from registry.kinds import Level
from registry.records import AlertEvent
from telemetry.samples import Provenance

NOW_MS = 1_800_000_000_000
S = 1000
DEADLINE_S = 10


class Meter:
    def snapshot(self) -> Intake:
        return Intake(messages=7)


@pytest.fixture
def keeper(board, registry, history, clock) -> BoardKeeper:
    return BoardKeeper(board=board, registry=registry, history=history, meter=Meter(), now_ms=clock)


async def until(look) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not look():
            await asyncio.sleep(0.01)


@pytest.fixture
async def kept(keeper, monkeypatch):
    """The keeper at work, looking often."""
    monkeypatch.setattr("dashboards.keeper.REFRESH_S", 0.01)
    await keeper.prepare()
    task = asyncio.create_task(keeper.run())
    yield keeper
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_after_a_restart_the_board_shows_what_was_stored(
    registry, store, desk, keeper, board, clock, enrolment, make_batch, make_alert
):
    registry.enrol(enrolment(), clock.now)
    rows = [[20 + minute, 21, 22] for minute in range(10)]
    stored = make_batch(
        rows, at_ms=NOW_MS - 5 * S, step_ms=60 * S, ambient_c=[8.0] * 10, provenance=Provenance.SIMULATED
    )
    store.append([stored])
    desk.raise_alert(make_alert(level=Level.CRITICAL))
    await keeper.prepare()
    await keeper._fill()
    (row,) = board.snapshot(NOW_MS).packs
    assert (row.level, row.hottest_c, row.ambient_c, row.provenance) == ("critical", 29.0, 8.0, "simulated")
    assert (row.sampled_at_ms, row.silent, row.vehicle_name) == (NOW_MS - 5 * S, False, "Truck 1")
    assert row.pack_voltage_v == pytest.approx(7.3)
    assert (row.spark[0], row.spark[-1], row.rise_c_per_min) == (22.0, 29.0, 1.0)


async def test_what_is_live_already_is_not_overwritten(registry, store, keeper, board, clock, enrolment, make_batch):
    registry.enrol(enrolment(), clock.now)
    store.append([make_batch([[20, 21, 22]], at_ms=NOW_MS - 60 * S)])
    await keeper.prepare()
    board.observe([make_batch([[30, 31, 32]])])
    await keeper._fill()
    assert board.snapshot(NOW_MS).packs[0].hottest_c == 32.0


async def test_old_data_of_a_restart_is_no_green_light(registry, store, keeper, board, clock, enrolment, make_batch):
    registry.enrol(enrolment(), clock.now)
    store.append([make_batch([[20, 21, 22]], at_ms=NOW_MS - 3600 * S)])
    await keeper.prepare()
    await keeper._fill()
    (row,) = board.snapshot(NOW_MS).packs
    assert (row.level, row.silent, row.silent_since_ms) == ("no_data", True, NOW_MS - 3600 * S)


async def test_refreshes_that_overlap_end_with_the_newest(registry, keeper, board, clock, enrolment):
    await keeper.prepare()

    async def enrol(number: int) -> None:
        wanted = enrolment(unit_id=f"unit-{number}", pack_id=f"pack-{number}")
        await asyncio.to_thread(registry.enrol, wanted, clock.now)
        await keeper.refresh()

    await asyncio.gather(*(enrol(number) for number in range(8)))
    assert len(board.snapshot(NOW_MS).packs) == 8


async def test_a_new_binding_shows_by_itself(kept, registry, board, clock, enrolment):
    assert board.snapshot(NOW_MS).packs == ()
    registry.enrol(enrolment(), clock.now)
    await until(lambda: board.snapshot(NOW_MS).packs)
    assert board.snapshot(NOW_MS).vehicles[0].name == "Truck 1"


async def test_the_vehicle_of_an_unknown_unit_is_looked_up(kept, registry, board, clock, enrolment, make_batch):
    """The truck's only known unit is taken off it; its gateway still says which truck a strange unit is on."""
    registry.enrol(enrolment(), clock.now)
    registry.bind("unit-1", "pack-1", gateway_id=None, at=clock.now + timedelta(seconds=1))
    board.observe([make_batch([[70]], unit_id="stranger")])

    def vehicle_names() -> set[str | None]:
        return {row.vehicle_name for row in board.snapshot(NOW_MS).packs if row.unregistered}

    await until(lambda: vehicle_names() == {"Truck 1"})


async def test_what_another_process_does_to_an_incident_is_told(kept, registry, board, clock, enrolment, make_alert):
    registry.enrol(enrolment(), clock.now)
    before = board.version
    alert = make_alert(level=Level.CRITICAL)
    raised = AlertEvent(
        alert_id=alert.alert_id, at=alert.raised_at, action="raise", to_state=alert.state, level=alert.level
    )
    registry.raise_alert(alert, raised, gather=gathering)

    def told() -> bool:
        return any(change.key == ("incidents", "") for change in board.changes_since(before, NOW_MS).rows)

    await until(told)
    before = board.version
    await asyncio.gather(*(kept._look_for_incidents() for _ in range(3)))
    assert not told()  # nothing happened since


async def test_counters_reach_the_board(kept, board):
    await until(lambda: board.snapshot(NOW_MS).intake.messages == 7)


async def test_a_registry_that_is_away_for_a_while_ends_nothing(kept, registry, board, clock, enrolment, monkeypatch):
    asked = []

    def away() -> int:
        asked.append(1)
        raise UnavailableError("the registry's database is busy")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "revision", away)
        await until(lambda: len(asked) > 2)
    registry.enrol(enrolment(), clock.now)
    await until(lambda: board.snapshot(NOW_MS).packs)


async def test_a_store_that_fails_leaves_a_board_without_a_past(registry, history, keeper, board, clock, enrolment):
    registry.enrol(enrolment(), clock.now)

    def broken(_unit_id: str) -> int:
        raise OSError("the disk is gone")

    history.latest_at = broken
    await keeper.prepare()
    await keeper._fill()
    assert board.snapshot(NOW_MS).packs[0].level == "no_data"


def test_the_board_is_made_without_a_registry():
    assert LiveBoard(now_ms=NOW_MS).snapshot(NOW_MS).packs == ()
