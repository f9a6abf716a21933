"""A trip's link: what it opens, what it does not, and what the driver's page is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dashboards.board import LiveBoard
from dashboards.rows import TunnelRow
from dashboards.signed_links import SignedLinks
from dashboards.trips import TripLinks, new_nonce, open_trip
from dashboards.tunnels import Tunnel, Tunnels
from registry.audit import PROGRAM
from registry.errors import ConflictError, RefusedError
from registry.kinds import AlertKind, AlertState, Level
from registry.response_kinds import Language
from telemetry.samples import PositionFix

SECRET = "session-secret-of-the-tests"
COOL = [[20.0, 21.0, 22.0]]


def fix_at(clock, gateway_id="gateway-1", speed_m_s=0.0):
    return PositionFix(
        fleet_id="fleet-1",
        gateway_id=gateway_id,
        fixed_at_ms=clock.ms,
        latitude_deg=40.015,
        longitude_deg=-105.27,
        speed_m_s=speed_m_s,
    )


@pytest.fixture
def vehicles(registry, board, enrolment, clock):
    """Truck 1 with pack-1, truck 2 with pack-2; both registered, and on the board."""
    registry.enrol(enrolment(), clock.now)
    registry.enrol(
        enrolment(
            gateway_id="gateway-2", vehicle_id="truck-2", vehicle_name="Truck 2", pack_id="pack-2", unit_id="unit-2"
        ),
        clock.now,
    )
    names = {"gateway-1": ("truck-1", "Truck 1"), "gateway-2": ("truck-2", "Truck 2")}
    board.refresh_assignments(registry.assignments(), names, now_ms=clock.ms)


@pytest.fixture
def trip(registry, vehicles, clock):
    return open_trip(
        registry,
        vehicle_id="truck-1",
        driver_name="Luz Vega",
        language=Language.ES,
        now=clock.now,
        emergency_number="(303) 555-0100",
    )


def token_of(trip, secret=SECRET):
    return TripLinks(secret).path(trip).partition("#")[2]


def signed(trip):
    return {"Authorization": f"Trip {token_of(trip)}"}


async def test_the_link_opens_the_trip_and_says_what_it_knows(stranger, trip, board, clock, make_batch):
    board.observe([make_batch(COOL)])
    board.observe_positions([fix_at(clock, speed_m_s=20.0)])
    answer = await stranger.get("/api/trip/state", headers=signed(trip))
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "now_ms": clock.ms,
        "trip_id": trip.trip_id,
        "driver_name": "Luz Vega",
        "language": "es",
        "vehicle_name": "Truck 1",
        "custody_signed": False,
        "stage": "normal",
        "situation": "driving",
        "moving": True,
        "evaluated_at_ms": clock.ms,
        "simulation": False,
        "unacknowledged": [],
        "position": {"latitude_deg": 40.015, "longitude_deg": -105.27, "fixed_at_ms": clock.ms},
        "emergency_number": "+13035550100",
        "dispatch_number": None,
        "guardianships": [],
    }
    texts = (await stranger.get("/api/trip/texts", headers=signed(trip))).json()
    assert texts["texts"]["es"]["critical"]["parked"] == [
        "Peligro: posible incendio.",
        "Aléjese, viento arriba. Llame al 911.",
    ]
    assert "draft" not in str(texts)


def forged(trip):
    token = token_of(trip)
    return token[:-2] + ("AA" if token[-2:] != "AA" else "BB")


def truncated(trip):
    return token_of(trip)[:20]


def by_another_secret(trip):
    return token_of(trip, "another installation's secret")


def of_another_purpose(trip):
    return SignedLinks(SECRET, "emergency sheet").token(trip.trip_id, trip.nonce, trip.link_until)


REFUSED = [
    ("one letter is another", forged, 401, "forged"),
    ("it was cut when it was copied", truncated, 401, "forged"),
    ("nothing", lambda _: "", 401, "forged"),
    ("a megabyte", lambda _: "x" * 1_000_000, 401, "forged"),
    ("signed elsewhere", by_another_secret, 401, "forged"),
    ("an emergency sheet's", of_another_purpose, 401, "forged"),
]


@pytest.mark.parametrize(("why", "token", "status", "reason"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_what_is_no_link_of_ours_is_refused_in_a_sentence_and_counted(  # noqa: PLR0917
    stranger, app, trip, why, token, status, reason, bearer
):
    answer = await stranger.get("/api/trip/state", headers={"Authorization": f"Trip {token(trip)}"})
    assert (answer.status_code, answer.headers["x-packwatch-refusal"]) == (status, reason)
    assert answer.json()["detail"].endswith(".")
    metrics = (await stranger.get("/metrics", headers=bearer)).text
    assert f'packwatch_trip_links_refused_total{{reason="{reason}"}} 1.0' in metrics


async def test_a_link_ends_with_its_day(stranger, trip, clock):
    clock.ms += round(timedelta(days=60).total_seconds() * 1000)
    answer = await stranger.get("/api/trip/state", headers=signed(trip))
    assert (answer.status_code, answer.headers["x-packwatch-refusal"]) == (410, "expired")


async def test_a_renewed_link_ends_the_one_before(stranger, registry, trip, clock):
    before = signed(trip)
    renewed = registry.renew_trip_link(trip.trip_id, new_nonce(), clock.now)
    assert (await stranger.get("/api/trip/state", headers=before)).headers["x-packwatch-refusal"] == "renewed"
    assert (await stranger.get("/api/trip/state", headers=signed(renewed))).status_code == 200


async def test_a_closed_trips_link_opens_nothing(stranger, registry, trip, clock):
    assert registry.sign_custody(trip.trip_id, "R. Cycler", clock.now).closed_at == clock.now
    answer = await stranger.get("/api/trip/state", headers=signed(trip))
    assert (answer.status_code, answer.headers["x-packwatch-refusal"]) == (410, "closed")
    with pytest.raises(RefusedError, match="closed"):
        registry.sign_custody(trip.trip_id, "R. Cycler", clock.now)


def test_a_vehicle_is_on_one_trip(registry, trip, clock):
    with pytest.raises(ConflictError, match="Luz Vega"):
        open_trip(registry, vehicle_id="truck-1", driver_name="B", language=Language.EN, now=clock.now)
    registry.sign_custody(trip.trip_id, "R. Cycler", clock.now)
    open_trip(registry, vehicle_id="truck-1", driver_name="B", language=Language.EN, now=clock.now)


WRONG = [
    ("12", "too short"),
    ("call me", "no telephone number"),
    ("+1 303 555 0100 0100 0100", "no telephone number|too long"),
    ("+999 1", "no telephone number|too short"),
]


@pytest.mark.parametrize(("number", "why"), WRONG)
def test_a_number_that_cannot_be_called_is_refused(registry, vehicles, clock, number, why):
    with pytest.raises(RefusedError, match=why):
        open_trip(registry, vehicle_id="truck-1", driver_name="B", language=Language.EN, now=clock.now, phone=number)
    assert registry.open_trips() == ()


async def test_what_the_driver_does_is_in_the_audit_log_and_no_secret_is(stranger, registry, trip, clock):
    answer = await stranger.post("/api/trip/situation", json={"situation": "sleeping"}, headers=signed(trip))
    assert answer.status_code == 200
    registry.sign_custody(trip.trip_id, "R. Cycler", clock.now, by=PROGRAM)
    rows = registry.audit_rows(subject=f"trip/{trip.trip_id}")
    assert [row["action"] for row in rows] == ["open trip", "set situation", "sign custody", "close trip"]
    assert rows[1]["actor"] == {"kind": "person", "id": "Luz Vega", "role": "driver"}
    assert trip.nonce not in str(rows)
    assert token_of(trip) not in str(rows)


async def test_who_drives_cannot_say_parked(stranger, trip, board, clock, make_batch):
    board.observe([make_batch(COOL)])
    board.observe_positions([fix_at(clock, speed_m_s=12.0)])
    answer = await stranger.post("/api/trip/situation", json={"situation": "parked"}, headers=signed(trip))
    assert answer.status_code == 409
    clock.ms += 20_000
    board.observe_positions([fix_at(clock)])
    assert (await stranger.get("/api/trip/state", headers=signed(trip))).json()["situation"] == "driving"
    answer = await stranger.post("/api/trip/situation", json={"situation": "parked"}, headers=signed(trip))
    assert answer.status_code == 200
    assert (await stranger.get("/api/trip/state", headers=signed(trip))).json()["situation"] == "parked"


class TestInATunnel:
    @pytest.fixture
    def board(self, clock):
        ends = ((40.010, -105.27), (40.020, -105.27))
        tunnel = Tunnel(name="Ridge", road="I-70", portals_deg=ends, length_m=1200, source="s", checked_on="2026-11-01")
        return LiveBoard(now_ms=clock.ms, tunnels=Tunnels([tunnel]))

    async def test_who_drives_is_told_to_leave_it_and_the_board_names_it(
        self, stranger, trip, board, clock, make_batch
    ):
        board.observe([make_batch(COOL)])
        board.observe_positions([fix_at(clock, speed_m_s=15.0)])
        assert (await stranger.get("/api/trip/state", headers=signed(trip))).json()["situation"] == "tunnel"
        (vehicle,) = (row for row in board.snapshot(clock.ms).vehicles if row.vehicle_id == "truck-1")
        assert vehicle.tunnel == TunnelRow(name="Ridge, I-70", state="inside", distance_m=0)
        clock.ms += 200_000
        assert (await stranger.get("/api/trip/state", headers=signed(trip))).json()["situation"] == "driving"


async def test_the_drivers_word_is_once_and_for_what_the_vehicle_carries(  # noqa: PLR0917
    stranger, app, desk, board, trip, make_alert, make_batch, bearer
):
    board.observe([make_batch(COOL)])
    own = desk.raise_alert(make_alert(level=Level.CRITICAL))
    other = desk.raise_alert(
        make_alert(level=Level.CRITICAL, pack_id="pack-2", unit_id="unit-2", gateway_id="gateway-2")
    )
    board.observe_alert(own)
    board.observe_alert(other)
    state = (await stranger.get("/api/trip/state", headers=signed(trip))).json()
    assert state["stage"] == "critical"
    assert state["unacknowledged"] == [{"alert_id": own.alert_id, "version": 1, "level": "critical"}]

    theirs = await stranger.post(
        "/api/trip/acknowledge", json={"alert_id": other.alert_id, "version": 1}, headers=signed(trip)
    )
    assert (theirs.status_code, theirs.headers["x-packwatch-refusal"]) == (403, "other trip")
    said = {"alert_id": own.alert_id, "version": 1}
    assert (await stranger.post("/api/trip/acknowledge", json=said, headers=signed(trip))).status_code == 200
    replayed = await stranger.post("/api/trip/acknowledge", json=said, headers=signed(trip))
    assert replayed.status_code == 409
    state = (await stranger.get("/api/trip/state", headers=signed(trip))).json()
    assert (state["stage"], state["unacknowledged"]) == ("held", [])
    assert (
        'packwatch_trip_links_refused_total{reason="other trip"} 1.0'
        in (await stranger.get("/metrics", headers=bearer)).text
    )


COOLED = {"level": Level.NORMAL, "peak_level": Level.CRITICAL, "state": AlertState.CLEARED}
SEEN_BY_DISPATCH = {"level": Level.CRITICAL, "acknowledged_roles": ["dispatcher"]}
SEEN = {"level": Level.CRITICAL, "acknowledged_roles": ["driver"]}
BURNS_SEEN = {"level": Level.RUNAWAY, "acknowledged_roles": ["driver"]}
STAGES = [
    ("cool and fresh", {}, 0, True, "normal"),
    ("cool, and heard 61 s ago", {}, 61, True, "no_data"),
    ("watched", {"level": Level.WATCH}, 0, True, "watch"),
    ("watched, then nothing", {"level": Level.WATCH}, 61, True, "no_data"),
    ("warm", {"level": Level.WARNING}, 0, True, "warning"),
    ("warm, then its probes are lost", {"level": Level.WARNING}, 61, True, "lost"),
    ("warm, then the vehicle's coverage is lost", {"level": Level.WARNING}, 61, False, "warning"),
    ("hot", {"level": Level.CRITICAL}, 0, True, "critical"),
    ("hot, then its probes are lost", {"level": Level.CRITICAL}, 61, True, "lost"),
    ("hot, then coverage is lost", {"level": Level.CRITICAL}, 61, False, "critical"),
    ("hot, and seen by dispatch alone", SEEN_BY_DISPATCH, 0, True, "critical"),
    ("hot, and seen by the driver", SEEN, 0, True, "held"),
    ("was hot, and has cooled", COOLED, 0, True, "held"),
    ("burns", {"level": Level.RUNAWAY}, 0, True, "runaway"),
    ("burns, seen, then its probes are lost", BURNS_SEEN, 61, True, "lost"),
    ("a silent unit is no heat", {"level": Level.WARNING, "kind": AlertKind.SILENCE}, 61, True, "no_data"),
]


@pytest.mark.parametrize(("why", "alert", "silent_s", "online", "stage"), STAGES, ids=[row[0] for row in STAGES])
async def test_the_stage_that_a_driver_is_shown(  # noqa: PLR0917
    stranger, desk, board, trip, clock, make_alert, make_batch, why, alert, silent_s, online, stage
):
    board.observe([make_batch(COOL)])
    if alert:
        board.observe_alert(desk.raise_alert(make_alert(**alert)))
    clock.ms += silent_s * 1000
    if online and silent_s:
        board.observe([make_batch(COOL, at_ms=clock.ms, unit_id="stranger")])
    state = (await stranger.get("/api/trip/state", headers=signed(trip))).json()
    assert state["stage"] == stage


class TestDeaf:
    @pytest.fixture
    def parts(self, parts):
        return parts | {"health": lambda: "the alert engine is not heard"}

    async def test_nothing_is_green_while_the_service_is_not_well(self, stranger, trip, board, make_batch):
        board.observe([make_batch(COOL)])
        assert (await stranger.get("/api/trip/state", headers=signed(trip))).json()["stage"] == "no_data"


async def test_a_vehicle_without_packs_has_no_data(stranger, trip):
    state = (await stranger.get("/api/trip/state", headers=signed(trip))).json()
    assert (state["stage"], state["evaluated_at_ms"]) == ("no_data", None)


async def test_staff_open_a_trip_hand_out_its_link_and_sign_custody(person, stranger, vehicles):
    body = {"vehicle_id": "truck-2", "driver_name": "Jo", "language": "fr", "phone": "303 555 0199"}
    opened = await person.post("/api/trips", json=body)
    assert opened.status_code == 200, opened.text
    link = opened.json()
    assert link["qr_uri"].startswith("data:image/svg+xml")
    assert (link["trip"]["phone"], link["trip"]["draft_texts"]) == ("+13035550199", True)
    headers = {"Authorization": f"Trip {link['path'].partition('#')[2]}"}
    assert (await stranger.get("/api/trip/state", headers=headers)).json()["language"] == "fr"
    trip_id = link["trip"]["trip_id"]
    assert [each["trip_id"] for each in (await person.get("/api/trips")).json()] == [trip_id]
    assert (await person.post("/api/trips", json=body)).status_code == 409
    assert (await person.post(f"/api/trips/{trip_id}/link")).status_code == 200
    assert (await stranger.get("/api/trip/state", headers=headers)).status_code == 410
    signed_off = await person.post(f"/api/trips/{trip_id}/custody", json={"signed_by": "R. Cycler"})
    assert signed_off.json()["closed_at_ms"] is not None
    assert (await person.post(f"/api/trips/{trip_id}/custody", json={"signed_by": "X"})).status_code == 409


async def test_the_driver_is_paged_until_the_trip_is_closed(stranger, registry, vehicles, clock):
    trip = open_trip(
        registry,
        vehicle_id="truck-1",
        driver_name="Luz Vega",
        language=Language.ES,
        now=clock.now,
        phone="303 555 0100",
    )
    device = {"endpoint": "https://push.example/1", "p256dh": "B" * 87, "auth": "a" * 22, "label": "driver"}
    assert (await stranger.post("/api/trip/push/devices", json=device)).status_code == 401
    assert (await stranger.post("/api/trip/push/devices", json=device, headers=signed(trip))).status_code == 201
    (driver,) = registry.recipients(clock.now)
    person = driver.recipient
    assert (person.name, person.role, person.vehicle_id, person.language) == ("Luz Vega", "driver", "truck-1", "es")
    assert [(way.step, str(way.channel), way.address) for way in driver.ways] == [
        (0, "voice", "+13035550100"),
        (1, "push", ""),
    ]
    registry.sign_custody(trip.trip_id, "R. Cycler", clock.now)
    assert registry.recipients(clock.now) == ()
