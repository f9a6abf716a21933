"""Files of the operator in the data directory: a mistake stops the start with its place, as a sentence."""

import pytest

from gateway.siren import SirenState
from packwatch.cab_page import CabPage
from packwatch.operator_files import read_tunnels
from packwatch.settings import Settings, SettingsError
from registry.response_kinds import Language
from telemetry.samples import PositionFix

TUNNELS = """
[[tunnel]]
name = "Ridge"
road = "I-70"
portals_deg = [[40.0, -105.0], [40.01, -105.0]]
length_m = 1200
source = "the state's list"
checked_on = 2026-11-01
"""


class QuietCab:
    """A gateway that nothing was heard of yet."""

    def cab_levels(self):
        return {}

    def cab_evaluated_ms(self):
        return {}

    def cab_siren(self):
        return SirenState.QUIET

    def cab_simulated(self):
        return False


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path)


def test_a_tunnel_that_cannot_be_is_refused_at_the_start(settings, tmp_path):
    (tmp_path / "tunnels.toml").write_text(TUNNELS.replace("1200", "12"))
    with pytest.raises(SettingsError, match=r"tunnels\.toml: tunnel\.0: .*1112 m apart, but it is 12 m long"):
        read_tunnels(settings)


def test_the_page_in_the_cab_knows_the_tunnel_without_a_network(settings, tmp_path):
    (tmp_path / "tunnels.toml").write_text(TUNNELS)
    page = CabPage(
        QuietCab(),
        token="t",
        vehicle_name="truck",
        language=Language.EN,
        emergency_number=None,
        tunnels=read_tunnels(settings),
    )
    before = PositionFix(
        fleet_id="f",
        gateway_id="g",
        fixed_at_ms=1_000_000,
        latitude_deg=39.998,
        longitude_deg=-105.0,
        speed_m_s=20.0,
        heading_deg=0.0,
    )
    page.observe_fix(before)
    assert page.state(1_010_000)["situation"] == "driving"
    assert page.state(1_030_000)["situation"] == "tunnel"  # 222 m at 20 m/s, and no fix since
    assert page.state(1_300_000)["situation"] == "driving"
