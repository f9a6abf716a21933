"""What the map needs beside the board: trails, and a style that the operator may choose."""

from __future__ import annotations

from itertools import pairwise

import httpx
import pytest
from pydantic import ValidationError

from dashboards.app import create_app
from dashboards.guard import SECURITY_HEADERS
from dashboards.map_source import MapSource
from dashboards.trails import POINTS, STEP_MS, Trails
from packwatch.settings import MapSection
from telemetry.samples import PositionFix

PAGE = {"X-Packwatch": "1", "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}


def fix(at_ms: int, latitude_deg: float = 41.0, gateway_id: str = "gateway-1") -> PositionFix:
    return PositionFix(
        fleet_id="fleet-1", gateway_id=gateway_id, fixed_at_ms=at_ms, latitude_deg=latitude_deg, longitude_deg=-93.0
    )


def test_a_trail_holds_an_hour_of_points_that_are_not_too_near_in_time():
    trails = Trails()
    for at_ms in range(0, 3 * POINTS * STEP_MS, STEP_MS // 3):
        trails.add(fix(at_ms))
    trails.add(fix(5))  # late
    points = list(trails.of("gateway-1"))
    assert len(points) == POINTS
    assert {after - before for (before, *_), (after, *_) in pairwise(points)} == {STEP_MS}
    assert list(trails.of("unheard-of")) == []


async def test_the_trail_of_a_vehicle_is_read_oldest_first(person, board, clock):
    board.observe_positions([fix(clock.ms, 41.0), fix(clock.ms + STEP_MS, 41.5)])
    trail = (await person.get("/api/gateways/gateway-1/trail")).json()
    assert [(point["fixed_at_ms"], point["latitude_deg"]) for point in trail] == [
        (clock.ms, 41.0),
        (clock.ms + STEP_MS, 41.5),
    ]
    assert (await person.get("/api/gateways/unheard-of/trail")).json() == []
    assert (await person.get("/api/gateways/a%20b/trail")).status_code == 422


async def test_without_a_setting_the_map_asks_nobody(person, stranger):
    answer = await person.get("/api/map")
    assert answer.json() == {"style": None}
    assert answer.headers["content-security-policy"] == SECURITY_HEADERS["content-security-policy"]
    assert (await stranger.get("/api/map")).status_code == 401


async def test_a_style_of_others_opens_its_own_origins_and_no_more(parts):
    source = MapSource(style="https://maps.example/style.json", hosts=("https://tiles.example",))
    transport = httpx.ASGITransport(app=create_app(**parts, map_source=source))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=PAGE) as client:
        policy = (await client.get("/")).headers["content-security-policy"]
    assert "connect-src 'self' https://maps.example https://tiles.example;" in policy
    assert "img-src 'self' data: https://maps.example https://tiles.example;" in policy
    assert "script-src 'self';" in policy


@pytest.mark.parametrize(
    "given",
    [
        {"style": "javascript:alert(1)"},
        {"style": "https://x.example/a; script-src *"},
        {"style": "https://x.example/'unsafe-eval'"},
        {"hosts": ["https://x.example; script-src *"]},
        {"hosts": ["*"]},
    ],
)
def test_no_setting_of_the_map_loosens_the_policy_for_scripts(given):
    with pytest.raises(ValidationError):
        MapSection(**given)
