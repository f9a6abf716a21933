"""Commands that read what was stored, and that judge the detector."""

from __future__ import annotations

import json
import tempfile
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from packwatch.cli.options import DataDir, Json, err, out, readable_errors

if TYPE_CHECKING:
    from packwatch.reading import Reader

Pack = Annotated[str, typer.Option("--pack", metavar="ID", help="The pack.")]
_STORE = "duckdb (of the data directory), influxdb (of the settings), http://HOST:PORT/DATABASE, or FILE.duckdb."
Time = Annotated[str | None, typer.Option(metavar="TIME", help="ISO 8601; without an offset it is UTC.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = "Look at what was stored"
    app.command("export", rich_help_panel=group)(export)
    app.command("alert-log", rich_help_panel=group)(alert_log)
    app.command("migrate-store", rich_help_panel="Look after the store")(migrate_store)


def export(
    *,
    pack: Pack,
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="FILE.csv, FILE.parquet or FILE.zip.")],
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="ISO 8601; UTC unless it says.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="ISO 8601; UTC unless it says.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write a pack's samples as CSV or Parquet, or as a bundle (FILE.zip) with its alerts, that `verify` checks.

    Times are UTC. An empty cell was not measured.
    """
    with readable_errors():
        from packwatch.settings import SettingsError

        if output.suffix not in {".csv", ".parquet", ".zip"}:
            raise SettingsError(f"--output {output}: its name must end in .csv, .parquet or .zip")
        first, last = _moment(start, "--from"), _moment(end, "--to")
        with _reader(data_dir) as reader, err.status("exporting"):
            if output.suffix == ".zip":
                _write_bundle(reader, pack, (first, last), output, credentials=_credentials(data_dir))
            else:
                reader.export(pack, first, last, output)
        err.print(f"wrote {output} ({output.stat().st_size:,} bytes)", highlight=False)


def alert_log(
    *,
    pack: Annotated[str | None, typer.Option("--pack", metavar="ID", help="Only this pack's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The newest this many.")] = 200,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """List alerts: pack, level, when the sample was taken, the reasons, the state."""
    with readable_errors():
        with _reader(data_dir) as reader:
            alerts = reader.alerts(pack, limit)
        if as_json:
            typer.echo(json.dumps(alerts, indent=1))
            return
        for alert in alerts:
            subject = f"pack {alert['pack_id']}" if alert["pack_id"] else f"unit {alert['unit_id']}"
            sampled_at = alert["sampled_at"][:19].replace("T", " ")
            head = f"{sampled_at} UTC  {alert['level'].upper()}  {subject}  {alert['state']}, {alert['provenance']}"
            out.print(head, style="bold", highlight=False, soft_wrap=True)
            for reason in alert["reasons"]:
                out.print(f"    {reason}", highlight=False, soft_wrap=True)
        if not alerts:
            out.print(f"no alert was ever raised{f' for pack {pack}' if pack else ''}", highlight=False)


def migrate_store(
    *,
    source: Annotated[str, typer.Option("--from", metavar="STORE", help=_STORE)],
    target: Annotated[str, typer.Option("--to", metavar="STORE", help=_STORE)],
    data_dir: DataDir = None,
) -> None:
    """Copy everything from one telemetry store to another, and verify counts and checksums.

    Stopped half-way, run it again: what is there already is not copied twice. The old store stays as it is.
    """
    with readable_errors():
        from packwatch.migrating import move_store, open_pair, require_idle
        from packwatch.settings import Settings

        settings = Settings.load(data_dir=data_dir)
        require_idle(settings)
        columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        old, new = open_pair(settings, source, target)
        with closing(old), closing(new), Progress(*columns, console=err) as progress:
            bar = progress.add_task("samples moved", total=None)
            moved = move_store(old, new, lambda done, total: progress.update(bar, completed=done, total=total))
        out.print(
            f"{target} has all {moved.samples:,} samples of {moved.units:,} units, {moved.positions:,} positions, "
            f"{moved.holds:,} holds and {moved.settled_ranges:,} settled outbox ranges of {source}; "
            f"checksum {moved.checksum:016x} on both sides",
            highlight=False,
            soft_wrap=True,
        )


def _write_bundle(
    reader: Reader, pack: str, span: tuple[datetime | None, datetime | None], output: Path, *, credentials: Path
) -> None:
    from packwatch.bundles import write_bundle
    from packwatch.signing import BundleKey

    start, end = span

    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        samples = Path(scratch) / "samples.parquet"
        alerts = Path(scratch) / "alerts.json"
        reader.export(pack, start, end, samples)
        alerts.write_text(json.dumps(reader.alerts(pack, 1_000_000), indent=1))
        about = {"pack_id": pack, "from": start.isoformat() if start else "", "to": end.isoformat() if end else ""}
        files = {"samples.parquet": samples, "alerts.json": alerts}
        key = BundleKey.kept_in(credentials)
        write_bundle(output, files, key=key, created_at=datetime.now(UTC).isoformat(), about=about)


def _moment(text: str | None, flag: str) -> datetime | None:
    from packwatch.settings import SettingsError

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"{flag} {text!r} is not a time like 2026-11-24T09:30:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _credentials(data_dir: Path | None) -> Path:
    from packwatch.settings import Settings

    return Settings.load(data_dir=data_dir).data_dir / "credentials"


def _reader(data_dir: Path | None) -> AbstractContextManager[Reader]:
    from packwatch.reading import open_reader
    from packwatch.settings import Settings

    return open_reader(Settings.load(data_dir=data_dir))
