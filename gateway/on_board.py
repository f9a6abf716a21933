"""What the vehicle knows of its units: the level of each, what the cloud asked for, and who is to be told. Pure.

Times in ms are UTC; `now_s` is seconds of a clock that only runs forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import structlog

from gateway.evaluator import Judgement
from gateway.session import Outgoing
from registry.kinds import Level
from telemetry.on_board import ALARM_RELEASED, PACK, REPORT_INTERVAL, OnBoard, alarm_topic, check_command, encode_alarm
from telemetry.samples import Provenance
from telemetry.unit_link import UnitConfig, config_topic, encode_unit_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from telemetry.on_board import DeviceCommand

_log = structlog.get_logger()

FAST_FROM = Level.WATCH
FAST_S = 1.0
"""s. A crushed cell leaves a minute from its first +5 degC: at 10 s three samples are half of it."""
FAST_HOLD_S = 300.0
"""s that a unit is asked to stay fast after its pack became normal. **Assumed**: as a unit holds by itself."""
REPEAT_S = 60.0
"""s between repetitions of what stands to the cloud: a DDATA may get lost."""


@dataclass(slots=True, kw_only=True)
class _Unit:
    standing: dict[Provenance, Judgement] = field(default_factory=dict)
    fast_until_s: float = -math.inf
    asked_interval_s: float | None = None
    pack: str | None = None
    released_ms: int | None = None

    def worst(self) -> Judgement | None:
        """What is measured comes first among equals."""
        return max(
            self.standing.values(),
            key=lambda each: (each.level.rank, each.provenance is Provenance.MEASURED),
            default=None,
        )


class OnBoardBook:
    """All units that this gateway heard, or knew when an earlier run ended."""

    def __init__(self, gateway_id: str) -> None:
        self._gateway_id = gateway_id
        self._units: dict[str, _Unit] = {}
        self._alarms_due: dict[str, None] = {}
        self._configs_due: dict[str, None] = {}
        self._reports_due: dict[str, None] = {}
        self._as_kept: set[str] = set()
        """Units of which this run said nothing yet: their times are of the clock of then."""
        self._repeated_s = -math.inf
        self.unkept = False
        """Whether `state` tells what was not kept yet."""
        self.clock_trusted = True

    def heard(self, unit_id: str) -> bool:
        """A unit sends. True for a new one: it is told its configuration, for the last run's may lie at the broker."""
        if unit_id in self._units:
            return False
        self._unit(unit_id)
        self._configs_due[unit_id] = self._alarms_due[unit_id] = None
        return True

    def judged(self, judgements: Iterable[Judgement], now_s: float) -> None:
        """Take over changes of level, in their order."""
        for judgement in judgements:
            unit = self._unit(judgement.unit_id)
            was = unit.standing.get(judgement.provenance)
            unit.standing[judgement.provenance] = judgement
            self._as_kept.discard(judgement.unit_id)
            self.unkept = True
            worst = unit.worst()
            fast = worst is not None and worst.level.rank >= FAST_FROM.rank
            before = self._interval_s(unit, now_s)
            unit.fast_until_s = math.inf if fast else min(unit.fast_until_s, now_s + FAST_HOLD_S)
            if self._interval_s(unit, now_s) != before:
                self._configs_due[judgement.unit_id] = None
            self._alarms_due[judgement.unit_id] = self._reports_due[judgement.unit_id] = None
            level = judgement.level
            log = _log.warning if level.rank >= Level.WARNING.rank else _log.info
            log(
                "on_board_level",
                gateway_id=self._gateway_id,
                unit_id=judgement.unit_id,
                before=Level.NORMAL if was is None else was.level,
                after=level,
                since_ms=judgement.since_ms,
                provenance=judgement.provenance,
                reasons=judgement.reasons,
            )

    def commanded(self, command: DeviceCommand, now_s: float) -> dict[str, Any]:
        """Take over a command; what of it is news to the engine. Raises WireError, and takes over nothing."""
        check_command(command.values)
        unit_id, values = command.unit_id, command.values
        unit = self._unit(unit_id)
        news: dict[str, Any] = {}
        if REPORT_INTERVAL in values:
            before = self._interval_s(unit, now_s)
            unit.asked_interval_s = values[REPORT_INTERVAL]
            if self._interval_s(unit, now_s) != before:
                self._configs_due[unit_id] = None
        if PACK in values and values[PACK] != unit.pack:
            news[PACK] = unit.pack = values[PACK]
            self.unkept = True
        released_ms = values.get(ALARM_RELEASED)
        if released_ms is not None and released_ms > (unit.released_ms or -1):
            news[ALARM_RELEASED] = unit.released_ms = released_ms
            self.unkept = True
        self._reports_due[unit_id] = None  # an answer, even where it is no news
        return news

    def status(self, unit_id: str) -> OnBoard:
        """What the cloud and the cab are told of a unit."""
        unit = self._unit(unit_id)
        worst = unit.worst()
        return OnBoard(
            level=Level.NORMAL if worst is None else worst.level,
            since_ms=None if worst is None else worst.since_ms,
            reasons=() if worst is None else worst.reasons,
            provenance=None if worst is None else worst.provenance,
            released_ms=unit.released_ms,
            report_interval_s=unit.asked_interval_s,
            pack=unit.pack,
        )

    def packs(self) -> dict[str, str]:
        """What the cloud said of units' packs."""
        return {unit_id: unit.pack for unit_id, unit in self._units.items() if unit.pack is not None}

    def standing(self) -> list[Judgement]:
        """All levels above normal."""
        return [
            each for unit in self._units.values() for each in unit.standing.values() if each.level is not Level.NORMAL
        ]

    def levels(self) -> dict[str, Level]:
        """Each unit's level, for the siren: whatever is flagged counts, but for a replay of what was long ago."""
        return {
            unit_id: max(
                (each.level for each in unit.standing.values() if each.provenance is not Provenance.REPLAYED),
                key=lambda level: level.rank,
                default=Level.NORMAL,
            )
            for unit_id, unit in self._units.items()
        }

    def everything_due(self) -> None:
        """The vehicle's broker is a new one, or forgot."""
        self._alarms_due.update(dict.fromkeys(self._units))
        self._configs_due.update(dict.fromkeys(self._units))

    def moved(self, step_ms: int, *, but: frozenset[str]) -> None:
        """The gateway's clock was set by so much: times of all units, `but` those whose time is not this clock's."""
        for unit_id, unit in self._units.items():
            if unit_id in but or unit_id in self._as_kept or not unit.standing:
                continue
            for provenance, each in unit.standing.items():
                unit.standing[provenance] = replace(
                    each, since_ms=each.since_ms + step_ms, sampled_at_ms=each.sampled_at_ms + step_ms
                )
            self._alarms_due[unit_id] = self._reports_due[unit_id] = None
            self.unkept = True

    def trust(self, *, trusted: bool) -> None:
        """Whether the gateway's clock may be believed."""
        if trusted is not self.clock_trusted:
            self.clock_trusted = trusted
            self._alarms_due.update(dict.fromkeys(self._units))

    def look(self, now_s: float) -> None:
        """Let time pass: speed that is no longer needed ends, and what stands is told to the cloud again."""
        for unit_id, unit in self._units.items():
            if -math.inf < unit.fast_until_s <= now_s:
                unit.fast_until_s = -math.inf
                self._configs_due[unit_id] = None
        if now_s - self._repeated_s >= REPEAT_S:
            self._repeated_s = now_s
            self._reports_due.update(dict.fromkeys(unit_id for unit_id, unit in self._units.items() if unit.standing))

    def take_local(self, now_s: float) -> list[Outgoing]:
        """What the vehicle's broker must be told, retained."""
        messages = [
            Outgoing(
                topic=alarm_topic(self._gateway_id, unit_id),
                payload=encode_alarm(self.status(unit_id), clock_trusted=self.clock_trusted),
                qos=1,
                retain=True,
            )
            for unit_id in self._alarms_due
        ]
        messages += [
            Outgoing(
                topic=config_topic(unit_id),
                payload=encode_unit_config(UnitConfig(report_interval_s=self._interval_s(self._unit(unit_id), now_s))),
                qos=1,
                retain=True,
            )
            for unit_id in self._configs_due
        ]
        self._alarms_due.clear()
        self._configs_due.clear()
        return messages

    def take_reports(self) -> list[str]:
        """Units of which the cloud must be told."""
        due = list(self._reports_due)
        self._reports_due.clear()
        return due

    def state(self) -> dict[str, object]:
        """What the next run should know, as JSON has it."""
        self.unkept = False
        return {
            unit_id: {
                "pack": unit.pack,
                "released_ms": unit.released_ms,
                "standing": [
                    {
                        "provenance": each.provenance,
                        "level": each.level,
                        "peak": each.peak,
                        "since_ms": each.since_ms,
                        "sampled_at_ms": each.sampled_at_ms,
                        "reasons": each.reasons,
                    }
                    for each in unit.standing.values()
                    if each.level is not Level.NORMAL
                ],
            }
            for unit_id, unit in self._units.items()
            if unit.pack is not None or unit.released_ms is not None or unit.standing
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over an earlier run's `state`. A unit whose entry cannot be read is left out, and said."""
        for unit_id, kept in state.items():
            try:
                unit = _Unit(
                    pack=kept["pack"],
                    released_ms=kept["released_ms"],
                    standing={
                        Provenance(each["provenance"]): Judgement(
                            unit_id=unit_id,
                            provenance=Provenance(each["provenance"]),
                            level=Level(each["level"]),
                            peak=Level(each["peak"]),
                            since_ms=int(each["since_ms"]),
                            sampled_at_ms=int(each["sampled_at_ms"]),
                            reasons=tuple(each["reasons"]),
                        )
                        for each in kept["standing"]
                    },
                )
            except (KeyError, TypeError, ValueError) as error:
                _log.error("on_board_not_restored", gateway_id=self._gateway_id, unit_id=unit_id, error=repr(error))
                continue
            if unit.standing:
                unit.fast_until_s = math.inf
            self._units[unit_id] = unit
            self._as_kept.add(unit_id)
            self._alarms_due[unit_id] = self._configs_due[unit_id] = self._reports_due[unit_id] = None

    def _unit(self, unit_id: str) -> _Unit:
        return self._units.setdefault(unit_id, _Unit())

    @staticmethod
    def _interval_s(unit: _Unit, now_s: float) -> float | None:
        """The fastest of what is wished for; None = as the unit thinks best."""
        wishes = [FAST_S] if now_s < unit.fast_until_s else []
        return min([*wishes, *([] if unit.asked_interval_s is None else [unit.asked_interval_s])], default=None)
