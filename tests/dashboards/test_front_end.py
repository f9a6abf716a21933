"""The built pages: one page for every route of the front end, and assets that may be kept."""

import shutil

import pytest

HTML = {"Accept": "text/html,*/*"}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/packs/pack-1",
        "/packs/unit%3Astranger",
        "/emergency/a1",
        "/drivers",
        "/devices",
        "/intake",
        "/sign-in",
        "/claim?token=x",
    ],
)
async def test_the_front_ends_routes_are_one_page(stranger, path):
    answer = await stranger.get(path, headers=HTML)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    assert "Packwatch" in answer.text


async def test_an_unknown_page_is_the_page_too_but_404(stranger):
    assert (await stranger.get("/nothing", headers=HTML)).status_code == 404
    assert "<title>" in (await stranger.get("/nothing", headers=HTML)).text
    assert "detail" in (await stranger.get("/nothing.js")).json()


@pytest.mark.parametrize(
    ("path", "kept"),
    [("/assets/index-5b3a.js", "public, max-age=31536000, immutable"), ("/theme.js", "no-cache")],
)
async def test_hashed_assets_are_kept_for_ever_others_are_asked_for_again(stranger, path, kept):
    answer = await stranger.get(path)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, kept)
    again = await stranger.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, kept)


@pytest.mark.parametrize(
    "path",
    ["/../registry.sqlite", "/%2e%2e/registry.sqlite", "/assets/..%2f..%2fregistry.sqlite", "//etc/passwd", "/a%00b"],
)
async def test_nothing_outside_the_build_is_served(stranger, registry, path):
    answer = await stranger.get(path)
    assert answer.status_code == 404
    assert "SQLite" not in answer.text


async def test_without_a_build_pages_say_so_and_the_api_answers(stranger, static_dir):
    shutil.rmtree(static_dir)
    answer = await stranger.get("/", headers=HTML)
    assert answer.status_code == 503
    assert "make build" in answer.text
    assert (await stranger.get("/healthz")).status_code == 200
    assert (await stranger.get("/assets/index-5b3a.js")).status_code == 404


async def test_pages_only_answer_get(stranger):
    answer = await stranger.post("/intake")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert (await stranger.head("/")).status_code == 200
