"""A fire in a recording, on the boards of three people: who works on it, who takes it over, who releases it."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from registry.registry import Registry

from stage import NAME, PASSWORD, TRACES, claim, violations

PACK = "heater-incident"
PHONE = {"width": 390, "height": 844}
PICTURES = os.environ.get("PACKWATCH_PICTURES")
"""A folder for screenshots, to be looked at."""


@pytest.fixture(scope="module")
def burning(packwatch):
    """One recorded runaway, and two more people."""
    registry = Registry.open(f"sqlite:///{packwatch.data_dir / 'registry.sqlite'}")
    hashed = PasswordHash((Argon2Hasher(),)).hash(PASSWORD)
    for name, role in (("ben", "dispatcher"), ("sam", "safety")):
        registry.create_account(
            name=name, display_name=name.title(), now=datetime.now(UTC), role=role, password_hash=hashed
        )
    registry.close()
    packwatch.command("replay", TRACES / "heater_30_cells.csv", "--pack", PACK, "--speed", "max")
    return packwatch


@pytest.fixture
def board_of(browser, burning):
    """`board_of("ben")`: the board with that person in front of it."""
    contexts = []

    def open_board(name, viewport=None):
        context = browser.new_context(
            viewport=viewport or {"width": 1440, "height": 900}, locale="en-GB", timezone_id="UTC"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        if name == NAME:
            claim(page, burning)
        else:
            page.goto(f"{burning.url}/sign-in")
            page.get_by_test_id("sign-in-name").fill(name)
            page.get_by_test_id("sign-in-password").fill(PASSWORD)
            page.get_by_test_id("sign-in-submit").click()
        page.get_by_test_id("incident").first.wait_for()
        return page

    yield open_board
    for context in contexts:
        context.close()


def worker(page, words):
    page.get_by_test_id("worker").filter(has_text=words).wait_for()


def picture(page, name):
    if PICTURES is not None:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)


def test_three_people_work_on_one_incident(burning, board_of):
    ana = board_of(NAME)
    incident = ana.get_by_test_id("incident").filter(has_text=PACK)
    worker(ana, "Nobody works on it yet")
    incident.get_by_test_id("take-on").click()
    worker(ana, "You work on it")
    picture(ana, "incident-1440")
    phone = board_of(NAME, PHONE)
    picture(phone, "incident-390")
    phone.keyboard.press("n")
    phone.get_by_test_id("minute-say").wait_for()
    picture(phone, "minute-390")
    assert violations(phone) == []
    phone.keyboard.press("h")
    phone.get_by_test_id("hand-over-to").select_option(label="Ben (dispatcher)")
    phone.get_by_test_id("incident-confirm").press("Enter")
    worker(ana, "handed to Ben, not accepted yet")

    ben = board_of("ben")
    worker(ben, f"{NAME} works on it · handed to you, not accepted yet")
    ben.get_by_test_id("accept").click()
    worker(ben, "You work on it")
    worker(ana, "Ben works on it")
    ben.get_by_test_id("comment").click()
    ben.get_by_test_id("incident-text").fill("driver called, pulls over")
    ben.get_by_test_id("incident-confirm").click()
    ben.keyboard.press("n")
    ben.get_by_test_id("minute-say").wait_for()
    assert "replayed: no real pack does this now" in ben.get_by_test_id("confidence").inner_text()
    picture(ben, "minute-1440")
    assert violations(ben) == []
    ben.keyboard.press("a")
    ben.get_by_test_id("acknowledge-comment").fill("called the driver")
    ben.keyboard.press("Control+Enter")
    ben.get_by_test_id("acknowledged-strip").wait_for()
    ben.keyboard.press("b")
    assert ben.get_by_test_id("shelve").count() == 0  # nothing silences what was critical
    assert ben.get_by_test_id("close-incident").count() == 0  # and safety alone releases it

    sam = board_of("sam")
    sam.get_by_test_id("close-incident").click()
    sam.get_by_test_id("incident-text").fill("burnt out, unloaded")
    sam.get_by_test_id("incident-confirm").click()
    sam.get_by_text("name the fire service").wait_for()
    sam.get_by_test_id("incident-authority").fill("Reno Fire, Capt. Ortiz")
    picture(sam, "closing-1440")
    sam.get_by_test_id("incident-confirm").click()
    sam.get_by_test_id("reignition").locator("summary").click()
    sam.get_by_test_id("reignition").filter(has_text=f"{PACK}: it was runaway").wait_for()
    assert "Released by Reno Fire, Capt. Ortiz" in sam.get_by_test_id("reignition").inner_text()
    picture(sam, "released-1440")
    ana.get_by_test_id("incident").filter(has_text=PACK).wait_for(state="detached")

    with burning.client() as client:
        (closed,) = client.get("/api/incidents?state=closed")
        events = client.get(f"/api/incidents/{closed['incident_id']}/events")
    assert (closed["closed_by"], closed["releasing_authority"]) == ("Sam", "Reno Fire, Capt. Ortiz")
    people = [(event["action"], event["actor"]) for event in events if event["actor"] is not None]
    assert people == [
        ("assign", NAME),
        ("hand over", NAME),
        ("accept", "Ben"),
        ("comment", "Ben"),
        ("close", "Sam"),
    ]
    assert "is as it was written" in burning.command("audit", "verify").stdout


def test_evidence_of_the_running_service_is_verified_offline(burning, tmp_path):
    with burning.client() as client:
        (incident, *_) = client.get("/api/incidents")
    output = tmp_path / "evidence.zip"
    burning.command("bundle", incident["incident_id"], "--output", output)
    key = burning.command("bundle", "key").stdout.strip()
    said = burning.command("verify", output, "--key", key, data_dir=False).stdout
    assert "facts/samples/heater-incident.parquet" in said
    assert "the audit log holds from row" in said
    content = bytearray(output.read_bytes())
    content[-300] ^= 1
    output.write_bytes(content)
    altered = burning.command("verify", output, check=False, data_dir=False)
    assert (altered.returncode, "altered" in altered.stderr or "read as a bundle" in altered.stderr) == (1, True)
