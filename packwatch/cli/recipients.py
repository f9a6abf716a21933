"""Commands about whom to page."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from packwatch.cli.options import DataDir, err, out, readable_errors
from registry.kinds import Role
from registry.response_kinds import Language

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from registry.recipients import KnownRecipient, Way
    from registry.registry import Registry

app = typer.Typer(help="Recipients: who is paged on which ways, when, and whether it arrives.", no_args_is_help=True)

RecipientId = Annotated[str, typer.Argument(metavar="ID", help="The recipient.")]
Ways = Annotated[
    list[str],
    typer.Option(
        "--way",
        metavar="CHANNEL[=ADDRESS]",
        help="A channel, in order: voice=+13125550142, sms=..., e-mail=..., push, board, chat=..., webhook=..., mqtt. "
        "A + in front starts it together with the one before.",
    ),
]


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="recipients", rich_help_panel="People")


@app.command("add")
def add(
    recipient: RecipientId,
    *,
    name: Annotated[str, typer.Option("--name", help="The person's name, or the system's.")],
    way: Ways,
    role: Annotated[Role | None, typer.Option("--role", help="Left out: a system that is told what happens.")] = None,
    language: Annotated[Language, typer.Option("--language", help="Of messages and calls.")] = Language.EN,
    time_zone: Annotated[str, typer.Option("--time-zone", metavar="ZONE", help="Such as America/Chicago.")] = "UTC",
    fleet: Annotated[str | None, typer.Option("--fleet", metavar="ID", help="Left out: every fleet.")] = None,
    vehicle: Annotated[str | None, typer.Option("--vehicle", metavar="ID", help="Whose driver it is.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="The name by which the person signs in.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Page somebody from now on. A webhook's secret is printed once."""
    with readable_errors(), _registry(data_dir) as registry:
        from packwatch.settings import SettingsError
        from registry.paging_records import Recipient

        _check_zone(time_zone)
        person = None if account is None else registry.account_by_name(account)
        if account is not None and person is None:
            raise SettingsError(f"nobody signs in as {account}")
        ways = _ways(way)
        new = Recipient(
            recipient_id=recipient,
            name=name,
            role=role,
            language=language,
            time_zone=time_zone,
            fleet_id=fleet,
            vehicle_id=vehicle,
            account_id=None if person is None else person.account_id,
            created_at=datetime.now(UTC),
        )
        registry.add_recipient(new, ways)
        _print_secrets(ways)


@app.command("channels")
def channels(recipient: RecipientId, *, way: Ways, data_dir: DataDir = None) -> None:
    """Replace the ways to somebody. One whose address stays keeps its proof."""
    with readable_errors(), _registry(data_dir) as registry:
        ways = _ways(way)
        registry.set_ways(recipient, ways)
        _print_secrets(ways)


@app.command("retire")
def retire(recipient: RecipientId, *, data_dir: DataDir = None) -> None:
    """Page somebody no more."""
    with readable_errors(), _registry(data_dir) as registry:
        registry.retire_recipient(recipient, datetime.now(UTC))


@app.command("drill")
def drill(recipient: RecipientId, *, data_dir: DataDir = None) -> None:
    """Test every way to somebody. Who confirms a message has proved its way for a month."""
    with readable_errors(), _registry(data_dir) as registry:
        from registry.audit import PROGRAM

        for page in registry.start_drill(recipient, datetime.now(UTC), by=PROGRAM):
            out.print(f"{page.channel}: queued", highlight=False)


@app.command("drills")
def drills(recipient: RecipientId, *, data_dir: DataDir = None) -> None:
    """Print somebody's drills, the latest first: on which ways, how each ended, and why."""
    with readable_errors(), _registry(data_dir) as registry:
        registry.recipient(recipient, datetime.now(UTC))
        table = Table("began (UTC)", "by", "ways", "state", "why", box=None)
        for each in registry.drills(recipient):
            ways = ", then ".join(step.replace(",", " and ") for step in each.steps)
            table.add_row(f"{each.started_at:%Y-%m-%d %H:%M}", each.started_by, ways, each.state, each.why or "")
        out.print(table)


@app.command("duty")
def duty(
    recipient: RecipientId,
    *,
    from_at: Annotated[datetime, typer.Option("--from", help="UTC.")],
    until_at: Annotated[datetime, typer.Option("--until", help="UTC.")],
    data_dir: DataDir = None,
) -> None:
    """Put somebody on the roster; from then on that person is on duty by the roster only."""
    with readable_errors(), _registry(data_dir) as registry:
        registry.add_duty(
            recipient, from_at.replace(tzinfo=UTC), until_at.replace(tzinfo=UTC), entered_by="the command line"
        )


@app.command("list")
def list_(*, data_dir: DataDir = None) -> None:
    """Print who is paged, what stands in the way, and who is missing in the next 24 h."""
    with readable_errors(), _registry(data_dir) as registry:
        from registry.roster import drills_due, gaps

        now = datetime.now(UTC)
        people = registry.recipients(now)
        table = Table("recipient", "role", "ways", "what is wrong", box=None)
        due = drills_due(people, now)
        silent = {board.recipient_id: board.why for board in registry.silent_boards(now)}
        for known in people:
            person = known.recipient
            wrong = [person.unreachable_why] if person.unreachable_why else []
            if why := silent.get(person.recipient_id):
                wrong.append(f"the board would not be heard: {why}")
            wrong += [f"{way.channel} failed: {way.failed_why}" for way in known.ways if way.failed_at is not None]
            if person.recipient_id in due:
                wrong.append("no way was proved within a month: hold a drill")
            table.add_row(person.recipient_id, person.role or "(system)", _ways_told(known), "; ".join(wrong))
        out.print(table)
        if not any(each.recipient.role is not None for each in people):
            err.print("[bold red]Nobody is paged.[/bold red] Add people with `packwatch recipients add`.")
        for gap in gaps(people, registry.fleet_ids(), now):
            when = f"{gap.from_at:%Y-%m-%d %H:%M} to {gap.until_at:%Y-%m-%d %H:%M} UTC"
            err.print(f"fleet {gap.fleet_id}: no {gap.role} on duty {when}", highlight=False)


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


def _ways(texts: list[str]) -> list[Way]:
    """The ways in order: each is a step of its own, unless a + joins it to the one before. Raises SettingsError."""
    from packwatch.paging import check_address
    from packwatch.settings import SettingsError
    from registry.paging_kinds import Channel
    from registry.recipients import Way

    ways: list[Way] = []
    for text in texts:
        joined = text.startswith("+")
        word, _, address = text.removeprefix("+").partition("=")
        try:
            channel = Channel(word)
            kept = check_address(channel, address)
        except ValueError as error:
            raise SettingsError(f"--way {text}: {error}") from error
        last = ways[-1].step if ways else -1
        secret = secrets.token_urlsafe(32) if channel is Channel.WEBHOOK else None
        ways.append(Way(step=max(0, last if joined else last + 1), channel=channel, address=kept, secret=secret))
    return ways


def _check_zone(name: str) -> None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from packwatch.settings import SettingsError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SettingsError(f"there is no time zone {name!r}; one is America/Chicago") from error


def _ways_told(known: KnownRecipient) -> str:
    return ", ".join(f"{way.step + 1}. {way.channel}{' (proved)' if way.tested_at else ''}" for way in known.ways)


def _print_secrets(ways: list[Way]) -> None:
    for way in ways:
        if way.secret is not None:
            out.print(f"the webhook's secret, to check signatures with: {way.secret}", highlight=False, soft_wrap=True)
