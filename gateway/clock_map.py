"""From a unit's ticks to UTC: the smallest delay over a window, a fitted drift, and how sure that is.

A unit has no trusted clock; it says "boot B, tick now" every 10 s. With d = received_at - tick, every beat gives
d = offset + drift * tick + delay, delay >= 0, so the truth lies on or below the lower edge of the points. The line used
is the edge of their lower convex hull under the points' centre: of all lines below all points it has the smallest
summed distance to them, and one late beat cannot bend it.
Source: Moon, Skelly, Towsley, "Estimation and removal of clock skew from network delay measurements" (INFOCOM 1999).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict, deque
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from telemetry.samples import Quality

WINDOW_MS = 2 * 3600 * 1000
"""How far back beats count. **Assumed**: temperature, and with it drift, changes over hours."""
BUCKET_MS = 60_000
"""Of all beats of a minute only the fastest is kept, which bounds the window to 120 points."""
DRIFT_SPAN_MS = 10 * 60 * 1000
"""Below this span a drift is not fitted: 20 ms of jitter over 10 min already look like 33 ppm. **Assumed**."""
DRIFT_LIMIT = 200e-6
"""A fitted drift is clipped to this. **Assumed**: crystals of sensor units are within 100 ppm from -40 to 85 degC."""
UNFITTED_DRIFT = 100e-6
"""The drift that uncertainty reckons with where none is fitted. **Assumed**, see DRIFT_LIMIT."""
STEP_MS = 5_000
"""A difference to the line that no local network explains: one of the two clocks was set. **Assumed**."""
STEP_BEATS = 6
"""So many late beats in a row are a clock that was set, not a delay. One early beat is enough."""
LINK_S = 0.01
"""Shortest delay of a beat on the vehicle's network, which no minimum can see. **Assumed**."""
DECLARED_S = 0.001
"""Uncertainty of a time that the unit declares: the millisecond to which it is rounded."""
UNBRACKETED_S = 86_400.0
"""Uncertainty where nothing bounds a boot from below. **Assumed**: a unit's ring holds about a day."""
BOOTS_KEPT = 8
"""Boots of a unit that are remembered, the latest used ones. **Assumed**."""
ANCHORS_KEPT = 64
"""Mapped frames of a boot between whose neighbours a frame that is sent again has to fit. **Assumed**."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFix:
    """Where a frame's tick zero lies."""

    utc_at_tick_zero_ms: int
    """UTC, ms since 1970, for ticks of this frame; drift makes it another value for a far frame of the same boot."""
    uncertainty_s: float
    quality: Quality


class BootClock:
    """The line of one boot: UTC = tick + offset + drift * tick."""

    def __init__(self) -> None:
        self._points: deque[tuple[int, int]] = deque()  # (tick, d), one a bucket, oldest first
        self._late: list[tuple[int, int]] = []
        self._centre_ms = 0.0
        self._offset_ms = 0.0
        self._drift = 0.0
        self._drift_error = UNFITTED_DRIFT
        self._residual_ms = 0.0
        self._restored = False

    @classmethod
    def restored(cls, points: list[tuple[int, int]]) -> BootClock:
        """The clock of an earlier run, from its `points`. A first beat that contradicts it is believed at once."""
        clock = cls()
        clock._points.extend(points)
        if points:
            clock._fit()
            clock._restored = True
        return clock

    @property
    def points(self) -> list[tuple[int, int]]:
        """(tick, received_at - tick) of the beats that count, ms."""
        return list(self._points)

    def move(self, step_ms: int) -> None:
        """The gateway's clock was set by so much: its beats were received at other times than it thought."""
        self._points = deque((tick_ms, delta_ms + step_ms) for tick_ms, delta_ms in self._points)
        self._late.clear()
        if self._points:
            self._fit()

    @property
    def is_known(self) -> bool:
        """Whether any beat was heard."""
        return bool(self._points)

    @property
    def drift_ppm(self) -> float:
        """Fitted drift: positive when the unit's clock is slow. 0 while none is fitted."""
        return self._drift * 1e6

    def observe(self, tick_ms: int, received_at_ms: int) -> None:
        """A beat said `tick_ms`, and arrived at `received_at_ms` (UTC)."""
        delta_ms = received_at_ms - tick_ms
        if self._points:
            above_ms = delta_ms - self.offset_at(tick_ms)
            contradicted, self._restored = self._restored and abs(above_ms) > STEP_MS, False
            if contradicted or above_ms < -STEP_MS:
                self._points.clear()
                self._late.clear()
            elif above_ms > STEP_MS:
                self._late.append((tick_ms, delta_ms))
                if len(self._late) < STEP_BEATS:
                    return
                self._points.clear()
                for late_tick_ms, late_delta_ms in self._late:
                    self._keep(late_tick_ms, late_delta_ms)
                self._late.clear()
                self._fit()
                return
            else:
                self._late.clear()
        self._keep(tick_ms, delta_ms)
        self._fit()

    def offset_at(self, tick_ms: float) -> float:
        """UTC minus tick, ms, at this tick."""
        return self._offset_ms + self._drift * (tick_ms - self._centre_ms)

    def uncertainty_s_at(self, tick_ms: float) -> float:
        """How far `offset_at` may be off, one standard deviation or so: jitter, the link, and drift far from beats."""
        first_ms, last_ms = self._points[0][0], self._points[-1][0]
        outside_ms = max(first_ms - tick_ms, tick_ms - last_ms, 0.0)
        return LINK_S + (self._residual_ms + outside_ms * self._drift_error) / 1000

    def _keep(self, tick_ms: int, delta_ms: int) -> None:
        bucket = tick_ms // BUCKET_MS
        if not self._points or self._points[-1][0] // BUCKET_MS < bucket:
            self._points.append((tick_ms, delta_ms))
        elif self._points[-1][0] // BUCKET_MS == bucket and delta_ms < self._points[-1][1]:
            self._points[-1] = (tick_ms, delta_ms)
        while self._points[-1][0] - self._points[0][0] > WINDOW_MS:
            self._points.popleft()

    def _fit(self) -> None:
        points = list(self._points)
        span_ms = points[-1][0] - points[0][0]
        lowest_tick_ms, lowest_ms = min(points, key=lambda point: point[1])
        self._centre_ms, self._offset_ms, self._drift = float(lowest_tick_ms), float(lowest_ms), 0.0
        if span_ms >= DRIFT_SPAN_MS:
            self._fit_line(points)
        residuals = [delta_ms - self.offset_at(tick_ms) for tick_ms, delta_ms in points]
        self._residual_ms = max(0.0, median(residuals))
        self._drift_error = UNFITTED_DRIFT
        if span_ms >= DRIFT_SPAN_MS:
            self._drift_error = min(UNFITTED_DRIFT, (self._residual_ms + 1.0) / span_ms)

    def _fit_line(self, points: list[tuple[int, int]]) -> None:
        centre_ms = sum(tick_ms for tick_ms, _ in points) / len(points)
        hull = _lower_hull(points)
        for (left_tick, left), (right_tick, right) in pairwise(hull):
            if right_tick >= centre_ms:
                slope = (right - left) / (right_tick - left_tick)
                self._drift = min(DRIFT_LIMIT, max(-DRIFT_LIMIT, slope))
                self._centre_ms = centre_ms
                # Clipping may lift the line over a point; the highest line of this slope below all of them is meant.
                self._offset_ms = min(delta_ms - self._drift * (tick_ms - centre_ms) for tick_ms, delta_ms in points)
                return


def _lower_hull(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Points on the lower convex hull, ticks increasing. Source: Andrew's monotone chain (1979)."""
    hull: list[tuple[int, int]] = []
    for x, y in points:
        while len(hull) >= 2:
            (x1, y1), (x2, y2) = hull[-2], hull[-1]
            if (x2 - x1) * (y - y1) <= (y2 - y1) * (x - x1):
                hull.pop()
            else:
                break
        hull.append((x, y))
    return hull


class _Boot:
    """A boot's clock, and the frames that were mapped with it."""

    def __init__(self) -> None:
        self.clock = BootClock()
        self.bracket: tuple[float, float] | None = None  # (UTC at tick zero in ms, uncertainty in s)
        self.anchors: list[tuple[int, int, int]] = []  # (first tick, last tick, UTC at tick zero), ticks increasing


class UnitClock:
    """All boots of one unit. Every frame gets one fix, and frames of a boot never overlap in UTC."""

    def __init__(self) -> None:
        self._boots: OrderedDict[str, _Boot] = OrderedDict()
        self._live: str | None = None
        self._last_beat_ms: int | None = None
        self._previous_end_ms: int | None = None

    @property
    def live_boot(self) -> str | None:
        """The boot of the latest beat."""
        return self._live

    @property
    def last_beat_ms(self) -> int | None:
        """When the latest beat was received, UTC."""
        return self._last_beat_ms

    def observe(self, boot_id: str, tick_ms: int, received_at_ms: int) -> None:
        """A beat of the unit's clock, received at `received_at_ms` (UTC)."""
        if boot_id != self._live:
            self._previous_end_ms = self._last_beat_ms
            self._live = boot_id
        self._last_beat_ms = received_at_ms
        self._boot(boot_id).clock.observe(tick_ms, received_at_ms)

    def fix(
        self, boot_id: str, *, first_tick_ms: int, last_tick_ms: int, declared_zero_ms: int | None
    ) -> ClockFix | None:
        """The fix of a frame by what the unit declares, or else by its beats. None while there are neither."""
        if declared_zero_ms is not None:
            return ClockFix(utc_at_tick_zero_ms=declared_zero_ms, uncertainty_s=DECLARED_S, quality=Quality.GOOD)
        if boot_id not in self._boots or not self._boots[boot_id].clock.is_known:
            return None
        boot = self._boot(boot_id)
        zero_ms = _anchored(boot, first_tick_ms, last_tick_ms, boot.clock.offset_at(first_tick_ms))
        return ClockFix(
            utc_at_tick_zero_ms=zero_ms,
            uncertainty_s=boot.clock.uncertainty_s_at(first_tick_ms),
            quality=Quality.GOOD,
        )

    def bracket(self, boot_id: str, *, first_tick_ms: int, last_tick_ms: int, received_at_ms: int) -> ClockFix:
        """The fix of a frame of a boot that was never heard live: it lies between its neighbours.

        With a beat of another boot since the frame was received, that boot is the later neighbour: the frame ended
        before its tick zero, and after the last beat of the boot heard before it. Without one, the frame ended before
        it was received, and after the latest beat. The middle of what is left, and half of it as uncertainty.
        """
        boot = self._boot(boot_id)
        latest_zero_ms = float(received_at_ms - last_tick_ms)
        earliest_zero_ms = self._last_beat_ms
        if self._live is not None and self._last_beat_ms is not None and self._last_beat_ms >= received_at_ms:
            latest_zero_ms = min(latest_zero_ms, self._boots[self._live].clock.offset_at(0) - last_tick_ms)
            earliest_zero_ms = self._previous_end_ms
        if boot.bracket is not None:
            zero_ms, uncertainty_s = min(boot.bracket[0], latest_zero_ms), boot.bracket[1]
        elif earliest_zero_ms is None:
            zero_ms, uncertainty_s = latest_zero_ms, UNBRACKETED_S
        else:
            half_ms = (latest_zero_ms - earliest_zero_ms) / 2
            zero_ms = latest_zero_ms - max(0.0, half_ms)
            uncertainty_s = LINK_S + abs(half_ms) / 1000
        boot.bracket = (zero_ms, uncertainty_s)
        return ClockFix(
            utc_at_tick_zero_ms=_anchored(boot, first_tick_ms, last_tick_ms, zero_ms),
            uncertainty_s=uncertainty_s,
            quality=Quality.TIME_BRACKETED,
        )

    def is_known(self, boot_id: str) -> bool:
        """Whether a beat of the boot was heard."""
        return boot_id in self._boots and self._boots[boot_id].clock.is_known

    def move(self, step_ms: int) -> None:
        """The gateway's clock was set by so much. Times that were fixed before stay; frames to come follow the clock.

        Frames between whose neighbours others had to fit are forgotten: the neighbours have the old clock's times.
        """
        for boot in self._boots.values():
            boot.clock.move(step_ms)
            boot.bracket = None
            boot.anchors.clear()
        if self._last_beat_ms is not None:
            self._last_beat_ms += step_ms
        if self._previous_end_ms is not None:
            self._previous_end_ms += step_ms

    def state(self) -> dict[str, object]:
        """What the next run of the gateway should know, as JSON has it."""
        return {
            "live": self._live,
            "last_beat_ms": self._last_beat_ms,
            "previous_end_ms": self._previous_end_ms,
            "boots": [[boot_id, boot.clock.points, boot.anchors] for boot_id, boot in self._boots.items()],
        }

    @classmethod
    def restored(cls, state: Any) -> UnitClock:
        """The clock of an earlier run. Raises KeyError, TypeError or ValueError for what is no `state`."""
        clock = cls()
        for boot_id, points, anchors in state["boots"]:
            boot = clock._boots[boot_id] = _Boot()
            boot.clock = BootClock.restored([(int(tick_ms), int(delta_ms)) for tick_ms, delta_ms in points])
            boot.anchors = [(int(first), int(last), int(zero)) for first, last, zero in anchors]
        clock._live = state["live"] if state["live"] in clock._boots else None
        clock._last_beat_ms = state["last_beat_ms"]
        clock._previous_end_ms = state["previous_end_ms"]
        return clock

    def _boot(self, boot_id: str) -> _Boot:
        boot = self._boots.setdefault(boot_id, _Boot())
        self._boots.move_to_end(boot_id)
        while len(self._boots) > BOOTS_KEPT:
            oldest = next(name for name in self._boots if name != self._live)
            del self._boots[oldest]
        return boot


def _anchored(boot: _Boot, first_tick_ms: int, last_tick_ms: int, zero_ms: float) -> int:
    """Round `zero_ms`, moved as far as frames mapped before ask for, and remember the frame.

    The estimate moves by some ms as beats come in; without this a frame could begin before the last one ended. A clock
    that was set is another matter: then the frame goes where the new time says, overlap or not.
    """
    anchors = boot.anchors
    at = bisect_left(anchors, (first_tick_ms,))
    if at < len(anchors) and anchors[at][0] == first_tick_ms:
        return anchors[at][2]
    estimate = zero = round(zero_ms)
    if at < len(anchors):
        next_first, _, next_zero = anchors[at]
        zero = min(zero, next_zero + next_first - 1 - last_tick_ms)
    if at > 0:
        _, previous_last, previous_zero = anchors[at - 1]
        zero = max(zero, previous_zero + previous_last + 1 - first_tick_ms)
    if abs(zero - estimate) > STEP_MS:
        zero = estimate
    anchors.insert(at, (first_tick_ms, last_tick_ms, zero))
    if len(anchors) > ANCHORS_KEPT:
        del anchors[0]
    return zero
