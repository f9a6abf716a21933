"""A sensor unit's firmware: it samples when due, packs samples into frames, and keeps them until they are stored.

Pure: every time is an argument, in seconds of one monotonic clock of the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from firmware_sim.flash import KeptFrame
from firmware_sim.heat_watch import HeatRule, HeatWatch
from firmware_sim.ring import FrameRing
from telemetry.frames import encode_frame, frame_from_values
from telemetry.unit_link import ClockBeat, StoredReceipt, UnitConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from telemetry.samples import Provenance

    Floats = NDArray[np.float64]

CLOCK_BEAT_S = 10.0
"""How often a unit tells its tick (the wire's contract)."""
HOT_INTERVAL_S = 1.0
"""How often a unit that sees heat reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TickClock:
    """The unit's own clock: milliseconds since boot, by a quartz that is wrong by `drift_ppm` (positive = fast)."""

    booted_at_s: float
    drift_ppm: float = 0.0

    def tick_ms(self, now_s: float) -> int:
        return int((now_s - self.booted_at_s) * 1000.0 * (1.0 + self.drift_ppm * 1e-6))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """n samples in physical units, evenly spaced; NaN = not measured, None = the unit has no such sensor."""

    temperatures_c: Floats
    """(n, T)"""
    voltages_v: Floats | None = None
    """(n, V) cells or modules."""
    pack_voltage_v: Floats | None = None
    """(n,) and so are all that follow."""
    ambient_c: Floats | None = None
    humidity_pct: Floats | None = None
    hydrogen_ppm: Floats | None = None
    carbon_monoxide_ppm: Floats | None = None
    voc_ppm: Floats | None = None
    shock_g: Floats | None = None

    def cut(self, start: int, stop: int) -> Rows:
        """Rows start..stop-1, of every sensor."""
        fitted = {name: column for name in _COLUMNS if (column := getattr(self, name)) is not None}
        return Rows(**{name: column[start:stop] for name, column in fitted.items()})


_COLUMNS = tuple(field.name for field in fields(Rows))


class Firmware:
    """One boot of one unit. Not thread-safe: one task samples, and the same event loop runs the link."""

    def __init__(
        self,
        *,
        unit_id: str,
        boot_id: str,
        provenance: Provenance,
        clock: TickClock,
        report_interval_s: float,
        ring: FrameRing | None = None,
        utc_at_tick_zero_ms: int | None = None,
        clock_beat_s: float = CLOCK_BEAT_S,
    ) -> None:
        """utc_at_tick_zero_ms: only for a unit with trusted time (replay); it sends no clock beats."""
        self.unit_id = unit_id
        self.boot_id = boot_id
        self.provenance = provenance
        self.ring = FrameRing() if ring is None else ring
        self._clock = clock
        self._utc_at_tick_zero_ms = utc_at_tick_zero_ms
        self._clock_beat_s = clock_beat_s
        self._own_interval_s = report_interval_s
        self._asked_interval_s: float | None = None
        self._heat = HeatWatch()
        self._sampled_at_s: float | None = None
        self._beat_at_s: float | None = None
        self._number = 0

    @property
    def next_number(self) -> int:
        """The number that the next frame will have."""
        return self._number

    def set_clock(self, clock: TickClock) -> None:
        """The tick counter slipped: it shows another time from now on."""
        self._clock = clock

    @property
    def report_interval_s(self) -> float:
        """Seconds between frames now: as configured, or as the unit thinks best, and faster while it sees heat."""
        wanted = self._own_interval_s if self._asked_interval_s is None else self._asked_interval_s
        return min(wanted, HOT_INTERVAL_S) if self._heat.hot else wanted

    def due_at_s(self) -> float | None:
        """When to sample next; None = at once, since it never has."""
        return None if self._sampled_at_s is None else self._sampled_at_s + self.report_interval_s

    def sense(self, temperatures_c: Floats, now_s: float) -> None:
        """Look at the probes (T,) between reports: heat makes the next one due a second after the last."""
        self._heat.look(temperatures_c, now_s)

    def sample(self, rows: Rows, now_s: float) -> KeptFrame:
        """Take one sample now (rows of one) into a frame."""
        self._heat.look(rows.temperatures_c[-1], now_s)
        # Keep the grid of the interval, so that waking a little late does not add up; but never catch up in bursts.
        due_at_s = self.due_at_s()
        on_time = due_at_s is not None and abs(now_s - due_at_s) < self.report_interval_s / 2.0
        self._sampled_at_s = due_at_s if on_time else now_s
        period_ms = max(1, round(self.report_interval_s * 1000.0))
        return self.record(rows, tick_ms=self._clock.tick_ms(now_s), period_ms=period_ms)

    def record(self, rows: Rows, *, tick_ms: int, period_ms: int) -> KeptFrame:
        """Make a frame of rows that are evenly spaced from `tick_ms` on, and keep it. Raises WireError on misfits."""
        self.ring.make_room()
        frame = frame_from_values(
            boot_id=self.boot_id,
            number=self._number,
            tick_ms=tick_ms,
            period_ms=period_ms,
            provenance=self.provenance,
            utc_at_tick_zero_ms=self._utc_at_tick_zero_ms,
            lost_frames=self.ring.lost,
            temperatures_c=rows.temperatures_c,
            voltages_v=rows.voltages_v,
            pack_voltage_v=rows.pack_voltage_v,
            ambient_c=rows.ambient_c,
            humidity_pct=rows.humidity_pct,
            hydrogen_ppm=rows.hydrogen_ppm,
            carbon_monoxide_ppm=rows.carbon_monoxide_ppm,
            voc_ppm=rows.voc_ppm,
            shock_g=rows.shock_g,
        )
        kept = KeptFrame(boot_id=self.boot_id, number=self._number, payload=encode_frame(frame))
        self.ring.keep(kept)
        self._number += 1
        return kept

    def acknowledge(self, receipt: StoredReceipt) -> bool:
        """Forget a frame, of this or an earlier boot, that the gateway has taken. False when it is gone already."""
        return self.ring.acknowledge(receipt.boot_id, receipt.frame)

    def configure(self, config: UnitConfig) -> None:
        """Follow the cloud's wish from the next sample on; None gives the choice back to the unit."""
        self._asked_interval_s = config.report_interval_s
        own = HeatRule()
        self._heat.rule = HeatRule(
            hot_c=own.hot_c if config.hot_c is None else config.hot_c,
            hot_rise_k=own.hot_rise_k if config.hot_rise_k is None else config.hot_rise_k,
        )

    def connected(self) -> None:
        """A new connection: everything unacknowledged is sent again, and the clock is told at once."""
        self.ring.forget_sent()
        self._beat_at_s = None

    def clock_beat(self, now_s: float) -> ClockBeat | None:
        """The clock beat if one is due; it then counts as sent."""
        due_at_s = self.next_beat_s(now_s)
        if due_at_s is None or now_s < due_at_s:
            return None
        self._beat_at_s = now_s
        return ClockBeat(boot_id=self.boot_id, tick_ms=self._clock.tick_ms(now_s))

    def next_beat_s(self, now_s: float) -> float | None:
        """When the next clock beat is due; None = never, for a unit whose time is trusted."""
        if self._utc_at_tick_zero_ms is not None:
            return None
        return now_s if self._beat_at_s is None else self._beat_at_s + self._clock_beat_s
