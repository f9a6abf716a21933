"""Other rules on what was recorded: what would have been raised when, beside what was."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alerts.detector import Rows
from alerts.history import HistoryUnavailableError
from alerts.reasons import reasons_of
from alerts.recorded import Watch
from alerts.rules import DEFAULT_MAX_OPERATING_TEMPERATURE_C
from alerts.rules_file import RulesError, parse_rules, shipped_rules
from dashboards.ports import RerunResult
from dashboards.rows import to_ms
from ingest.stores.contract import StoreUnavailableError
from registry.columns import clipped
from registry.errors import RefusedError
from registry.kinds import Chemistry, Level, PackClass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alerts.history import SampleHistory
    from alerts.rules import Rules
    from alerts.rules_file import LoadedRules
    from registry.case_files import CaseFile
    from registry.records import Pack
    from registry.registry import Registry
    from telemetry.samples import SampleBatch

SAMPLES_MAX = 500_000
"""Of all packs. One pack is judged at 1 ms a sample beside other work (measured): minutes of one core."""
CHANGES_MAX = 1_500
"""**Assumed**: changes of level that are kept of all packs together, 600 characters each at most, beside as many that
were; a rule that flaps more often is told by its count."""
_REASONS_MAX = 3
_REASON_LENGTH = 150
_DAY_MS = 86_400_000
_LEVELS = tuple(Level)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """One pack as alerts.recorded.Watch asks for it; only its shape is looked at."""

    chemistry: Sequence[Chemistry]
    pack_class: Sequence[PackClass]
    interval_s: float
    temperatures_c: NDArray[np.float32]
    voltages_v: NDArray[np.float32]
    time_s: NDArray[np.float64]
    ambient_c: None = None
    hydrogen_ppm: None = None
    carbon_monoxide_ppm: None = None
    voc_ppm: None = None


class _Judged:
    """One pack's samples, judged from a fresh start by some rules; `listed` changes of level are told at most."""

    def __init__(self, *, pack: Pack, rules: Rules, listed: int) -> None:
        self._pack, self._rules, self._listed = pack, rules, listed
        self._max_operating_c = pack.max_operating_temperature_c or DEFAULT_MAX_OPERATING_TEMPERATURE_C
        self._watch: Watch | None = None
        self._widths = (0, 0)
        self._changes: list[dict[str, Any]] = []
        self._samples = self._changes_in_all = 0

    def take(self, batch: SampleBatch, case: CaseFile) -> None:
        """Judge samples that follow those taken before."""
        self._samples += len(batch.sampled_at_ms)
        if self._watch is None:
            self._widths = (batch.temperatures_c.shape[1], batch.voltages_v.shape[1])
            interval_s = next(unit.report_interval_s for unit in case.units if unit.unit_id == batch.unit_id)
            layout = _layout(self._pack, batch, interval_s)
            self._watch = Watch(layout, rules=self._rules, max_operating_c=self._max_operating_c)
        rows = _rows(batch, self._widths)
        if not len(rows):
            return
        crossings = self._watch.take(rows).crossings
        self._changes_in_all += len(crossings.row)
        for k in range(min(len(crossings.row), self._listed - len(self._changes))):
            reasons = reasons_of(crossings, k, rules=self._rules, labels=(), max_operating_c=self._max_operating_c)
            at_ms = int(rows.sampled_at_ms[crossings.row[k]])
            level = _LEVELS[int(crossings.rank[k])]
            self._changes.append({"at_ms": at_ms, "level": level, "reasons": _short(reasons)})

    def told(self) -> dict[str, Any]:
        """What came of it."""
        return {"samples": self._samples, "changes": self._changes, "changes_in_all": self._changes_in_all}


class RulesRerunner:
    """As dashboards' Rerunner. Calls block, and may be made from any thread."""

    def __init__(self, registry: Registry, samples: SampleHistory) -> None:
        self._registry = registry
        self._samples = samples

    def rerun(self, case: CaseFile, rules: str | None, start_ms: int, end_ms: int) -> RerunResult:
        """As Rerunner.rerun."""
        loaded = self._loaded(rules)
        left, listed = SAMPLES_MAX, max(1, CHANGES_MAX // 2 // max(1, len(case.packs)))
        packs: dict[str, Any] = {}
        try:
            for pack in case.packs:
                judged = _Judged(pack=pack, rules=loaded.rules, listed=listed)
                for batch in self._batches(case, pack.pack_id, (start_ms, end_ms)):
                    left -= len(batch.sampled_at_ms)
                    if left < 0:
                        raise RefusedError(
                            f"these packs have more than {SAMPLES_MAX:,} samples in that time: choose a shorter one"
                        )
                    judged.take(batch, case)
                packs[pack.pack_id] = judged.told() | {"was": _was(case, pack.pack_id, listed)}
        except HistoryUnavailableError as error:
            raise StoreUnavailableError(str(error)) from error
        return RerunResult(
            rules_version=loaded.version,
            rules_hash=loaded.content_hash,
            rules=loaded.content.decode(),
            outcome=json.dumps({"packs": packs, "samples": SAMPLES_MAX - left}, ensure_ascii=False),
        )

    def _loaded(self, rules: str | None) -> LoadedRules:
        if rules is not None:
            try:
                return parse_rules(rules.encode(), "the rules that you gave")
            except RulesError as error:
                raise RefusedError(str(error)) from error
        latest = self._registry.latest_rules_change()
        return shipped_rules() if latest is None else parse_rules(latest.content, "the rules in force")

    def _batches(self, case: CaseFile, pack_id: str, span: tuple[int, int]) -> Iterator[SampleBatch]:
        """A pack's samples in order, a day at a time."""
        for unit_id, start, end in case.spans_of(pack_id):
            at_ms, last_ms = max(to_ms(start), span[0]), min(to_ms(end) + 1, span[1])
            while at_ms < last_ms:
                yield from self._samples.batches(unit_id, at_ms, min(at_ms + _DAY_MS, last_ms))
                at_ms += _DAY_MS


def _layout(pack: Pack, batch: SampleBatch, interval_s: float) -> _Layout:
    return _Layout(
        chemistry=(Chemistry(pack.chemistry),),
        pack_class=(PackClass(pack.pack_class),),
        interval_s=interval_s,
        temperatures_c=batch.temperatures_c[None],
        voltages_v=batch.voltages_v[None],
        time_s=batch.sampled_at_ms / 1000,
    )


def _rows(batch: SampleBatch, widths: tuple[int, int]) -> Rows:
    """A batch's rows in which something was measured, in the width of the pack's first batch."""
    temperatures_c, voltages_v = (
        fitted(values, width) for values, width in zip((batch.temperatures_c, batch.voltages_v), widths, strict=True)
    )
    present = np.isfinite(temperatures_c).any(axis=1) | np.isfinite(voltages_v).any(axis=1)

    def single(values: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        return None if values is None else values[present]

    return Rows(
        slot=np.zeros(int(present.sum()), np.int64),
        sampled_at_ms=batch.sampled_at_ms[present],
        temperatures_c=temperatures_c[present],
        voltages_v=voltages_v[present],
        ambient_c=single(batch.ambient_c),
        hydrogen_ppm=single(batch.hydrogen_ppm),
        carbon_monoxide_ppm=single(batch.carbon_monoxide_ppm),
        voc_ppm=single(batch.voc_ppm),
    )


def fitted(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """(n, width): columns beyond are left out, missing ones are NaN."""
    fitted = np.full((len(values), width), np.nan, np.float32)
    shared = min(width, values.shape[1])
    fitted[:, :shared] = values[:, :shared]
    return fitted


def _was(case: CaseFile, pack_id: str, most: int) -> list[dict[str, Any]]:
    """What the rules of then raised of the pack."""
    mine = {alert.alert_id for alert in case.alerts if alert.pack_id == pack_id and not alert.kind.calm}
    return [
        {"at_ms": to_ms(event.sampled_at or event.at), "level": event.level, "reasons": _short(event.reasons)}
        for event in case.alert_events
        if event.alert_id in mine and event.actor is None
    ][:most]


def _short(reasons: Sequence[str]) -> list[str]:
    return [clipped(reason, _REASON_LENGTH) for reason in reasons[:_REASONS_MAX]]
