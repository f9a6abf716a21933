"""`packwatch trip`: the link that a driver scans, and the end of the trip."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from dashboards.signed_links import LinkRefusedError
from dashboards.trips import TripLinks
from packwatch.cli import app
from packwatch.credentials import Credentials
from registry.enrolment import Enrolment
from registry.kinds import PackClass
from registry.registry import Registry
from registry.response_kinds import Language


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def registry(data_dir):
    opened = Registry.open(f"sqlite:///{data_dir / 'registry.sqlite'}")
    opened.enrol(
        Enrolment(
            fleet_id="fleet-1",
            gateway_id="gateway-1",
            vehicle_id="truck-1",
            pack_id="pack-1",
            pack_class=PackClass.MID_LIFE,
            unit_id="unit-1",
            temperature_channels=2,
            voltage_channels=0,
            simulated=False,
        ),
        datetime.now(UTC),
    )
    yield opened
    opened.close()


@pytest.fixture
def packwatch(data_dir, registry):
    def run(*words: str):
        return CliRunner().invoke(app, ["trip", *words, "--data-dir", str(data_dir)])

    return run


OPEN = ("open", "--vehicle", "truck-1", "--driver", "Luz Vega", "--language", "es")


def opened(said: str) -> tuple[str, str]:
    """The trip's id and the link's token."""
    found = re.search(r"trip (\w+)\nhttps://packwatch.example/t#(\S+)\n", said)
    assert found is not None, said
    return found[1], found[2]


def test_a_trip_is_opened_with_a_link_and_a_code_listed_and_closed(packwatch, registry, data_dir):
    done = packwatch(*OPEN, "--base-url", "https://packwatch.example/")
    assert done.exit_code == 0, done.stderr
    trip_id, token = opened(done.stdout)
    assert "\N{FULL BLOCK}" in done.stdout
    links = TripLinks(Credentials(data_dir / "credentials").session_key)
    trip = links.trip(token, registry, datetime.now(UTC))
    assert (trip.trip_id, trip.driver_name, trip.language) == (trip_id, "Luz Vega", Language.ES)

    listed = packwatch("list").stdout
    assert all(word in listed for word in (trip_id, "truck-1", "Luz Vega", "es"))
    again = packwatch(*OPEN)
    assert (again.exit_code, "close it first" in again.stderr) == (1, True)

    renewed = packwatch("link", "--trip", trip_id, "--base-url", "https://packwatch.example")
    assert opened(renewed.stdout)[1] != token
    with pytest.raises(LinkRefusedError, match="newer"):
        links.trip(token, registry, datetime.now(UTC))

    closed = packwatch("close", "--trip", trip_id, "--signed-by", "R. Cycler")
    assert (closed.exit_code, closed.stdout.strip()) == (0, f"trip {trip_id} is closed")
    assert packwatch("list").stdout == ""
    assert registry.trip(trip_id).custody_signed_by == "R. Cycler"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("open", "--vehicle", "nobody", "--driver", "B"), "knows no vehicle 'nobody'"),
        (("open", "--vehicle", "truck-1", "--driver", "  "), "driver's name is missing"),
        (("open", "--vehicle", "truck-1", "--driver", "B", "--phone", "12"), "too short or too long"),
        (("close", "--trip", "nothing", "--signed-by", "B"), "knows no trip 'nothing'"),
        (("place", "--pack", "nothing", "--where", "left"), "knows no pack 'nothing'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(packwatch, words, why):
    done = packwatch(*words)
    assert done.exit_code == 1
    assert why in " ".join(done.stderr.split())


def test_where_a_pack_lies_is_noted(packwatch, registry):
    assert packwatch("place", "--pack", "pack-1", "--where", "left, third row").exit_code == 0
    assert packwatch("place", "--pack", "pack-1", "--where", "left, second row").exit_code == 0
    assert registry.pack_places(["pack-1"]) == {"pack-1": "left, second row"}
