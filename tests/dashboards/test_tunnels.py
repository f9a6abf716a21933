"""In a tunnel a receiver sees nothing: what the last fix before the portal says, and for how long."""

import pytest

from dashboards.motion import situation_of, step
from dashboards.rows import TunnelRow
from dashboards.tunnels import Tunnel, Tunnels, TunnelsError, situation_there
from registry.response_kinds import Situation
from telemetry.samples import PositionFix

A_DEGREE_M = 111_195.0
FILE = """
[[tunnel]]
name = "Long Ridge"
road = "I-70"
portals_deg = [[40.0, -105.0], [40.02, -105.0]]
length_m = 2300
source = "the state's list"
checked_on = 2026-11-01
"""
"""A tunnel from south to north, 2,224 m as the crow flies."""
NAME = "Long Ridge, I-70"


def fix(north_m: float, heading_deg: float | None = 0.0, speed_m_s: float | None = 20.0, east_m: float = 0.0):
    """A fix by its way north of the southern portal."""
    return PositionFix(
        fleet_id="f",
        gateway_id="g",
        fixed_at_ms=0,
        latitude_deg=40.0 + north_m / A_DEGREE_M,
        longitude_deg=-105.0 + east_m / (A_DEGREE_M * 0.766),
        speed_m_s=speed_m_s,
        heading_deg=heading_deg,
    )


@pytest.fixture
def tunnels(tmp_path):
    (tmp_path / "tunnels.toml").write_text(FILE)
    return Tunnels.read(tmp_path / "tunnels.toml")


INSIDE = TunnelRow(name=NAME, state="inside", distance_m=0)


def ahead(distance_m: int) -> TunnelRow:
    return TunnelRow(name=NAME, state="ahead", distance_m=distance_m)


TABLE = [
    ("a kilometre before it", fix(-1000), 0, ahead(1000)),
    ("six kilometres before it: not yet", fix(-6000), 0, None),
    ("it drives away from it", fix(-1000, 180.0), 0, None),
    ("a road across", fix(-1000, 90.0), 0, None),
    ("a road beside, parallel to it", fix(1000, east_m=800), 0, None),
    ("nobody knows where it heads", fix(-1000, None), 0, None),
    ("a fix in the middle", fix(1100), 0, INSIDE),
    ("a fix in the middle, without a heading", fix(1100, None, None), 0, INSIDE),
    ("from the north as well", fix(3224, 180.0), 0, ahead(1000)),
    ("it came out at the north", fix(2600), 0, None),
    ("lost before the portal, and not yet there", fix(-1000), 40, ahead(1000)),
    ("lost before the portal, which it has reached", fix(-1000), 60, INSIDE),
    ("lost: a queue goes half as fast", fix(-1000), 330, INSIDE),
    ("lost for longer than a queue takes", fix(-1000), 360, None),
    ("lost in it, driving", fix(1100), 60, INSIDE),
    ("lost, and it stood before it", fix(-1000, speed_m_s=0.0), 60, None),
    ("lost, and it stood in it", fix(1100, speed_m_s=0.0), 3600, INSIDE),
    ("lost, and its speed was not told", fix(-1000, speed_m_s=None), 60, None),
]


@pytest.mark.parametrize(("why", "last", "at_s", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_what_the_last_fix_says(tunnels, why, last, at_s, expected):
    (passage,) = tunnels.passages([last])
    assert (None if passage is None else passage.at(at_s * 1000)) == expected, why


def test_many_fixes_at_once_say_what_each_says_alone(tunnels):
    fixes = [row[1] for row in TABLE]
    assert tunnels.passages(fixes) == [tunnels.passages([each])[0] for each in fixes]


def test_the_nearer_of_two_tunnels_counts():
    def tunnel(name: str, south_deg: float) -> Tunnel:
        ends = ((south_deg, -105.0), (south_deg + 0.005, -105.0))
        return Tunnel(name=name, road="R", portals_deg=ends, length_m=560, source="s", checked_on="2026-11-01")

    (passage,) = Tunnels([tunnel("far", 40.03), tunnel("near", 40.01)]).passages([fix(0)])
    assert passage.at(0) == TunnelRow(name="near, R", state="ahead", distance_m=1110)


def test_across_the_line_where_longitudes_turn():
    ends = ((0.0, 179.995), (0.0, -179.995))
    tunnels = Tunnels(
        [Tunnel(name="t", road="R", portals_deg=ends, length_m=1112, source="s", checked_on="2026-11-01")]
    )
    there = PositionFix(fleet_id="f", gateway_id="g", fixed_at_ms=0, latitude_deg=0.0, longitude_deg=-179.999)
    assert tunnels.passages([there])[0].at(0).state == "inside"


def test_without_a_file_there_is_no_tunnel(tmp_path):
    assert Tunnels.read(tmp_path / "none.toml").passages([fix(0)]) == [None]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("not toml", "no TOML"),
        (FILE.replace("40.02", "140.02"), "portals_deg"),
        (FILE.replace("2300", "300"), "2224 m apart, but it is 300 m long"),
        (FILE.replace("2300", "-1"), "length_m"),
        (FILE.replace('source = "the state\'s list"', ""), "source"),
        (FILE + "lanes = 2", "lanes"),
    ],
)
def test_a_file_that_may_mislead_is_refused(tmp_path, content, why):
    (tmp_path / "tunnels.toml").write_text(content)
    with pytest.raises(TunnelsError, match=why):
        Tunnels.read(tmp_path / "tunnels.toml")


def test_who_drives_in_a_tunnel_leaves_it_first_and_who_parked_says_so():
    motion = step(None, fix(1100))
    driving = situation_of(motion, said=None, said_at_ms=None, now_ms=0)
    assert situation_there(driving, INSIDE) is Situation.TUNNEL
    assert situation_there(driving, ahead(100)) is Situation.DRIVING
    assert situation_there(driving, None) is Situation.DRIVING
    assert situation_there(Situation.SLEEPING, INSIDE) is Situation.SLEEPING
