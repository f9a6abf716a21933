"""Vehicles from which nothing comes any more: one notice each, and not one a unit. Pure: time is an argument."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from alerts.book import utc_from_ms
from alerts.levels import Subject, Transition
from alerts.life_rules import shipped_life
from registry.kinds import AlertKind, Level
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, KeysView, Mapping

    from alerts.life_rules import CoverageRule
    from registry.enrolment import Assignment

FEWEST_UNITS = 2
"""Behind a gateway: of one unit alone nobody can tell whether it is silent or its vehicle is lost."""


class CoverageWatch:
    """When anything of each vehicle was heard, and which are lost.

    Anything counts, late samples and positions too: what arrives says that the vehicle is reached.
    """

    def __init__(self, rule: CoverageRule | None = None) -> None:
        self._rule = shipped_life().coverage if rule is None else rule
        self._units: dict[str, list[Assignment]] = {}
        self._heard_ms: dict[str, int] = {}
        self._guarded: set[str] = set()
        """Gateways whose own engine was heard of: they watch on without us."""
        self._lost: dict[str, tuple[Subject, Level]] = {}
        self._restored: set[str] = set()
        """Lost in an earlier run, and not heard in this."""

    def assign(self, assignments: Iterable[Assignment], now_ms: int) -> None:
        """Who reports from behind which gateway from now on."""
        units: dict[str, list[Assignment]] = defaultdict(list)
        for each in assignments:
            if each.gateway_id is not None and each.pack_id is not None:
                units[each.gateway_id].append(each)
                self._heard_ms.setdefault(each.gateway_id, now_ms)
        self._units = dict(units)

    def hear(self, gateway_id: str, at_ms: int, *, guarded: bool = False) -> None:
        """Something of the vehicle arrived; `guarded`: its own engine's word."""
        self._heard_ms[gateway_id] = max(at_ms, self._heard_ms.get(gateway_id, at_ms))
        self._restored.discard(gateway_id)
        if guarded:
            self._guarded.add(gateway_id)

    def restore(self, subject: Subject, level: Level) -> None:
        """A notice was open when an earlier run ended: it lasts until the vehicle is heard in this."""
        self._lost[subject.id] = (subject, level)
        self._restored.add(subject.id)

    def check(
        self, now_ms: int, late: Mapping[str, Provenance], suspicious_packs: frozenset[str]
    ) -> tuple[list[Transition], KeysView[str]]:
        """Notices that begin, get worse or end; and the gateways that are lost after it.

        late: the units whose own limit has passed, with what their samples are.
        """
        found = [self._back(each, now_ms) for each in list(self._lost) if not self._quiet(each, now_ms)]
        for gateway_id, units in self._units.items():
            known = self._lost.get(gateway_id)
            level = Level.WARNING if any(each.pack_id in suspicious_packs for each in units) else Level.WATCH
            if known is not None:
                if level.rank > known[1].rank:
                    found.append(self._gone(gateway_id, known[0], level, suspicious_packs))
                continue
            provenances = {late[each.unit_id] for each in units if each.unit_id in late}
            if provenances and len(units) >= FEWEST_UNITS and self._quiet(gateway_id, now_ms):
                real = Provenance.MEASURED in provenances
                subject = Subject(
                    AlertKind.COVERAGE, gateway_id, Provenance.MEASURED if real else min(provenances, key=str)
                )
                found.append(self._gone(gateway_id, subject, level, suspicious_packs))
        return found, self._lost.keys()

    def _quiet(self, gateway_id: str, now_ms: int) -> bool:
        units = self._units.get(gateway_id)
        if not units:
            return False
        if gateway_id in self._restored:
            return True
        fastest_s = min(each.report_interval_s for each in units)
        return now_ms - self._heard_ms[gateway_id] > 1000 * self._rule.quiet_intervals * fastest_s

    def _gone(self, gateway_id: str, subject: Subject, level: Level, suspicious_packs: frozenset[str]) -> Transition:
        units = self._units[gateway_id]
        heard_ms = self._heard_ms[gateway_id]
        packs = sorted({each.pack_id for each in units if each.pack_id is not None})
        count = f"{len(packs)} packs" if len(packs) > 1 else f"pack {packs[0]}"
        state = "guarded on board" if gateway_id in self._guarded else "not known to be guarded"
        name = units[0].vehicle_name or f"gateway {gateway_id}"
        reasons = [f"nothing comes from {name}: {count} {state}, unconfirmed since {utc_from_ms(heard_ms):%H:%M} UTC"]
        reasons += [f"pack {pack_id} was suspicious then" for pack_id in packs if pack_id in suspicious_packs]
        self._lost[gateway_id] = (subject, level)
        return self._transition(subject, level, tuple(reasons), heard_ms)

    def _back(self, gateway_id: str, now_ms: int) -> Transition:
        subject, _ = self._lost.pop(gateway_id)
        units = self._units.get(gateway_id)
        reason = "nobody is expected to report from it any more" if not units else "the vehicle is heard again"
        return self._transition(subject, Level.NORMAL, (reason,), now_ms)

    def _transition(self, subject: Subject, level: Level, reasons: tuple[str, ...], at_ms: int) -> Transition:
        units = self._units.get(subject.id, [])
        return Transition(
            subject=subject,
            before=Level.NORMAL,
            level=level,
            cause="coverage",
            reasons=reasons,
            sampled_at_ms=at_ms,
            pack_id=None,
            unit_id="",
            gateway_id=subject.id,
            fleet_id=(units[0].fleet_id if units else None) or "unassigned",
        )
