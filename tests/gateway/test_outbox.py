"""The outbox: numbers, bounds, settlement, restarts, full disks and damaged files."""

import numpy as np
import pytest

from gateway.clock_map import ClockFix
from gateway.outbox import Outbox, OutboxOutrunError
from gateway.records import DroppedRecord, FrameArrival, PositionRecord
from telemetry.frames import encode_frame, frame_from_values
from telemetry.samples import PositionFix, Provenance, Quality

NOW_MS = 1_790_000_000_000
FIX = ClockFix(utc_at_tick_zero_ms=NOW_MS, uncertainty_s=0.25, quality=Quality.GOOD)


def position(at_ms: int = NOW_MS) -> PositionRecord:
    fix = PositionFix(fleet_id="f", gateway_id="g", fixed_at_ms=at_ms, latitude_deg=1.0, longitude_deg=2.0)
    return PositionRecord(fix=fix, accepted_at_ms=at_ms)


def frame(
    number: int,
    *,
    unit_id: str = "u1",
    boot_id: str = "b1",
    rows: int = 1,
    period_ms: int = 10_000,
    fix=FIX,
    channels=24,
) -> FrameArrival:
    content = frame_from_values(
        boot_id=boot_id,
        number=number,
        tick_ms=number * rows * period_ms,
        period_ms=period_ms,
        provenance=Provenance.MEASURED,
        temperatures_c=np.full((rows, channels), 20.0),
    )
    return FrameArrival(
        unit_id=unit_id, frame=content, payload=encode_frame(content), fix=fix, accepted_at_ms=NOW_MS + number
    )


async def opened(path=None, max_bytes=64 * 1024 * 1024, **kwargs) -> Outbox:
    kwargs = {"max_age_s": 1e9} | kwargs
    return await Outbox.open(path, fleet_id="f", gateway_id="g", max_bytes=max_bytes, **kwargs)


def sequences(entries) -> list[int]:
    return [entry.sequence for entry in entries]


async def all_of(box: Outbox):
    entries, cursor = [], 0
    while cursor is not None:
        more, cursor = await box.read_after(cursor, 100)
        entries += more
    return entries


async def test_records_are_numbered_from_1_in_the_order_in_which_they_came():
    box = await opened()
    taken = await box.take([frame(0), frame(1)], [position()])
    assert sequences(taken.new) == [1, 2, 3]
    entries = await all_of(box)
    assert sequences(entries) == [1, 2, 3]
    assert entries[0].record.batch.sampled_at_ms.tolist() == [NOW_MS]
    assert entries[2].record == position()
    assert all(entry.historical for entry in entries)
    await box.close()


async def test_a_frame_is_kept_once_over_restarts_too(tmp_path):
    for again in range(2):
        box = await opened(tmp_path / "outbox")
        taken = await box.take([frame(0), frame(0), frame(1), frame(0, boot_id="b2"), frame(0, unit_id="u2")])
        assert taken.duplicates == (5 if again else 1)
        assert len(box) == 4
        await box.close()


async def test_what_is_kept_comes_back_after_a_restart_with_the_same_id_numbers_and_times(tmp_path):
    box = await opened(tmp_path / "outbox")
    await box.take([frame(0, rows=6), frame(1, fix=None)], [position()])
    await box.settle(0, [(3, 3)])
    outbox_id, before = box.outbox_id, await all_of(box)
    await box.keep({"u1": {"live": "b1"}}, {"u1": 5})
    await box.close()
    box = await opened(tmp_path / "outbox")
    after = await all_of(box)
    assert (box.outbox_id, box.next_sequence, box.stored(), box.unmapped) == (outbox_id, 4, (0, ((3, 3),)), 1)
    assert sequences(after) == sequences(before) == [1]
    np.testing.assert_array_equal(after[0].record.batch.sampled_at_ms, before[0].record.batch.sampled_at_ms)
    assert after[0].record.batch.time_uncertainty_s == 0.25
    assert await box.kept() == ({"u1": {"live": "b1"}}, {"u1": 5})
    assert sequences((await box.take([frame(2)])).new) == [4]
    await box.close()


async def test_a_frame_without_a_time_waits_and_its_time_is_fixed_once(tmp_path):
    box = await opened(tmp_path / "outbox")
    assert (await box.take([frame(0, fix=None)])).new == (None,)
    assert await all_of(box) == []
    (boot,) = await box.unmapped_boots()
    (waiting,) = await box.unmapped_frames(boot, 9)
    assert (waiting.unit_id, waiting.boot_id, waiting.accepted_at_ms) == ("u1", "b1", NOW_MS)
    await box.move_clock(5_000, 1)
    assert (await box.unmapped_frames(boot, 9))[0].accepted_at_ms == NOW_MS + 5_000
    (entry,) = await box.fix_times([(1, FIX)])
    assert entry.record.batch.sampled_at_ms.tolist() == [NOW_MS]
    other = ClockFix(utc_at_tick_zero_ms=7, uncertainty_s=1.0, quality=Quality.GOOD)
    (entry,) = await box.fix_times([(1, other)])
    assert entry.record.batch.sampled_at_ms.tolist() == [NOW_MS]
    assert box.unmapped == 0
    await box.close()


async def test_settled_records_are_gone_and_a_floor_never_falls():
    box = await opened()
    await box.take([frame(number) for number in range(8)])
    assert await box.settle(2, [(4, 5)])
    assert not await box.settle(1, [(4, 4)])
    assert box.stored() == (2, ((4, 5),))
    assert sequences(await all_of(box)) == [3, 6, 7, 8]
    assert sequences(await box.read([2, 3, 4])) == [3]
    await box.settle(0, [(3, 3)])
    assert box.stored() == (5, ())
    assert len(box) == 3
    await box.close()


@pytest.mark.parametrize(
    ("floor", "ranges", "error"),
    [(4, [], OutboxOutrunError), (0, [(2, 4)], OutboxOutrunError), (0, [(3, 2)], ValueError)],
)
async def test_an_acknowledgement_that_cannot_be_about_this_outbox_changes_nothing(floor, ranges, error):
    box = await opened()
    await box.take([frame(number) for number in range(3)])
    with pytest.raises(error):
        await box.settle(floor, ranges)
    assert box.stored() == (0, ())
    assert (len(box), box.acknowledged) == (3, False)
    await box.close()


async def test_an_outbox_whose_numbers_were_given_before_goes_by_another_id(tmp_path):
    box = await opened(tmp_path / "outbox")
    await box.take([frame(0), frame(1)])
    await box.settle(1)
    old = box.outbox_id
    assert await box.renew() == box.outbox_id != old
    assert box.stored() == (0, ())
    assert sequences(await all_of(box)) == [2]
    await box.close()


async def test_what_a_host_that_never_acknowledges_was_sent_is_not_due_until_one_acknowledges():
    box = await opened()
    await box.take([frame(number) for number in range(3)])
    await box.mark_published([1, 2])
    assert sequences(await all_of(box)) == [3]
    assert (len(box), box.unpublished) == (3, 1)
    await box.settle(0, [(3, 3)])
    assert sequences(await all_of(box)) == [1, 2]
    await box.close()


async def test_a_full_outbox_gives_up_the_oldest_of_packs_that_are_normal_first_and_accounts_for_all():
    box = await opened(max_bytes=600_000)
    offered = 0
    while offered < 3_000:
        numbers = range(offered, offered + 100)
        await box.take(
            [frame(number, unit_id=unit) for number in numbers for unit in ("cool", "hot")],
            suspicious=frozenset({"hot"}),
        )
        offered += 100
        assert box.fill() <= 1
    entries = await all_of(box)
    kept = {
        unit: sorted(
            entry.record.batch.frame
            for entry in entries
            if not isinstance(entry.record, DroppedRecord) and entry.record.batch.unit_id == unit
        )
        for unit in ("cool", "hot")
    }
    drops = [entry.record.drop for entry in entries if isinstance(entry.record, DroppedRecord)]
    accounted = {number for drop in drops for first, last in drop.ranges for number in range(first, last + 1)}
    accounted |= {entry.sequence for entry in entries}
    assert accounted == set(range(1, box.next_sequence))
    lost = {"cool": 0, "hot": 0}
    for drop in drops:
        for detail in drop.details:
            lost[detail.unit_id] += detail.samples_lost
    assert {unit: lost[unit] + len(kept[unit]) for unit in kept} == {"cool": offered, "hot": offered}
    assert len(kept["hot"]) > 4 * len(kept["cool"])
    assert kept["cool"][-1] == offered - 1
    await box.close()


async def test_thinning_keeps_a_sample_a_minute_before_anything_is_dropped():
    box = await opened(max_bytes=400_000)
    number = 0
    while not box.samples_lost:
        await box.take([frame(number + more, rows=60, period_ms=1_000, channels=8) for more in range(10)])
        number += 10
    entries = await all_of(box)
    batches = [entry.record.batch for entry in entries if not isinstance(entry.record, DroppedRecord)]
    assert sorted(batch.frame for batch in batches) == list(range(number))
    thinned = [batch for batch in batches if len(batch) == 1]
    assert thinned
    assert [batch.frame for batch in thinned] == list(range(len(thinned)))
    (drop,) = [entry.record.drop for entry in entries if isinstance(entry.record, DroppedRecord)]
    (detail,) = drop.details
    assert (detail.kept, detail.kept_period_ms, drop.ranges) == ("thinned", 60_000, ())
    assert detail.samples_lost == 59 * len(thinned) == box.samples_lost
    assert (detail.first_frame, detail.last_frame) == (0, len(thinned) - 1)
    await box.close()


async def test_what_is_older_than_the_bound_is_given_up():
    box = await opened(max_age_s=86_400.0)
    await box.take([frame(0)])  # accepted at NOW_MS, years away from the clock of this machine
    box._age_checked_s = float("-inf")
    await box.take([frame(1)])
    (drop,) = [e.record.drop for e in await all_of(box) if isinstance(e.record, DroppedRecord)]
    assert drop.ranges == ((1, 1),)
    assert "older" in drop.details[0].why
    await box.close()
