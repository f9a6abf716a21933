"""What siren and lamp do, as a table, and their outputs as real processes."""

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.siren import SOUND_OF, TABLE, Siren, SirenEvent, SirenState, Sound
from gateway.sounder import Button, CommandOutput, LineOutput, OutputError, Sounder, run_command
from registry.kinds import Level
from telemetry.cab_report import CabAction, CabReport, decode_cab_report, encode_cab_report
from telemetry.errors import WireError

CRITICAL, RUNAWAY, WARNING, NORMAL = Level.CRITICAL, Level.RUNAWAY, Level.WARNING, Level.NORMAL


def test_the_table_knows_every_event_in_every_state():
    assert set(TABLE) == {(state, event) for state in SirenState for event in SirenEvent}
    assert SOUND_OF[SirenState.LOWERED] == (Sound.CHIRP, True)  # the lamp stays


def test_a_button_lowers_and_any_rise_or_another_unit_restores():
    siren = Siren()
    assert siren.look({"u1": WARNING, "u2": NORMAL}) is None
    assert siren.look({"u1": CRITICAL, "u2": NORMAL}) == (CabAction.SOUNDED, {"u1": CRITICAL})
    assert siren.look({"u1": CRITICAL, "u2": NORMAL}) is None
    assert siren.press() == (CabAction.ACKNOWLEDGED, {"u1": CRITICAL})
    assert siren.press() is None
    assert siren.state is SirenState.LOWERED
    assert siren.look({"u1": RUNAWAY, "u2": NORMAL}) == (CabAction.RESTORED, {"u1": RUNAWAY})
    assert siren.press() is not None
    assert siren.look({"u1": RUNAWAY, "u2": CRITICAL}) == (CabAction.RESTORED, {"u2": CRITICAL})
    assert siren.look({"u1": NORMAL, "u2": CRITICAL}) is None
    assert siren.look({"u1": CRITICAL, "u2": CRITICAL}) == (CabAction.ROSE, {"u1": CRITICAL})
    assert siren.look({"u1": NORMAL, "u2": NORMAL}) == (CabAction.ENDED, {"u1": CRITICAL, "u2": CRITICAL})
    assert siren.state is SirenState.QUIET
    assert siren.press() is None


def test_what_the_cab_did_survives_the_wire_and_nonsense_is_refused():
    report = CabReport(
        report_id="a1", action=CabAction.RESTORED, at_ms=1_700_000_000_000, units={"u1": "critical"}, detail="button"
    )
    assert decode_cab_report(encode_cab_report(report)) == report
    good = encode_cab_report(report)
    for bad in (
        "",
        "[]",
        "null",
        good.replace("siren restored", "siren eaten"),
        good.replace("1700000000000", "-1"),
        good.replace("1700000000000", '"now"'),
        good.replace('"u1"', '"u 1"'),
        good.replace('"critical"', "4"),
        good.replace('"button"', "7"),
        good.replace('"a1"', "null"),
    ):
        with pytest.raises(WireError, match="cab"):
            decode_cab_report(bad)


@contextlib.asynccontextmanager
async def sounding(output):
    told = []
    sounder = Sounder("siren", output, lambda _name, fault: told.append(fault))
    task = asyncio.create_task(sounder.run())
    try:
        yield sounder, told
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def script(tmp_path, body: str) -> tuple[str, ...]:
    path = tmp_path / "siren.py"
    path.write_text(body)
    return (sys.executable, "-I", "-S", str(path))


async def seen(condition, what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


async def test_a_command_that_is_missing_or_dies_is_told_and_tried_again_until_it_works(tmp_path):
    log = tmp_path / "log"
    argv = script(tmp_path, "raise SystemExit(3)")
    async with sounding(CommandOutput(argv)) as (sounder, told):
        await seen(lambda: told, "tried")
        assert "status 3" in told[0]
        assert sounder.works is False
        script(tmp_path, f"import sys; open({str(log)!r}, 'a').write(sys.argv[1] + ' ')")
        sounder.set("siren")
        await seen(lambda: log.exists() and "siren" in log.read_text(), "tried again")
        await seen(lambda: told[-1] is None and sounder.works, "and told")
    with pytest.raises(OutputError, match="cannot be run"):
        await run_command((str(tmp_path / "nothing"), "siren"))


async def test_a_command_that_hangs_is_killed_with_its_children_and_the_next_word_does_not_wait_for_it(tmp_path):
    pids = tmp_path / "pids"
    hang = (
        "import os, sys, time\n"
        f"open({str(tmp_path / 'words')!r}, 'a').write(sys.argv[1] + ' ')\n"
        "if sys.argv[1] == 'siren':\n"
        f"    os.fork(); open({str(pids)!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(600)\n"
    )
    argv = script(tmp_path, hang)
    with pytest.raises(OutputError, match="did not end within"):
        await run_command((*argv, "siren"), within_s=2.0)
    async with sounding(CommandOutput(argv)) as (sounder, told):
        sounder.set("siren")
        await seen(lambda: len(pids.read_text().split()) >= 4, "hangs")
        sounder.set("chirp")
        await seen(lambda: "chirp" in (tmp_path / "words").read_text() and told[-1:] == [None], "at once")
    for pid in map(int, pids.read_text().split()):
        await seen(lambda pid=pid: not alive(pid), "killed")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class FakeChip:
    """As much of libgpiod's Python bindings (2.x) as is used; there is no GPIO chip on a build machine."""

    LineSettings = SimpleNamespace
    line = SimpleNamespace(
        Value=SimpleNamespace(ACTIVE="active", INACTIVE="inactive"),
        Direction=SimpleNamespace(OUTPUT="output", INPUT="input"),
    )

    def __init__(self) -> None:
        self.values = []
        self.level = "inactive"
        self.broken = False

    def request_lines(self, chip, *, consumer, config):
        assert (chip, consumer, list(config)) == ("/dev/gpiochip0", "packwatch", [17])
        if self.broken:
            raise OSError("no such device")
        if config[17].direction == "output":
            self.values.append(config[17].output_value)
        return self

    def set_value(self, _offset, value):
        if self.broken:
            raise OSError("gone")
        self.values.append(value)

    def get_value(self, _offset):
        return self.level


async def test_a_line_is_on_for_a_siren_briefly_for_a_chirp_and_comes_back_after_it_was_gone():
    chip = FakeChip()
    line = LineOutput("/dev/gpiochip0:17", chip)
    await line.set("off")
    await line.set("siren")
    await line.set("chirp")
    assert chip.values == ["inactive", "active", "active", "inactive"]
    chip.broken = True
    with pytest.raises(OutputError, match="gpiochip0:17"):
        await line.set("siren")
    chip.broken = False
    await line.set("siren")
    assert chip.values[-1] == "active"


async def test_without_its_library_a_line_says_so():
    with pytest.raises(OutputError, match="no-such-chip"):
        await LineOutput("/dev/no-such-chip:1").set("siren")


async def test_a_button_that_is_held_is_one_press_and_one_stuck_from_the_start_none():
    chip, presses, turns = FakeChip(), [], iter(["active", "inactive", "active", "active", "inactive", "active"])

    async def sleep(_seconds: float) -> None:
        chip.level = next(turns)

    chip.level = "active"
    with pytest.raises(RuntimeError):  # the turns are over
        await Button("/dev/gpiochip0:17", lambda: presses.append(1), chip).run(lambda *_: None, sleep)
    assert len(presses) == 2
