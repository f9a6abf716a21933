"""An incident's records as the files of a bundle. Facts, opinions and re-runs lie in folders of their own."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from alerts.responses import shipped_responses
from alerts.rules_file import shipped_rules
from dashboards.timeline import ItemKind, timeline
from registry.case_files import plain
from registry.kinds import Level, Role
from registry.response_kinds import Language, Situation, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from registry.case_files import CaseFile
    from registry.paging_records import Page, Recipient
    from registry.records import Base
    from telemetry.samples import PositionFix

README = """What is where in this bundle

report.pdf      for people; everything in it stands in the other files
facts/          what was measured, told and done; times are UTC
  samples/      every sample of each pack, back to the start of the trip (Parquet)
  records.json  the registry's records: incident, alerts, deliveries, receipts, packs, bindings, trips
  timeline.json all of that in one order
  positions.json where the vehicles were, as their receivers said
  cards.json    to whom which sentences were shown, when, and by which table of texts
  versions.json which rules, texts, clocks, calibrations and firmware held, as far as is known
  rules/        the files of the rules that held
attachments/    files that people added, named by their SHA-256
opinions/       what people concluded: cause, findings, annotations, corrective actions, signatures
re-runs/        what other rules would have raised; nothing of it happened
audit/          the part of the audit log that leads to its end, and the outside time stamps of ends
manifest.json   the SHA-256 of every file; signature.json signs it by Ed25519

`packwatch verify BUNDLE` checks all of it offline.
"""

_CLOCKS = (
    "units have no trusted clock: the gateway maps their ticks to UTC. sampled_at is the unit's clock, so corrected; "
    "raised_at, at and the like are the cloud's"
)
_STAGE_OF = {
    Level.NORMAL: Stage.NORMAL,
    Level.WATCH: Stage.WATCH,
    Level.WARNING: Stage.WARNING,
    Level.CRITICAL: Stage.CRITICAL,
    Level.RUNAWAY: Stage.RUNAWAY,
}


def write_records(case: CaseFile, fixes: Mapping[str, Sequence[PositionFix]], folder: Path) -> None:
    """Write every file of the bundle that comes from the registry, below `folder`."""
    (folder / "README.md").write_text(README, encoding="utf-8")
    items = timeline(case)
    _write(folder / "facts/records.json", _records(case))
    _write(folder / "facts/timeline.json", [asdict(each) for each in items if each.kind is not ItemKind.REVIEW])
    _write(folder / "facts/positions.json", {name: [asdict(fix) for fix in each] for name, each in fixes.items()})
    _write(folder / "facts/cards.json", cards(case))
    _write(folder / "facts/versions.json", versions(case))
    for change in case.rules_changes:
        _bytes(folder / f"facts/rules/{change.content_hash}.toml", change.content)
    _bytes(folder / "facts/responses.toml", files("alerts").joinpath("responses.toml").read_bytes())
    _write(folder / "opinions/review.json", _opinions(case))
    for rerun in case.review.reruns:
        told = {**plain(rerun), "outcome": json.loads(rerun.outcome)}
        _write(folder / f"re-runs/{rerun.rerun_id}.json", told)


def _records(case: CaseFile) -> dict[str, Any]:
    def rows(records: Iterable[Base]) -> list[dict[str, Any]]:
        return [plain(record) for record in records]

    return {
        "incident": plain(case.incident),
        "from": case.start.isoformat(),
        "to": case.end.isoformat(),
        "alerts": rows(case.alerts),
        "alert_events": rows(case.alert_events),
        "incident_events": rows(case.incident_events),
        "deliveries": rows(case.pages),
        "receipts": rows(case.page_events),
        "escalation": rows(case.happenings),
        "recipients": rows(case.recipients),
        "reports_to_authorities": rows(case.duty_events),
        "reignition_watches": rows(case.watches),
        "packs": rows(case.packs),
        "places_in_the_trailer": rows(case.places),
        "bindings": rows(case.bindings),
        "units": rows(case.units),
        "gateways": rows(case.gateways),
        "vehicles": rows(case.vehicles),
        "trips": rows(case.trips),
        "shipments": rows(case.shipments),
        "missing_samples": rows(case.missing),
        "people": [dict(zip(("account_id", "name", "role"), each, strict=True)) for each in case.people],
    }


def cards(case: CaseFile) -> dict[str, Any]:
    """What each person was shown: messages with their own text, and the driver's page as the table has it.

    No drawing of the driver's page is recorded: its cards follow from the level that came to stand and from what the
    table says to it in each situation, in the trip's language.
    """
    people = {person.recipient_id: person for person in case.recipients}
    return {
        "messages": [_card(page, people.get(page.recipient_id)) for page in case.pages],
        "drivers_page": [
            {
                "at": plain(event)["at"],
                "alert": event.alert_id,
                "step": event.action,
                "to": trip.driver_name,
                "acknowledged": event.actor_role is Role.DRIVER,
                **_said(event.level, Language(trip.language)),
            }
            for trip in case.trips
            for event in case.alert_events
            if trip.opened_at <= event.at and (trip.closed_at is None or event.at <= trip.closed_at)
            if event.actor is None or event.actor_role is Role.DRIVER
        ],
    }


def _card(page: Page, person: Recipient | None) -> dict[str, Any]:
    language = Language(person.language) if person and person.language in set(Language) else Language.EN
    return {
        "page": page.page_id,
        "to": None if person is None else person.name,
        "role": page.role,
        "channel": page.channel,
        "text": page.reason,
        **{name: plain(page)[name] for name in ("handed_over_at", "accepted_at", "shown_at", "acknowledged_at")},
        **_said(page.level, language),
    }


def _said(level: Level, language: Language) -> dict[str, Any]:
    """What the table says to a driver at a level, in each situation."""
    table = shipped_responses()
    stage = _STAGE_OF[level]
    sentences = {}
    for situation in Situation:
        cell = table.cell(stage, situation, language)
        sentences[str(situation)] = {"sentence": cell.sentence, "action": cell.action}
    return {
        "level": level,
        "stage": stage,
        "language": language,
        "table": {"version": table.version, "texts_sha256": table.texts_hash, "draft": table.is_draft(language)},
        "sentences_by_situation": sentences,
    }


def versions(case: CaseFile) -> dict[str, Any]:
    """Which versions held. None: nothing tells."""
    table = shipped_responses()
    names = ("duckdb", "numpy", "pyarrow", "cryptography", "rfc3161-client")
    return {
        "packwatch": version("packwatch"),
        "libraries": {name: version(name) for name in names},
        "rules": [
            {name: value for name, value in plain(change).items() if name != "changes"} for change in case.rules_changes
        ],
        "rules_shipped_sha256": shipped_rules().content_hash,
        "response_table": {
            "version": table.version,
            "texts_sha256": table.texts_hash,
            "drafts": [language for language in Language if table.is_draft(language)],
        },
        "clocks": _CLOCKS,
        "calibrations": [plain(channel) for channel in case.channels],
        "firmware": {unit.unit_id: None for unit in case.units},
    }


def _opinions(case: CaseFile) -> dict[str, Any]:
    return {
        "review": plain(case.review.review),
        "entries": [plain(entry) for entry in case.review.entries],
        "attachments": [plain(each) for each in case.review.attachments],
    }


def _write(path: Path, content: object) -> None:
    _bytes(path, json.dumps(content, indent=1, ensure_ascii=False).encode("utf-8"))


def _bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
