"""The papers of an emergency, over the application: the sheet and its link, whom to call, the duties."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from alerts.grouping import gathering
from dashboards.accounts import new_claim
from dashboards.app import STATIC_DIR
from dashboards.counties import Counties, CountyNumbersError
from dashboards.trips import open_trip
from dashboards.us_rules import PATH as US_RULES
from dashboards.us_rules import UsRulesError, us_rules
from registry.kinds import Level
from registry.records import AlertEvent
from registry.response_kinds import Language
from telemetry.samples import PositionFix

if TYPE_CHECKING:
    from pathlib import Path

BOULDER = (40.015, -105.2705)
NUMBERS = """
[[county]]
fips = "08013"
number = "+13035550133"
source = "the county's page"
checked_on = 2026-11-01
"""


@pytest.fixture
def static_dir() -> Path:
    assert (STATIC_DIR / "us-counties.json").is_file(), "build the pages first: scripts/build-pages"
    return STATIC_DIR


@pytest.fixture
def incident(  # noqa: PLR0917
    registry, board, enrolment, clock, make_batch, make_alert
):
    """pack-1 on truck 1 in Boulder is critical."""
    registry.enrol(enrolment(), clock.now)
    board.refresh_assignments(registry.assignments(), {"gateway-1": ("truck-1", "Truck 1")}, now_ms=clock.ms)
    board.observe([make_batch([[20.0, 21.0, 81.0]])])
    latitude_deg, longitude_deg = BOULDER
    board.observe_positions(
        [
            PositionFix(
                fleet_id="fleet-1",
                gateway_id="gateway-1",
                fixed_at_ms=clock.ms,
                latitude_deg=latitude_deg,
                longitude_deg=longitude_deg,
            )
        ]
    )
    return raised(registry, make_alert(level=Level.CRITICAL))


def raised(registry, alert):
    event = AlertEvent(
        alert_id=alert.alert_id, at=alert.raised_at, action="raise", to_state=alert.state, level=alert.level
    )
    registry.raise_alert(alert, event, gather=gathering)
    return registry.incident_of_alert(alert.alert_id)


async def test_the_sheet_says_what_responders_need(person, registry, incident, clock):
    registry.note_pack_place("pack-1", "left, third row from the doors", clock.now)
    open_trip(
        registry,
        vehicle_id="truck-1",
        driver_name="Luz Vega",
        language=Language.ES,
        now=clock.now,
        phone="303 555 0100",
        emergency_number="303 555 0122",
    )
    answer = await person.get(f"/api/incidents/{incident.incident_id}/emergency")
    assert answer.status_code == 200, answer.text
    sheet = answer.json()
    assert (sheet["vehicle_name"], sheet["driver_name"], sheet["driver_phone"]) == (
        "Truck 1", "Luz Vega", "+13035550100",
    )  # fmt: skip
    assert sheet["emergency_number"] == "+13035550122"
    assert sheet["position"] == {"latitude_deg": BOULDER[0], "longitude_deg": BOULDER[1], "fixed_at_ms": clock.ms}
    pack = sheet["packs"][0]
    assert (pack["pack_id"], pack["concerned"], pack["chemistry"], pack["place"]) == (
        "pack-1", True, "nmc", "left, third row from the doors",
    )  # fmt: skip
    assert (pack["energy_kwh"], pack["state_of_charge_pct"]) == (0.4, None)  # 2 cells of 3.7 V and 50 Ah
    assert (pack["hottest_c"], pack["pack_voltage_v"]) == (81.0, 7.3)
    assert "173.185" in pack["packing"]["citation"]
    said = " ".join(fact["text"] for fact in sheet["facts"])
    assert all(words in said for words in ("UN3480", "25 m", "500 m", "hydrogen fluoride", "weeks later"))
    assert all(fact["citation"] for fact in sheet["facts"])


async def test_911_is_the_drivers_else_the_countys_else_a_transfer(person, incident):
    calling = (await person.get(f"/api/incidents/{incident.incident_id}/emergency")).json()["calling"]
    assert calling["first"].startswith("Have the driver call 911")
    assert calling["else"] == "Call your own 911 centre and ask to be transferred to Boulder, Colorado."


class TestWithTheCountysNumber:
    @pytest.fixture
    def parts(self, parts, tmp_path):
        (tmp_path / "numbers.toml").write_text(NUMBERS)
        return parts | {"county_numbers": tmp_path / "numbers.toml"}

    async def test_it_is_told_with_its_day(self, person, incident):
        calling = (await person.get(f"/api/incidents/{incident.incident_id}/emergency")).json()["calling"]
        assert calling["else"] == "Call the 911 centre of Boulder, Colorado: +13035550133."
        assert calling["number_checked_on"] == "2026-11-01"


class TestWithFactsThatASafetyLeadChecked:
    @pytest.fixture
    def parts(self, parts, tmp_path):
        checked = 'checked_by = "S. Lead"\nchecked_on = 2026-12-01\n'
        (tmp_path / "us-rules.toml").write_text(checked + US_RULES.read_text())
        return parts | {"own_us_rules": tmp_path / "us-rules.toml"}

    async def test_the_sheet_and_the_checklist_are_no_drafts(self, person, incident):
        sheet = (await person.get(f"/api/incidents/{incident.incident_id}/emergency")).json()
        assert sheet["facts_checked"] == "S. Lead, 2026-12-01"
        duties = (await person.get(f"/api/incidents/{incident.incident_id}/duties")).json()
        assert duties["draft"] is False


async def test_facts_that_nobody_checked_are_a_draft(person, incident):
    sheet = (await person.get(f"/api/incidents/{incident.incident_id}/emergency")).json()
    assert sheet["facts_checked"] is None
    assert (await person.get(f"/api/incidents/{incident.incident_id}/duties")).json()["draft"] is True


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("not toml", "no TOML"),
        ('checked_by = "S. Lead"\n' + US_RULES.read_text(), "go together"),
        (US_RULES.read_text().replace("within_hours = 12", "within_hours = -12"), r"reports\.0\.within_hours"),
    ],
)
def test_a_file_of_facts_with_a_mistake_is_refused(tmp_path, content, why):
    (tmp_path / "us-rules.toml").write_text(content)
    with pytest.raises(UsRulesError, match=why):
        us_rules(tmp_path / "us-rules.toml")


PLACES = [
    ("Boulder", 40.015, -105.2705, ("08013", "Boulder", "Colorado")),
    ("New Orleans, in a parish", 29.9511, -90.0715, ("22071", "Orleans", "Louisiana")),
    ("Richmond, a city that is no county's", 37.5407, -77.4360, ("51760", "Richmond", "Virginia")),
    ("Richmond's own county, around the city", 37.6500, -77.5000, ("51087", "Henrico", "Virginia")),
    ("Anchorage", 61.2181, -149.9003, ("02020", "Anchorage", "Alaska")),
    ("an island of Hawaii", 19.7070, -155.0885, ("15001", "Hawaii", "Hawaii")),
    ("Toronto", 43.6532, -79.3832, None),
    ("the Atlantic", 30.0, -60.0, None),
]


@pytest.mark.parametrize(("where", "latitude_deg", "longitude_deg", "county"), PLACES, ids=[row[0] for row in PLACES])
def test_a_place_is_in_its_county(static_dir, where, latitude_deg, longitude_deg, county):
    found = Counties(static_dir).at(latitude_deg, longitude_deg)
    assert (None if found is None else (found.fips, found.name, found.state)) == county


def test_without_outlines_no_county_is_known(tmp_path):
    assert Counties(tmp_path).at(*BOULDER) is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[[county]]\nfips = 8013", "fips"),
        (NUMBERS.replace("+13035550133", "911"), "number"),
        (NUMBERS.replace("08013", "8013"), "fips"),
        ("not toml", "no TOML"),
    ],
)
def test_a_file_of_numbers_that_may_mislead_is_refused(tmp_path, content, why):
    (tmp_path / "numbers.toml").write_text(content)
    with pytest.raises(CountyNumbersError, match=why):
        Counties(tmp_path, tmp_path / "numbers.toml")


async def test_a_link_shows_responders_the_sheet_for_a_day_and_nothing_else(
    person, stranger, registry, incident, clock
):
    link = (await person.post(f"/api/incidents/{incident.incident_id}/sheet-link")).json()
    assert link["path"].startswith("/sheet#")
    headers = {"Authorization": f"Sheet {link['path'].partition('#')[2]}"}
    assert (await stranger.get("/api/sheet", headers=headers)).json()["incident_id"] == incident.incident_id
    as_trip = {"Authorization": headers["Authorization"].replace("Sheet", "Trip")}
    assert (await stranger.get("/api/trip/state", headers=as_trip)).status_code == 401
    assert (await stranger.get("/api/board", headers=headers)).status_code == 401
    broken = {"Authorization": headers["Authorization"][:-3]}
    assert (await stranger.get("/api/sheet", headers=broken)).status_code == 401
    rows = registry.audit_rows(subject=f"incident/{incident.incident_id}")
    assert rows[-1]["action"] == "make sheet link"
    clock.ms += round(timedelta(hours=24).total_seconds() * 1000)
    late = await stranger.get("/api/sheet", headers=headers)
    assert (late.status_code, late.headers["x-packwatch-refusal"]) == (410, "expired")


async def test_a_person_answers_and_decides_and_the_audit_log_keeps_it(person, registry, incident, clock):
    path = f"/api/incidents/{incident.incident_id}/duties"
    before = (await person.get(path)).json()
    assert [(each["key"], each["state"]) for each in before["reports"]] == [("telephone", "ask"), ("written", "ask")]
    assert before["occurred_at_ms"] == clock.ms
    clock.ms += 3_600_000
    answered = await person.post(path, json={"action": "answer", "item": "evacuation", "value": "yes"})
    assert answered.status_code == 200, answered.text
    telephone = answered.json()["reports"][0]
    assert (telephone["state"], telephone["left_s"]) == ("proposed", 11 * 3600)
    decided = await person.post(path, json={"action": "confirm", "item": "telephone"})
    assert decided.json()["reports"][0]["state"] == "confirmed"
    assert decided.json()["reports"][0]["by"] == "Ana"
    assert (await person.post(path, json={"action": "reject", "item": "written"})).status_code == 422
    rows = registry.audit_rows(subject=f"incident/{incident.incident_id}")
    assert [(row["action"], row["detail"]["item"]) for row in rows[-2:]] == [
        ("answer", "evacuation"),
        ("confirm", "telephone"),
    ]


async def test_below_critical_nothing_is_owed(person, registry, incident, make_alert):
    calm = raised(registry, make_alert(level=Level.WARNING, pack_id="pack-9", unit_id="unit-9", gateway_id="gateway-9"))
    answer = await person.get(f"/api/incidents/{calm.incident_id}/duties")
    assert (answer.status_code, "never was critical" in answer.json()["detail"]) == (409, True)
    assert (await person.get("/api/incidents/nothing/duties")).status_code == 404


async def test_who_may_only_look_takes_no_step(stranger, registry, incident, clock):
    account = registry.create_account(name="vic", display_name="Vic", role="viewer", now=clock.now)
    token = new_claim(registry, account, clock.now)
    claim = {"token": token, "name": "vic", "password": "four unrelated words here"}
    assert (await stranger.post("/api/claim", json=claim)).status_code == 200
    path = f"/api/incidents/{incident.incident_id}"
    assert (await stranger.get(f"{path}/emergency")).status_code == 200
    assert (await stranger.post(f"{path}/duties", json={"action": "confirm", "item": "telephone"})).status_code == 403
    assert (await stranger.post(f"{path}/sheet-link")).status_code == 403
    trip = {"vehicle_id": "truck-1", "driver_name": "B"}
    assert (await stranger.post("/api/trips", json=trip)).status_code == 403
