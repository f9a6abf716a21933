"""Tokens by which a device proves that it got a message: whoever has the message can say so, and nobody else."""

from __future__ import annotations

from itsdangerous import Signer

_PURPOSE = "receipt of a page"


def receipt_token(secret: str, message_id: str) -> str:
    """What goes along with a message."""
    return _signer(secret).get_signature(message_id).decode()


def is_receipt_token(secret: str, message_id: str, token: str) -> bool:
    """Whether the token went along with that message."""
    return _signer(secret).verify_signature(message_id.encode(), token.encode())


def _signer(secret: str) -> Signer:
    return Signer(secret, salt=_PURPOSE)
