"""A draft of form DOT F 5800.1, with what is known filled in: a person completes, checks and files it.

Source: 49 CFR 171.16 (within 30 days of discovery); items are numbered as on the form of January 2004.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from packwatch.evidence.report import Report
from registry.kinds import Level, PackClass
from registry.trip_records import DutyAction
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from registry.case_files import CaseFile
    from telemetry.samples import PositionFix

_UNKNOWN = "(not known here: fill in)"
_DRAFT = (
    "DRAFT, not filed. A person completes, checks and files it with PHMSA within 30 days of discovery (171.16). Item "
    "numbers are those of the form of January 2004: compare them with the form in force."
)


def draft_form(case: CaseFile, fix: PositionFix | None, now: datetime) -> bytes:
    """The draft as PDF. `fix`: where the vehicle was when it rose highest; None: not known."""
    report = Report(f"DRAFT of DOT F 5800.1 for incident {case.incident.incident_id}, {_at(now)} UTC")
    report.title_line("DRAFT of DOT F 5800.1, Hazardous Materials Incident Report")
    if case.incident.provenance is not Provenance.MEASURED:
        report.title_line(f"SIMULATION ({case.incident.provenance}): nothing of this happened. Do not file.")
    report.line(_DRAFT)
    for title, rows in _parts(case, fix):
        report.section(title)
        report.rows(None, rows, (38, 62))
    return bytes(report.output())


def _parts(case: CaseFile, fix: PositionFix | None) -> Sequence[tuple[str, Sequence[tuple[str, str]]]]:
    return (
        ("Part I: report type", _type(case)),
        ("Part II: general incident information", _general(case, fix)),
        ("Part III: packaging", _packaging(case)),
        ("Part IV: consequences", _consequences(case)),
        ("Part VI: description of events", (("Events", _events(case)),)),
        ("Part VII: recommendations and actions taken", (("Actions", _actions(case)),)),
        ("Part VIII: contact", [(name, _UNKNOWN) for name in ("Name and title", "Telephone", "Date")]),
    )


def _type(case: CaseFile) -> list[tuple[str, str]]:
    answers = {event.item: event.value or "" for event in case.duty_events if event.action is DutyAction.ANSWER}
    said = "; ".join(f"{item}: {value}" for item, value in answers.items())
    return [
        ("1. Type of report", "A hazardous material incident (confirm; an undeclared shipment is another box)"),
        ("2. Initial or supplemental", "Initial (confirm)"),
        ("Conditions answered so far", said or _UNKNOWN),
    ]


def _general(case: CaseFile, fix: PositionFix | None) -> list[tuple[str, str]]:
    vehicles = ", ".join(each.name for each in case.vehicles)
    shipments = case.shipments
    return [
        ("3. Date of incident", _at(worst_at(case)) + " UTC, when the highest level was first measured"),
        ("4. Time of incident", "as above; convert to local time"),
        ("5. National Response Center report number", _UNKNOWN),
        ("7. Location", _place(fix)),
        ("8. Mode of transportation", "Highway (confirm)"),
        ("9. Transportation phase", _UNKNOWN),
        ("10. Carrier/reporter", f"vehicle: {vehicles or 'not known'}; carrier: {_UNKNOWN}"),
        ("11. Shipper/offeror", ", ".join(each.origin for each in shipments) or _UNKNOWN),
        ("12. Origin", ", ".join(each.origin for each in shipments) or _UNKNOWN),
        ("13. Destination", ", ".join(each.destination for each in shipments) or _UNKNOWN),
        ("Shipping paper number", ", ".join(each.shipment_id for each in shipments) or _UNKNOWN),
        ("14. Proper shipping name", "Lithium ion batteries (confirm; contained in equipment: UN3481)"),
        ("16. Hazardous class", "9"),
        ("17. Identification number", "UN3480 (confirm)"),
        ("19. Quantity released", _UNKNOWN),
        ("21. Toxic by inhalation", "No as listed; burning batteries give off hydrogen fluoride (ERG 2024, Guide 147)"),
    ]


def _place(fix: PositionFix | None) -> str:
    if fix is None:
        return _UNKNOWN
    return f"{fix.latitude_deg:.5f}, {fix.longitude_deg:.5f} (satellite fix)"


def _packaging(case: CaseFile) -> list[tuple[str, str]]:
    rows = []
    for pack in case.packs:
        damaged = pack.pack_class is PackClass.DAMAGED
        by_rule = "49 CFR 173.185(f): damaged, defective or recalled" if damaged else "49 CFR 173.185"
        facts = [f"{pack.chemistry}", by_rule, pack.class_criteria or "", pack.class_outcome or "", pack.description]
        rows.append((f"Pack {pack.pack_id}", "; ".join(part for part in facts if part)))
    return [*rows, ("25-29. Packaging, what failed, how", _UNKNOWN)]


def _consequences(case: CaseFile) -> list[tuple[str, str]]:
    runaway = any(alert.peak_level is Level.RUNAWAY for alert in case.alerts)
    fire = "thermal runaway was measured: say whether there was fire" if runaway else "no runaway was measured: confirm"
    return [
        ("30. Result of the incident", f"{fire}"),
        ("31-35. Emergency response, damage, fatalities, injuries, evacuation", _UNKNOWN),
        ("36. Closure of a major artery", _UNKNOWN),
    ]


def _events(case: CaseFile) -> str:
    lines = [
        f"{_at(event.sampled_at or event.at)} UTC {event.level}: {'; '.join(event.reasons)}"
        for event in case.alert_events
        if event.actor is None and event.reasons
    ]
    lines += [
        f"{_at(told.at)} UTC {told.actor or 'rules'}: {told.comment}" for told in case.incident_events if told.comment
    ]
    return "\n".join(sorted(lines)[:60]) or _UNKNOWN


def _actions(case: CaseFile) -> str:
    entries = [entry for entry in case.review.entries if entry.kind == "corrective action"]
    return "\n".join(f"{entry.text}{' (done)' if entry.done_at else ''}" for entry in entries) or _UNKNOWN


def worst_at(case: CaseFile) -> datetime:
    """When the highest level was first measured."""
    risen = [event for event in case.alert_events if event.actor is None]
    worst = max((event.level.rank for event in risen), default=0)
    return min(
        (event.sampled_at or event.at for event in risen if event.level.rank == worst), default=case.incident.opened_at
    )


def _at(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
