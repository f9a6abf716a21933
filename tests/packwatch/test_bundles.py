"""A bundle says what was altered, whatever was altered."""

import json
import zipfile

import pytest

from packwatch.bundles import BundleError, verify_bundle, write_bundle


@pytest.fixture
def bundle(tmp_path):
    samples = tmp_path / "samples.parquet"
    samples.write_bytes(b"PAR1" * 1000)
    alerts = tmp_path / "alerts.json"
    alerts.write_text("[]")
    path = tmp_path / "bundle.zip"
    write_bundle(
        path,
        {"samples.parquet": samples, "alerts.json": alerts},
        created_at="2026-11-24T00:00:00Z",
        about={"pack": "p1"},
    )
    return path


def rewritten(bundle, change):
    """The bundle again, with `change(files)` applied to its {name: bytes}."""
    with zipfile.ZipFile(bundle) as original:
        files = {name: original.read(name) for name in original.namelist()}
    change(files)
    with zipfile.ZipFile(bundle, "w") as altered:
        for name, content in files.items():
            altered.writestr(name, content)
    return bundle


def test_an_untouched_bundle_is_confirmed_with_its_files(bundle):
    assert verify_bundle(bundle) == {"samples.parquet": 4000, "alerts.json": 2}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.update({"alerts.json": b"[1]"}), "alerts.json was altered"),
        (lambda f: f.pop("alerts.json"), "alerts.json is in the manifest but not in the bundle"),
        (lambda f: f.update({"more.txt": b"x"}), "more.txt is in the bundle but not in its manifest"),
        (lambda f: f.pop("manifest.json"), "manifest is missing"),
        (lambda f: f.update({"manifest.json": b"{"}), "manifest cannot be read"),
        (lambda f: f.update({"manifest.json": b"[]"}), "manifest cannot be read"),
        (lambda f: f.update({"manifest.json": json.dumps({"format": 9, "files": {}}).encode()}), "format 9"),
    ],
    ids=["changed", "removed", "added", "no manifest", "broken manifest", "another manifest", "a later format"],
)
def test_an_altered_bundle_names_the_first_thing_that_differs(bundle, change, says):
    with pytest.raises(BundleError, match=says):
        verify_bundle(rewritten(bundle, change))


@pytest.mark.parametrize("part", range(10))
def test_one_flipped_bit_in_a_file_is_found(bundle, part):
    with zipfile.ZipFile(bundle) as original:
        entry = original.getinfo("samples.parquet")
    start = entry.header_offset + 30 + len(entry.filename)
    raw = bytearray(bundle.read_bytes())
    raw[start + part * entry.compress_size // 10] ^= 1 << (part % 8)
    bundle.write_bytes(raw)
    with pytest.raises(BundleError):
        verify_bundle(bundle)


def test_something_else_is_no_bundle(tmp_path):
    other = tmp_path / "x.zip"
    other.write_bytes(b"hello")
    with pytest.raises(BundleError, match="cannot be read as a bundle"):
        verify_bundle(other)
