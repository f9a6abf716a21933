"""Incidents, shelves, and what life cycle adds to alerts."""

from __future__ import annotations

revision = "r0006"
down_revision = "r0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""
