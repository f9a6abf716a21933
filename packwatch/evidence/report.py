"""The bundle's report for people, as PDF. Every fact in it stands in the bundle's other files too."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fpdf import FPDF
from fpdf.fonts import FontFace

from dashboards.timeline import ItemKind, timeline
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from dashboards.timeline import Item
    from registry.case_files import CaseFile
    from registry.review_records import ReviewEntry

ITEMS_SHOWN = 600
"""**Assumed**: what somebody leafs through; timeline.json has all."""

_FONT = "DejaVu"


class Report(FPDF):
    """Pages with the incident's name on top and their number below, in Latin, Greek, Cyrillic and Arabic letters.

    Letters of other scripts are left out; the bundle's JSON has them.
    """

    def __init__(self, head: str) -> None:
        super().__init__(format="A4")
        self._head = head
        folder = _fonts()
        self.add_font(_FONT, "", folder / "DejaVuSans.ttf")
        self.add_font(_FONT, "B", folder / "DejaVuSans-Bold.ttf")
        self.set_auto_page_break(auto=True, margin=18)
        self.set_title(head)
        self.add_page()

    def header(self) -> None:
        self.set_font(_FONT, "", 8)
        self.cell(0, 6, self._head[:120], new_x="LMARGIN", new_y="NEXT", align="L")

    def footer(self) -> None:
        self.set_y(-14)
        self.set_font(_FONT, "", 8)
        self.cell(0, 6, f"Packwatch, page {self.page_no()} of {{nb}}; times are UTC", align="C")

    def title_line(self, text: str) -> None:
        self.set_font(_FONT, "B", 16)
        self.multi_cell(0, 9, text, new_x="LMARGIN", new_y="NEXT", align="L")

    def section(self, text: str) -> None:
        self.ln(4)
        self.set_font(_FONT, "B", 12)
        self.multi_cell(0, 7, text, new_x="LMARGIN", new_y="NEXT", align="L")
        self.set_font(_FONT, "", 9)

    def line(self, text: str) -> None:  # type: ignore[override]  # a line of text is what a report has
        self.set_font(_FONT, "", 9)
        self.multi_cell(0, 5, text, new_x="LMARGIN", new_y="NEXT", align="L")

    def rows(self, head: Sequence[str] | None, rows: Iterable[Sequence[str]], widths: tuple[int, ...]) -> None:
        """A table; `head` None: without a head. Without rows, that there are none."""
        held = list(rows)
        if not held:
            self.line("None.")
            return
        self.set_font(_FONT, "", 7.5)
        with self.table(
            col_widths=widths,
            text_align="LEFT",
            line_height=4,
            headings_style=FontFace(emphasis="B"),
            first_row_as_headings=head is not None,
        ) as table:
            for row in [*([head] if head else []), *held]:
                cells = table.row()
                for text in row:
                    cells.cell(text)


def write_report(
    case: CaseFile, charts: Mapping[str, bytes], *, notes: Sequence[str], log: Sequence[str], target: Path
) -> None:
    """Write the report. `charts`: a PNG by pack; `notes`: what the bundle lacks, and why; `log`: of the audit log."""
    incident = case.incident
    report = Report(f"Incident {incident.incident_id}: {incident.title}")
    report.title_line(f"Incident report: {incident.title}")
    if incident.provenance is not Provenance.MEASURED:
        report.title_line(f"SIMULATION: all of this is {incident.provenance}, nothing of it happened.")
    _facts(report, case)
    for note in notes:
        report.line(f"Note: {note}.")
    _packs(report, case)
    for pack_id, chart in charts.items():
        report.section(f"Pack {pack_id}")
        report.image(io.BytesIO(chart), w=report.epw)
    _timeline(report, [each for each in timeline(case) if each.kind is not ItemKind.REVIEW])
    report.section("Audit log")
    for line in log:
        report.line(line)
    report.add_page()
    _opinions(report, case)
    _reruns(report, case)
    report.output(str(target))


def _facts(report: Report, case: CaseFile) -> None:
    incident = case.incident
    report.section("What it is")
    facts = (
        ("Incident", incident.incident_id),
        ("Level", f"{incident.level}, now {incident.state}"),
        ("Opened", _at(incident.opened_at)),
        ("Closed", _at(incident.closed_at) if incident.closed_at else "no"),
        ("Closed by", f"{incident.closed_by or ''} {incident.close_reason or ''}".strip() or "nobody"),
        ("Released by", incident.releasing_authority or "nobody"),
        ("Vehicles", ", ".join(each.name for each in case.vehicles) or "unknown"),
        ("Drivers", ", ".join(each.driver_name for each in case.trips) or "unknown"),
        ("Covered", f"{_at(case.start)} to {_at(case.end)}"),
    )
    report.rows(None, facts, (20, 80))


def _packs(report: Report, case: CaseFile) -> None:
    report.section("Packs")
    rows = [
        (
            each.pack_id,
            each.chemistry,
            each.pack_class.replace("_", " "),
            "; ".join(filter(None, (each.class_assessed_by, each.class_criteria, each.class_outcome))),
        )
        for each in case.packs
    ]
    report.rows(("pack", "chemistry", "class", "assessed by, criteria, outcome"), rows, (20, 15, 25, 40))


def _timeline(report: Report, items: Sequence[Item]) -> None:
    report.section("Time line")
    shown = items if len(items) <= ITEMS_SHOWN else [*items[: ITEMS_SHOWN // 2], *items[-ITEMS_SHOWN // 2 :]]
    if len(shown) < len(items):
        report.line(f"The first and last {ITEMS_SHOWN // 2} of {len(items)}; timeline.json has all.")
    rows = [
        (
            _at(datetime.fromtimestamp(each.at_ms / 1000, UTC)),
            f"{each.what} {each.level or ''}".strip(),
            f"{each.actor or ''} {f'({each.role})' if each.role else ''}".strip(),
            each.text[:600],
        )
        for each in shown
    ]
    report.rows(("UTC", "what", "who", "words"), rows, (19, 19, 20, 42))


def _opinions(report: Report, case: CaseFile) -> None:
    review = case.review.review
    report.title_line("Opinions")
    report.line("What people concluded. None of it was measured.")
    report.line(f"State of the review: {review.state}. Cause: {review.cause or 'not classified'}. {review.cause_note}")
    for name, by, at in (
        ("Signed", review.signed_by, review.signed_at),
        ("Signed second", review.countersigned_by, review.countersigned_at),
    ):
        report.line(f"{name}: {by}, {_at(at)}" if by and at else f"{name}: nobody")
    owners = {account_id: name for account_id, name, _ in case.people}
    rows = [
        (
            each.kind,
            f"{_at(each.at) if each.at else 'the whole'} {each.pack_id or ''}",
            each.text,
            _by(each, owners),
        )
        for each in case.review.entries
    ]
    report.rows(("kind", "about", "text", "by"), rows, (15, 20, 45, 20))


def _by(entry: ReviewEntry, owners: Mapping[str, str]) -> str:
    said = [entry.written_by]
    said += [f"owner {owners.get(entry.owner_id, entry.owner_id)}"] if entry.owner_id else []
    said += [f"done by {entry.done_by}"] if entry.done_by else []
    return "; ".join(said)


def _reruns(report: Report, case: CaseFile) -> None:
    report.section("Re-runs")
    report.line("What other rules would have raised. None of it happened.")
    rows = [(_at(each.at), each.by, f"version {each.rules_version}", each.rules_hash) for each in case.review.reruns]
    report.rows(("made", "by", "rules", "SHA-256"), rows, (20, 20, 20, 40))


def _at(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _fonts() -> Path:
    from pathlib import Path  # noqa: PLC0415 - used here alone

    import matplotlib as mpl  # noqa: PLC0415 - its data folder has the fonts; slow to import

    return Path(mpl.get_data_path()) / "fonts" / "ttf"
