"""What the commands share: their common flags, and how an error becomes one readable line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

out = Console()
err = Console(stderr=True)

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Where stores and credentials lie. \\[default: packwatch-data]"),
]
Http = Annotated[
    str | None,
    typer.Option("--http", metavar="HOST:PORT", help="Where pages and API are served. \\[default: 127.0.0.1:8470]"),
]
Mqtt = Annotated[
    str | None, typer.Option("--mqtt", metavar="HOST:PORT", help="The MQTT broker. \\[default: 127.0.0.1:18830]")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@contextmanager
def readable_errors() -> Iterator[None]:
    """Print an expected error as one line on standard error and exit with 1; anything else is a defect and shows."""
    try:
        yield
    except typer.Exit:
        raise
    except Exception as error:
        if not isinstance(error, _expected_errors()):
            raise
        err.print(f"[bold red]packwatch:[/bold red] {escape(_told(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


def _told(error: Exception) -> str:
    """Its words; of the operating system's also the file first, and no number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _expected_errors() -> tuple[type[Exception], ...]:
    """What a command may run into; imported only when something went wrong, so that commands start fast."""
    from alerts.rule_scenarios import ScenarioError
    from alerts.rules_file import RulesError
    from alerts.scoring import ScoringError
    from firmware_sim.replay import ReplayError
    from ingest.stores.contract import StoreError
    from packwatch.addresses import AddressError
    from packwatch.broker import BrokerError
    from packwatch.bundles import BundleError
    from packwatch.client import ServiceError
    from packwatch.crew import TaskDiedError
    from packwatch.data_dir import DataDirError
    from packwatch.settings import SettingsError
    from packwatch.signing import KeyUnusableError
    from packwatch.time_stamping import TimeStampError
    from registry.audit_chain import ChainError
    from registry.errors import RegistryError
    from telemetry.identifiers import IdentifierError
    from telemetry.traces import TraceError

    return (
        AddressError, BrokerError, BundleError, ChainError, DataDirError, IdentifierError, KeyUnusableError,
        RegistryError, ReplayError, RulesError, ScenarioError, ScoringError, ServiceError, SettingsError, StoreError,
        TaskDiedError, TimeStampError, TraceError,
        OSError,
    )  # fmt: skip
