"""How often a sign-in may fail: by name and address, by address, and by name. In memory and bounded."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.accounts import folded_name

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """At most `failures` within `window_s`."""

    failures: int
    window_s: float


PER_NAME_AND_ADDRESS = Allowance(failures=5, window_s=300)
"""**assumed**: a person mistypes less often; a guesser gets 60 tries an hour."""
PER_ADDRESS = Allowance(failures=30, window_s=900)
"""**assumed**: an office behind one address still gets in."""
PER_NAME = Allowance(failures=100, window_s=3600)
"""**assumed**: many addresses against one name; high, since strangers could lock the name's owner out with it."""
KEYS_MAX = 10_000
"""Names and addresses remembered, about 2 MB; the one that failed longest ago goes first."""


class SignInThrottle:
    """Every try counts as failed from its beginning, so that many at once are refused too, until it succeeds."""

    def __init__(self) -> None:
        self._tried_at_s: OrderedDict[tuple[str, ...], deque[float]] = OrderedDict()

    def wait_s(self, name: str, address: str, now_s: float) -> float:
        """How long until another try is allowed; 0 = now."""
        return max(self._wait_s(key, allowance, now_s) for key, allowance in _keys(name, address))

    def tries(self, name: str, address: str, now_s: float) -> None:
        """A try that was allowed begins."""
        for key, allowance in _keys(name, address):
            self._tried_at_s.setdefault(key, deque(maxlen=allowance.failures)).append(now_s)
            self._tried_at_s.move_to_end(key)
        while len(self._tried_at_s) > KEYS_MAX:
            self._tried_at_s.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """The try succeeded: it never counted, and what failed before it for this name and address is forgotten."""
        both, *others = (key for key, _ in _keys(name, address))
        self._tried_at_s.pop(both, None)
        for key in others:
            if tried_at_s := self._tried_at_s.get(key):
                tried_at_s.pop()

    def _wait_s(self, key: tuple[str, ...], allowance: Allowance, now_s: float) -> float:
        failures = self._tried_at_s.get(key)
        if failures is None or len(failures) < allowance.failures:
            return 0.0
        return max(0.0, failures[0] + allowance.window_s - now_s)


def _keys(name: str, address: str) -> Iterator[tuple[tuple[str, ...], Allowance]]:
    name, network = folded_name(name), _network(address)
    yield ("both", name, network), PER_NAME_AND_ADDRESS
    yield ("address", network), PER_ADDRESS
    yield ("name", name), PER_NAME


def _network(address: str) -> str:
    """An IPv4 address, or the /64 that one IPv6 customer has to choose addresses from."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
