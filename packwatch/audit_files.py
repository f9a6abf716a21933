"""The audit log as a file: one JSON object a line, and a last line that says where the log ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from registry.audit_chain import ChainError, check_end, line_of, verified

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import TextIO

    from registry.registry import Registry


def export_audit(registry: Registry, output: Path) -> tuple[int, str]:
    """Write the log as it stands now; its last row's sequence and hash. A file of that name appears whole or not."""
    sequence, end_hash = registry.audit_end()
    growing = output.with_name(output.name + ".part")
    with growing.open("w", encoding="utf-8", newline="\n") as file:
        for row in registry.audit_objects(until=sequence):
            file.write(line_of(row) + "\n")
        file.write(line_of({"rows": sequence, "end": end_hash}) + "\n")
    growing.replace(output)
    return sequence, end_hash


def verify_audit_file(path: Path, noted: Mapping[int, str] | None = None) -> tuple[int, str]:
    """Check a file that `export_audit` wrote, offline; its last row's sequence and hash. Raises ChainError.

    `noted`: hashes that somebody wrote down elsewhere, by sequence: they tell of a file that was written anew.
    """
    closing: list[Any] = []
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        last = verified(_rows(file, closing), noted)
    if not closing:
        raise ChainError(last[0] + 1, f"row {last[0] + 1} was removed, or more: the line that ends the log is missing")
    rows, end_hash = closing[0].get("rows"), closing[0].get("end")
    if type(rows) is not int or not isinstance(end_hash, str) or len(closing) > 1:
        raise ChainError(last[0] + 1, f"after row {last[0]} stands what is no end of an audit log")
    check_end(last, (rows, end_hash))
    return last


def _rows(file: TextIO, closing: list[Any]) -> Iterator[Any]:
    """The rows; what stands from the line that ends the log on goes into `closing`."""
    for number, line in enumerate(file, start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or line_of(row) + "\n" != line:  # one meaning a line: no doubled keys, no blanks
            raise ChainError(number, f"row {number} was altered: line {number} is not as an audit log writes it")
        if closing or row.keys() == {"rows", "end"}:
            closing.append(row)
        else:
            yield row
