"""What one gateway is told about itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.outbox import DEFAULT_MAX_AGE_S, DEFAULT_MAX_BYTES
from gateway.outbox_schema import LEAST_BYTES
from gateway.power import POWER_SUPPLIES
from gateway.window import RESEND_S, WINDOW_BYTES, WINDOW_RECORDS
from telemetry.identifiers import parse_identifier
from telemetry.limits import MAX_BATCH_BYTES

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class CabSettings:
    """The alarm's equipment in the cab; nothing is fitted unless it is named. Raises ValueError."""

    siren_command: tuple[str, ...] = ()
    """Run with `siren`, `chirp` or `off` as its last word."""
    siren_line: str | None = None
    """A GPIO line instead, CHIP:OFFSET."""
    lamp_command: tuple[str, ...] = ()
    """Run with `on` or `off` as its last word."""
    lamp_line: str | None = None
    button_line: str | None = None
    """A GPIO line that the cab's button closes. A message to the vehicle's button topic does the same."""
    loop_command: tuple[str, ...] = ()
    """Tests the siren's loop without a sound: it ends with 0 while the siren would answer."""
    loop_every_s: float = 600.0
    """**Assumed**."""
    power_supplies: Path = POWER_SUPPLIES
    """Where the kernel tells of power supplies."""
    battery_h: float | None = None
    """h that a full battery is said to last, until a discharge was measured."""

    def __post_init__(self) -> None:
        """Check lines and intervals."""
        for line in (self.siren_line, self.lamp_line, self.button_line):
            chip, _, offset = (line or "chip:0").rpartition(":")
            if not chip or not offset.isdigit():
                raise ValueError(f"{line!r} is no GPIO line: write CHIP:OFFSET, for example /dev/gpiochip0:17")
        if self.loop_every_s < 1 or (self.battery_h is not None and self.battery_h <= 0):
            raise ValueError("intervals and hours must be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Raises IdentifierError for an id that cannot be a topic level, ValueError for a bound that holds nothing."""

    gateway_id: str
    """Sparkplug edge node."""
    fleet_id: str
    """Sparkplug group."""
    units: tuple[str, ...] | None = None
    """The units it looks after; None = every unit on its local broker."""
    host_id: str | None = "packwatch"
    """The primary host whose STATE it follows: births and data wait until it is online. None = wait for nobody."""
    state_path: Path | None = None
    """Where the birth/death sequence number is kept over restarts; None = it starts at 0 with every process."""
    outbox_path: Path | None = None
    """The outbox's SQLite file. None = in memory, for gateways whose units can send everything again: replay, demo."""
    outbox_max_bytes: int = DEFAULT_MAX_BYTES
    """When the outbox reaches it, the oldest data of packs that are normal are thinned, then dropped."""
    outbox_max_age_s: float = DEFAULT_MAX_AGE_S
    """Older records are dropped."""
    window_records: int = WINDOW_RECORDS
    window_bytes: int = WINDOW_BYTES
    """What may be sent and not yet settled; half is reserved for live data."""
    resend_s: float = RESEND_S
    """What the host has not settled for so long after it was sent is sent again; twice as long the next time."""
    units_can_wait: bool = False
    """For a replay: while outbox or link are full, frames are left to the units, in order; nothing is given up."""
    wait_for_time_sync: bool = False
    """For a box whose clock is wrong after a power cut: times are fixed only while the kernel says that its clock is
    synchronised. False = any clock that says at least 2026 is believed."""
    inbox_max_messages: int = 1_024
    """Local messages that arrived and were not yet looked at; a further one is dropped and counted, and its unit sends
    it again, since it was not acknowledged. **Assumed**: one second at full rate."""
    inbox_max_bytes: int = 16 * 1024 * 1024
    """The same bound in bytes. **Assumed**."""
    keepalive_s: int = 30
    """MQTT keep-alive: a broker tells the gateway's death 1.5 times this after the network went away. **Assumed**."""
    health_interval_s: float = 10.0
    """Changed Health metrics are published this often at most. **Assumed**: as often as a unit reports."""
    cab: CabSettings = field(default_factory=CabSettings)
    """Siren, lamp, button and power."""

    def __post_init__(self) -> None:
        """Check what becomes part of topics, and the bounds."""
        parse_identifier(self.gateway_id, "gateway")
        parse_identifier(self.fleet_id, "fleet")
        for unit_id in self.units or ():
            parse_identifier(unit_id, "unit")
        if self.host_id is not None:
            parse_identifier(self.host_id, "host")
        bounds = (self.inbox_max_messages, self.inbox_max_bytes, self.keepalive_s)
        if min(bounds) < 1 or min(self.health_interval_s, self.outbox_max_age_s, self.resend_s) <= 0:
            raise ValueError("the gateway's bounds and intervals must be positive")
        if self.outbox_max_bytes < LEAST_BYTES:
            raise ValueError(f"an outbox has at least {LEAST_BYTES:,} bytes")
        if self.window_records < 2 or self.window_bytes < 2 * MAX_BATCH_BYTES:
            raise ValueError("a window has room for a live batch and one of the backlog")
