"""`packwatch score`: the detector against labelled traces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from packwatch.cli.options import Json, err, out, readable_errors
from registry.kinds import PackClass

_WORSEN = "Worsen the input"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("score", rich_help_panel="Judge the detector")(score)


def score(
    folder: Annotated[Path, typer.Argument(metavar="TRACES_DIR", help="A folder of traces with an index.csv.")],
    *,
    as_json: Json = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="DIR", help="Write a picture of each trace here.")
    ] = None,
    pack_class: Annotated[
        PackClass, typer.Option("--pack-class", help="Judge the traces as packs of this class.")
    ] = PackClass.MID_LIFE,
    interval: Annotated[
        float | None,
        typer.Option("--interval", metavar="S", min=0.1, help="A report every S seconds.", rich_help_panel=_WORSEN),
    ] = None,
    drop: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=0.99, help="Lose this share.", rich_help_panel=_WORSEN)
    ] = 0.0,
    dead_probes: Annotated[
        int, typer.Option(metavar="N", min=0, help="N probes die, at random times.", rich_help_panel=_WORSEN)
    ] = 0,
    stuck_probes: Annotated[
        int, typer.Option(metavar="N", min=0, help="N probes get stuck, at random times.", rich_help_panel=_WORSEN)
    ] = 0,
    noise: Annotated[
        float, typer.Option(metavar="DEGC", min=0, help="Add noise to probes, 1 sigma.", rich_help_panel=_WORSEN)
    ] = 0.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Of what is random.", rich_help_panel=_WORSEN)] = 1,
) -> None:
    """Judge the detector against labelled traces: when each level came, the lead before runaway, false alarms."""
    with readable_errors():
        from packwatch.judging import Worsening, score_folder
        from packwatch.trace_pictures import write_picture

        worsening = Worsening(
            interval_s=interval,
            drop=drop,
            dead_probes=dead_probes,
            stuck_probes=stuck_probes,
            noise_c=noise,
            seed=seed,
        )
        with err.status("judging"):
            judged = score_folder(folder, pack_class=pack_class, worsening=worsening, explain=plot is not None)
            if plot is not None:
                plot.mkdir(parents=True, exist_ok=True)
                for each in judged.traces:
                    write_picture(each, plot)
        if as_json:
            typer.echo(json.dumps(judged.report, indent=1))
            return
        _print(judged.report)


def _print(report: Mapping[str, Any]) -> None:
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("trace", no_wrap=True)
    columns = ("label", "days", "watch", "warning", "critical", "runaway", "recorded", "lead", "after +5")
    for name in columns:
        table.add_column(name, justify="left" if name == "label" else "right", no_wrap=True)
    times = ("watch_at_s", "warning_at_s", "critical_at_s", "runaway_level_at_s", "runaway_at_s", "lead_s", "latency_s")
    for row in report["traces"]:
        cells = ["-" if row[name] is None else f"{row[name]:,.0f}" for name in times]
        table.add_row(row["trace"].removesuffix(".csv"), row["label"], f"{row['pack_days']:.2f}", *cells)
    Console(width=max(out.width, 104)).print(table)
    told = "times in seconds of each trace; after +5: from 5 degC over its start and the others to the first warning"
    out.print(f"  {told}", soft_wrap=True)
    for row in report["traces"]:
        for reason in row["reasons"]:
            out.print(f"  {row['trace']}: {reason}", highlight=False, soft_wrap=True)
    for name, value in report["summary"].items():
        out.print(f"  {name.replace('_', ' ')}: {_rounded(value)}", highlight=False)


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else f"{value}"
