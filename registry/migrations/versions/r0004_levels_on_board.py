"""What a vehicle's own engine says of an alert's pack, beside the cloud's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of alerts before, nobody knows what the vehicle said."""
    op.add_column("alerts", sa.Column("level_here", sa.String(32), nullable=True))
    op.add_column("alerts", sa.Column("level_on_board", sa.String(32), nullable=True))
    op.add_column("alerts", sa.Column("on_board_since", sa.DateTime(timezone=True), nullable=True))
