"""The gateway's own clock: not trusted, set forth and back, and frames that wait for it; over an outbox on disk."""

import asyncio
import contextlib

import numpy as np
import pytest

from gateway.counters import GatewayCounters
from gateway.intake import Intake
from gateway.outbox import Outbox
from gateway.settings import GatewaySettings
from gateway.suspicion import Suspicion
from gateway.timekeeping import Timekeeper
from telemetry.frames import encode_frame, frame_from_values
from telemetry.samples import Provenance, Quality
from telemetry.unit_link import ClockBeat, clock_topic, encode_clock_beat, frames_topic

NOW_MS = 1_790_000_000_000


class Box:
    """A gateway's clock that the test holds in its hands, and everything behind it."""

    def __init__(self, monkeypatch, outbox: Outbox, **settings) -> None:
        self.wall_ms, self.running_ms = NOW_MS, 0
        monkeypatch.setattr("gateway.timekeeping.wall_ms", lambda: self.wall_ms)
        monkeypatch.setattr("gateway.timekeeping.running_ms", lambda: self.running_ms)
        monkeypatch.setattr("gateway.timekeeping.TICK_S", 0.01)
        self.outbox = outbox
        self.counters = GatewayCounters()
        self.mapped: list = []
        self.intake = Intake(gateway_id="g", fleet_id="f", units=None, clocks=settings.pop("clocks", None))
        self.time = Timekeeper(
            settings=GatewaySettings(gateway_id="g", fleet_id="f", **settings),
            intake=self.intake,
            outbox=outbox,
            suspicion=Suspicion(),
            counters=self.counters,
            mapped=self.mapped.extend,
        )

    def passes(self, milliseconds: int) -> None:
        self.wall_ms += milliseconds
        self.running_ms += milliseconds

    def beat(self, tick_ms: int, boot_id: str = "b1") -> None:
        self.time.notice()
        payload = encode_clock_beat(ClockBeat(boot_id=boot_id, tick_ms=tick_ms))
        if self.intake.receive(clock_topic("u1"), payload, self.wall_ms) is not None:
            self.time.boot_heard()

    async def frame(self, number: int, tick_ms: int, boot_id: str = "b1"):
        self.time.notice()
        content = frame_from_values(
            boot_id=boot_id,
            number=number,
            tick_ms=tick_ms,
            period_ms=1_000,
            provenance=Provenance.MEASURED,
            temperatures_c=np.full((1, 2), 20.0),
        )
        ready = self.intake.receive(frames_topic("u1"), encode_frame(content), self.wall_ms)
        await self.outbox.take([ready.arrival])
        return ready.arrival.fix

    async def until_mapped(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.mapped) < count:
                await asyncio.sleep(0.005)

    def zero_ms(self, at: int) -> int:
        """UTC at tick zero of a frame that was mapped late; its first tick is its number times 1,000."""
        batch = self.mapped[at].record.batch
        return int(batch.sampled_at_ms[0]) - batch.frame * 1_000


@pytest.fixture
async def box(monkeypatch, tmp_path):
    outbox = await Outbox.open(tmp_path / "outbox", fleet_id="f", gateway_id="g", max_bytes=8_000_000, max_age_s=1e9)
    one = Box(monkeypatch, outbox)
    yield one
    await outbox.close()


@contextlib.asynccontextmanager
async def running(box: Box):
    task = asyncio.create_task(box.time.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_box_that_wakes_up_in_1970_lets_frames_wait_until_its_clock_is_set(box):
    box.wall_ms = 40_000
    async with running(box):
        box.beat(5_000)
        assert not box.intake.clock_trusted
        assert await box.frame(5, 5_000) is None
        box.passes(60_000)
        assert await box.frame(65, 65_000) is None
        assert await box.frame(1, 1_000, boot_id="unheard") is None
        assert (box.outbox.unmapped, box.mapped) == (3, [])
        box.wall_ms = NOW_MS  # the network tells it the time
        await box.until_mapped(2)
        assert [box.zero_ms(0), box.zero_ms(1)] == [NOW_MS - 65_000] * 2
        # The third's boot was never heard: it waits, then is bracketed, by the clock as it is now.
        box.passes(30_000)
        await box.until_mapped(3)
        batch = box.mapped[2].record.batch
        assert batch.quality.tolist() == [Quality.TIME_BRACKETED]
        assert NOW_MS - 65_000 - 1 <= batch.sampled_at_ms[0] <= NOW_MS
        assert box.counters.clock_steps == 1


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000, 7_000, -7_000])
async def test_a_clock_that_is_set_is_followed_at_once_and_what_was_fixed_stays(box, step_ms):
    async with running(box):
        for tick_ms in range(0, 60_000, 10_000):
            box.beat(tick_ms)
            box.passes(10_000)
        before = await box.frame(60, 60_000)
        box.wall_ms += step_ms
        box.passes(10_000)
        box.beat(70_000)  # the first thing that is seen after the step
        after = await box.frame(70, 70_000)
        assert after.utc_at_tick_zero_ms - before.utc_at_tick_zero_ms == step_ms
        first, _ = await box.outbox.read_after(0, 1)
        assert int(first[0].record.batch.sampled_at_ms[0]) == before.utc_at_tick_zero_ms + 60_000


async def test_a_kernel_that_is_not_synchronised_is_waited_for_where_that_is_asked(box, monkeypatch):
    synchronised = False
    monkeypatch.setattr("gateway.timekeeping.is_synchronised", lambda: synchronised)
    box = Box(monkeypatch, box.outbox, wait_for_time_sync=True)
    async with running(box):
        box.beat(0)
        assert await box.frame(0, 0) is None
        synchronised = True
        await box.until_mapped(1)
        assert box.zero_ms(0) == NOW_MS


async def test_what_is_known_of_clocks_is_kept_at_the_end(box):
    async with running(box):
        box.beat(5_000)
    clocks, _ = await box.outbox.kept()
    assert clocks["u1"]["live"] == "b1"


async def test_a_leap_of_years_does_not_make_the_outbox_throw_everything_away(box):
    async with running(box):
        box.beat(0)
        await box.frame(0, 0)
        box.wall_ms += 20 * 365 * 86_400_000
        box.beat(10_000)
        assert not box.outbox.age_counts


async def test_a_gateway_that_is_killed_still_knows_where_it_put_a_boot(box, monkeypatch):
    async with running(box):
        box.beat(100_000, boot_id="1-a")
        box.passes(60_000)
        await box.frame(0, 0, boot_id="2-b")
        box.passes(30_000)
        await box.until_mapped(1)
        kept, _ = await box.outbox.kept()  # what a killed one would find: nothing was said at an end
    after = Box(monkeypatch, box.outbox, clocks=kept)
    fix = await after.frame(7, 7_000, boot_id="2-b")
    assert fix.quality == Quality.TIME_BRACKETED
    assert fix.utc_at_tick_zero_ms == box.zero_ms(0)


@pytest.mark.parametrize(("started_ms", "wait_for_time_sync"), [(40_000, False), (NOW_MS - 40 * 86_400_000, True)])
async def test_what_a_wrong_clock_said_before_a_restart_neither_places_frames_nor_makes_them_old(
    box, monkeypatch, tmp_path, started_ms, wait_for_time_sync
):
    synchronised = False
    monkeypatch.setattr("gateway.timekeeping.is_synchronised", lambda: synchronised)
    settings = {"wait_for_time_sync": wait_for_time_sync}
    before = Box(monkeypatch, box.outbox, **settings)
    before.wall_ms = started_ms
    async with running(before):
        before.beat(5_000)
        assert await before.frame(5, 5_000) is None
        assert await before.frame(1, 1_000, boot_id="unheard") is None
    await box.outbox.close()
    outbox = await Outbox.open(tmp_path / "outbox", fleet_id="f", gateway_id="g", max_bytes=8_000_000)
    after = Box(monkeypatch, outbox, **settings)  # its clock was set while the gateway was off
    monkeypatch.setattr("gateway.outbox.wall_ms", lambda: NOW_MS)
    synchronised = True
    async with running(after):
        await after.frame(80, 80_000)  # the first look at what is old
        assert outbox.unmapped == 3
        after.beat(80_000)
        await after.until_mapped(2)
        assert [after.zero_ms(0), after.zero_ms(1)] == [NOW_MS - 80_000] * 2
        after.passes(30_000)
        await after.until_mapped(3)
        assert after.mapped[2].record.batch.quality.tolist() == [Quality.TIME_BRACKETED]
        assert NOW_MS - 86_400_000 < after.mapped[2].record.batch.sampled_at_ms[0] <= NOW_MS
    assert outbox.samples_lost == 0
    await outbox.close()
