"""Add what an export tells of corrections, why one is held, and the way from an action to its order."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

COUNTS = ("corrections", "corrections_waiting", "corrections_held")


def upgrade() -> None:
    for name in COUNTS:
        op.add_column("export", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.add_column("unsent_correction", sa.Column("hold_detail", sa.String(), nullable=True))
    op.create_index("orders_of_actions", "action", ["action_id"])


def downgrade() -> None:
    op.drop_index("orders_of_actions", "action")
    op.drop_column("unsent_correction", "hold_detail")
    for name in reversed(COUNTS):
        op.drop_column("export", name)
