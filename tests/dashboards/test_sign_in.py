"""Who gets in, for how long, and how an account gets its password."""

import re
from datetime import timedelta

import httpx
import pytest

from dashboards.accounts import PASSWORD_MIN, Passwords, ensure_administrator, password_refusal
from dashboards.throttle import PER_NAME_AND_ADDRESS

NAME, PASSWORD = "Ana", "four unrelated words here"


def token_of(path: str) -> str:
    return path.partition("token=")[2]


def claim_of(path: str, **given) -> dict[str, str]:
    return {"token": token_of(path), "name": NAME, "password": PASSWORD, **given}


OPEN = {
    ("get", "/healthz"),
    ("post", "/api/session"),
    ("delete", "/api/session"),
    ("post", "/api/claim"),
}
"""All that anybody may ask for."""


async def test_without_a_sign_in_only_health_pages_and_the_door_are_open(app, stranger):
    operations = {(method, path) for path, methods in app.openapi()["paths"].items() for method in methods}
    assert operations > OPEN
    for method, path in operations - OPEN | {("get", "/api/openapi.json")}:
        url = re.sub(r"\{\w+\}", "0" * 32, path)
        answer = await stranger.request(method, url, params={"pack_id": "pack-1"}, json={"version": 1, "reason": "x"})
        assert answer.status_code == 401, (method, path)
        assert answer.json()["detail"].endswith(".")
    assert (await stranger.get("/healthz")).status_code == 200


async def test_the_first_start_gives_a_link_that_works_once(stranger, claim_path):
    assert claim_path.startswith("/claim?token=")
    claimed = await stranger.post("/api/claim", json=claim_of(claim_path))
    person = claimed.json()
    assert (claimed.status_code, len(person.pop("account_id"))) == (200, 32)
    assert person == {"name": "ana", "display_name": "Ana", "role": "administrator"}
    cookie = claimed.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert (await stranger.get("/api/me")).json()["name"] == "ana"
    again = await stranger.post("/api/claim", json=claim_of(claim_path, password="another password here"))
    assert again.status_code == 410


async def test_a_link_expires_and_the_next_start_gives_another(stranger, registry, claim_path, clock):
    clock.ms += int(timedelta(hours=24, seconds=1).total_seconds() * 1000)
    assert (await stranger.post("/api/claim", json=claim_of(claim_path))).status_code == 410
    second = ensure_administrator(registry, clock.now)
    assert (await stranger.post("/api/claim", json=claim_of(second))).status_code == 200
    assert ensure_administrator(registry, clock.now) is None
    assert len(registry.accounts()) == 1


async def test_the_first_link_that_is_used_ends_the_others(stranger, registry, claim_path, clock):
    second = ensure_administrator(registry, clock.now)
    assert (await stranger.post("/api/claim", json=claim_of(second))).status_code == 200
    assert (await stranger.post("/api/claim", json=claim_of(claim_path))).status_code == 410


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        pytest.param({"token": "nobody.x"}, 410, "restart", id="an invented token"),
        pytest.param({"token": "\x00."}, 410, "restart", id="a token that is no text"),
        pytest.param({"password": "short"}, 422, "at least", id="a short password"),
        pytest.param({"name": " "}, 422, "letter", id="no name"),
        pytest.param({"name": "a" * 300}, 422, "name", id="a name longer than is kept"),
        pytest.param({"password": "x" * 2000}, 422, "password", id="an enormous password"),
    ],
)
async def test_a_claim_that_is_refused_leaves_the_link_good(stranger, claim_path, body, status, says):
    refused = await stranger.post("/api/claim", json=claim_of(claim_path, **body))
    assert refused.status_code == status
    assert says in refused.json()["detail"]
    assert "xxxx" not in refused.text
    assert (await stranger.post("/api/claim", json=claim_of(claim_path))).status_code == 200


async def test_a_name_that_is_taken_leaves_the_link_good(stranger, registry, claim_path, clock):
    registry.create_account(name="Ana", display_name="Another Ana", now=clock.now, role="dispatcher")
    assert (await stranger.post("/api/claim", json=claim_of(claim_path))).status_code == 409
    assert (await stranger.post("/api/claim", json=claim_of(claim_path, name="Bo"))).status_code == 200


async def test_signing_in_and_out(person):
    assert (await person.delete("/api/session")).status_code == 204
    assert (await person.get("/api/me")).status_code == 401
    signed_in = await person.post("/api/session", json={"name": " ANA ", "password": PASSWORD})
    assert signed_in.status_code == 200
    assert (await person.get("/api/me")).json()["display_name"] == "Ana"


async def test_a_copied_cookie_is_worthless_after_signing_out(person):
    copied = dict(person.cookies)
    await person.delete("/api/session")
    person.cookies.update(copied)
    assert (await person.get("/api/me")).status_code == 401


@pytest.mark.parametrize("name", ["ana", "nobody", "", " ", "a\x00", "x" * 200])
async def test_a_wrong_name_and_a_wrong_password_sound_the_same(person, name):
    answer = await person.post("/api/session", json={"name": name or "?", "password": "wrong password"})
    assert answer.status_code == 401
    assert answer.json() == {"detail": "The name or the password is wrong: try again, or ask for a new one-time link."}


async def test_too_many_failures_must_wait(person, clock):
    body = {"name": "ana", "password": "wrong password"}
    answers = [await person.post("/api/session", json=body) for _ in range(PER_NAME_AND_ADDRESS.failures + 1)]
    assert [answer.status_code for answer in answers] == [401] * PER_NAME_AND_ADDRESS.failures + [429]
    assert "wait" in answers[-1].json()["detail"]
    assert 0 < int(answers[-1].headers["retry-after"]) <= PER_NAME_AND_ADDRESS.window_s
    right = {"name": "ana", "password": PASSWORD}
    assert (await person.post("/api/session", json=right)).status_code == 429
    clock.ms += int(PER_NAME_AND_ADDRESS.window_s * 1000)
    assert (await person.post("/api/session", json=right)).status_code == 200


async def test_a_new_password_ends_every_session(person, registry):
    account = registry.account_by_name("ana")
    registry.set_password(account.account_id, await Passwords().hash("a whole new password"))
    assert (await person.get("/api/me")).status_code == 401


async def test_a_session_slides_while_it_is_used(person, clock):
    assert "set-cookie" not in (await person.get("/api/me")).headers
    clock.ms += 11 * 60 * 1000
    assert "set-cookie" in (await person.get("/api/me")).headers


async def test_a_cookie_that_was_changed_or_made_up_opens_nothing(stranger, person):
    ((cookie, value),) = person.cookies.items()
    changed = value[:-9] + ("a" if value[-9] != "a" else "b") + value[-8:]
    for forged in (changed, "e30=.x.y", "", "\x7f"):
        stranger.cookies.set(cookie, forged)
        assert (await stranger.get("/api/me")).status_code == 401


async def test_the_service_token_reads_but_does_not_act(stranger, bearer):
    assert (await stranger.get("/api/board", headers=bearer)).status_code == 200
    assert (await stranger.get("/api/board", headers={"Authorization": "Bearer wrong"})).status_code == 401
    assert (
        await stranger.get("/api/board", headers={"Authorization": "Bearer w\u00f6rong".encode("latin-1")})
    ).status_code == 401
    answer = await stranger.post("/api/alerts/a/acknowledge", json={"version": 1}, headers=bearer)
    assert answer.status_code == 401


async def test_the_local_api_is_for_this_machine_only(app, bearer):
    for address, status in (("127.0.0.1", 200), ("::1", 200), ("192.0.2.7", 403), ("testclient", 403)):
        transport = httpx.ASGITransport(app=app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/api/local/alerts", headers=bearer)).status_code == status


@pytest.mark.parametrize(
    ("password", "taken"),
    [
        pytest.param("x" * (PASSWORD_MIN - 1), False, id="too short"),
        pytest.param("x" * PASSWORD_MIN, False, id="one letter"),
        pytest.param("packwatchpackwatch", False, id="the product's name"),
        pytest.param("four unrelated words", True, id="words"),
    ],
)
def test_passwords(password, taken):
    assert (password_refusal(password, "ana") is None) == taken


async def test_who_signed_in_out_and_who_was_refused_is_in_the_audit_log(person, stranger, registry):
    await person.delete("/api/session")
    before = registry.audit_end()[0]
    await stranger.post("/api/session", json={"name": "ana", "password": "not the password"})
    await stranger.post("/api/session", json={"name": "nobody at all", "password": "not the password"})
    signed_out = registry.audit_rows(after=before - 1, limit=1)[0]
    known, unknown = registry.audit_rows(after=before)
    assert (signed_out["action"], known["action"], unknown["action"]) == ("sign out", *["refuse sign-in"] * 2)
    assert known["actor"]["id"] == signed_out["actor"]["id"]
    assert unknown["subject"] == "account/unknown"
    assert "nobody at all" not in str(unknown)
    registry.verify_audit()
