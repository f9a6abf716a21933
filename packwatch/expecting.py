"""What the detector expects of each probe: recorded samples judged once more by the rules in force, for the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alerts.detector import DetectorStates, Rows, judge
from alerts.rules_file import parse_rules, shipped_rules
from dashboards.ports import Judged
from packwatch.rerunning import fitted
from registry.kinds import Chemistry, Level, PackClass

if TYPE_CHECKING:
    from alerts.rules_file import LoadedRules
    from dashboards.ports import Series, Span
    from packwatch.history import PagesHistory
    from registry.records import Pack
    from registry.registry import Registry

WARM_UP_MS = 6 * 3_600_000
"""Before the stretch: offsets and scales of the probes are learnt from it. **assumed**"""
_WARM_UP_POINTS = 360
_LEVELS = tuple(Level)


class RulesExpectations:
    """As dashboards' Expectations. Calls block, and may be made from any thread."""

    def __init__(self, registry: Registry, history: PagesHistory) -> None:
        self._registry = registry
        self._history = history

    def judge(self, pack: Pack | None, span: Span, points: int) -> Judged:
        """As Expectations.judge."""
        unit_id, start_ms, end_ms = span
        warm_up = self._history.read(unit_id, max(0, start_ms - WARM_UP_MS), start_ms, _WARM_UP_POINTS)
        series = self._history.read(unit_id, start_ms, end_ms, points)
        loaded = self._rules_in_force()
        rules = loaded.rules.detector
        widths = series.temperatures_c.mean.shape[1], series.voltages_v.mean.shape[1]
        states = DetectorStates(temperature_channels=widths[0], voltage_channels=widths[1], rules=rules)
        pack_class = PackClass.MID_LIFE if pack is None else PackClass(pack.pack_class)
        states.add(
            profile=rules.profile_of(pack_class, Chemistry.UNKNOWN if pack is None else Chemistry(pack.chemistry))
        )
        before = _rows(warm_up, widths)
        if len(before):
            judge(states, rules, before)
        rows = _rows(series, widths)
        judgement = judge(states, rules, rows, explain=True)
        nothing = np.zeros((len(rows), widths[0]), np.float32)
        return Judged(
            unit_id=unit_id,
            rules_version=loaded.version,
            at_ms=rows.sampled_at_ms,
            levels=[str(_LEVELS[rank]) for rank in judgement.rank.tolist()],
            expected_c=judgement.values.get("expected_c", nothing),
            above_others_c=judgement.values.get("above_others_c", nothing),
            above_others_sigmas=judgement.values.get("above_others_sigmas", nothing),
        )

    def _rules_in_force(self) -> LoadedRules:
        latest = self._registry.latest_rules_change()
        return shipped_rules() if latest is None else parse_rules(latest.content, "the rules in force")


def _rows(series: Series, widths: tuple[int, int]) -> Rows:
    """The series' means in which something was measured; two boots may have samples of one time: the first of them."""
    temperatures_c, voltages_v = series.temperatures_c.mean, series.voltages_v.mean
    measured = np.isfinite(np.concatenate([temperatures_c, voltages_v], axis=1)).sum(axis=1) > 0
    first = np.zeros(len(series.at_ms), np.bool_)
    first[np.unique(series.at_ms, return_index=True)[1]] = True
    kept = np.flatnonzero(measured & first)
    singles = {
        name: band.mean[kept]
        for name, band in series.singles.items()
        if name in {"ambient_c", "hydrogen_ppm", "carbon_monoxide_ppm", "voc_ppm"}
    }
    return Rows(
        slot=np.zeros(len(kept), np.int64),
        sampled_at_ms=series.at_ms[kept],
        temperatures_c=fitted(temperatures_c[kept], widths[0]),
        voltages_v=fitted(voltages_v[kept], widths[1]),
        **singles,
    )
