"""What one gateway is told about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from telemetry.identifiers import parse_identifier

if TYPE_CHECKING:
    from pathlib import Path


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
    outbox_max_bytes: int = 64 * 1024 * 1024
    """When the records kept in memory reach it, frames are no longer taken, and the units keep them. **Assumed**: fits
    beside the rest on a box with 512 MiB."""
    inbox_max_messages: int = 1_024
    """Local messages that arrived and were not yet looked at; a further one is dropped and counted, and its unit sends
    it again, since it was not acknowledged. **Assumed**: one second at full rate."""
    inbox_max_bytes: int = 16 * 1024 * 1024
    """The same bound in bytes. **Assumed**."""
    keepalive_s: int = 30
    """MQTT keep-alive: a broker tells the gateway's death 1.5 times this after the network went away. **Assumed**."""
    health_interval_s: float = 10.0
    """Changed Health metrics are published this often at most. **Assumed**: as often as a unit reports."""

    def __post_init__(self) -> None:
        """Check what becomes part of topics, and the bounds."""
        parse_identifier(self.gateway_id, "gateway")
        parse_identifier(self.fleet_id, "fleet")
        for unit_id in self.units or ():
            parse_identifier(unit_id, "unit")
        if self.host_id is not None:
            parse_identifier(self.host_id, "host")
        bounds = (self.outbox_max_bytes, self.inbox_max_messages, self.inbox_max_bytes, self.keepalive_s)
        if min(bounds) < 1 or self.health_interval_s <= 0:
            raise ValueError("the gateway's bounds and intervals must be positive")
