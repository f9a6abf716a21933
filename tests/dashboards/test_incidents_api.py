"""Incidents and what people do about alerts, over the API, kept by the real desks."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from alerts.grouping import gathering
from alerts.incidents import IncidentDesk
from dashboards import incident_models, models
from dashboards.routes_shifts import Shift
from packwatch.alert_feed import RegistryAlerts
from registry.kinds import AlertState, Level
from registry.records import AlertEvent

PAGE = {"X-Packwatch": "1", "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
PASSWORD = "four unrelated words here"


@pytest.fixture
def parts(parts, registry, board):
    alerts = RegistryAlerts(registry, board.observe_alert)
    return parts | {"alert_desk": alerts, "incident_desk": IncidentDesk(registry, alerts)}


@pytest.fixture
def put(registry, make_alert, clock):
    def put(alert_id="a1", **given):
        alert = make_alert(alert_id=alert_id, **given)
        event = AlertEvent(
            alert_id=alert_id, at=alert.raised_at, action="raise", to_state=AlertState.RAISED, level=alert.level
        )
        registry.raise_alert(alert, event, gather=gathering)
        return alert

    return put


@pytest.fixture
async def of(app, registry, clock, parts):
    """Makes a browser in which somebody of a role is signed in."""
    browsers = []

    async def sign_in(role, name=None):
        name = name or role
        if registry.account_by_name(name) is None:
            hashed = await app.state.context.passwords.hash(PASSWORD)
            registry.create_account(
                name=name, display_name=name.title(), now=clock.now, role=role, password_hash=hashed
            )
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        browser = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=PAGE)
        browsers.append(browser)
        answer = await browser.post("/api/session", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return browser

    yield sign_in
    for browser in browsers:
        await browser.aclose()


async def only(browser):
    (incident,) = (await browser.get("/api/incidents")).json()
    incident_models.Incident.model_validate(incident)
    return incident


async def step(browser, incident, action, **body):
    body = {"version": incident["version"]} | body
    if action == "comment":
        del body["version"]
    return await browser.post(f"/api/incidents/{incident['incident_id']}/{action}", json=body)


async def test_the_list_says_what_it_is_and_who_works_on_it(of, put, registry, board, clock):
    put()
    put("a2", pack_id="pack-2", unit_id="unit-2", level=Level.CRITICAL)
    dispatcher = await of("dispatcher")
    incident = await only(dispatcher)
    assert (incident["title"], incident["level"], incident["assigned_to"]) == (
        "Heat on gateway gateway-1",
        "critical",
        None,
    )
    assert [alert["alert_id"] for alert in incident["alerts"]] == ["a1", "a2"]
    before = board.version
    taken = (await step(dispatcher, incident, "take-on")).json()
    assert ("incidents", "") in {change.key for change in board.changes_since(before, clock.ms).rows}
    assert taken["assigned_to"]["display_name"] == "Dispatcher"
    assert taken["version"] == incident["version"] + 1
    assert (await dispatcher.get("/api/incidents", params={"state": "closed"})).json() == []
    assert (await dispatcher.get("/api/incidents", params={"sate": "open"})).status_code == 422


async def test_who_is_handed_an_incident_has_it_when_they_accept(of, put):
    put()
    ana, ben = await of("dispatcher", "ana"), await of("dispatcher", "ben")
    people = {each["display_name"]: each["account_id"] for each in (await ana.get("/api/people")).json()}
    assert {"Ana", "Ben"} <= people.keys()
    await step(ana, await only(ana), "take-on")
    offered = (await step(ana, await only(ana), "hand-over", to=people["Ben"])).json()
    assert (offered["assigned_to"]["display_name"], offered["handover_to"]["display_name"]) == ("Ana", "Ben")
    refused = await step(ana, offered, "accept")
    assert (refused.status_code, "not handed to you" in refused.json()["detail"]) == (409, True)
    accepted = (await step(ben, offered, "accept")).json()
    assert (accepted["assigned_to"]["display_name"], accepted["handover_to"]) == ("Ben", None)
    late = await step(ana, offered, "take-on")
    assert (late.status_code, "look again" in late.json()["detail"]) == (409, True)
    events = (await ana.get(f"/api/incidents/{offered['incident_id']}/events")).json()
    assert [event["action"] for event in events] == ["open", "assign", "hand over", "accept"]
    incident_models.IncidentEvent.model_validate(events[-1])


async def test_an_offer_may_be_declined_and_an_incident_taken_over(of, put):
    put()
    ana, ben = await of("dispatcher", "ana"), await of("safety", "ben")
    people = {each["display_name"]: each["account_id"] for each in (await ana.get("/api/people")).json()}
    await step(ana, await only(ana), "hand-over", to=people["Ben"])
    declined = (await step(ben, await only(ben), "decline")).json()
    assert (declined["handover_to"], declined["assigned_to"]) == (None, None)
    await step(ana, declined, "take-on")
    refused = await step(ben, await only(ben), "hand-over", to=people["Ana"])
    assert (refused.status_code, "take it on first" in refused.json()["detail"]) == (409, True)
    taken_over = (await step(ben, await only(ben), "take-on")).json()
    assert taken_over["assigned_to"]["display_name"] == "Ben"


async def test_nothing_is_handed_to_who_only_looks_or_to_oneself(of, put, registry):
    put()
    ana = await of("dispatcher", "ana")
    await of("viewer", "vic")
    for name, why in [("vic", "cannot work on incidents"), ("ana", "take it on")]:
        to = registry.account_by_name(name).account_id
        refused = await step(ana, await only(ana), "hand-over", to=to)
        assert (refused.status_code, why in refused.json()["detail"]) == (409, True)
    assert (await step(ana, await only(ana), "hand-over", to="nobody")).status_code == 404


@pytest.mark.parametrize("role", ["viewer", "operator", "shipper"])
async def test_who_only_looks_changes_nothing(of, put, registry, role):
    put()
    browser = await of(role)
    incident = await only(browser)
    answers = [
        await step(browser, incident, "take-on"),
        await step(browser, incident, "comment", comment="hello"),
        await step(browser, incident, "close", reason="done"),
        await browser.post("/api/alerts/a1/acknowledge", json={"version": 1}),
        await browser.post("/api/alerts/a1/shelve", json={"version": 1, "minutes": 5, "reason": "x"}),
        await browser.post("/api/alerts/a1/close", json={"version": 1, "reason": "x"}),
    ]
    assert [answer.status_code for answer in answers] == [403] * 6
    assert "you may look" in answers[0].json()["detail"]
    assert registry.alert("a1").version == 1


async def test_each_role_acknowledges_for_itself(of, put):
    put(level=Level.CRITICAL)
    safety, dispatcher = await of("safety"), await of("dispatcher")
    seen = (await safety.post("/api/alerts/a1/acknowledge", json={"version": 1, "comment": "on my way"})).json()
    assert (seen["state"], seen["acknowledged_by"], seen["acknowledged_roles"]) == ("raised", None, ["safety lead"])
    seen = (await dispatcher.post("/api/alerts/a1/acknowledge", json={"version": 2})).json()
    assert (seen["state"], seen["acknowledged_by"]) == ("acknowledged", "Dispatcher")
    again = await safety.post("/api/alerts/a1/acknowledge", json={"version": 3})
    assert (again.status_code, "already in the role of safety lead" in again.json()["detail"]) == (409, True)
    events = (await safety.get("/api/alerts/a1/events")).json()
    assert [(event["action"], event["actor_role"]) for event in events] == [
        ("raise", None),
        ("acknowledge", "safety lead"),
        ("acknowledge", "dispatcher"),
    ]


async def test_a_critical_is_closed_by_safety_naming_who_released_it_and_is_watched_on(of, put, clock, registry):
    put(level=Level.CRITICAL)
    dispatcher, safety = await of("dispatcher"), await of("safety")
    incident = await only(dispatcher)
    refused = await step(dispatcher, incident, "close", reason="unloaded", authority="Reno Fire")
    assert (refused.status_code, "safety role only" in refused.json()["detail"]) == (409, True)
    refused = await step(safety, incident, "close", reason="unloaded")
    assert (refused.status_code, "name the fire service" in refused.json()["detail"]) == (409, True)
    closed = (await step(safety, incident, "close", reason="unloaded", authority="Reno Fire")).json()
    assert (closed["state"], closed["releasing_authority"], closed["closed_by"]) == ("closed", "Reno Fire", "Safety")
    assert closed["alerts"][0]["releasing_authority"] == "Reno Fire"
    (watch,) = (await dispatcher.get("/api/reignition-watches")).json()
    incident_models.ReignitionWatch.model_validate(watch)
    assert (watch["pack_id"], watch["until_ms"] - watch["from_ms"]) == ("pack-1", 14 * 86_400_000)
    assert registry.reignition_watches(clock.now + timedelta(days=15)) == ()
    over = await step(safety, closed, "take-on")
    assert (over.status_code, "opens again by itself" in over.json()["detail"]) == (409, True)
    assert (await step(safety, closed, "comment", comment="report sent")).status_code == 200


async def test_an_administrator_closes_as_safety_when_naming_who_released_it(of, put):
    put(level=Level.CRITICAL)
    administrator = await of("administrator", "boss")
    incident = await only(administrator)
    assert (await step(administrator, incident, "close", reason="x")).status_code == 409
    assert (await step(administrator, incident, "close", reason="x", authority="Reno Fire")).status_code == 200


async def test_closing_an_incident_of_which_one_alert_may_not_be_closed_closes_none(of, put, registry):
    put()
    put("a2", pack_id="pack-2", level=Level.CRITICAL)
    dispatcher = await of("dispatcher")
    assert (await step(dispatcher, await only(dispatcher), "close", reason="done")).status_code == 409
    assert {alert.state for alert in registry.alerts()} == {AlertState.RAISED}


async def test_shelving(of, put, registry):
    put()
    dispatcher = await of("dispatcher")
    shelve = {"version": 1, "minutes": 30, "reason": "a hot afternoon"}
    refused = await dispatcher.post("/api/alerts/a1/shelve", json=shelve | {"minutes": 31})
    assert refused.status_code == 409  # the registry does not know the pack: it counts as damaged
    assert "30 min at most: a damaged pack" in refused.json()["detail"]
    shelved = (await dispatcher.post("/api/alerts/a1/shelve", json=shelve)).json()
    models.Alert.model_validate(shelved)
    assert (shelved["shelved_by"], shelved["shelf_reason"]) == ("Dispatcher", "a hot afternoon")
    back = (await dispatcher.post("/api/alerts/a1/unshelve", json={"version": 2})).json()
    assert back["shelved_until_ms"] is None
    put("a2", pack_id="pack-2", level=Level.CRITICAL)
    refused = await dispatcher.post("/api/alerts/a2/shelve", json=shelve)
    assert (refused.status_code, "nothing silences a critical" in refused.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("alerts/a1/shelve", {"version": 1, "minutes": 0, "reason": "x"}),
        ("alerts/a1/shelve", {"version": 1, "minutes": 30, "reason": "  "}),
        ("alerts/a1/shelve", {"version": 1, "minutes": 1441, "reason": "x"}),
        ("incidents/i1/comment", {"comment": " "}),
        ("incidents/i1/hand-over", {"version": 1}),
        ("incidents/i1/take-on", {}),
        ("incidents/i1/close", {"version": 1, "reason": "x", "authority": "x" * 1001}),
    ],
)
async def test_what_makes_no_sense_is_refused(of, put, path, body):
    put()
    dispatcher = await of("dispatcher")
    assert (await dispatcher.post(f"/api/{path}", json=body)).status_code == 422


async def test_a_shift_is_offered_and_accepted_with_its_incidents(of, put):
    put()
    ana, ben, viewer = await of("dispatcher", "ana"), await of("dispatcher", "ben"), await of("viewer")
    people = {each["display_name"]: each["account_id"] for each in (await ana.get("/api/people")).json()}
    await step(ana, await only(ana), "take-on")
    offered = await ana.post("/api/shifts", json={"to": people["Ben"], "note": "<b>quiet</b> night"})
    assert offered.status_code == 200, offered.text
    assert (await ana.post("/api/shifts", json={"to": people["Ben"]})).status_code == 409
    assert (await viewer.post("/api/shifts", json={"to": people["Ben"]})).status_code == 403
    (waiting,) = (await ben.get("/api/shifts")).json()
    Shift.model_validate(waiting)
    assert (waiting["giver"]["display_name"], waiting["note"]) == ("Ana", "<b>quiet</b> night")
    assert (await only(ana))["assigned_to"]["display_name"] == "Ana"
    assert (await ana.post(f"/api/shifts/{waiting['id']}/accept", json={})).status_code == 409
    assert (await ben.post(f"/api/shifts/{waiting['id']}/accept", json={})).json()["accepted"] is True
    assert (await only(ben))["assigned_to"]["display_name"] == "Ben"
    assert (await ben.post("/api/shifts/999/decline", json={})).status_code == 404
