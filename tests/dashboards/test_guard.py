"""What is refused before any route sees it."""

import pytest

from dashboards.guard import cross_site_refusal, host_refusal


@pytest.mark.parametrize(
    ("host", "passes"),
    [
        pytest.param("localhost", True, id="this machine by name"),
        pytest.param("localhost:8470", True, id="with a port"),
        pytest.param("LOCALHOST:8470", True, id="in any case"),
        pytest.param("127.0.0.1:8470", True, id="an address in digits cannot be rebound"),
        pytest.param("[::1]:8470", True, id="nor one of IPv6"),
        pytest.param("packs.example", True, id="a name that was allowed"),
        pytest.param("attacker.example:8470", False, id="a name that was rebound to this address"),
        pytest.param("localhost.attacker.example", False, id="a name that only begins like ours"),
        pytest.param("127.0.0.1.attacker.example", False, id="a name that only begins like an address"),
        pytest.param("localhost@attacker.example", False, id="a user name is no host"),
        pytest.param("", False, id="no name"),
        pytest.param(None, False, id="no header"),
        pytest.param("[::1", False, id="no host at all"),
    ],
)
def test_hosts(host, passes):
    assert (host_refusal(host, {"localhost", "packs.example"}) is None) == passes


OWN = {"host": "localhost:8470", "x-packwatch": "1"}


@pytest.mark.parametrize(
    ("method", "headers", "why"),
    [
        pytest.param("GET", {}, None, id="reading needs no proof"),
        pytest.param("POST", OWN, None, id="a program that is no browser"),
        pytest.param("POST", {**OWN, "origin": "http://localhost:8470"}, None, id="our own page"),
        pytest.param("POST", {**OWN, "sec-fetch-site": "same-origin"}, None, id="says the browser too"),
        pytest.param("DELETE", {"host": "localhost:8470"}, "X-Packwatch", id="a form cannot send the header"),
        pytest.param("POST", {**OWN, "origin": "http://attacker.example"}, "Origin", id="another site"),
        pytest.param("POST", {**OWN, "origin": "http://localhost:9000"}, "Origin", id="another port of ours"),
        pytest.param("POST", {**OWN, "origin": "null"}, "Origin", id="a sandboxed frame"),
        pytest.param("POST", {**OWN, "sec-fetch-site": "cross-site"}, "another site", id="says the browser"),
        pytest.param("POST", {**OWN, "sec-fetch-site": "same-site"}, "another site", id="a neighbour is another site"),
        pytest.param("POST", {"authorization": "Bearer x"}, None, id="a token is never sent unasked"),
        pytest.param("POST", {"authorization": "Basic x"}, "X-Packwatch", id="a browser's own sign-in may be"),
    ],
)
def test_changes_come_from_our_own_page(method, headers, why):
    refusal = cross_site_refusal(method, headers)
    assert refusal is None if why is None else why in (refusal or "")


async def test_every_answer_carries_the_security_headers(stranger):
    for path in ("/", "/healthz", "/api/board", "/nothing", "/assets/index-5b3a.js"):
        headers = (await stranger.get(path)).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self';" in policy, path
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
    refused = await stranger.get("/healthz", headers={"Host": "attacker.example"})
    assert (refused.status_code, refused.headers["x-frame-options"]) == (421, "DENY")
    assert "attacker.example" in refused.json()["detail"]


async def test_a_forged_request_changes_nothing(person):
    forged = await person.delete("/api/session", headers={"Sec-Fetch-Site": "cross-site"})
    assert forged.status_code == 403
    assert (await person.get("/api/me")).status_code == 200


async def test_no_foreign_page_is_let_in(stranger):
    asked = await stranger.options(
        "/api/session", headers={"Origin": "http://attacker.example", "Access-Control-Request-Method": "POST"}
    )
    assert "access-control-allow-origin" not in asked.headers
