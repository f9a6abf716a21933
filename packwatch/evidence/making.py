"""Makes an incident's evidence bundle: collects, has the log's end stamped, draws the report, signs."""

from __future__ import annotations

import tempfile
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from packwatch.bundles import write_bundle
from packwatch.evidence.chain import write_chain
from packwatch.evidence.charts import CHARTS_SHOWN, POINTS, pack_chart
from packwatch.evidence.collecting import write_records
from packwatch.evidence.form import draft_form, worst_at
from packwatch.evidence.report import write_report
from packwatch.signing import BundleKey
from packwatch.time_stamping import TimeStamper, TimeStampError
from registry.audit import Action

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from dashboards.attachments import AttachmentFiles
    from packwatch.history import PagesHistory
    from packwatch.settings import TimeStampsSection
    from registry.audit import Actor
    from registry.case_files import CaseFile
    from registry.registry import Registry
    from telemetry.samples import PositionFix

_NEAR_MS = 3_600_000
"""**Assumed**: a fix an hour away still tells the place of a report's draft; the form names it a fix."""


class EvidenceMaker:
    """As dashboards' EvidenceMaker. Calls block, and may be made from any thread."""

    def __init__(
        self,
        *,
        registry: Registry,
        history: PagesHistory,
        attachments: AttachmentFiles,
        time_stamps: TimeStampsSection,
        credentials: Path,
    ) -> None:
        self._registry = registry
        self._history = history
        self._attachments = attachments
        self._stamper = TimeStamper(registry, time_stamps)
        self._credentials = credentials

    def make(self, incident_id: str, target: Path, *, by: Actor, now: datetime) -> None:
        """Write the bundle. Raises NotFoundError, and what registry and history raise when they cannot be read."""
        self._registry.incident(incident_id)
        told = Action(actor=by, action="make bundle", subject=f"incident/{incident_id}", at=now)
        self._registry.append_audit([told])
        notes = self._stamp()
        case = self._registry.case_file(incident_id, now)
        with tempfile.TemporaryDirectory(prefix="packwatch-bundle-", dir=target.parent) as scratch:
            folder = Path(scratch)
            notes += self._write_samples(case, folder)
            notes += self._copy_attachments(case, folder)
            write_records(case, self._positions(case), folder)
            log = write_chain(self._registry, case, folder)
            write_report(case, self._charts(case), notes=notes, log=log, target=folder / "report.pdf")
            files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
            write_bundle(
                target,
                files,
                key=BundleKey.kept_in(self._credentials),
                created_at=now.astimezone(UTC).isoformat(),
                about=_about(case, notes, by.id),
            )

    def form(self, case: CaseFile, now: datetime) -> bytes:
        """As dashboards' EvidenceMaker.form."""
        at_ms = _ms(worst_at(case))
        found = [
            fix
            for each in case.gateways
            for fix in self._history.positions(each.gateway_id, at_ms - _NEAR_MS, at_ms + _NEAR_MS)
        ]
        return draft_form(case, min(found, key=lambda fix: abs(fix.fixed_at_ms - at_ms), default=None), now)

    def _stamp(self) -> list[str]:
        try:
            stamp = self._stamper.stamp()
        except TimeStampError as error:
            structlog.get_logger("packwatch.evidence").warning("time_stamp_failed", reason=str(error))
            return [f"the audit log's end has no time stamp from outside of now: {error}"]
        return [] if stamp else ["no time-stamp authority is set: nothing outside vouches for the audit log"]

    def _write_samples(self, case: CaseFile, folder: Path) -> list[str]:
        (folder / "facts/samples").mkdir(parents=True)
        without = []
        for pack in case.packs:
            spans = [(unit_id, _ms(start), _ms(end) + 1) for unit_id, start, end in case.spans_of(pack.pack_id)]
            if spans:
                self._history.export(spans, folder / f"facts/samples/{pack.pack_id}.parquet", "parquet")
            else:
                without.append(f"no unit watched pack {pack.pack_id} in that time")
        return without

    def _copy_attachments(self, case: CaseFile, folder: Path) -> list[str]:
        (folder / "attachments").mkdir()
        return [
            f"the file of attachment {each.sha256} ({each.name}) is not in the data directory any more"
            for each in case.review.attachments
            if not self._attachments.copy(each.sha256, folder / "attachments" / each.sha256)
        ]

    def _positions(self, case: CaseFile) -> Mapping[str, tuple[PositionFix, ...]]:
        start, end = _ms(case.start), _ms(case.end) + 1
        return {each.gateway_id: self._history.positions(each.gateway_id, start, end) for each in case.gateways}

    def _charts(self, case: CaseFile) -> dict[str, bytes]:
        charts = {}
        for pack in case.packs[:CHARTS_SHOWN]:
            spans = case.spans_of(pack.pack_id)
            parts = [
                self._history.read(unit_id, _ms(start), _ms(end) + 1, max(1, POINTS // len(spans)))
                for unit_id, start, end in spans
            ]
            chart = pack_chart(case, pack.pack_id, parts)
            if chart is not None:
                charts[pack.pack_id] = chart
        return charts


def _about(case: CaseFile, notes: list[str], by: str) -> dict[str, object]:
    return {
        "kind": "incident",
        "incident_id": case.incident.incident_id,
        "title": case.incident.title,
        "provenance": case.incident.provenance,
        "packs": [pack.pack_id for pack in case.packs],
        "from": case.start.isoformat(),
        "to": case.end.isoformat(),
        "made_by": next((name for account_id, name, _ in case.people if account_id == by), by),
        "notes": notes,
    }


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
