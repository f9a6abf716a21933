"""The clocks of a unit's boots: every frame gets its time, and samples of one unit keep their order in UTC."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.boot_clock import LINK_S, STEP_MS, UNFITTED_DRIFT, BootClock
from telemetry.samples import Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

DECLARED_S = 0.001
"""Uncertainty of a time that the unit declares: the millisecond to which it is rounded."""
UNBRACKETED_S = 86_400.0
"""Uncertainty where nothing bounds a boot from below. **Assumed**: a unit's ring holds about a day."""
BOOTS_KEPT = 32
"""Boots of a unit that are remembered, the latest used ones. **Assumed**."""
BRACKETS_KEPT = 128
"""Boots whose bracket is remembered, the latest ones. **Assumed**: a day of a unit that restarts every ten minutes."""
ANCHORS_KEPT = 64
"""Mapped frames of a boot between whose neighbours a frame that is sent again has to fit. **Assumed**."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFix:
    """Where a frame's tick zero lies."""

    utc_at_tick_zero_ms: int
    """UTC, ms since 1970, for ticks of this frame; drift makes it another value for a far frame of the same boot."""
    uncertainty_s: float
    quality: Quality


class WaitingBoot(NamedTuple):
    """A boot that was never heard live, as far as its frames have arrived."""

    boot_id: str
    last_tick_ms: int
    """The highest tick of its frames."""
    latest_zero_ms: int
    """By when its tick zero lay at the latest, UTC: no sample arrives before it was taken."""
    received_at_ms: int
    """When its latest frame was received, UTC."""


@dataclass(slots=True)
class _Boot:
    """The clock of a boot that was heard live, and the frames that were mapped with it."""

    clock: BootClock = field(default_factory=BootClock)
    end_ms: int | None = None
    """UTC of the latest beat or sample."""
    anchors: list[tuple[int, int, int]] = field(default_factory=list)
    """(first tick, last tick, UTC at tick zero), ticks increasing."""


@dataclass(slots=True)
class _Bracket:
    """Where a boot that was never heard live was put: for good, so that its samples keep their distances."""

    zero_ms: int
    uncertainty_s: float
    end_ms: int
    """UTC of its latest sample by this zero."""
    is_earliest: bool
    """The boot cannot have begun before `zero_ms`."""


class UnitClock:
    """All boots of one unit. Every frame gets one fix, and frames of a boot never overlap in UTC."""

    def __init__(self) -> None:
        self._boots: OrderedDict[str, _Boot] = OrderedDict()
        self._brackets: dict[str, _Bracket] = {}
        self._live: str | None = None
        self._last_beat_ms: int | None = None

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
        self._live, self._last_beat_ms = boot_id, received_at_ms
        boot = self._boot(boot_id)
        boot.clock.observe(tick_ms, received_at_ms)
        boot.end_ms = received_at_ms

    def fix(
        self, boot_id: str, *, first_tick_ms: int, last_tick_ms: int, declared_zero_ms: int | None
    ) -> ClockFix | None:
        """The fix of a frame by what the unit declares, or by its boot's beats, or by its boot's bracket.

        None while there is none of them.
        """
        if declared_zero_ms is not None:
            return ClockFix(utc_at_tick_zero_ms=declared_zero_ms, uncertainty_s=DECLARED_S, quality=Quality.GOOD)
        if self.is_known(boot_id):
            boot = self._boot(boot_id)
            zero_ms = _anchored(boot, first_tick_ms, last_tick_ms, boot.clock.offset_at(first_tick_ms))
            boot.end_ms = _latest(boot.end_ms, zero_ms + last_tick_ms)
            return ClockFix(
                utc_at_tick_zero_ms=zero_ms,
                uncertainty_s=boot.clock.uncertainty_s_at(first_tick_ms),
                quality=Quality.GOOD,
            )
        bracket = self._brackets.get(boot_id)
        if bracket is None:
            return None
        bracket.end_ms = max(bracket.end_ms, bracket.zero_ms + last_tick_ms)
        return ClockFix(
            utc_at_tick_zero_ms=bracket.zero_ms,
            uncertainty_s=bracket.uncertainty_s + last_tick_ms * UNFITTED_DRIFT / 1000,
            quality=Quality.TIME_BRACKETED,
        )

    def estimated_zero_ms(self, boot_id: str, tick_ms: int) -> int | None:
        """UTC at tick zero by the boot's beats, on the gateway's clock as it is; fixes nothing. None: no beats."""
        return round(self._boots[boot_id].clock.offset_at(tick_ms)) if self.is_known(boot_id) else None

    def is_bracketed(self, boot_id: str) -> bool:
        """Whether the boot has its bracket."""
        return boot_id in self._brackets

    def bracket(self, waiting: Sequence[WaitingBoot]) -> None:
        """Give boots that were never heard live their place, for good. In the order in which they arrived.

        A boot lies between its neighbours: after the last beat and sample of the boots before it, and before tick zero
        of those after it. It is put where it can have begun earliest: whatever else of it arrives later, it ends before
        the next boot begins. Where no boot before it is known, it ends where it can have ended latest. Boots go by the
        counter in their names (wire contract), and without one by their arrival.
        """
        ordered = list(waiting)
        if all(_counter(boot.boot_id) is not None for boot in ordered):
            ordered.sort(key=lambda boot: _counter(boot.boot_id) or 0)
        latest_ms: list[float] = []
        following_ms = math.inf
        for boot in reversed(ordered):
            following_ms = min(following_ms, self._next_zero_ms(boot)) - boot.last_tick_ms - 1
            following_ms = min(following_ms, boot.latest_zero_ms)
            latest_ms.append(following_ms)
        for boot, zero_ms in zip(ordered, reversed(latest_ms), strict=True):
            self._brackets[boot.boot_id] = self._between(boot, zero_ms)
        while len(self._brackets) > BRACKETS_KEPT:
            del self._brackets[next(iter(self._brackets))]

    def _next_zero_ms(self, waiting: WaitingBoot) -> float:
        """UTC at tick zero of the first boot after this one that was heard."""
        return min(
            (
                boot.clock.offset_at(0)
                for boot_id, boot in self._boots.items()
                if boot.clock.is_known and not self._is_before(boot_id, waiting)
            ),
            default=math.inf,
        )

    def _between(self, waiting: WaitingBoot, latest_ms: float) -> _Bracket:
        """The place of a boot that began at `latest_ms` at the latest."""
        heard = [
            boot.end_ms
            for boot_id, boot in self._boots.items()
            if boot.end_ms is not None and self._is_before(boot_id, waiting)
        ]
        placed = [bracket for boot_id, bracket in self._brackets.items() if self._is_before(boot_id, waiting)]
        ends_ms = heard + [bracket.end_ms for bracket in placed]
        sure_ms = heard + [bracket.end_ms for bracket in placed if bracket.is_earliest]
        zero_ms = round(min([latest_ms, max(ends_ms) + 1] if ends_ms else [latest_ms]))
        if sure_ms:
            widest_ms = max(latest_ms - zero_ms, abs(zero_ms - max(sure_ms)))
            uncertainty_s = LINK_S + widest_ms / 1000
        else:
            uncertainty_s = UNBRACKETED_S + (latest_ms - zero_ms) / 1000
        return _Bracket(
            zero_ms=zero_ms,
            uncertainty_s=uncertainty_s,
            end_ms=zero_ms + waiting.last_tick_ms,
            is_earliest=bool(sure_ms) and zero_ms == max(sure_ms) + 1,
        )

    def _is_before(self, boot_id: str, waiting: WaitingBoot) -> bool:
        """Whether a known boot was before one that waits; without counters, all were but one that beat since."""
        known, asked = _counter(boot_id), _counter(waiting.boot_id)
        if known is not None and asked is not None:
            return known < asked
        return boot_id != self._live or self._last_beat_ms is None or self._last_beat_ms < waiting.received_at_ms

    def is_known(self, boot_id: str) -> bool:
        """Whether a beat of the boot was heard."""
        return boot_id in self._boots and self._boots[boot_id].clock.is_known

    def move(self, step_ms: int) -> None:
        """The gateway's clock was set by so much. Times that were fixed before stay; frames to come follow the clock.

        Frames between whose neighbours others had to fit are forgotten: the neighbours have the old clock's times. A
        bracketed boot keeps its place, which is so much less certain; but for a step that is longer than a boot lasts.
        """
        for boot in self._boots.values():
            boot.clock.move(step_ms)
            boot.anchors.clear()
            if boot.end_ms is not None:
                boot.end_ms += step_ms
        if abs(step_ms) > UNBRACKETED_S * 1000:
            self._brackets.clear()
        for bracket in self._brackets.values():
            bracket.uncertainty_s += abs(step_ms) / 1000
            bracket.is_earliest = False
        if self._last_beat_ms is not None:
            self._last_beat_ms += step_ms

    def state(self) -> dict[str, object]:
        """What the next run of the gateway should know, as JSON has it."""
        return {
            "live": self._live,
            "last_beat_ms": self._last_beat_ms,
            "boots": [[boot_id, boot.clock.points, boot.anchors, boot.end_ms] for boot_id, boot in self._boots.items()],
            "brackets": [
                [boot_id, bracket.zero_ms, bracket.uncertainty_s, bracket.end_ms, bracket.is_earliest]
                for boot_id, bracket in self._brackets.items()
            ],
        }

    @classmethod
    def restored(cls, state: Any) -> UnitClock:
        """The clock of an earlier run. Raises KeyError, TypeError or ValueError for what is no `state`."""
        clock = cls()
        for boot_id, points, anchors, end_ms in state["boots"]:
            clock._boots[boot_id] = _Boot(
                clock=BootClock.restored([(int(tick_ms), int(delta_ms)) for tick_ms, delta_ms in points]),
                end_ms=None if end_ms is None else int(end_ms),
                anchors=[(int(first), int(last), int(zero)) for first, last, zero in anchors],
            )
        for boot_id, zero_ms, uncertainty_s, end_ms, is_earliest in state["brackets"]:
            clock._brackets[boot_id] = _Bracket(int(zero_ms), float(uncertainty_s), int(end_ms), bool(is_earliest))
        clock._live = state["live"] if state["live"] in clock._boots else None
        clock._last_beat_ms = state["last_beat_ms"]
        for boot_id, first_tick_ms, last_tick_ms, zero_ms in state.get("given", ()):
            clock._take_over(boot_id, int(first_tick_ms), int(last_tick_ms), int(zero_ms))
        return clock

    def _take_over(self, boot_id: str, first_tick_ms: int, last_tick_ms: int, zero_ms: int) -> None:
        """The latest frame that was given a time after `state` was told. By a clock that was set since: forgotten."""
        end_ms = zero_ms + last_tick_ms
        if self.is_known(boot_id):
            boot = self._boots[boot_id]
            if abs(zero_ms - boot.clock.offset_at(first_tick_ms)) <= STEP_MS:
                boot.end_ms = _latest(boot.end_ms, end_ms)
                _remember(boot.anchors, first_tick_ms, last_tick_ms, zero_ms)
        elif (bracket := self._brackets.get(boot_id)) is not None and bracket.zero_ms == zero_ms:
            bracket.end_ms = max(bracket.end_ms, end_ms)

    def _boot(self, boot_id: str) -> _Boot:
        boot = self._boots.setdefault(boot_id, _Boot())
        self._boots.move_to_end(boot_id)
        while len(self._boots) > BOOTS_KEPT:
            oldest = next(name for name in self._boots if name != self._live)
            del self._boots[oldest]
        return boot


def _counter(boot_id: str) -> int | None:
    """The counter in a boot's name (`17-a3f9`), None for a name without one."""
    digits = boot_id.partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _latest(known_ms: int | None, new_ms: int) -> int:
    return new_ms if known_ms is None else max(known_ms, new_ms)


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
    _remember(anchors, first_tick_ms, last_tick_ms, zero)
    return zero


def _remember(anchors: list[tuple[int, int, int]], first_tick_ms: int, last_tick_ms: int, zero_ms: int) -> None:
    """Keep the latest frames, one for each first tick."""
    at = bisect_left(anchors, (first_tick_ms,))
    if at == len(anchors) or anchors[at][0] != first_tick_ms:
        anchors.insert(at, (first_tick_ms, last_tick_ms, zero_ms))
    if len(anchors) > ANCHORS_KEPT:
        del anchors[0]
