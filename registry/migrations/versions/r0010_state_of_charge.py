"""State of charge of a pack, as somebody noted it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0010"
down_revision = "r0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("packs") as packs:
        packs.add_column(sa.Column("state_of_charge_pct", sa.Double(), nullable=True))
        packs.add_column(sa.Column("state_of_charge_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("packs") as packs:
        packs.drop_column("state_of_charge_at")
        packs.drop_column("state_of_charge_pct")
