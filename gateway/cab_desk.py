"""The alarm in the cab: siren, lamp, button, the tests of their loop and of the power, and what of it is reported."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

import structlog

from gateway.link_keeper import run_until_first_ends
from gateway.power import Power, PowerReading, PowerState, read_power
from gateway.siren import SOUND_OF, Siren
from gateway.sounder import Button, CommandOutput, LineOutput, OutputError, Sounder, check_loop
from gateway.wall_clock import wall_ms
from telemetry.cab_report import CabAction, CabReport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gateway.settings import CabSettings
    from registry.kinds import Level

_log = structlog.get_logger()

REPORTS_WAITING = 256
"""Actions that wait for the outbox; beyond, the oldest is let go and logged. **Assumed**: hours of a broken siren."""
KEEP_AGAIN_S = 5.0
POWER_EVERY_S = 30.0
ON_BATTERY_SLOWER = 6
"""On its battery the gateway tests and reports so many times more rarely; it evaluates as before. **Assumed**."""


class CabDesk:
    """One a gateway. `look` and `press` return at once; `run` does the rest until cancelled."""

    def __init__(self, settings: CabSettings, *, gateway_id: str, keep: Callable[[CabReport], Awaitable[bool]]) -> None:
        """`keep` takes a report into the outbox; False: there is no room now."""
        self.siren = Siren()
        self._settings = settings
        self._gateway_id = gateway_id
        self._keep_report = keep
        self._faults: dict[str, str] = {}
        self._reports: deque[CabReport] = deque()
        self._due = asyncio.Event()
        self._power = Power(settings.battery_h)
        self.power = PowerState(on_vehicle=None, charge=None, battery_since_ms=None, hours_left=None, fault=None)
        self.loop_closed: bool | None = None
        """What the last test of the siren's loop said."""
        self._siren = _sounder("siren", settings.siren_command, settings.siren_line, self._state_of)
        self._lamp = _sounder("lamp", settings.lamp_command, settings.lamp_line, self._state_of)

    def look(self, levels: Mapping[str, Level]) -> None:
        """Units' levels as the vehicle's engine has them now."""
        self._done(self.siren.look(levels), "")

    def press(self, where: str) -> None:
        """Somebody in the cab acknowledges: siren to a chirp, lamp stays."""
        self._done(self.siren.press(), where)

    def health(self) -> dict[str, Any]:
        """The node's `Health/...` metrics; None = nothing is known, or fitted."""
        power = self.power
        return {
            "Health/OnVehiclePower": power.on_vehicle,
            "Health/BatteryCharge": None if power.charge is None else round(power.charge, 2),
            "Health/BatterySince": power.battery_since_ms,
            "Health/BatteryHoursLeft": None if power.hours_left is None else round(power.hours_left, 1),
            "Health/Siren": None if self._siren is None else self._siren.works,
            "Health/SirenLoop": self.loop_closed,
            "Health/CabFaults": "\n".join(f"{name}: {text}" for name, text in sorted(self._faults.items())) or None,
        }

    @property
    def slower(self) -> int:
        """By what to stretch what may be slow."""
        return ON_BATTERY_SLOWER if self.power.on_vehicle is False else 1

    async def run(self) -> None:
        """Run until cancelled."""
        parts = [self._keep(), self._watch_power()]
        parts += [each.run() for each in (self._siren, self._lamp) if each is not None]
        if self._settings.loop_command:
            parts.append(self._test_loop())
        if self._settings.button_line is not None:
            button = Button(self._settings.button_line, lambda: self.press("button"))
            parts.append(button.run(self._state_of, asyncio.sleep))
        await run_until_first_ends(*parts)

    def _done(self, done: tuple[CabAction, dict[str, Level]] | None, detail: str) -> None:
        if done is None:
            return
        sound, lamp = SOUND_OF[self.siren.state]
        if self._siren is not None:
            self._siren.set(sound)
        if self._lamp is not None:
            self._lamp.set("on" if lamp else "off")
        action, units = done
        _log.warning("cab", gateway_id=self._gateway_id, action=action, units=sorted(units), by=detail)
        if self._siren is not None or self._lamp is not None or action is CabAction.ACKNOWLEDGED:
            self._report(action, units, detail)

    def _report(self, action: CabAction, units: Mapping[str, Level], detail: str) -> None:
        if len(self._reports) >= REPORTS_WAITING:
            lost = self._reports.popleft()
            _log.error("cab_report_lost", gateway_id=self._gateway_id, action=lost.action)
        self._reports.append(
            CabReport(report_id=uuid.uuid4().hex, action=action, at_ms=wall_ms(), units=units, detail=detail)
        )
        self._due.set()

    def _state_of(self, name: str, fault: str | None) -> None:
        """What is wrong with a part of the equipment; None: nothing. Told once, when it changes."""
        before = self._faults.get(name)
        if fault is None and before is not None:
            del self._faults[name]
            self._report(CabAction.MENDED, {}, name)
        elif fault is not None:
            self._faults[name] = fault
            if before is None:
                _log.error("cab_fault", gateway_id=self._gateway_id, part=name, fault=fault)
                self._report(CabAction.FAULT, {}, f"{name}: {fault}")

    async def _keep(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            while self._reports:
                if await self._keep_report(self._reports[0]):
                    self._reports.popleft()
                else:
                    await asyncio.sleep(KEEP_AGAIN_S)

    async def _test_loop(self) -> None:
        while True:
            try:
                await check_loop(self._settings.loop_command)
            except OutputError as error:
                self.loop_closed = False
                self._state_of("siren loop", str(error))
            else:
                self.loop_closed = True
                self._state_of("siren loop", None)
            await asyncio.sleep(self._settings.loop_every_s * self.slower)

    async def _watch_power(self) -> None:
        while True:
            reading: PowerReading = await asyncio.to_thread(read_power, self._settings.power_supplies)
            self.power = self._power.take(reading, time.monotonic(), wall_ms())
            self._state_of("power", self.power.fault)
            await asyncio.sleep(POWER_EVERY_S)


def _sounder(
    name: str, command: tuple[str, ...], line: str | None, told: Callable[[str, str | None], None]
) -> Sounder | None:
    if command:
        return Sounder(name, CommandOutput(command), told)
    return None if line is None else Sounder(name, LineOutput(line), told)
