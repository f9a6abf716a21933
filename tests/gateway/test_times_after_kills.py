"""A gateway that is killed anywhere: what its outbox has of the times it gave keeps all later ones behind them."""

import sqlite3
from contextlib import closing, contextmanager
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.intake import Intake
from gateway.outbox_file import OutboxFile
from gateway.outbox_schema import open_database
from telemetry.frames import encode_frame, frame_from_values
from telemetry.samples import Provenance
from telemetry.unit_link import ClockBeat, clock_topic, encode_clock_beat, frames_topic

START_MS = 1_790_000_000_000
FRAME_MS = 200
WAITED_MS = 700_000


class Run:
    """A gateway over an outbox, without its loop: one transaction an arrival, as `Outbox` has them."""

    def __init__(self, database) -> None:
        self.file = OutboxFile(database, fleet_id="f", gateway_id="g")
        self.start()

    def start(self) -> None:
        """All that was in memory is gone."""
        self.file.forget_changes()
        self.intake = Intake(gateway_id="g", fleet_id="f", units=None, clocks=self.file.clocks())

    @contextmanager
    def transaction(self):
        self.file.database.execute("BEGIN IMMEDIATE")
        yield
        self.file.before_commit()
        self.file.database.execute("COMMIT")

    def keep(self) -> None:
        with self.transaction():
            self.file.keep_all_clocks(self.intake.clocks())

    def beat(self, boot_id: str, tick_ms: int, received_ms: int) -> None:
        beat = encode_clock_beat(ClockBeat(boot_id=boot_id, tick_ms=tick_ms))
        self.intake.receive(clock_topic("u"), beat, START_MS + received_ms)

    def frame(self, boot_id: str, number: int, received_ms: int) -> None:
        """A frame of two samples, 100 ms apart."""
        content = frame_from_values(
            boot_id=boot_id,
            number=number,
            tick_ms=number * FRAME_MS,
            period_ms=100,
            provenance=Provenance.MEASURED,
            temperatures_c=np.full((2, 1), 20.0),
        )
        ready = self.intake.receive(frames_topic("u"), encode_frame(content), START_MS + received_ms)
        with self.transaction():
            self.file.keep_clocks(self.intake.unkept_clocks())
            self.file.add_frame(ready.arrival)
        if self.file.unmapped:
            self.intake.bracket(self.file.unmapped_boots(), START_MS + received_ms + WAITED_MS)
            fixes = self.intake.fixes(self.file.unmapped_frames("u", boot_id, 9))
            with self.transaction():
                self.file.keep_clocks(self.intake.unkept_clocks())
                self.file.fix_times(fixes)

    def sampled_at_ms(self) -> list[int]:
        """Of all samples, in the order in which they arrived."""
        entries = self.file.read_after(0, 10_000, unpublished=False)
        return [int(at) for entry in entries for at in entry.record.batch.sampled_at_ms]


@pytest.fixture
def run():
    with closing(open_database(None, max_bytes=8_000_000)) as database:
        yield Run(database)


def test_a_better_beat_after_a_kill_puts_no_frame_before_the_last_one(run):
    run.beat("1-a", 0, 360)
    run.frame("1-a", 0, 400)  # the clock is kept with the first time
    run.frame("1-a", 1, 600)
    run.start()
    run.beat("1-a", 400, 400)
    run.frame("1-a", 2, 700)
    assert [at - START_MS for at in run.sampled_at_ms()] == [360, 460, 560, 660, 661, 761]


def test_boots_that_nobody_heard_follow_what_was_heard_until_the_kill(run):
    run.beat("1-a", 0, 0)
    for number in range(250):
        run.frame("1-a", number, number * FRAME_MS)
    run.start()
    run.beat("4-d", 0, 100_000)
    for boot_id in ("2-b", "3-c"):
        for number in range(50):
            run.frame(boot_id, number, 100_500)
        run.start()
    times = run.sampled_at_ms()
    assert times == sorted(set(times))
    assert times[500] == START_MS + 49_900 + 1


def test_a_clock_that_was_set_since_takes_nothing_over(run):
    run.beat("1-a", 0, 0)
    run.frame("1-a", 0, 100)
    run.frame("1-a", 1, 300)
    run.intake.move_clock(-3_600_000)
    with run.transaction():
        run.file.keep_clocks(run.intake.clocks())  # as when a new boot is heard
    run.start()
    run.frame("1-a", 2, 500 - 3_600_000)
    run.beat("3-c", 0, 60_000 - 3_600_000)
    run.frame("2-b", 0, 60_500 - 3_600_000)
    assert [at + 3_600_000 - START_MS for at in run.sampled_at_ms()[-4:]] == [400, 500, 501, 601]


def test_what_was_kept_of_all_clocks_needs_no_more_beside_it(run):
    run.beat("1-a", 0, 0)
    run.frame("1-a", 0, 100)
    count = "SELECT count(*) FROM given"
    assert run.file.database.execute(count).fetchone() == (1,)
    run.keep()
    assert run.file.database.execute(count).fetchone() == (0,)


def test_an_outbox_of_before_is_read_and_keeps_them_from_now_on(tmp_path):
    with closing(open_database(tmp_path / "outbox", max_bytes=8_000_000)) as database:
        run = Run(database)
        run.beat("1-a", 0, 360)
        run.frame("1-a", 0, 400)
        database.execute("DROP TABLE given")
    with closing(sqlite3.connect(tmp_path / "outbox")) as database:
        assert "given" not in {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
    with closing(open_database(tmp_path / "outbox", max_bytes=8_000_000)) as database:
        run = Run(database)
        run.frame("1-a", 1, 600)
        run.start()
        run.beat("1-a", 400, 400)
        run.frame("1-a", 2, 700)
        assert [at - START_MS for at in run.sampled_at_ms()] == [360, 460, 560, 660, 661, 761]


HEARD = (True, [(900, "")])
FRAMES = st.lists(st.tuples(st.integers(0, 900), st.sampled_from(["", "", "killed", "kept"])), min_size=1, max_size=8)


@given(lives=st.lists(st.tuples(st.booleans(), FRAMES), min_size=1, max_size=6))
def test_wherever_it_is_killed_the_samples_of_a_unit_keep_their_order(lives):
    """lives: of boots between two heard ones, whether it is heard; of its frames, ms of the beat before, and harm."""
    with closing(open_database(None, max_bytes=8_000_000)) as database:
        run = Run(database)
        zero_ms, ring = 0, []
        for counter, (is_heard, frames) in enumerate([HEARD, *lives, HEARD], start=1):
            boot_id = f"{counter}-n"
            if is_heard:
                run.beat(boot_id, 0, zero_ms + frames[0][0])
                for unheard, number, then in ring:
                    run.frame(unheard, number, zero_ms + 1_000)
                    after(run, then)
                ring.clear()
            for number, (late_ms, then) in enumerate(frames):
                tick_ms = number * FRAME_MS
                if is_heard:
                    run.beat(boot_id, tick_ms, zero_ms + tick_ms + late_ms)
                    run.frame(boot_id, number, zero_ms + tick_ms + 1_000)
                    after(run, then)
                else:
                    ring.append((boot_id, number, then))
            zero_ms += len(frames) * FRAME_MS + 5_000
        assert all(one < other for one, other in pairwise(run.sampled_at_ms()))


def after(run: Run, then: str) -> None:
    if then == "killed":
        run.start()
    elif then == "kept":
        run.keep()
