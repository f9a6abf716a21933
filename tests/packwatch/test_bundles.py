"""A bundle says what was altered, whatever was altered."""

import hashlib
import json
import os
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packwatch.bundles import BundleError, verify_bundle, write_bundle
from packwatch.signing import BundleKey, KeyUnusableError


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return BundleKey.kept_in(tmp_path_factory.mktemp("credentials"))


def written(folder, key):
    samples = folder / "samples.parquet"
    samples.write_bytes(b"PAR1" * 1000)
    alerts = folder / "alerts.json"
    alerts.write_text(json.dumps([{"alert": number} for number in range(50)]))
    path = folder / "bundle.zip"
    files = {"samples.parquet": samples, "records/alerts.json": alerts}
    write_bundle(path, files, key=key, created_at="2026-11-24T00:00:00Z", about={"pack": "p1"})
    return path


@pytest.fixture
def bundle(tmp_path, key):
    return written(tmp_path, key)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, key):
    """A bundle's bytes, a file to write altered ones to, and where each of its files lies."""
    path = written(tmp_path_factory.mktemp("whole"), key)
    return path.read_bytes(), path.with_name("altered.zip")


def rewritten(bundle, change):
    """The bundle again, with `change(files)` applied to its {name: bytes}, and its old seal."""
    with zipfile.ZipFile(bundle) as original:
        files = {name: original.read(name) for name in original.namelist()}
        seal = original.comment
    change(files)
    with zipfile.ZipFile(bundle, "w") as altered:
        altered.comment = seal
        for name, content in files.items():
            altered.writestr(name, content)
    return bundle


def signed_anew(files, key):
    """What somebody writes who has another key: a manifest and a signature that fit each other."""
    listed = {
        name: {"sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
        if name not in {"manifest.json", "signature.json"}
    }
    manifest = json.dumps({"format": 2, "files": listed}).encode()
    files["manifest.json"] = manifest
    files["signature.json"] = json.dumps({"public_key": key.public, "signature": key.sign(manifest)}).encode()


def test_an_untouched_bundle_is_confirmed_with_its_files(bundle, key):
    checked = verify_bundle(bundle, pinned=key.public)
    assert (checked.files["samples.parquet"], set(checked.files)) == (4000, {"samples.parquet", "records/alerts.json"})
    assert (checked.key, checked.about) == (key.public, {"pack": "p1"})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.update({"records/alerts.json": b"[1]"}), "records/alerts.json was altered"),
        (lambda f: f.pop("records/alerts.json"), "records/alerts.json is in the manifest but not in the bundle"),
        (lambda f: f.update({"more.txt": b"x"}), "more.txt is in the bundle but not in its manifest"),
        (lambda f: f.pop("manifest.json"), "manifest.json is missing"),
        (lambda f: f.pop("signature.json"), "signature.json is missing"),
        (lambda f: f.update({"manifest.json": b"{"}), "manifest.json cannot be read"),
        (lambda f: f.update({"manifest.json": b"[]"}), "manifest.json cannot be read"),
        (lambda f: f.update({"manifest.json": json.dumps({"format": 9, "files": {}}).encode()}), "format 9"),
        (lambda f: f.update({"manifest.json": f["manifest.json"] + b" "}), "manifest.json or signature.json was"),
        (lambda _: None, "the zip's own bytes between the files"),
    ],
    ids=[
        "changed", "removed", "added", "no manifest", "no signature", "broken manifest", "another manifest",
        "a later format", "manifest touched", "zipped again",
    ],
)  # fmt: skip
def test_an_altered_bundle_names_the_first_thing_that_differs(bundle, change, says):
    with pytest.raises(BundleError, match=says):
        verify_bundle(rewritten(bundle, change))


def test_what_another_key_signed_anew_is_not_from_whom_you_expect(bundle, key, tmp_path):
    other = BundleKey.kept_in(tmp_path / "other")
    forged = rewritten(bundle, lambda files: signed_anew(files, other))
    with pytest.raises(BundleError, match=f"another key, {other.public}"):
        verify_bundle(forged, pinned=key.public)


@settings(max_examples=400, deadline=None)
@given(place=st.floats(min_value=0, max_value=1, exclude_max=True), bit=st.integers(min_value=0, max_value=7))
def test_one_flipped_bit_anywhere_is_found(whole, place, bit):
    content, altered = whole
    changed = bytearray(content)
    changed[int(place * len(changed))] ^= 1 << bit
    altered.write_bytes(changed)
    with pytest.raises(BundleError):
        verify_bundle(altered)


def test_a_flipped_bit_in_every_byte_of_the_zips_own_frame_is_found(whole):
    """The bytes that no file's hash covers: headers, the directory, the seal."""
    content, altered = whole
    altered.write_bytes(content)
    with zipfile.ZipFile(altered) as bundle:
        inside = set()
        for entry in bundle.infolist():
            start = entry.header_offset + 30 + len(entry.filename)
            inside |= set(range(start, start + entry.compress_size))
    for position in set(range(len(content))) - inside:
        changed = bytearray(content)
        changed[position] ^= 1 << (position % 8)
        altered.write_bytes(changed)
        with pytest.raises(BundleError):
            verify_bundle(altered)


@pytest.mark.parametrize("part", range(4))
def test_a_flipped_bit_in_a_file_names_the_file(whole, part):
    content, altered = whole
    altered.write_bytes(content)
    with zipfile.ZipFile(altered) as bundle:
        entry = bundle.getinfo("samples.parquet")
    start = entry.header_offset + 30 + len(entry.filename)
    changed = bytearray(content)
    changed[start + part * entry.compress_size // 4] ^= 1 << part
    altered.write_bytes(changed)
    with pytest.raises(BundleError, match=r"samples\.parquet was altered"):
        verify_bundle(altered)


@pytest.mark.parametrize("cut", [1, 64, 200])
def test_a_bundle_that_is_cut_off_or_longer_is_none(whole, cut):
    content, altered = whole
    for changed in (content[:-cut], content + b"\0" * cut, b"\0" * cut + content):
        altered.write_bytes(changed)
        with pytest.raises(BundleError):
            verify_bundle(altered)


def test_something_else_is_no_bundle(tmp_path):
    other = tmp_path / "x.zip"
    other.write_bytes(b"hello")
    with pytest.raises(BundleError, match="cannot be read as a bundle"):
        verify_bundle(other)


def test_the_key_is_made_once_and_secret(tmp_path):
    first, again = BundleKey.kept_in(tmp_path), BundleKey.kept_in(tmp_path)
    path = tmp_path / "bundle-key.pem"
    assert (first.public, path.stat().st_mode & 0o777) == (again.public, 0o600)
    path.chmod(0o644)
    with pytest.raises(KeyUnusableError, match="others can read"):
        BundleKey.kept_in(tmp_path)
    path.unlink()
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    with pytest.raises(KeyUnusableError, match="holds no key"):
        BundleKey.kept_in(tmp_path)
