"""From a unit's ticks to UTC: the smallest delay over a window, a fitted drift, and how sure that is.

A unit has no trusted clock; it says "boot B, tick now" every 10 s. With d = received_at - tick, every beat gives
d = offset + drift * tick + delay, delay >= 0, so the truth lies on or below the lower edge of the points. The line used
is the edge of their lower convex hull under the points' centre: of all lines below all points it has the smallest
summed distance to them, and one late beat cannot bend it.
Source: Moon, Skelly, Towsley, "Estimation and removal of clock skew from network delay measurements" (INFOCOM 1999).
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median

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
