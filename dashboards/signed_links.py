"""Links that open one thing without a password: a trip's page, an emergency sheet. Signed, and with an end."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from itsdangerous import BadSignature, URLSafeSerializer

if TYPE_CHECKING:
    from datetime import datetime

TOKEN_MAX_LENGTH = 1000


class LinkRefusedError(Exception):
    """A link that opens nothing. `reason` is a short word for counting; the text says what to do."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class SignedLinks:
    """Tokens of one purpose; those of another are forged to it. HMAC-SHA-256 by itsdangerous."""

    def __init__(self, secret: str, purpose: str) -> None:
        self._serializer = URLSafeSerializer(
            secret,
            salt=f"packwatch {purpose}",
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )

    def token(self, key: str, nonce: str, until: datetime) -> str:
        """A token for `key`, which holds until an instant."""
        token = self._serializer.dumps([key, nonce, int(until.timestamp())])
        return token if isinstance(token, str) else token.decode()

    def read(self, token: str, now: datetime) -> tuple[str, str]:
        """Key and nonce of a token. Raises LinkRefusedError: it is forged, or has expired."""
        try:
            key, nonce, until_s = self._serializer.loads(token[:TOKEN_MAX_LENGTH])
        except (BadSignature, ValueError, TypeError) as error:
            raise LinkRefusedError(
                "forged", "This link is incomplete or was changed: scan the code again, or ask dispatch for a new one."
            ) from error
        if now.timestamp() >= until_s:
            raise LinkRefusedError("expired", "This link has expired: ask dispatch for a new one.")
        return (key, nonce)
