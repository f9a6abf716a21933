"""Bounds of what is kept, for those who need no database."""

PAYLOAD_KEPT_BYTES = 64 * 1024
"""**Assumed**: how much of a refused payload is kept. Enough for any frame; a 1 MB one is still recognisable."""
