"""Commands about evidence bundles."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packwatch.cli.options import DataDir, err, out, readable_errors

if TYPE_CHECKING:
    from packwatch.evidence.checking import CheckedEvidence

_KEY = re.compile(r"[0-9a-fA-F]{64}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("bundle", rich_help_panel="Look at what was stored")(bundle)
    app.command("verify", rich_help_panel="Look at what was stored")(verify)


def bundle(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT|key", help="The incident's id, or the word `key`.")],
    *,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="FILE.zip.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write an incident's evidence bundle; `packwatch bundle key` shows the public key that signs bundles here.

    Give the key to whoever will verify your bundles, on another way than the bundles.
    """
    with readable_errors():
        from packwatch.reading import open_reader
        from packwatch.settings import Settings, SettingsError
        from packwatch.signing import BundleKey

        settings = Settings.load(data_dir=data_dir)
        if incident == "key":
            typer.echo(BundleKey.kept_in(settings.data_dir / "credentials").public)
            return
        if output is None or output.suffix != ".zip":
            raise SettingsError("--output FILE.zip is missing: name the file to write")
        with open_reader(settings) as reader, err.status("collecting"):
            reader.bundle(incident, output, datetime.now(UTC))
        err.print(f"wrote {output} ({output.stat().st_size:,} bytes)", highlight=False)


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle that `bundle` or `export` wrote.")],
    *,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY|FILE", help="The public key that must have signed it: `bundle key`."),
    ] = None,
    authorities: Annotated[
        Path | None,
        typer.Option("--authorities", metavar="FILE.pem", help="Certificates of the time-stamp authorities you trust."),
    ] = None,
) -> None:
    """Check a bundle offline: signatures, every file, the audit log, its time stamps. Names the first thing altered."""
    with readable_errors():
        from packwatch.evidence.checking import check_evidence

        checked = check_evidence(bundle, pinned=None if key is None else _pinned(key), authorities=authorities)
        for name, size in checked.bundle.files.items():
            out.print(f"  {name}  {size:,} bytes", highlight=False, soft_wrap=True)
        for line in _told(bundle, checked, pinned=key is not None):
            out.print(line, highlight=False, soft_wrap=True)


def _told(path: Path, checked: CheckedEvidence, *, pinned: bool) -> list[str]:
    files, chain = checked.bundle.files, checked.chain
    lines = [f"{path}: all {len(files)} files are as the manifest says"]
    expected = "as you expect" if pinned else "compare it with the one that was given to you, or use --key"
    lines.append(f"signed by {checked.bundle.key} ({expected})")
    if chain is not None:
        lines.append(f"the audit log holds from row {chain.first} to its end {chain.last}:{chain.end}")
        if not chain.stamps:
            lines.append("no time stamp from outside vouches for the log: who had data and key could have rewritten it")
        for stamp in chain.stamps:
            trust = "checked" if stamp.trusted else "its signature is not checked: use --authorities"
            at = stamp.stamped_at.isoformat()
            lines.append(f"row {stamp.sequence} and all before stood at {at}, by {stamp.authority} ({trust})")
    lines += [f"note: {note}" for note in checked.bundle.about.get("notes", ())]
    return lines


def _pinned(key: str) -> str:
    from packwatch.settings import SettingsError

    text = key if _KEY.fullmatch(key) else Path(key).read_text(encoding="ascii", errors="replace").strip()
    if _KEY.fullmatch(text) is None:
        raise SettingsError(f"--key {key}: a public key is 64 hexadecimal digits, as `packwatch bundle key` shows")
    return text.lower()
