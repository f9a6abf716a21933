"""The gateway's power: on the vehicle's or on its own battery, and for how long that lasts. Pure but for `read_power`.

Source of the files: Documentation/ABI/testing/sysfs-class-power of the Linux kernel; micro-units.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

POWER_SUPPLIES = Path("/sys/class/power_supply")
LASTS_H = 12.0
"""h that a gateway is to run without the vehicle's power."""
LOW_H = 2.0
"""h left from which on it is low, whatever was expected."""
MEASURED_OVER_S = 600.0
"""s of discharge before its rate counts: a gauge has steps of a percent. **Assumed**."""
_KEPT = 512
"""Readings; with one in 30 s, four hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerReading:
    """What the supplies say. None = they do not."""

    on_vehicle: bool | None
    """Whether anything but a battery feeds it."""
    charge: float | None
    """Of the battery, 0 to 1."""
    energy_wh: float | None
    """Left in the battery."""
    draw_w: float | None
    """Out of the battery, as it says itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerState:
    """What is told. Times are UTC, ms since 1970."""

    on_vehicle: bool | None
    charge: float | None
    battery_since_ms: int | None
    """Since when the vehicle gives none; None = it does, or nobody knows."""
    hours_left: float | None
    """On the battery at the measured draw; None = not measured yet."""
    fault: str | None
    """What a person should see to; None = nothing."""


def read_power(folder: Path = POWER_SUPPLIES) -> PowerReading:
    """Read all supplies. Files that are missing or say nonsense count as not said."""
    mains: list[bool] = []
    battery: Path | None = None
    try:
        supplies = sorted(folder.iterdir())
    except OSError:
        supplies = []
    for supply in supplies:
        if _text(supply / "scope") == "Device":
            continue  # of a mouse, say
        if _text(supply / "type") == "Battery":
            battery = battery or supply
        elif (online := _number(supply / "online")) is not None:
            mains.append(online > 0)
    if battery is None:
        return PowerReading(on_vehicle=any(mains) if mains else None, charge=None, energy_wh=None, draw_w=None)
    percent, volt = _number(battery / "capacity"), _number(battery / "voltage_now")
    energy, charge = _number(battery / "energy_now"), _number(battery / "charge_now")
    power, current = _number(battery / "power_now"), _number(battery / "current_now")
    if energy is None and charge is not None and volt is not None:
        energy = charge * volt / 1e6
    if power is None and current is not None and volt is not None:
        power = current * volt / 1e6
    status = _text(battery / "status")
    on_vehicle = any(mains) if mains else None if status in (None, "Unknown") else status != "Discharging"
    return PowerReading(
        on_vehicle=on_vehicle,
        charge=None if percent is None or not 0 <= percent <= 100 else percent / 100,
        energy_wh=None if energy is None else energy / 1e6,
        draw_w=None if not power or status != "Discharging" else abs(power) / 1e6,
    )


class Power:
    """What readings come to. `now_s`: seconds of a clock that only runs forward; `now_ms`: UTC."""

    def __init__(self, full_h: float | None = None) -> None:
        """`full_h`: what a full battery is said to last; the first measured discharge replaces it."""
        self._since_s: float | None = None
        self._since_ms: int | None = None
        self._readings: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        """Since the battery feeds it: when, and Wh left, or the charge where no Wh are said."""
        self._full_h = full_h
        """What a full battery lasts, by the newest discharge that was measured."""

    def take(self, reading: PowerReading, now_s: float, now_ms: int) -> PowerState:
        """One reading more."""
        if reading.on_vehicle is not False:
            self._since_s = self._since_ms = None
            self._readings.clear()
        elif self._since_s is None:
            self._since_s, self._since_ms = now_s, now_ms
        left_h = self._left_h(reading, now_s)
        return PowerState(
            on_vehicle=reading.on_vehicle,
            charge=reading.charge,
            battery_since_ms=self._since_ms,
            hours_left=left_h,
            fault=self._fault(reading, left_h, now_s),
        )

    def _left_h(self, reading: PowerReading, now_s: float) -> float | None:
        left = reading.charge if reading.energy_wh is None else reading.energy_wh
        if reading.on_vehicle is not False:
            return None if self._full_h is None or reading.charge is None else self._full_h * reading.charge
        if left is None:
            return None
        self._readings.append((now_s, left))
        began_s, began = self._readings[0]
        if reading.draw_w and reading.energy_wh is not None:
            hours = reading.energy_wh / reading.draw_w
        elif now_s - began_s >= MEASURED_OVER_S and began > left:
            hours = left / (began - left) * (now_s - began_s) / 3600
        else:
            return None if self._full_h is None or reading.charge is None else self._full_h * reading.charge
        if reading.charge:
            self._full_h = hours / reading.charge
        return hours

    def _fault(self, reading: PowerReading, left_h: float | None, now_s: float) -> str | None:
        if reading.on_vehicle is not False:
            if left_h is not None and left_h < LASTS_H:
                return (
                    f"the gateway's battery lasts {left_h:.1f} h without the vehicle, less than {LASTS_H:g} h: "
                    "let it charge before the trip, or have it replaced"
                )
            return None
        if left_h is not None and left_h < LOW_H:
            return f"the gateway has {left_h:.1f} h of battery left: give it the vehicle's power"
        if left_h is not None and self._since_s is not None:
            lasts_h = left_h + (now_s - self._since_s) / 3600
            if lasts_h < LASTS_H:
                return (
                    f"the gateway runs on its battery, which lasts {lasts_h:.1f} h in all instead of {LASTS_H:g} h: "
                    "give it the vehicle's power"
                )
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def _number(path: Path) -> float | None:
    try:
        return float(_text(path) or "")
    except ValueError:
        return None
