"""A round's plan: which parts there are, and what is done to them when. Pure: a seed gives the same plan every time."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import StrEnum

HARMS_A_ROUND = 5
HARM_PHASE_S = 5.0
"""The harms of a round begin within so long."""
DELAY_S = (5.0, 60.0)
"""What a bad mobile link does."""
SHORT_FACTOR = 1 / 20
"""A short round plays a twentieth of life: delays and outages are as much shorter."""
RESEND_S = 3.0
"""How soon a gateway of a short round sends again what nobody confirmed."""
RESEND_AS_IN_LIFE = 10
"""One in so many rounds has a gateway's own time instead."""
OVERFLOWS = 8
"""One in so many rounds has an outbox that overflows: it takes some seconds longer."""
OVERFLOW_MB = 0.25
"""The smallest outbox: two units at full rate fill it in seconds."""
POWER_FAILS = 0.5
"""So many of the gateways whose outbox overflows then lose their power: what they gave up is in no memory any more."""
ROWS = (1, 1, 2, 3, 5)
"""Samples of a frame. A gateway's own engine takes 1 ms for each of one unit: it is made for one a second, not for a
hundred. An outbox is filled with many channels instead."""
NEVER_SEEN = 4
"""One in so many moves is of a unit that reboots on the way, and whose old boot its new gateway never heard."""


class Store(StrEnum):
    """Which real store a round has."""

    DUCKDB = "duckdb"
    INFLUXDB = "influxdb"


class Kind(StrEnum):
    """Kinds of harm."""

    UNIT_KILLED = "unit killed"
    GATEWAY_KILLED = "gateway killed"
    BROKER_KILLED = "broker killed"
    BROKER_WIPED = "broker wiped"
    UNITS_BROKER_KILLED = "units' broker killed"
    INGEST_KILLED = "ingest killed"
    DATABASE_KILLED = "database killed"
    UPLINK_CUT = "uplink cut"
    UNIT_LINK_CUT = "unit's link cut"
    INGEST_LINK_CUT = "ingest's link cut"
    UPLINK_HALF_OPEN = "uplink half open"
    INGEST_HALF_OPEN = "ingest's link half open"
    DELAY = "delay"
    DUPLICATED = "duplicated delivery"
    REORDERED = "reordered delivery"
    GATEWAY_DISK_FULL = "gateway's disk full"
    STORE_DISK_FULL = "store's disk full"
    DATABASE_ERRORS = "database errors"
    UNIT_CLOCK_STEP = "unit's clock steps"
    GATEWAY_CLOCK_STEP = "gateway's clock steps"
    TWO_INGEST_WORKERS = "two ingest workers"
    GATEWAY_REPLACED = "gateway replaced"
    UNIT_MOVED = "unit moved"
    ACKNOWLEDGEMENTS_LOST = "acknowledgements lost"
    RING_OVERFLOW = "ring overflow"
    OUTBOX_OVERFLOW = "outbox overflow"


DATABASE_KINDS = {Kind.DATABASE_KILLED, Kind.DATABASE_ERRORS}
"""Only a store that is a server of its own can suffer them."""
LAST_KINDS = {Kind.GATEWAY_REPLACED}
"""These come after all others have ended: what is lost with a box that is thrown away must have left it before."""
OVERFLOW_CONFLICTS = {Kind.GATEWAY_REPLACED, Kind.RING_OVERFLOW}
"""A box is thrown away once all that it took is stored, which is never then; and a unit with a small ring sends little
while its link is cut."""
OWN_DUCKDB_CONFLICTS = {
    Kind.INGEST_KILLED,
    Kind.INGEST_LINK_CUT,
    Kind.INGEST_HALF_OPEN,
    Kind.STORE_DISK_FULL,
    Kind.BROKER_KILLED,
    Kind.BROKER_WIPED,
}
"""With a DuckDB file each, two workers that take over from one another share no progress: the second stores again what
the first had not yet acknowledged. So where the lease may be handed on the store is a server that both share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """One thing that goes wrong."""

    kind: Kind
    at_s: float
    """After the round's samples have begun to arrive."""
    lasts_s: float
    target: int
    """Number of the unit or gateway it happens to."""
    amount: float
    """Seconds of a delay or of a clock's step; else a number from 0 to 1 that decides between variants."""

    def __str__(self) -> str:
        what = f"{self.at_s:5.2f} s  for {self.lasts_s:4.2f} s  {self.kind}"
        if self.kind in {Kind.DELAY, Kind.GATEWAY_CLOCK_STEP}:
            return f"{what}, {self.amount:+.2f} s"
        if self.kind is Kind.OUTBOX_OVERFLOW:
            return f"{what}, and until something is given up{', then killed' if self.power_fails else ''}"
        return what

    @property
    def power_fails(self) -> bool:
        """Whether the gateway whose outbox overflowed is killed before its link is back."""
        return self.kind is Kind.OUTBOX_OVERFLOW and self.amount < POWER_FAILS


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPlan:
    """One unit."""

    unit_id: str
    gateway: int
    interval_s: float
    rows: int
    temperatures: int
    voltages: int
    drift_ppm: float
    ring_frames: int
    slot_bytes: int = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One round."""

    seed: int
    scale: float
    store: Store
    gateways: int
    resend_s: float | None
    """None = as in life."""
    units: tuple[UnitPlan, ...]
    harms: tuple[Harm, ...]

    def has(self, *kinds: Kind) -> bool:
        """Whether any of these happens."""
        return any(harm.kind in kinds for harm in self.harms)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: store {self.store}, {self.gateways} gateways, {len(self.units)} units"]
        if self.resend_s is not None:
            lines[0] += f", sent again after {self.resend_s:g} s"
        lines += [
            f"  {unit.unit_id} at gateway-{unit.gateway}: {unit.rows} samples of {unit.temperatures}+{unit.voltages} "
            f"channels every {unit.interval_s:g} s, a ring of {unit.ring_frames} frames"
            for unit in self.units
        ]
        for harm in self.harms:
            lines.append(f"  {harm}{_victim(harm, self)}")
        return "\n".join(lines)


def make_plan(seed: int, *, scale: float = 1.0, stores: frozenset[Store] = frozenset(Store)) -> Plan:
    """The plan of a seed. `scale` 1 = a short round, 20 = outages and delays as long as in life.

    Five consecutive seeds from a multiple of five on have every kind of harm that the stores allow, but for the outbox
    overflow, which comes more seldom.
    """
    dice = random.Random(seed)  # noqa: S311 - reproducible by intent
    kinds = _hand(seed, stores)
    store = Store.DUCKDB
    needs_server = DATABASE_KINDS & set(kinds) or _two_workers_take_over(set(kinds))
    if Store.INFLUXDB in stores and (needs_server or dice.random() < 0.2):
        store = Store.INFLUXDB
    gateways = 2
    units = tuple(_unit(dice, number, gateways, overflow=Kind.RING_OVERFLOW in kinds) for number in range(1, 4))
    harms = [_harm(dice, kind, scale) for kind in kinds]
    more = random.Random(f"more {seed}")  # noqa: S311 - reproducible by intent
    resend_s = None if scale > 1 or more.random() < 1 / RESEND_AS_IN_LIFE else RESEND_S
    if seed % OVERFLOWS == 0 and not OVERFLOW_CONFLICTS & set(kinds):
        harms.append(_harm(more, Kind.OUTBOX_OVERFLOW, scale))
        units = tuple(
            replace(unit, interval_s=0.1, rows=8, temperatures=160, voltages=40, slot_bytes=4096) for unit in units
        )
    return Plan(
        seed=seed,
        scale=scale,
        store=store,
        gateways=gateways,
        resend_s=resend_s,
        units=units,
        harms=tuple(sorted(harms, key=lambda harm: harm.at_s)),
    )


def _hand(seed: int, stores: frozenset[Store]) -> list[Kind]:
    """The kinds of a seed's round: cards of a shuffled deck, dealt so that no round has two that exclude each other."""
    deck = [kind for kind in Kind if kind is not Kind.OUTBOX_OVERFLOW]
    deck = [kind for kind in deck if Store.INFLUXDB in stores or kind not in DATABASE_KINDS]
    rounds = -(-len(deck) // HARMS_A_ROUND)
    lap, place = divmod(seed, rounds)
    dice = random.Random(f"deck {lap}")  # noqa: S311 - reproducible by intent
    while True:
        dice.shuffle(deck)
        hands = [deck[start::rounds] for start in range(rounds)]
        if all(Store.INFLUXDB in stores or not _two_workers_take_over(set(hand)) for hand in hands):
            return hands[place]


def _two_workers_take_over(kinds: set[Kind]) -> bool:
    return Kind.TWO_INGEST_WORKERS in kinds and bool(kinds & OWN_DUCKDB_CONFLICTS)


def _unit(dice: random.Random, number: int, gateways: int, *, overflow: bool) -> UnitPlan:
    return UnitPlan(
        unit_id=f"unit-{number}",
        gateway=1 + (number - 1) % gateways,
        interval_s=dice.choice((0.1, 0.2, 0.25, 0.5)),
        rows=dice.choice(ROWS),
        temperatures=dice.choice((1, 4, 16)),
        voltages=dice.choice((0, 1, 8)),
        drift_ppm=dice.uniform(-60.0, 60.0),
        ring_frames=6 if overflow and number == 1 else 1024,
    )


def _harm(dice: random.Random, kind: Kind, scale: float) -> Harm:
    at_s = dice.uniform(0.0, HARM_PHASE_S - 2.0)
    lasts_s = dice.uniform(0.3, 2.0) * scale
    target = dice.randrange(2)
    amount = dice.random()
    match kind:
        case Kind.DELAY:
            amount = dice.uniform(*DELAY_S) * SHORT_FACTOR * scale
        case Kind.GATEWAY_CLOCK_STEP:
            amount = dice.choice((-1, 1)) * dice.uniform(10.0, 240.0)
        case Kind.RING_OVERFLOW:
            target, lasts_s = 0, 4.0 * scale
        case Kind.OUTBOX_OVERFLOW:
            target = 0
        case Kind.ACKNOWLEDGEMENTS_LOST | Kind.DUPLICATED | Kind.REORDERED | Kind.TWO_INGEST_WORKERS:
            lasts_s = dice.uniform(2.0, 4.0) * scale
        case Kind.UNIT_MOVED if amount < 1 / NEVER_SEEN:
            lasts_s = 1.0
    return Harm(kind=kind, at_s=at_s, lasts_s=lasts_s, target=target, amount=amount)


def _victim(harm: Harm, plan: Plan) -> str:
    match harm.kind:
        case Kind.UNIT_KILLED | Kind.UNIT_LINK_CUT | Kind.UNIT_CLOCK_STEP | Kind.UNIT_MOVED | Kind.RING_OVERFLOW:
            return f": {plan.units[harm.target].unit_id}"
        case (
            Kind.GATEWAY_KILLED
            | Kind.UNITS_BROKER_KILLED
            | Kind.UPLINK_CUT
            | Kind.UPLINK_HALF_OPEN
            | Kind.GATEWAY_DISK_FULL
            | Kind.GATEWAY_CLOCK_STEP
            | Kind.GATEWAY_REPLACED
            | Kind.DELAY
            | Kind.DUPLICATED
            | Kind.REORDERED
            | Kind.ACKNOWLEDGEMENTS_LOST
            | Kind.OUTBOX_OVERFLOW
        ):
            return f": gateway-{1 + harm.target}"
    return ""
