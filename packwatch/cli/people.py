"""Commands about the people who may sign in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from packwatch.cli.options import DataDir, Http, out, readable_errors


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("sign-in-link", rich_help_panel="People")(sign_in_link)


def sign_in_link(
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="Whose account; left out, the first administrator's.")
    ] = None,
    http: Http = None,
    data_dir: DataDir = None,
) -> None:
    """Print a link that works once, within a day, to choose a new name and password: for a password that is lost.

    Sessions of the account end when the link is used. Whoever may read the data directory may do this.
    """
    with readable_errors():
        from dashboards.accounts import ADMINISTRATOR, new_claim
        from packwatch.data_dir import running_service
        from packwatch.settings import Settings, SettingsError
        from registry.registry import Registry

        settings = Settings.load(data_dir=data_dir, http=http)
        if not settings.data_dir.is_dir():
            raise SettingsError(f"{settings.data_dir} is no data directory: name it with --data-dir")
        registry = Registry.open(settings.registry_address())
        try:
            accounts = registry.accounts()
            if name is None:
                account = next((each for each in accounts if each.role == ADMINISTRATOR), None)
            else:
                account = registry.account_by_name(name)
            if account is None:
                known = ", ".join(each.name for each in accounts) or "nobody: start Packwatch first"
                raise SettingsError(f"there is no such account; there is {known}")
            token = new_claim(registry, account, datetime.now(UTC))
        finally:
            registry.close()
        service = running_service(settings.data_dir)
        base = service.url if service is not None and service.whole else f"http://{settings.http}"
        out.print(f"{base}/claim?token={token}", highlight=False, soft_wrap=True)
