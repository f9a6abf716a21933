"""The part of the audit log in a bundle, and the time stamps of its ends: written, and checked offline."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packwatch.bundles import BundleError
from packwatch.time_stamping import TimeStampError, check_stamp, stamped_text
from registry.audit_chain import FIRST_PREVIOUS, ChainError, check_end, line_of, verified

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from registry.case_files import CaseFile
    from registry.registry import Registry

LOG = "audit/log.jsonl"
ENDS = "audit/ends.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """An end of the log that an authority outside stamped."""

    sequence: int
    authority: str
    stamped_at: datetime
    trusted: bool
    """Checked against certificates that whoever verifies trusts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedChain:
    """The log's part: its first and last row, and the stamps that vouch for it."""

    first: int
    last: int
    end: str
    stamps: tuple[Stamped, ...]


def subjects_of(case: CaseFile) -> list[str]:
    """What the audit log calls everything of the case that people and rules act on."""
    return [
        f"incident/{case.incident.incident_id}",
        *(f"alert/{each.alert_id}" for each in case.alerts),
        *(f"page/{each.page_id}" for each in case.pages),
    ]


def write_chain(registry: Registry, case: CaseFile, folder: Path) -> list[str]:
    """Write the log from the case's first row on, to its end, and all stamps of rows in between; in words, what."""
    (folder / "audit").mkdir(parents=True, exist_ok=True)
    last, end = registry.audit_end()
    first = registry.first_audit_row(subjects_of(case)) or last
    previous = FIRST_PREVIOUS
    with (folder / LOG).open("w", encoding="utf-8", newline="\n") as file:
        for row in registry.audit_objects(until=last, after=first - 1):
            if row["sequence"] == first:
                previous = row["previous"]
            file.write(line_of(row) + "\n")
    stamps, told = [], [f"Rows {first} to {last}; the log ended as {last}:{end}."]
    for stamp in sorted(registry.time_stamps(from_sequence=first), key=lambda each: each.id):
        if stamp.sequence <= last:
            name = f"audit/stamp-{stamp.sequence}-{stamp.id}.tsr"
            (folder / name).write_bytes(stamp.response)
            told.append(f"Row {stamp.sequence} was stamped at {stamp.stamped_at.isoformat()} by {stamp.authority}.")
            stamps.append({"sequence": stamp.sequence, "hash": stamp.hash, "authority": stamp.authority, "file": name})
    ends = {"first": first, "previous": previous, "last": last, "hash": end, "stamps": stamps}
    (folder / ENDS).write_text(json.dumps(ends, indent=1))
    return told


def check_chain(bundle: zipfile.ZipFile, authorities: Path | None) -> CheckedChain:
    """Check a bundle's part of the log and its stamps. `authorities`: PEM certificates that are trusted.

    Raises BundleError, which names the first row, or the stamp, that does not hold.
    """
    try:
        ends = json.loads(bundle.read(ENDS))
        first, last, end = int(ends["first"]), int(ends["last"]), str(ends["hash"])
        before, stamps = (first - 1, str(ends["previous"])), list(ends["stamps"])
        noted = {int(each["sequence"]): str(each["hash"]) for each in stamps}
        with bundle.open(LOG) as file:
            met = verified(_rows(file), noted, after=before)
        check_end(met, (last, end))
        return CheckedChain(
            first=first,
            last=last,
            end=end,
            stamps=tuple(_stamped(bundle, each, authorities) for each in stamps),
        )
    except ChainError as error:
        raise BundleError(f"{LOG}: {error}") from error
    except (LookupError, ValueError, TypeError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{ENDS} or {LOG} cannot be read: {error}") from error


def _stamped(bundle: zipfile.ZipFile, each: dict[str, Any], authorities: Path | None) -> Stamped:
    text = stamped_text(int(each["sequence"]), str(each["hash"]))
    try:
        stamped_at = check_stamp(bundle.read(str(each["file"])), text, authorities)
    except TimeStampError as error:
        raise BundleError(f"{each['file']}: {error}") from error
    return Stamped(
        sequence=int(each["sequence"]),
        authority=str(each["authority"]),
        stamped_at=stamped_at,
        trusted=authorities is not None,
    )


def _rows(file: Any) -> Iterator[Any]:
    for line in file:
        row = json.loads(line)
        if (line_of(row) + "\n").encode() != line:
            raise ValueError("a line is not as an audit log writes it")
        yield row
