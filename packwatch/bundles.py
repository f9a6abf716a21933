"""Bundles: one zip file with what was stored about a pack and a manifest of hashes, to be checked without Packwatch."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import IO

MANIFEST = "manifest.json"
FORMAT = 1
_PIECE_BYTES = 1 << 20


class BundleError(ValueError):
    """A bundle that is not what its manifest says. The message names the first thing that differs."""


def write_bundle(target: Path, files: Mapping[str, Path], *, created_at: str, about: Mapping[str, str]) -> None:
    """Write `files` (name in the bundle -> file) and a manifest of their SHA-256 hashes.

    `created_at` is ISO 8601 UTC; `about` goes into the manifest as it is.
    """
    hashes: dict[str, dict[str, str]] = {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as bundle:
        for name, path in files.items():
            bundle.write(path, name)
            with path.open("rb") as file:
                hashes[name] = {"sha256": _sha256(file)}
        manifest = {"format": FORMAT, "created_at": created_at, "about": dict(about), "files": hashes}
        bundle.writestr(MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))


def verify_bundle(path: Path) -> dict[str, int]:
    """Check every file against the manifest; the files' names and sizes in bytes. Raises BundleError."""
    try:
        with zipfile.ZipFile(path) as bundle:
            return _verified(bundle)
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        # zipfile raises the last two for a compression that it does not know and for an encrypted entry
        raise BundleError(f"{path} cannot be read as a bundle: {error}") from error


def _verified(bundle: zipfile.ZipFile) -> dict[str, int]:
    names = bundle.namelist()
    if len(set(names)) != len(names):
        raise BundleError("a file stands in the bundle twice")
    listed = _listed(bundle)
    for name in names:
        if name != MANIFEST and name not in listed:
            raise BundleError(f"{name} is in the bundle but not in its manifest")
    for name, sha256 in listed.items():
        if name not in names:
            raise BundleError(f"{name} is in the manifest but not in the bundle")
        try:
            with bundle.open(name) as file:
                found = _sha256(file)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
            raise BundleError(f"{name} was altered: {error}") from error
        if found != sha256:
            raise BundleError(f"{name} was altered: its SHA-256 is {found}, the manifest says {sha256}")
    return {name: bundle.getinfo(name).file_size for name in listed}


def _listed(bundle: zipfile.ZipFile) -> dict[str, str]:
    """The manifest's files and their hashes."""
    try:
        manifest = json.loads(bundle.read(MANIFEST))
        listed = {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
        form = manifest["format"]
    except KeyError as error:
        raise BundleError(f"the manifest is missing, or lacks {error}") from error
    except (ValueError, TypeError, AttributeError, zlib.error, zipfile.BadZipFile) as error:
        raise BundleError(f"the manifest cannot be read: {error}") from error
    if form != FORMAT:
        raise BundleError(f"the bundle has format {form}; this program checks format {FORMAT}")
    return listed


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()
