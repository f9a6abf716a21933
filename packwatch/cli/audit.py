"""Commands about the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packwatch.cli.options import DataDir, out, readable_errors

if TYPE_CHECKING:
    from registry.registry import Registry

Noted = Annotated[
    list[str] | None,
    typer.Option(
        "--noted",
        metavar="ROW:HASH",
        help="A row's number and hash that were written down elsewhere, as `verify` and `export` print them.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    audit = typer.Typer(help="Export and check the log of who did what.", no_args_is_help=True)
    audit.command("export")(export)
    audit.command("verify")(verify)
    app.add_typer(audit, name="audit", rich_help_panel="Look at what was stored")


def export(
    *,
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="One JSON object a line.")],
    data_dir: DataDir = None,
) -> None:
    """Write the whole audit log to a file that `audit verify FILE` checks without Packwatch's registry."""
    with readable_errors():
        from packwatch.audit_files import export_audit

        with _registry(data_dir) as registry:
            last = export_audit(registry, output)
        _tell(f"wrote {output}", last)


def verify(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="An export. Left out: the log in the registry.")
    ] = None,
    noted: Noted = None,
    data_dir: DataDir = None,
) -> None:
    """Check that no row was altered, removed, added or reordered. Names the first one that was, and exits with 1.

    Whoever may write to the database can write the whole log anew. Note its end elsewhere from time to time: with
    --noted that shows too.
    """
    with readable_errors():
        from packwatch.audit_files import verify_audit_file

        known = _parsed(noted or [])
        if file is not None:
            last = verify_audit_file(file, known)
        else:
            with _registry(data_dir) as registry:
                last = registry.verify_audit(known)
        _tell(f"{file or 'the audit log'}: every row is as it was written", last)


def _parsed(noted: list[str]) -> dict[int, str]:
    from packwatch.settings import SettingsError

    known = {}
    for each in noted:
        row, _, row_hash = each.partition(":")
        if not row.isdecimal() or int(row) < 1 or len(row_hash) != 64:
            raise SettingsError(f"--noted {each!r} is no row's number, a colon and its hash of 64 digits")
        known[int(row)] = row_hash.lower()
    return known


@contextmanager
def _registry(data_dir: Path | None) -> Iterator[Registry]:
    from packwatch.settings import Settings, SettingsError
    from registry.registry import Registry

    settings = Settings.load(data_dir=data_dir)
    if settings.registry_url is None and not settings.data_dir.is_dir():
        raise SettingsError(f"{settings.data_dir} is no data directory: name it with --data-dir")
    registry = Registry.open(settings.registry_address())
    try:
        yield registry
    finally:
        registry.close()


def _tell(head: str, last: tuple[int, str]) -> None:
    end = f"; it ends with {last[0]}:{last[1]}" if last[0] else ""
    out.print(f"{head} ({last[0]:,} rows{end})", highlight=False, markup=False, soft_wrap=True)
