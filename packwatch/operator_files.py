"""What an operator may lay into the data directory: facts that no program can know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.tunnels import Tunnels, TunnelsError
from packwatch.settings import SettingsError

if TYPE_CHECKING:
    from packwatch.settings import Settings

COUNTY_NUMBERS = "county-numbers.toml"
"""Ten-digit lines of 911 centres, as somebody found them out."""
US_RULES = "us-rules.toml"
"""In place of `dashboards/us_rules.toml`: the facts of US rules as the operator's safety lead checked them."""
TUNNELS = "tunnels.toml"
"""Road tunnels on the fleet's ways."""


def read_tunnels(settings: Settings) -> Tunnels:
    """The operator's; none without a file. Raises SettingsError, one line a mistake."""
    try:
        return Tunnels.read(settings.data_dir / TUNNELS)
    except TunnelsError as error:
        raise SettingsError(str(error)) from error
