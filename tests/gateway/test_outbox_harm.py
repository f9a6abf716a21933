"""The outbox under harm: killed, out of disk, damaged, copied; and whatever is settled in whatever order."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.outbox import Outbox, OutboxDamagedError, OutboxFullError
from gateway.records import DroppedRecord
from tests.gateway.test_outbox import all_of, frame, opened, position, sequences

ROOT = Path(__file__).parents[2]

KILLED_PROGRAM = """
import asyncio, pathlib, sys
from tests.gateway.test_outbox import frame, opened

async def main():
    box = await opened(pathlib.Path(sys.argv[1]))
    number = 0
    while True:
        await box.take([frame(number + more) for more in range(7)])
        number += 7
        if number % 35 == 0 and number > 70:
            await box.settle(number - 70)
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 40, 130])
def test_what_was_committed_survives_a_kill(tmp_path, lines):
    path = tmp_path / "outbox"
    child = subprocess.Popen([sys.executable, "-c", KILLED_PROGRAM, str(path)], stdout=subprocess.PIPE, cwd=ROOT)
    said = [int(child.stdout.readline()) for _ in range(lines)]
    child.kill()
    child.wait()
    said += [int(line) for line in child.stdout.read().split()]
    child.stdout.close()

    async def check() -> None:
        box = await opened(path)
        floor, _ = box.stored()
        assert box.next_sequence > said[-1]
        assert sequences(await all_of(box)) == list(range(floor + 1, box.next_sequence))
        again = await box.take([frame(number) for number in range(said[-1])])
        assert again.duplicates == said[-1]
        await box.close()

    asyncio.run(check())


async def test_a_file_that_may_not_grow_takes_nothing_keeps_all_and_recovers(tmp_path):
    box = await opened(tmp_path / "outbox")
    await box.take([frame(0)])
    (limit,) = box._file.database.execute("PRAGMA max_page_count = 1").fetchone()  # SQLite: no less than there is
    number = 1
    with contextlib.suppress(OutboxFullError):
        while True:
            await box.take([frame(number, channels=400)])
            number += 1
    assert box._file.database.execute("PRAGMA page_count").fetchone()[0] <= limit
    with pytest.raises(OutboxFullError, match="a moment ago"):
        await box.take([frame(number, channels=400)])
    assert len(box) == number
    await box.settle(number - 1)  # what is settled makes room, though the disk gives none
    box._retry_at_s = float("-inf")
    assert (await box.take([frame(number, channels=400)])).duplicates == 0
    assert sequences(await all_of(box)) == [number, number + 1]
    await box.close()


async def test_one_request_that_finds_no_room_does_not_take_others_with_it(tmp_path):
    box = await opened(tmp_path / "outbox")
    await box.take([frame(number) for number in range(9)])
    box._file.database.execute("PRAGMA max_page_count = 1")
    big = [frame(100 + number, channels=500, rows=60) for number in range(9)]
    full, settled = await asyncio.gather(box.take(big), box.settle(5), return_exceptions=True)
    assert isinstance(full, OutboxFullError)
    assert settled is True
    assert box.stored() == (5, ())
    await box.close()


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 2 MB that fills up."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False
    )
    assert mounted.returncode == 0, f"the test needs the right to mount a tmpfs: {mounted.stderr.decode()}"
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_a_full_disk_is_survived_and_what_was_acknowledged_is_there(small_disk):
    box = await opened(small_disk / "outbox")
    kept, number = [], 0
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    while True:
        try:
            await box.take([frame(number, channels=100)])
        except OutboxFullError:
            break
        kept.append(number)
        number += 1
    assert len(kept) > 20
    box._retry_at_s = float("-inf")
    with pytest.raises(OutboxFullError):
        await box.take([frame(number, channels=100)])
    ballast.unlink()
    box._retry_at_s = float("-inf")
    await box.take([frame(number, channels=100)])
    await box.close()
    box = await opened(small_disk / "outbox")
    assert [entry.record.batch.frame for entry in await all_of(box)] == [*kept, number]
    await box.close()


async def test_a_gateway_waits_for_a_disk_that_does_not_let_it_open_its_outbox(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutboxFullError):
        await opened(tmp_path / "file" / "outbox")


@pytest.mark.parametrize("harm", ["garbage", "another program's", "future", "emptied"])
async def test_a_damaged_file_is_set_aside_with_a_clear_word_and_a_new_outbox_goes_on(tmp_path, harm):
    path = tmp_path / "outbox"
    box = await opened(path)
    old = box.outbox_id
    await box.take([frame(0)])
    await box.close()
    if harm == "garbage":
        path.write_bytes(os.urandom(20_000))
    else:
        with sqlite3.connect(path) as database:
            if harm == "future":
                database.execute("PRAGMA user_version = 99")
            elif harm == "emptied":
                database.execute("DELETE FROM outbox")
            else:
                database.execute("DROP TABLE records")
        database.close()
    with capture_logs() as logs:
        box = await opened(path)
    assert [log["event"] for log in logs] == ["outbox_damaged"]
    assert Path(logs[0]["set_aside"]).exists()
    assert box.outbox_id != old
    assert sequences((await box.take([frame(0)])).new) == [1]
    await box.close()


async def test_a_file_that_turns_bad_while_it_is_used_says_so(tmp_path):
    path = tmp_path / "outbox"
    box = await opened(path)
    await box.take([frame(number) for number in range(400)])
    box._file.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    box._file.database.execute("PRAGMA shrink_memory")
    size = path.stat().st_size
    with path.open("r+b") as damaged:
        damaged.seek(8_192)
        damaged.write(os.urandom(size - 8_192))
    with pytest.raises(OutboxDamagedError):
        await all_of(box)
    await box.close()


async def test_a_row_that_nobody_wrote_is_damage_too(tmp_path):
    box = await opened(tmp_path / "outbox")
    await box.take([frame(0)])
    box._file.database.execute("UPDATE records SET payload = x'00ff'")
    with pytest.raises(OutboxDamagedError):
        await all_of(box)
    await box.close()


PLAN = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 9)),
        st.tuples(st.just("settle"), st.integers(0, 60)),
        st.tuples(st.just("range"), st.integers(0, 60)),
        st.tuples(st.just("reopen"), st.just(0)),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PLAN)
def test_in_whatever_order_records_are_settled_the_rest_stays(tmp_path, plan):
    path = tmp_path / os.urandom(8).hex()

    async def run() -> None:
        box = await opened(path)
        given_out, settled = set(), set()
        for what, amount in plan:
            if what == "take":
                first = box.next_sequence
                await box.take([frame(first + more) for more in range(amount)], [position()])
                given_out |= set(range(first, box.next_sequence))
            elif what == "reopen":
                await box.close()
                box = await opened(path)
            else:
                last = min(amount, box.next_sequence - 1)
                first = max(1, last - 4)
                await (box.settle(last) if what == "settle" else box.settle(0, [(first, last)] if last else []))
                settled |= set(range(1 if what == "settle" else first, last + 1))
            assert set(sequences(await all_of(box))) == given_out - settled
            floor, above = box.stored()
            told = set(range(1, floor + 1)).union(*(range(low, high + 1) for low, high in above))
            assert told == settled & given_out
            assert len(box) == len(given_out - settled)
        await box.close()

    asyncio.run(run())


@settings(deadline=None, max_examples=10)
@given(st.lists(st.tuples(st.sampled_from(["u1", "u2", "hot"]), st.integers(1, 90)), min_size=30, max_size=60))
def test_whatever_is_given_up_every_number_and_every_sample_is_accounted_for(offers):
    async def run() -> None:
        box = await Outbox.open(None, fleet_id="f", gateway_id="g", max_bytes=300_000, max_age_s=1e9)
        offered, numbers = 0, dict.fromkeys(["u1", "u2", "hot"], 0)
        for unit_id, rows in offers:
            frames = [
                frame(numbers[unit_id] + more, unit_id=unit_id, rows=rows, period_ms=1_000, channels=12)
                for more in range(8)
            ]
            numbers[unit_id] += 8
            offered += 8 * rows
            await box.take(frames, suspicious=frozenset({"hot"}))
            assert box.fill() <= 1
        entries = await all_of(box)
        batches = [entry.record.batch for entry in entries if not isinstance(entry.record, DroppedRecord)]
        drops = [entry.record.drop for entry in entries if isinstance(entry.record, DroppedRecord)]
        replaced = [number for drop in drops for first, last in drop.ranges for number in range(first, last + 1)]
        assert sorted(replaced + sequences(entries)) == list(range(1, box.next_sequence))
        lost = sum(detail.samples_lost for drop in drops for detail in drop.details)
        assert lost + sum(len(batch) for batch in batches) == offered
        await box.close()

    asyncio.run(run())
