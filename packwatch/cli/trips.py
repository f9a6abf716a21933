"""Commands about trips: the link that opens a driver's page."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from packwatch.cli.options import DataDir, Http, out, readable_errors
from registry.response_kinds import Language

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packwatch.settings import Settings
    from registry.registry import Registry
    from registry.trip_records import Trip

app = typer.Typer(help="Trips: who drives what, and the link that opens the driver's page.", no_args_is_help=True)

BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="Where phones reach the pages; left out: the first of public_hosts, else this machine.",
    ),
]
TripId = Annotated[str, typer.Option("--trip", metavar="ID", help="The trip.")]


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="trip", rich_help_panel="People")


@app.command("open")
def open_(
    *,
    vehicle: Annotated[str, typer.Option("--vehicle", metavar="ID", help="The vehicle.")],
    driver: Annotated[str, typer.Option("--driver", metavar="NAME", help="Who drives.")],
    language: Annotated[Language, typer.Option("--language", help="What the page speaks first.")] = Language.EN,
    phone: Annotated[str | None, typer.Option("--phone", help="The driver's number.")] = None,
    dispatch: Annotated[
        str | None, typer.Option("--dispatch", help="The number of the page's dispatch button.")
    ] = None,
    emergency: Annotated[
        str | None, typer.Option("--emergency", help="The number on the shipping paper, where no shipment names it.")
    ] = None,
    base_url: BaseUrl = None,
    http: Http = None,
    data_dir: DataDir = None,
) -> None:
    """Open a trip; print the driver's link, and the link as a QR code to scan.

    Whoever has the link has the page: it ends when custody is signed and the vehicle's incidents are closed.
    """
    with readable_errors(), _registry(data_dir, http) as (settings, registry):
        from dashboards.trips import open_trip

        now = datetime.now(UTC)
        registry.close_trips_that_are_over(now)
        trip = open_trip(
            registry,
            vehicle_id=vehicle,
            driver_name=driver,
            language=language,
            now=now,
            phone=phone,
            dispatch_number=dispatch,
            emergency_number=emergency,
        )
        _print_link(settings, trip, base_url)


@app.command("link")
def link(*, trip: TripId, base_url: BaseUrl = None, http: Http = None, data_dir: DataDir = None) -> None:
    """Print a new link for a trip; the one before opens nothing any more."""
    with readable_errors(), _registry(data_dir, http) as (settings, registry):
        from dashboards.trips import new_nonce

        _print_link(settings, registry.renew_trip_link(trip, new_nonce(), datetime.now(UTC)), base_url)


@app.command("close")
def close(
    *,
    trip: TripId,
    signed_by: Annotated[str, typer.Option("--signed-by", metavar="NAME", help="Who has the load now.")],
    data_dir: DataDir = None,
) -> None:
    """Sign custody: the trip is closed at once, or with the vehicle's last open incident."""
    with readable_errors(), _registry(data_dir, None) as (_, registry):
        done = registry.sign_custody(trip, signed_by, datetime.now(UTC))
        if done.closed_at is not None:
            out.print(f"trip {trip} is closed", highlight=False)
            return
        waits = ", ".join(each.incident_id for each in registry.open_incidents_of_vehicle(done.vehicle_id))
        out.print(f"custody is signed; the link lives until these incidents are closed: {waits}", highlight=False)


@app.command("place")
def place(
    *,
    pack: Annotated[str, typer.Option("--pack", metavar="ID", help="The pack.")],
    where: Annotated[
        str, typer.Option("--where", metavar="TEXT", help='For instance "left, third row from the doors".')
    ],
    data_dir: DataDir = None,
) -> None:
    """Note where in the trailer a pack lies; the emergency sheet says it."""
    with readable_errors(), _registry(data_dir, None) as (_, registry):
        registry.note_pack_place(pack, where, datetime.now(UTC))


@app.command("list")
def list_(*, data_dir: DataDir = None) -> None:
    """Print the trips that are not closed."""
    with readable_errors(), _registry(data_dir, None) as (_, registry):
        registry.close_trips_that_are_over(datetime.now(UTC))
        for each in registry.open_trips():
            signed = "" if each.custody_signed_by is None else f"  custody signed by {each.custody_signed_by}"
            since = f"{each.opened_at:%Y-%m-%d %H:%M} UTC"
            out.print(
                f"{each.trip_id}  {each.vehicle_id}  {each.driver_name}  {each.language}  since {since}{signed}",
                highlight=False,
                soft_wrap=True,
            )


@contextmanager
def _registry(data_dir: Path | None, http: str | None) -> Iterator[tuple[Settings, Registry]]:
    from packwatch.settings import Settings, SettingsError
    from registry.registry import Registry

    settings = Settings.load(data_dir=data_dir, http=http)
    if not settings.data_dir.is_dir():
        raise SettingsError(f"{settings.data_dir} is no data directory: name it with --data-dir")
    registry = Registry.open(settings.registry_address())
    try:
        yield settings, registry
    finally:
        registry.close()


def _print_link(settings: Settings, trip: Trip, base_url: str | None) -> None:
    import segno

    from dashboards.trips import TripLinks
    from packwatch.credentials import Credentials
    from packwatch.data_dir import running_service

    if base_url is None and settings.public_hosts:
        base_url = f"http{'s' if settings.https else ''}://{settings.public_hosts[0]}"
    if base_url is None:
        service = running_service(settings.data_dir)
        base_url = service.url if service is not None and service.whole else f"http://{settings.http}"
    path = TripLinks(Credentials(settings.data_dir / "credentials").session_key).path(trip)
    url = f"{base_url.rstrip('/')}{path}"
    out.print(f"trip {trip.trip_id}", highlight=False)
    out.print(url, highlight=False, soft_wrap=True)
    segno.make(url, error="l").terminal(compact=True)
