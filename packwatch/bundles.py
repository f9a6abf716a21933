"""Bundles: one zip file, a manifest of its hashes, and two Ed25519 signatures; whoever has it checks it offline.

`signature.json` signs the manifest, so that the files can be checked without the zip as well. The zip's comment, its
very last bytes, signs the SHA-256 of every byte before it: names, sizes and times of the zip included.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packwatch.signing import SIGNATURE_BYTES, is_signed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import IO

    from packwatch.signing import BundleKey

MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
FORMAT = 2
_PIECE_BYTES = 1 << 20
_SEAL = b"packwatch bundle sealed by Ed25519 over SHA-256 of all before: "
_SEAL_BYTES = len(_SEAL) + 2 * SIGNATURE_BYTES
_COMPRESSED = (".json", ".jsonl", ".csv", ".toml", ".md", ".txt")
_SMALL_BYTES = 64 << 20
"""**Assumed**: no manifest is larger; one that says so is no manifest."""
_DAMAGE = (
    OSError, EOFError, ValueError, LookupError, NotImplementedError, RuntimeError, ArithmeticError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
)  # fmt: skip
"""What zipfile raises for bytes that are not what they were: other compressions and encryption included."""


class BundleError(ValueError):
    """A bundle that is not what was signed. The message names the first thing that differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBundle:
    """What stands in a bundle whose signatures hold."""

    files: Mapping[str, int]
    """Name -> size, bytes; the manifest and its signature are not among them."""
    key: str
    """The public key that signed it, 64 hexadecimal digits."""
    created_at: str
    about: Mapping[str, Any]


def write_bundle(
    target: Path, files: Mapping[str, Path], *, key: BundleKey, created_at: str, about: Mapping[str, Any]
) -> None:
    """Write `files` (name in the bundle -> file), their manifest and its signatures. The file appears whole or not.

    `created_at` is ISO 8601 UTC; `about` goes into the manifest as it is.
    """
    growing = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(growing, "w", zipfile.ZIP_STORED) as bundle:
            bundle.comment = _SEAL + b"0" * (2 * SIGNATURE_BYTES)
            hashes: dict[str, dict[str, str]] = {}
            for name, path in files.items():
                with path.open("rb") as file:
                    hashes[name] = {"sha256": _sha256(file)}
                method = zipfile.ZIP_DEFLATED if name.endswith(_COMPRESSED) else zipfile.ZIP_STORED
                bundle.write(path, name, compress_type=method)
            manifest = json.dumps(
                {"format": FORMAT, "created_at": created_at, "about": about, "files": hashes}, indent=1, sort_keys=True
            )
            bundle.writestr(MANIFEST, manifest)
            signed = {"algorithm": "Ed25519", "public_key": key.public, "signature": key.sign(manifest.encode())}
            bundle.writestr(SIGNATURE, json.dumps(signed, indent=1))
        with growing.open("r+b") as file:
            file.seek(-2 * SIGNATURE_BYTES, 2)
            seal = key.sign(_digest_of_all_but_seal(file))
            file.seek(-2 * SIGNATURE_BYTES, 2)
            file.write(seal.encode())
        growing.replace(target)
    except BaseException:
        growing.unlink(missing_ok=True)
        raise


def verify_bundle(path: Path, *, pinned: str | None = None) -> CheckedBundle:
    """Check both signatures and every file. `pinned`: the public key that must have signed. Raises BundleError."""
    try:
        with path.open("rb") as raw, zipfile.ZipFile(raw) as bundle:
            checked = _verified(bundle, pinned)
            _check_seal(raw, checked.key)
            return checked
    except BundleError:
        raise
    except _DAMAGE as error:
        raise BundleError(f"{path} cannot be read as a bundle: {error}") from error


def _verified(bundle: zipfile.ZipFile, pinned: str | None) -> CheckedBundle:
    """The files in the order in which they lie, so that the first one that was altered is named."""
    names = bundle.namelist()
    if len(set(names)) != len(names):
        raise BundleError("a file stands in the bundle twice")
    signed = _object(bundle, SIGNATURE)
    raw = _read(bundle, MANIFEST)
    manifest = _parsed(raw, MANIFEST)
    listed = _listed(manifest)
    for name in names:
        if name not in {MANIFEST, SIGNATURE} and name not in listed:
            raise BundleError(f"{name} is in the bundle but not in its manifest")
    for name in listed:
        if name not in names:
            raise BundleError(f"{name} is in the manifest but not in the bundle")
    for name in names:
        if name in listed:
            _check_file(bundle, name, listed[name])
    key = signed.get("public_key")
    if not isinstance(key, str) or not is_signed(raw, str(signed.get("signature")), key):
        raise BundleError(f"{MANIFEST} or {SIGNATURE} was altered: the signature is not that of this manifest")
    if pinned is not None and key != pinned.strip().lower():
        raise BundleError(f"the bundle was signed by another key, {key}: it is not from whom you expect")
    return CheckedBundle(
        files={name: bundle.getinfo(name).file_size for name in listed},
        key=key,
        created_at=str(manifest.get("created_at")),
        about=manifest.get("about") or {},
    )


def _check_file(bundle: zipfile.ZipFile, name: str, sha256: str) -> None:
    try:
        with bundle.open(name) as file:
            found = _sha256(file)
    except _DAMAGE as error:
        raise BundleError(f"{name} was altered: {error}") from error
    if found != sha256:
        raise BundleError(f"{name} was altered: its SHA-256 is {found}, the manifest says {sha256}")


def _check_seal(raw: IO[bytes], key: str) -> None:
    raw.seek(0, 2)
    if raw.tell() < _SEAL_BYTES:
        raise BundleError("the seal at the end is missing")
    raw.seek(-_SEAL_BYTES, 2)
    tail = raw.read()
    if not tail.startswith(_SEAL):
        raise BundleError("the seal at the end was altered or cut off, or something was added after it")
    if not is_signed(_digest_of_all_but_seal(raw), tail[len(_SEAL) :].decode("ascii", "replace"), key):
        raise BundleError("the zip's own bytes between the files, or the seal at the end, were altered; no file was")


def _digest_of_all_but_seal(file: IO[bytes]) -> bytes:
    file.seek(0, 2)
    left = file.tell() - 2 * SIGNATURE_BYTES
    file.seek(0)
    digest = hashlib.sha256()
    while left and (piece := file.read(min(left, _PIECE_BYTES))):
        digest.update(piece)
        left -= len(piece)
    return digest.digest()


def _listed(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The manifest's files and their hashes."""
    form = manifest.get("format")
    if form != FORMAT:
        raise BundleError(f"the bundle has format {form}; this program checks format {FORMAT}")
    try:
        return {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
    except (LookupError, TypeError, AttributeError) as error:
        raise BundleError(f"{MANIFEST} cannot be read: it lacks {error}") from error


def _object(bundle: zipfile.ZipFile, name: str) -> dict[str, Any]:
    return _parsed(_read(bundle, name), name)


def _read(bundle: zipfile.ZipFile, name: str) -> bytes:
    try:
        if bundle.getinfo(name).file_size > _SMALL_BYTES:
            raise BundleError(f"{name} was altered: it is too large")
        return bundle.read(name)
    except KeyError as error:
        raise BundleError(f"{name} is missing") from error
    except _DAMAGE as error:
        raise BundleError(f"{name} was altered: {error}") from error


def _parsed(raw: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError as error:
        raise BundleError(f"{name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise BundleError(f"{name} cannot be read: it is no object")
    return found


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()
