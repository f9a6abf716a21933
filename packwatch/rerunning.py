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

SAMPLES_MAX = 5_000_000
"""**Assumed**: of all packs; minutes of one core."""
CHANGES_MAX = 500
"""**Assumed**: changes of level that are kept of each pack; a rule that flaps more often is told by its count."""
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


class RulesRerunner:
    """As dashboards' Rerunner. Calls block, and may be made from any thread."""

    def __init__(self, registry: Registry, samples: SampleHistory) -> None:
        self._registry = registry
        self._samples = samples

    def rerun(self, case: CaseFile, rules: str | None, start_ms: int, end_ms: int) -> RerunResult:
        """As Rerunner.rerun."""
        loaded = self._loaded(rules)
        left = SAMPLES_MAX
        packs: dict[str, Any] = {}
        try:
            for pack in case.packs:
                found, taken = self._pack(case, pack, loaded.rules, (start_ms, end_ms), left)
                left -= taken
                packs[pack.pack_id] = found
        except HistoryUnavailableError as error:
            raise StoreUnavailableError(str(error)) from error
        return RerunResult(
            rules_version=loaded.version,
            rules_hash=loaded.content_hash,
            rules=loaded.content.decode(),
            outcome=json.dumps({"packs": packs, "samples": SAMPLES_MAX - left}),
        )

    def _loaded(self, rules: str | None) -> LoadedRules:
        if rules is not None:
            try:
                return parse_rules(rules.encode(), "the rules that you gave")
            except RulesError as error:
                raise RefusedError(str(error)) from error
        latest = self._registry.latest_rules_change()
        return shipped_rules() if latest is None else parse_rules(latest.content, "the rules in force")

    def _pack(
        self, case: CaseFile, pack: Pack, rules: Rules, span: tuple[int, int], most: int
    ) -> tuple[dict[str, Any], int]:
        """What would have been raised of one pack, beside what was; and how many samples that took."""
        max_c = pack.max_operating_temperature_c or DEFAULT_MAX_OPERATING_TEMPERATURE_C
        changes: list[dict[str, Any]] = []
        taken = count = 0
        watch: Watch | None = None
        intervals = {unit.unit_id: unit.report_interval_s for unit in case.units}
        for batch in self._batches(case, pack.pack_id, span):
            taken += len(batch.sampled_at_ms)
            if taken > most:
                raise RefusedError(
                    f"these packs have more than {SAMPLES_MAX:,} samples in that time: choose a shorter one"
                )
            if watch is None:
                layout = _layout(pack, batch, intervals.get(batch.unit_id, 10.0))
                watch = Watch(layout, rules=rules, max_operating_c=max_c)
                widths = (batch.temperatures_c.shape[1], batch.voltages_v.shape[1])
            rows = _rows(batch, widths)
            if not len(rows):
                continue
            crossings = watch.take(rows).crossings
            for k in range(len(crossings.row)):
                count += 1
                if len(changes) < CHANGES_MAX:
                    said = reasons_of(crossings, k, rules=rules, labels=(), max_operating_c=max_c)
                    changes.append(
                        {
                            "at_ms": int(rows.sampled_at_ms[crossings.row[k]]),
                            "level": str(_LEVELS[int(crossings.rank[k])]),
                            "reasons": said,
                        }
                    )
        return {"samples": taken, "changes": changes, "changes_in_all": count, "was": _was(case, pack.pack_id)}, taken

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


def _was(case: CaseFile, pack_id: str) -> list[dict[str, Any]]:
    """What the rules of then raised of the pack."""
    mine = {alert.alert_id for alert in case.alerts if alert.pack_id == pack_id and not alert.kind.calm}
    return [
        {"at_ms": to_ms(event.sampled_at or event.at), "level": event.level, "reasons": list(event.reasons)}
        for event in case.alert_events
        if event.alert_id in mine and event.actor is None
    ][:CHANGES_MAX]
