"""Reviews, time lines, files, re-runs and bundles over the API, with the real registry, store and detector."""
# ruff: noqa: PLR0917 - fixtures come by name

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta

import httpx
import numpy as np
import pytest

from alerts.grouping import gathering
from dashboards import review_models
from dashboards.attachments import ATTACHMENT_MAX_BYTES
from packwatch.reviewing import review_house
from packwatch.settings import Settings
from registry.kinds import AlertState, Level
from registry.records import AlertEvent
from telemetry.samples import PositionFix

PAGE = {"X-Packwatch": "1", "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
PASSWORD = "four unrelated words here"
SCRIPT = "<script>alert(1)</script>"
HOUR_MS = 3_600_000


@pytest.fixture
def parts(parts, registry, store, tmp_path):
    return parts | {"review": review_house(Settings(data_dir=tmp_path / "data"), registry, store)}


@pytest.fixture
def incident(registry, store, clock, enrolment, make_alert, make_batch):
    """A truck's pack that was heated for half an hour; its id."""
    registry.enrol(enrolment(), clock.now - timedelta(days=1))
    rows = np.full((360, 3), 22.0) + np.random.default_rng(3).normal(0, 0.05, (360, 3))
    rows[180:, 1] += np.linspace(0, 70, 180)
    store.append([make_batch(rows, step_ms=10_000)])
    fixes = [
        PositionFix(
            fleet_id="fleet-1",
            gateway_id="gateway-1",
            fixed_at_ms=clock.ms - 60_000 * minute,
            latitude_deg=39.5,
            longitude_deg=-119.8,
        )
        for minute in range(10)
    ]
    store.append_positions(fixes)
    alert = make_alert(alert_id="a1", level=Level.CRITICAL, reasons=[f"probe 2 is 81.0 degC {SCRIPT}"])
    event = AlertEvent(
        alert_id="a1",
        at=alert.raised_at,
        sampled_at=alert.sampled_at,
        action="raise",
        to_state=AlertState.RAISED,
        level=alert.level,
        reasons=alert.reasons,
    )
    registry.raise_alert(alert, event, gather=gathering)
    (found,) = registry.incidents()
    return f"/api/incidents/{found.incident_id}"


@pytest.fixture
async def of(app, registry, clock):
    """Makes a browser in which somebody of a role is signed in."""
    browsers = []

    async def sign_in(role, name=None):
        name = name or role
        hashed = await app.state.context.passwords.hash(PASSWORD)
        registry.create_account(name=name, display_name=name.title(), now=clock.now, role=role, password_hash=hashed)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        browser = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=PAGE)
        browsers.append(browser)
        assert (await browser.post("/api/session", json={"name": name, "password": PASSWORD})).status_code == 200
        return browser

    yield sign_in
    for browser in browsers:
        await browser.aclose()


async def told(answer, status=200):
    assert answer.status_code == status, answer.text
    if status == 200:
        review_models.Review.model_validate(answer.json())
    return answer.json()


async def test_two_people_of_safety_review_and_close(of, incident):
    ida, omar = await of("safety", "ida"), await of("safety", "omar")
    review = await told(await ida.get(f"{incident}/review"))
    assert (review["state"], review["version"], review["may_sign"]) == ("open", 1, True)
    finding = {"kind": "finding", "text": f"probe 2 led {SCRIPT}", "pack_id": "pack-1", "probe": 2, "at_ms": 1}
    review = await told(await ida.post(f"{incident}/review/entries", json=finding))
    assert review["entries"][0]["text"] == finding["text"]
    cause = {"version": review["version"], "cause": "cell defect", "note": "vented"}
    review = await told(await ida.post(f"{incident}/review/cause", json=cause))
    review = await told(await ida.post(f"{incident}/review/sign", json={"version": review["version"]}))
    refused = await told(await ida.post(f"{incident}/review/sign", json={"version": review["version"]}), 409)
    assert "somebody else of safety" in refused["detail"]
    review = await told(await omar.post(f"{incident}/review/sign", json={"version": review["version"]}))
    assert (review["state"], review["signed_by"], review["countersigned_by"]) == ("closed", "Ida", "Omar")
    assert "reopen it first" in (await told(await ida.post(f"{incident}/review/entries", json=finding), 409))["detail"]
    body = {"version": review["version"], "reason": "smoke again"}
    assert (await told(await ida.post(f"{incident}/review/reopen", json=body)))["state"] == "open"


async def test_two_who_edit_one_entry_at_once_lose_nothing(of, incident):
    ida, omar = await of("safety", "ida"), await of("safety", "omar")
    review = await told(await ida.post(f"{incident}/review/entries", json={"kind": "finding", "text": "first"}))
    entry = review["entries"][0]
    path = f"{incident}/review/entries/{entry['entry_id']}"
    await told(await ida.post(path, json={"kind": "finding", "text": "ida's", "version": entry["version"]}))
    late = await omar.post(path, json={"kind": "finding", "text": "omar's", "version": entry["version"]})
    assert "It now says: ida's" in (await told(late, 409))["detail"]


async def test_dispatchers_annotate_and_leave_findings_to_safety(of, incident):
    dispatcher, viewer = await of("dispatcher"), await of("viewer")
    await told(await dispatcher.post(f"{incident}/review/entries", json={"kind": "annotation", "text": "rain"}))
    for path, body in (
        ("review/entries", {"kind": "finding", "text": "x"}),
        ("review/cause", {"version": 1, "cause": None}),
        ("review/sign", {"version": 1}),
    ):
        await told(await dispatcher.post(f"{incident}/{path}", json=body), 403)
    await told(await viewer.post(f"{incident}/review/entries", json={"kind": "annotation", "text": "x"}), 403)
    await told(await viewer.get("/api/incidents/other/review"), 404)


async def test_a_file_is_kept_by_its_hash_and_only_ever_saved(of, incident):
    ida = await of("safety", "ida")
    page = f"<html>{SCRIPT}</html>".encode()
    for name, content, media_type in (
        (f'../"{SCRIPT}.html', page, "application/octet-stream"),
        ("paper.jpg", b"\x89PNG\r\n\x1a\n" + bytes(100), "image/png"),
    ):
        review = await told(await ida.post(f"{incident}/attachments", params={"name": name}, content=content))
        kept = review["attachments"][-1]
        assert (kept["name"], kept["media_type"], kept["size"]) == (name, media_type, len(content))
        saved = await ida.get(f"{incident}/attachments/{kept['sha256']}")
        assert (saved.content, saved.headers["content-type"]) == (content, media_type)
        assert saved.headers["x-content-type-options"] == "nosniff"
        assert saved.headers["content-disposition"].startswith("attachment; filename=")
        assert "<" not in saved.headers["content-disposition"]
    await told(await ida.get(f"{incident}/attachments/{'0' * 64}"), 404)
    await told(await ida.post(f"{incident}/attachments", params={"name": "x"}, content=b""), 422)
    await told(await ida.post("/api/incidents/other/attachments", params={"name": "x"}, content=b"x"), 404)


async def test_a_hundred_mebibytes_are_kept_and_one_byte_more_leaves_nothing(of, incident, tmp_path):
    ida = await of("safety", "ida")

    async def body(size):
        while size > 0:
            yield bytes(min(size, 1 << 22))
            size -= 1 << 22

    params = {"name": "film.mp4"}
    await told(await ida.post(f"{incident}/attachments", params=params, content=body(ATTACHMENT_MAX_BYTES + 1)), 413)
    folder = tmp_path / "data" / "attachments"
    assert list(folder.rglob("*")) == []
    review = await told(await ida.post(f"{incident}/attachments", params=params, content=body(ATTACHMENT_MAX_BYTES)))
    assert [each["size"] for each in review["attachments"]] == [ATTACHMENT_MAX_BYTES]


async def test_one_time_line_tells_everything_and_refuses_absurd_times(of, incident, clock):
    ida = await of("safety", "ida")
    line = (await ida.get(f"{incident}/timeline")).json()
    review_models.Timeline.model_validate(line)
    assert line["first_ms"] == clock.ms - 24 * HOUR_MS
    assert {each["kind"] for each in line["items"]} >= {"level", "custody", "incident"}
    (raised,) = [each for each in line["items"] if each["kind"] == "level"]
    assert (raised["level"], raised["text"]) == ("critical", f"probe 2 is 81.0 degC {SCRIPT}")
    assert len(line["positions"]) == 10
    series = line["series"]["pack-1"]
    assert max(value for value in series["temperature"]["max"][1] if value is not None) > 90
    first = (await ida.get(f"{incident}/timeline", params={"limit": 1, "points": 0})).json()
    rest = (await ida.get(f"{incident}/timeline", params={"after": first["more_after"], "points": 0})).json()
    assert (first["items"] + rest["items"], rest["series"]) == (line["items"], {})
    only = (await ida.get(f"{incident}/timeline", params={"kind": "level"})).json()
    assert [each["what"] for each in only["items"]] == ["raise"]
    for params, says in (
        ({"from_ms": 5, "to_ms": 5}, "earlier"),
        ({"from_ms": 0, "to_ms": clock.ms}, "more than a year"),
        ({"from_ms": 10**18}, "less than or equal"),
        ({"from_ms": "soon"}, "valid integer"),
        ({"kind": "gossip"}, "Input should be"),
        ({"since": 1}, "no query parameter"),
    ):
        refused = await ida.get(f"{incident}/timeline", params=params)
        assert (refused.status_code, says in refused.json()["detail"]) == (422, True), refused.text
    await told(await ida.get("/api/incidents/other/timeline"), 404)


async def test_other_rules_tell_what_they_would_have_raised(of, incident, clock):
    ida = await of("safety", "ida")
    (today,) = (await told(await ida.post(f"{incident}/reruns", json={})))["reruns"]
    pack = today["outcome"]["packs"]["pack-1"]
    assert [each["level"] for each in pack["was"]] == ["critical"]
    assert pack["changes"][-1]["level"] == "critical"
    assert pack["changes"][0]["at_ms"] < pack["was"][0]["at_ms"]
    clock.ms += 1000
    lower = "version = 7\n[ceilings.warning]\nat_c = 45.0\nclears_below_c = 40.0\n"
    answer = await ida.post(f"{incident}/reruns", json={"rules": lower})
    other = (await told(answer))["reruns"][-1]
    assert (other["rules_version"], other["rules_hash"] != today["rules_hash"]) == (7, True)
    wrong = await told(await ida.post(f"{incident}/reruns", json={"rules": "version = 1\nwarnign = 3"}), 409)
    assert "warnign" in wrong["detail"]
    absurd = {"from_ms": clock.ms, "to_ms": clock.ms - 1}
    await told(await ida.post(f"{incident}/reruns", json=absurd), 422)


async def test_the_bundle_and_the_draft_are_taken_away(of, incident, stranger, bearer):
    ida = await of("safety", "ida")
    answer = await ida.get(f"{incident}/bundle")
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as held:
        assert json.loads(held.read("manifest.json"))["about"]["made_by"] == "Ida"
        assert "report.pdf" in held.namelist()
    draft = await ida.get(f"{incident}/form-5800-1")
    assert (draft.content[:5], draft.headers["content-type"]) == (b"%PDF-", "application/pdf")
    local = incident.replace("/api/", "/api/local/")
    assert (await stranger.get(f"{local}/bundle", headers=bearer)).content[:2] == b"PK"
    await told(await stranger.get(f"{incident}/bundle"), 401)
    await told(await (await of("viewer")).get(f"{incident}/bundle"), 403)
    await told(await ida.get("/api/incidents/other/bundle"), 404)
