"""Recipients, rosters, the outbox of deliveries and its receipts."""

from __future__ import annotations

revision = "r0007"
down_revision = "r0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""
