"""Evidence of an incident: what is in it, that it holds, and that what was altered is named."""

from __future__ import annotations

import hashlib
import json
import zipfile
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from packwatch.bundles import BundleError, write_bundle
from packwatch.cli import app
from packwatch.evidence.checking import check_evidence
from packwatch.evidence.collecting import cards
from packwatch.phrases import TablePhrases
from packwatch.signing import BundleKey
from registry.audit import PROGRAM
from registry.audit_chain import line_of, row_hash
from registry.errors import NotFoundError
from registry.response_kinds import Language, Situation, Stage
from registry.review_records import Attachment
from registry.trip_records import Trip

from case_stage import NOW, make_case, reviewed
from tsa_stage import time_stamp_authority

PHOTO = b"\x89PNG\r\n\x1a\n" + bytes(2000)


@pytest.fixture(scope="module")
def authority():
    with time_stamp_authority() as running:
        yield running


@pytest.fixture(scope="module")
def case(authority, tmp_path_factory):
    made = make_case(tmp_path_factory.mktemp("case"), time_stamps={"url": authority.url, "ca_file": authority.ca_file})
    reviewed(made)
    incoming = made.house.attachments.incoming()
    incoming.write(PHOTO)
    kept = incoming.keep()
    made.registry.attach(
        Attachment(
            incident_id=made.incident_id,
            sha256=kept.sha256,
            name="../../photo.png",
            media_type=kept.media_type,
            size=kept.size,
            added_by="Ida",
            added_at=NOW,
        ),
        made.hand(),
    )
    yield made
    made.close()


def test_the_cards_tell_what_the_drivers_page_said_at_each_level(tmp_path):
    made = make_case(tmp_path)
    made.registry.open_trip(
        Trip(
            trip_id="t1",
            vehicle_id="truck-1",
            driver_name="Rosa",
            language=Language.ES,
            nonce="n",
            opened_at=NOW - timedelta(hours=2),
            link_until=NOW,
        )
    )
    (card,) = cards(made.registry.case_file(made.incident_id, NOW))["drivers_page"]
    made.close()
    parked = TablePhrases().said(Stage.CRITICAL, Situation.PARKED, Language.ES)
    assert tuple(card["sentences_by_situation"]["parked"].values()) == parked
    assert (card["to"], card["table"]["texts_sha256"]) == ("Rosa", TablePhrases().texts_hash)


@pytest.fixture(scope="module")
def bundle(case, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "bundle.zip"
    case.house.evidence.make(case.incident_id, path, by=PROGRAM, now=NOW)
    return path


@pytest.fixture(scope="module")
def key(case):
    return BundleKey.kept_in(case.settings.data_dir / "credentials")


def test_it_holds_everything_in_folders_of_facts_opinions_and_reruns(bundle):
    with zipfile.ZipFile(bundle) as held:
        names = set(held.namelist())
        samples = pq.read_table(held.open("facts/samples/pack-1.parquet"))
        records = json.loads(held.read("facts/records.json"))
        line = json.loads(held.read("facts/timeline.json"))
        opinions = json.loads(held.read("opinions/review.json"))
        versions = json.loads(held.read("facts/versions.json"))
        fixes = json.loads(held.read("facts/positions.json"))
        report = held.read("report.pdf")
        photo = held.read(f"attachments/{hashlib.sha256(PHOTO).hexdigest()}")
    assert samples.num_rows == 540
    assert samples.column_names[:2] == ["sampled_at", "temperature_1_c"]
    assert records["incident"]["level"] == "critical"
    assert (records["packs"][0]["class_outcome"], len(records["alert_events"])) == ("dented", 1)
    assert [each["what"] for each in line if each["kind"] == "level"] == ["raise"]
    assert {each["kind"] for each in line}.isdisjoint({"review"}), "opinions are no facts"
    assert opinions["entries"][0]["text"].startswith("probe 2 led by <i>70 degC</i>")
    assert versions["response_table"]["version"] >= 1
    assert len(fixes["gateway-1"]) == 90
    assert (report[:5], photo) == (b"%PDF-", PHOTO)
    assert {"README.md", "facts/responses.toml", "facts/cards.json", "audit/log.jsonl", "audit/ends.json"} <= names
    assert "password" not in json.dumps(records) + json.dumps(opinions)


def test_it_holds_offline_with_key_and_authority(bundle, key, authority):
    checked = check_evidence(bundle, pinned=key.public, authorities=authority.ca_file)
    assert checked.bundle.about["incident_id"]
    assert checked.bundle.about["notes"] == []
    assert [stamp.trusted for stamp in checked.chain.stamps] == [True]
    assert checked.chain.stamps[0].sequence == checked.chain.last


@pytest.fixture
def forge(bundle, tmp_path, key):
    """What somebody makes who has the key: other files, with signatures that fit."""

    def forged(change):
        with zipfile.ZipFile(bundle) as held:
            about = json.loads(held.read("manifest.json"))
            held.extractall(tmp_path)
        change(tmp_path)
        files = {name: tmp_path / name for name in about["files"]}
        write_bundle(tmp_path / "again.zip", files, key=key, created_at=about["created_at"], about=about["about"])
        return tmp_path / "again.zip"

    return forged


def rewrite_log(folder):
    """The log written anew from a row on, with hashes that fit, as who owns the database can."""
    rows = [json.loads(line) for line in (folder / "audit/log.jsonl").read_text().splitlines()]
    previous = rows[0]["previous"]
    rows[0]["detail"]["reasons"] = ["all was well"]
    for row in rows:
        row["previous"] = previous
        previous = row["hash"] = row_hash(row)
    (folder / "audit/log.jsonl").write_text("".join(line_of(row) + "\n" for row in rows))
    ends = json.loads((folder / "audit/ends.json").read_text())
    ends["hash"] = previous
    ends["stamps"][-1]["hash"] = previous
    (folder / "audit/ends.json").write_text(json.dumps(ends))


def drop_a_row(folder):
    lines = (folder / "audit/log.jsonl").read_text().splitlines(keepends=True)
    (folder / "audit/log.jsonl").write_text("".join(lines[:1] + lines[2:]))


@pytest.mark.parametrize(
    ("change", "says"),
    [(rewrite_log, r"audit/stamp-.*: the time stamp does not hold"), (drop_a_row, r"audit/log\.jsonl: row .* removed")],
    ids=["log written anew", "row dropped"],
)
def test_who_has_data_and_key_cannot_rewrite_what_was_stamped_outside(forge, key, authority, change, says):
    forged = forge(change)
    with pytest.raises(BundleError, match=says):
        check_evidence(forged, pinned=key.public, authorities=authority.ca_file)


@settings(max_examples=60, deadline=None)
@given(place=st.floats(min_value=0, max_value=1, exclude_max=True), bit=st.integers(min_value=0, max_value=7))
def test_one_flipped_bit_anywhere_is_found(bundle, place, bit):
    changed = bytearray(bundle.read_bytes())
    changed[int(place * len(changed))] ^= 1 << bit
    altered = bundle.with_name("altered.zip")
    altered.write_bytes(changed)
    with pytest.raises(BundleError):
        check_evidence(altered)


def test_an_unknown_incident_makes_no_bundle(case, tmp_path):
    with pytest.raises(NotFoundError):
        case.house.evidence.make("other", tmp_path / "b.zip", by=PROGRAM, now=NOW)
    assert list(tmp_path.iterdir()) == []


def test_without_an_authority_the_bundle_says_so(tmp_path):
    alone = make_case(tmp_path / "data")
    try:
        alone.house.evidence.make(alone.incident_id, tmp_path / "b.zip", by=PROGRAM, now=NOW)
    finally:
        alone.close()
    checked = check_evidence(tmp_path / "b.zip")
    assert checked.chain.stamps == ()
    assert "nothing outside vouches" in checked.bundle.about["notes"][0]


def test_the_commands_write_show_and_verify(tmp_path, authority, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make_case(tmp_path / "data")
    made.close()
    monkeypatch.setenv("PACKWATCH_TIME_STAMPS__URL", authority.url)
    run = CliRunner().invoke
    data = ["--data-dir", str(tmp_path / "data")]
    wrote = run(app, ["bundle", made.incident_id, "--output", "b.zip", *data])
    assert wrote.exit_code == 0, wrote.output
    key = run(app, ["bundle", "key", *data]).stdout.strip()
    checked = run(app, ["verify", "b.zip", "--key", key, "--authorities", str(authority.ca_file)])
    assert checked.exit_code == 0, checked.output
    assert "as you expect" in checked.stdout
    assert "(checked)" in checked.stdout
    (tmp_path / "key.txt").write_text("00" * 32)
    other = run(app, ["verify", "b.zip", "--key", "key.txt"])
    assert (other.exit_code, "another key" in other.stderr) == (1, True)
    changed = bytearray((tmp_path / "b.zip").read_bytes())
    changed[len(changed) // 3] ^= 1
    (tmp_path / "b.zip").write_bytes(changed)
    assert run(app, ["verify", "b.zip"]).exit_code == 1


def test_the_draft_of_the_form_says_draft_and_what_is_known(case):
    pdf = case.house.evidence.form(case.registry.case_file(case.incident_id, NOW), NOW)
    assert pdf[:5] == b"%PDF-"
