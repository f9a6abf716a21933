"""How to reach an MQTT broker: shared by every room that opens a connection."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAccess:
    """An account at a broker. The password stays out of logs and `repr`."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    """Verify the broker against the system's certificate authorities."""
