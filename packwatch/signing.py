"""The Ed25519 key (RFC 8032) that bundles are signed with: made once, among the credentials, mode 0600."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

if TYPE_CHECKING:
    from pathlib import Path

KEY_FILE = "bundle-key.pem"
SIGNATURE_BYTES = 64


class KeyUnusableError(ValueError):
    """The key's file holds something else, or others can read it."""


class BundleKey:
    """The key of one installation."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def kept_in(cls, folder: Path) -> BundleKey:
        """The key in the folder of the credentials, made when there is none. Raises KeyUnusableError, OSError."""
        path = folder / KEY_FILE
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _write_new(path)
        if path.stat().st_mode & 0o077:
            raise KeyUnusableError(f"others can read {path}: a key that is not secret proves nothing; chmod 600 it")
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError) as error:
            raise KeyUnusableError(f"{path} holds no key: {error}") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyUnusableError(f"{path} holds a key of another kind; Ed25519 is asked for")
        return cls(private)

    @property
    def public(self) -> str:
        """The public key, 64 hexadecimal digits: what those who verify bundles pin."""
        return self._private.public_key().public_bytes_raw().hex()

    def sign(self, message: bytes) -> str:
        """The signature, 128 hexadecimal digits."""
        return self._private.sign(message).hex()


def is_signed(message: bytes, signature: str, public: str) -> bool:
    """Whether the key signed exactly this; both texts in the one way that they are written, lower case."""
    try:
        raw, key = bytes.fromhex(signature), bytes.fromhex(public)
        if raw.hex() != signature or key.hex() != public:
            return False
        Ed25519PublicKey.from_public_bytes(key).verify(raw, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _write_new(path: Path) -> None:
    """Two processes may make it at once: the first one's stays."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
